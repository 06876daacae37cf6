"""Conditions of rules (`when:`): CEL expressions checked at load and evaluated on events.

Only this folder knows the CEL library. Which rules have conditions is `policy`'s, what a failed one means `engine`'s.

Two environments read one expression. The *checked* one declares the event of one hook point as typed messages, made
from the models of `events` (`types`), so that `tool.nam`, or `request` at a tool's point, are errors at load. The
*running* one takes the same names as plain maps (`values`), so that no event is ever converted as a whole: only the
fields that a condition names are shown to it. In both, `string()` also takes maps, lists and null, and gives JSON.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson
from cel_expr_python import cel  # type: ignore[import-untyped]  # ships stubs, but no py.typed

from proxy.conditions.values import Need, UndecidableError, variables
from proxy.decision import PartFinding
from proxy.events import Event, Point

if TYPE_CHECKING:
    from proxy.conditions.types import Types

ROOTS: Final[Mapping[Point, tuple[str, ...]]] = {
    Point.PRE_LLM_REQUEST: ("request",),
    Point.POST_LLM_RESPONSE: ("response",),
    Point.PRE_TOOL_EXECUTION: ("tool",),
    Point.POST_TOOL_EXECUTION: ("tool",),
}
"""Which large object an event carries, by point (design contract, section 3)."""

COMMON: Final = (
    "agent", "session", "run", "flow", "findings", "turn", "provider", "format", "model", "point"
)  # fmt: skip
"""What every event carries."""


class ConditionError(ValueError):
    """An expression that cannot be compiled. `line` counts from 0 within the expression."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


# compiling

_LITERAL: Final = r"""[rR](?:"[^"]*"|'[^']*')|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_PATTERNS: Final = re.compile(rf"\bmatches\s*\(\s*(?:[^()'\"]*,\s*)?({_LITERAL})\s*\)", re.DOTALL)
_NAMES: Final = re.compile(r"(?<![\w.])([a-z]+)\b(?:\s*\.\s*(\w+)\b(?!\s*\())?")
_ERROR: Final = re.compile(r"ERROR: <input>:(\d+):\d+: (.*?)(?: \[[A-Z_]+\])?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression."""

    source: str
    needs: frozenset[Need]
    program: cel.Expression

    def holds(self, activation: cel.Activation) -> bool:
        """Whether it is true of an event. A member that is not there makes it false, as OPA's undefined does.

        Raises UndecidableError for every other error: a wrong type, a bad number, an overflow.
        """
        try:
            value = self.program.eval(activation)
        except RuntimeError as error:
            raise UndecidableError("the condition could not be evaluated") from error
        if value.type() == cel.Type.BOOL:
            return bool(value.value())
        return _undefined(str(value.plain_value()))


def compile_condition(source: str, points: Iterable[Point]) -> Condition:
    """Check `source` against the events of `points` and compile it. Raises ConditionError."""
    for point in points:
        _check(source, point)
    _check_patterns(source)
    return Condition(source, needs(source), _running().compile(source))


def needs(source: str) -> frozenset[Need]:
    """The fields an expression may read: never fewer than it does, sometimes more (a word in a text)."""
    known = {*COMMON, *(root for roots in ROOTS.values() for root in roots)}
    names = _NAMES.findall(source)
    return frozenset(Need(root, field or None) for root, field in names if root in known)


def _check(source: str, point: Point) -> None:
    try:
        checked = _checked(point).compile(source)
    except RuntimeError as error:
        raise _explained(str(error), point) from None
    if (kind := checked.return_type()) != cel.Type.BOOL:
        name = kind.name().lower()
        hint = "; compare it, as in '… == true'" if kind == cel.Type.DYN else ""
        raise ConditionError(f"condition must be true or false, but its type is {name}{hint}")


def _explained(text: str, point: Point) -> ConditionError:
    """The library's first error in our words."""
    if not (found := _ERROR.search(text)):
        return ConditionError(text.splitlines()[0])
    message, line = found[2], int(found[1]) - 1
    if unknown := re.match(r"undeclared reference to '([^']*)'", message):
        message = _unknown_name(unknown[1], point)
    elif field := re.match(r"undefined field '([^']*)' not found in struct '(?:\w+\.)*(\w+)'", message):
        message = _unknown_field(field[1], field[2], point)
    return ConditionError(f"condition: {message}", line)


