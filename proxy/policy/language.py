"""What a policy file may say: the types of the YAML language, and nothing about files, merging or deciding.

What the design names and this version does not carry out is known here too, so that it is refused by name and never
ignored.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
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


def _wrong(message: str) -> PydanticCustomError:
    # Braces would be read as places to fill in.
    return PydanticCustomError("policy", "{message}", {"message": message})


def _later(what: str) -> PydanticCustomError:
    return _wrong(f"{what}: not carried out by this version")


def _word(kind: str, now: Iterable[str], later: str = "(?!)") -> BeforeValidator:
    """A word out of `now`. Those that match `later` are in the language, but not in this version."""
    words = tuple(str(word) for word in now)

    def check(value: object) -> object:
        if value in words:
            return value
        if isinstance(value, str) and re.fullmatch(later, value):
            raise _later(f"{kind} {value}")
        shown = f"'{value}'" if isinstance(value, str) else f"{value!r}"
        hint = suggest(str(value), words) or f"; known are {', '.join(words)}"
        raise _wrong(f"unknown {kind} {shown}{hint}")

    return BeforeValidator(check, json_schema_input_type=Literal[*words])


def _not_yet(value: object) -> None:
    if value:
        raise _wrong("not carried out by this version")


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
            raise _wrong(f"edit {kind} takes a text")
    if value in (EditKind.REPLACE, EditKind.INJECT):
        raise _wrong(f"edit {value} takes a text: {{{value}: TEXT}}")
    if isinstance(value, str) and value in EditKind:
        return Edit(EditKind(value))
    name = value if isinstance(value, str) else next(iter(value), "") if isinstance(value, dict) else value
    raise _wrong(f"unknown edit '{name}'{suggest(str(name), EditKind) or f'; known are {", ".join(EditKind)}'}")


_EDIT_SCHEMA: Final = {
    "anyOf": [
        {"enum": [kind.value for kind in EditKind if kind not in (EditKind.REPLACE, EditKind.INJECT)]},
        *(
            {"type": "object", "properties": {k: {"type": "string"}}, "required": [k], "additionalProperties": False}
            for k in ("replace", "inject")
        ),
    ]
}

_UNITS: Final = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}


def _size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _wrong("must be a size such as 64MB")
    if isinstance(value, int):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B|B)", value.strip().upper())
    if not found:
        raise _wrong(f"'{value}' is no size; write a number of bytes, or 64MB, 512KiB")
    return int(float(found[1]) * _UNITS[found[2]])


Size = Annotated[int, BeforeValidator(_size, json_schema_input_type=int | str), Field(gt=0)]
"""Bytes: a number, or a text with a unit (MB = 1000² bytes, MiB = 1024²)."""


def _amount(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("must be a number")
    if not 0 < value < math.inf:
        raise _wrong("must be above 0, and finite")
    return value


def _find(value: object) -> object:
    if not isinstance(value, str):
        raise _wrong("must be a class of findings, such as secret or pii/email")
    cls, _, kind = value.partition("/")
    if cls == "canary":
        raise _later("find canary")
    if cls not in CLASSES:
        raise _wrong(f"unknown class of findings '{cls}'{suggest(cls, CLASSES) or f'; known are {", ".join(CLASSES)}'}")
    if cls == "pii" and kind and kind not in PII_KINDS:
        raise _wrong(f"unknown kind of pii '{kind}'{suggest(kind, PII_KINDS) or f'; known are {", ".join(PII_KINDS)}'}")
    if not re.fullmatch(r"[a-z]+(/[a-z0-9_]+)?", value):
        raise _wrong(f"'{value}' is no class of findings; write secret or pii/email")
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
PerName = Annotated[
    Literal["agent", "model"], _word("budget subject", ("agent", "model"), r"session|run|tool|label:.+")
]
WindowName = Annotated[
    Literal["minute", "hour", "day", "month"],
    _word("window", ("minute", "hour", "day", "month"), r"run|session|\d+[smhd]"),
]
ExceededName = Annotated[Literal["deny", "warn"], _word("consequence", ("deny", "warn"), "ask")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AgentEntry(_Model):
    """An agent that is known by name."""

    id: Id
    token_sha256: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of its proxy password, in hex."""
    labels: Mapping[StrictStr, StrictStr] = Field(default_factory=dict)


