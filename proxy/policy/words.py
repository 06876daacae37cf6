"""The words and small values of the policy language: points, verdicts, edits, sizes, classes of findings.

What the design names and this version does not carry out is known here too, so that it is refused by name and never
ignored.
"""

import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, StrictStr, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from proxy.conditions import suggest
from proxy.decision import Edit, EditKind, Verdict
from proxy.events import Point

POINTS: Final = (
    Point.PRE_LLM_REQUEST,
    Point.POST_LLM_RESPONSE,
    Point.PRE_TOOL_EXECUTION,
    Point.POST_TOOL_EXECUTION,
)
TOOL_POINTS: Final = frozenset({Point.PRE_TOOL_EXECUTION, Point.POST_TOOL_EXECUTION})
PII_KINDS: Final = ("email", "phone", "card", "iban", "ssn", "ip")
CLASSES: Final = ("secret", "pii", "injection")


def wrong(message: str) -> PydanticCustomError:
    """An error with this message."""
    # Braces would be read as places to fill in.
    return PydanticCustomError("policy", "{message}", {"message": message})


def later(what: str) -> PydanticCustomError:
    """The error of what the design names and this version does not do."""
    return wrong(f"{what}: not carried out by this version")


def _word(kind: str, now: Iterable[str], planned: str = "(?!)") -> BeforeValidator:
    """A word out of `now`. Those that match `planned` are in the language, but not in this version."""
    words = tuple(str(word) for word in now)

    def check(value: object) -> object:
        if value in words:
            return value
        if isinstance(value, str) and re.fullmatch(planned, value):
            raise later(f"{kind} {value}")
        shown = f"'{value}'" if isinstance(value, str) else f"{value!r}"
        hint = suggest(str(value), words) or f"; known are {', '.join(words)}"
        raise wrong(f"unknown {kind} {shown}{hint}")

    return BeforeValidator(check, json_schema_input_type=Literal[*words])


def _not_yet(value: object) -> None:
    if value:
        raise wrong("not carried out by this version")


NotYet = Annotated[None, BeforeValidator(_not_yet), WithJsonSchema({"not": {}})]
"""A key of the design that this version refuses, unless it asks for nothing."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _OneOrMany:
    """One item or a list of items."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


T = TypeVar("T")
Some = Annotated[tuple[T, ...], BeforeValidator(_listed), Field(min_length=1), _OneOrMany]
"""One item or a list of items. (A `type` statement would put its own name into the JSON schema.)"""


def _parse_edit(value: object) -> Edit:
    if isinstance(value, Edit):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((kind, text),) = value.items()
        if kind in (EditKind.REPLACE, EditKind.INJECT):
            if isinstance(text, str):
                return Edit(EditKind(kind), text)
            raise wrong(f"edit {kind} takes a text")
    if value in (EditKind.REPLACE, EditKind.INJECT):
        raise wrong(f"edit {value} takes a text: {{{value}: TEXT}}")
    if isinstance(value, str) and value in EditKind:
        return Edit(EditKind(value))
    name = value if isinstance(value, str) else next(iter(value), "") if isinstance(value, dict) else value
    raise wrong(f"unknown edit '{name}'{suggest(str(name), EditKind) or f'; known are {", ".join(EditKind)}'}")


_EDIT_SCHEMA: Final = {
    "anyOf": [
        {"enum": [kind.value for kind in EditKind if kind not in (EditKind.REPLACE, EditKind.INJECT)]},
        *(
            {"type": "object", "properties": {k: {"type": "string"}}, "required": [k], "additionalProperties": False}
            for k in ("replace", "inject")
        ),
    ]
}

EditOrder = Annotated[Edit, BeforeValidator(_parse_edit), WithJsonSchema(_EDIT_SCHEMA)]

_UNITS: Final = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}


def _size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong("must be a size such as 64MB")
    if isinstance(value, int):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B|B)", value.strip().upper())
    if not found:
        raise wrong(f"'{value}' is no size; write a number of bytes, or 64MB, 512KiB")
    return int(float(found[1]) * _UNITS[found[2]])


Size = Annotated[int, BeforeValidator(_size, json_schema_input_type=int | str), Field(gt=0)]
"""Bytes: a number, or a text with a unit (MB = 1000² bytes, MiB = 1024²)."""


def _amount(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong("must be a number")
    if not 0 < value < math.inf:
        raise wrong("must be above 0, and finite")
    return value


def _find(value: object) -> object:
    if not isinstance(value, str):
        raise wrong("must be a class of findings, such as secret or pii/email")
    cls, _, kind = value.partition("/")
    if cls == "canary":
        raise later("find canary")
    if cls not in CLASSES:
        raise wrong(f"unknown class of findings '{cls}'{suggest(cls, CLASSES) or f'; known are {", ".join(CLASSES)}'}")
    if cls == "pii" and kind and kind not in PII_KINDS:
        raise wrong(f"unknown kind of pii '{kind}'{suggest(kind, PII_KINDS) or f'; known are {", ".join(PII_KINDS)}'}")
    if not re.fullmatch(r"[a-z]+(/[a-z0-9_]+)?", value):
        raise wrong(f"'{value}' is no class of findings; write secret or pii/email")
    return value


Amount = Annotated[int | float, BeforeValidator(_amount, json_schema_input_type=float)]
Id = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
Glob = Annotated[StrictStr, Field(min_length=1)]
Text = Annotated[StrictStr, Field(min_length=1)]
PointName = Annotated[
    Point, _word("point", POINTS, "|".join(point for point in Point if point not in POINTS))
]  # fmt: skip
VerdictName = Annotated[Verdict, _word("verdict", ("permit", "modify", "deny"), "ask|defer")]
FailureName = Annotated[Literal["closed", "open"], _word("failure policy", ("closed", "open"))]
Found = Annotated[str, BeforeValidator(_find, json_schema_input_type=str)]
PiiKind = Annotated[str, _word("kind of pii", PII_KINDS)]
LimitName = Annotated[str, _word("limit", ("usd", "tokens", "requests"), "tool_calls")]
Choice = Annotated[Literal["permit", "deny"], _word("choice", ("permit", "deny"))]
PerName = Annotated[
    Literal["agent", "model"], _word("budget subject", ("agent", "model"), r"session|run|tool|label:.+")
]
WindowName = Annotated[
    Literal["minute", "hour", "day", "month"],
    _word("window", ("minute", "hour", "day", "month"), r"run|session|\d+[smhd]"),
]
ExceededName = Annotated[Literal["deny", "warn"], _word("consequence", ("deny", "warn"), "ask")]