def _unknown_name(name: str, point: Point) -> str:
    name = name.partition(".")[0]
    elsewhere = [at for at, roots in ROOTS.items() if name in roots]
    if elsewhere:
        return f"a {point} event has no '{name}'; {' and '.join(elsewhere)} events have"
    return f"unknown name '{name}'{suggest(name, (*COMMON, *ROOTS[point]))}"


def _unknown_field(name: str, message: str, point: Point) -> str:
    fields = _types().fields[message]
    if name == "result" and message == "Call":
        return f"a {point} event has no 'tool.result'; post_tool_execution events have"
    shown = {"Call": "tool", "ToolCall": "tool"}.get(message, re.sub(r"(?<!^)([A-Z])", r" \1", message).lower())
    return f"{shown} has no field '{name}'{suggest(name, fields)}"


def suggest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where something known is close to `word`, else nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _check_patterns(source: str) -> None:
    """Refuse a regular expression that RE2 cannot compile: the library would say so only when it is used."""
    for found in _PATTERNS.finditer(source):
        value = _running().compile(f"''.matches({found[1]})").eval()
        if value.type() != cel.Type.BOOL:
            reason = str(value.plain_value()).partition(": ")[2]
            raise ConditionError(f"condition: {reason}", source.count("\n", 0, found.start()))


_ABSENT: Final = ("NOT_FOUND: Key not found in map", "UNKNOWN: Index error")
"""What the library says of a member or an element that is not there."""

_SAFE: Final = re.compile(r"[A-Z_]+: ([A-Za-z][A-Za-z0-9 -]*)")
"""The part of an error that is the library's own words: all before the first quote, colon or sign."""


def _undefined(error: str) -> bool:
    if error.startswith(_ABSENT):
        return False
    words = _SAFE.match(error)
    raise UndecidableError(words[1].strip() if words else "the condition is neither true nor false")


def activation(event: Event, findings: Sequence[PartFinding], wanted: Iterable[Need]) -> cel.Activation:
    """The variables of one event, made once for all conditions that read no more than `wanted`."""
    return _running().Activation(variables(event, findings, wanted))


# environments

_CONFIG: Final = "stdlib: {exclude_functions: [{name: string}]}\nextensions: [{name: strings}]\n"


def _types() -> "Types":
    # Imported here: protobuf costs some 5 MB that a policy without conditions need not pay.
    from proxy.conditions.types import environment_types

    return environment_types()


@cache
def _checked(point: Point) -> cel.Env:
    """The environment of one point with typed variables. Costs some 10 ms and loads protobuf: only for conditions."""
    types = _types()
    variables = {name: types.variable(name, point) for name in (*COMMON, *ROOTS[point])}
    config = cel.NewEnvConfigFromYaml(_CONFIG)
    return cel.NewEnv(descriptor_pool=types.pool, config=config, variables=variables, functions=[_string()])


@cache
def _running() -> cel.Env:
    """The environment conditions are evaluated in: every variable is a plain value."""
    names = {*COMMON, *(root for roots in ROOTS.values() for root in roots)}
    config = cel.NewEnvConfigFromYaml(_CONFIG)
    return cel.NewEnv(config=config, variables=dict.fromkeys(sorted(names), cel.Type.DYN), functions=[_string()])


def _string() -> cel.FunctionDecl:
    """CEL's `string()`, and the same for maps, lists and null. The standard overloads keep the library's own code."""
    kind, overload = cel.Type, cel.Overload
    standard = {
        "string_to_string": kind.STRING,
        "int64_to_string": kind.INT,
        "uint64_to_string": kind.UINT,
        "double_to_string": kind.DOUBLE,
        "bool_to_string": kind.BOOL,
        "bytes_to_string": kind.BYTES,
        "timestamp_to_string": kind.TIMESTAMP,
        "duration_to_string": kind.DURATION,
    }
    ours = {
        "map_to_string": kind.Map(kind.DYN, kind.DYN),
        "list_to_string": kind.List(kind.DYN),
        "null_to_string": kind.NULL,
    }
    declared = [overload(name, kind.STRING, [taken], False) for name, taken in standard.items()]
    declared += [overload(name, kind.STRING, [taken], False, _json) for name, taken in ours.items()]
    return cel.FunctionDecl("string", declared)


def _json(value: object) -> str:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS).decode()


def _plain(value: Any) -> object:
    return value.plain_value()
