"""What a policy file may say: the types of the YAML language, and nothing about files, merging or deciding.

Keys of the design that this version does not carry out are `NotYet`: refused by name, never ignored.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from proxy.policy.words import (
    PII_KINDS,
    Amount,
    Choice,
    EditOrder,
    ExceededName,
    FailureName,
    Found,
    Glob,
    Id,
    LimitName,
    NotYet,
    PerName,
    PiiKind,
    PointName,
    Size,
    Some,
    Text,
    VerdictName,
    WindowName,
    later,
    wrong,
)


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
        raise later("verify")
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
    edit: EditOrder | None = None
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
    limit: Mapping[LimitName, Amount]
    """usd, tokens or requests in one window."""
    exceeded: ExceededName = "deny"


class Document(_Model):
    """A policy file."""

    version: Annotated[Literal[1], BeforeValidator(lambda value: _version(value))]
    unrecognised: Choice = "permit"
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
        raise wrong(f"unknown policy version {value!r}; this is version 1")
    return value