class Agents(_Model):
    """Who may speak."""

    require_identity: StrictBool = False
    """Refuse traffic that names no known agent."""
    list: tuple[AgentEntry, ...] = ()


class SecretSettings(_Model):
    """The detectors of secrets."""

    entropy: StrictBool = True
    """Also find high-entropy values beside words such as `password`."""
    verify: Annotated[Literal[False], BeforeValidator(lambda value: _verify(value))] = False
    """Ask the issuer whether a secret is alive: not carried out by this version."""


def _verify(value: object) -> object:
    if value is True:
        raise _later("verify")
    return value


class PiiSettings(_Model):
    """The detectors of personal data."""

    kinds: Annotated[tuple[PiiKind, ...], Field(min_length=1)] = PII_KINDS


class InjectionSettings(_Model):
    """The detector of instructions hidden in tool results."""

    threshold: Annotated[StrictFloat, Field(gt=0, le=1)] = 0.8
    """Signals scored below are no finding."""


class DetectorSettings(_Model):
    """How the detectors look."""

    secret: SecretSettings = SecretSettings()
    pii: PiiSettings = PiiSettings()
    injection: InjectionSettings = InjectionSettings()


class Limits(_Model):
    """How much is held in memory for a decision."""

    request_body: Size = 64_000_000
    """A larger request body is refused with 413."""
    response_body: Size = 64_000_000
    """A larger response that must be decided as a whole is refused."""
    held: Size = 8_000_000
    """A stream of which more than this would have to be held back is ended."""


class Rule(_Model):
    """One rule. It fires when all it names holds; without `find`, `when` and selectors it fires at every event."""

    id: Id
    at: Some[PointName]
    """Hook points at which it is asked."""
    find: Some[Found] | None = None
    """Classes (`secret`, `pii`, `injection`) or kinds (`pii/email`) of which a finding must be present."""
    when: Text | None = None
    """A CEL expression over the event. A member that is not there makes it false."""
    tools: Some[Glob] | None = None
    """Globs on the tool's name (`server/tool` for a server's tool), in any case."""
    agents: Some[Glob] | None = None
    """Globs on the agent's id, in exact case."""
    providers: Some[Glob] | None = None
    """Globs on the provider's name, in any case."""
    models: Some[Glob] | None = None
    """Globs on the model's name, in any case."""
    verdict: VerdictName
    """The strongest verdict of all rules that fire wins, so `permit` exempts from nothing; it only names the rule."""
    edit: Annotated[Edit, BeforeValidator(_parse_edit), WithJsonSchema(_EDIT_SCHEMA)] | None = None
    """What `modify` does to the findings of `find`; `inject` adds a text for the model instead."""
    reason: Text | None = None
    """Told to the agent, and kept in the audit log."""
    status: Annotated[StrictInt, Field(ge=400, le=599)] | None = None
    """HTTP status of a denial, instead of the one that makes clients stop."""
    failure: FailureName | None = None
    """What a condition that cannot be decided means: `closed` denies, `open` lets this rule rest."""
    timeout: NotYet = None
    on_timeout: NotYet = None
    feedback: NotYet = None


class Budget(_Model):
    """A limit on what may be spent."""

    id: Id
    per: Some[PerName]
    """Whose spending is counted; several make one composite subject."""
    window: WindowName
    """UTC calendar window."""
    limit: Mapping[Annotated[str, _word("limit", ("usd", "tokens", "requests"), "tool_calls")], Amount]
    """usd, tokens or requests in one window."""
    exceeded: ExceededName = "deny"


class Document(_Model):
    """A policy file."""

    version: Annotated[Literal[1], BeforeValidator(lambda value: _version(value))]
    unrecognised: Annotated[
        Literal["permit", "deny"], _word("choice", ("permit", "deny"))
    ] = "permit"  # fmt: skip
    """What to do with traffic that no codec reads."""
    failure: FailureName = "closed"
    """What a failing detector, condition or store means, where the rule does not say."""
    limits: Limits = Limits()
    agents: Agents = Agents()
    detectors: DetectorSettings = DetectorSettings()
    rules: tuple[Rule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    disable: tuple[Id, ...] = ()
    """Ids of rules and budgets of other files that are left out."""
    egress: NotYet = None
    hooks: NotYet = None
    credentials: NotYet = None


def _version(value: object) -> object:
    if value != 1 or isinstance(value, bool):
        raise _wrong(f"unknown policy version {value!r}; this is version 1")
    return value
