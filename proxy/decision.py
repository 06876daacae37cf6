"""Verdicts, findings, edits and decisions: data only.

Nothing here chooses, recognises or writes: `engine` chooses, `detectors` recognise, `effects` carry out.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What a policy says of one event, weakest first. The strongest of several wins."""

    PERMIT = "permit"
    MODIFY = "modify"
    ASK = "ask"
    DEFER = "defer"
    DENY = "deny"

    @property
    def strength(self) -> int:
        """Rank for comparison: permit 0 … deny 4."""
        return _STRENGTH[self]


_STRENGTH = {verdict: rank for rank, verdict in enumerate(Verdict)}


class Finding(NamedTuple):
    """Something a detector recognised in one text. Never carries the text itself (promise 5).

    `start` and `end` are character offsets in that text, `score` is 0.0 … 1.0.
    """

    cls: str
    """secret | pii | injection | canary | pseudonym"""
    kind: str
    """What it is: `aws_access_key`, `email`, `override` …"""
    rule: str
    """Id of the detector rule that found it."""
    start: int
    end: int
    score: float = 1.0


class EditKind(StrEnum):
    """How a found span is changed."""

    REDACT = "redact"
    PSEUDONYMISE = "pseudonymise"
    STRIP = "strip"
    MASK = "mask"
    REPLACE = "replace"
    INJECT = "inject"


class Edit(NamedTuple):
    """What a rule wants done: the kind, and the text of `replace:` and `inject:`."""

    kind: EditKind
    text: str = ""


class PartFinding(NamedTuple):
    """A finding and the part (by its index in the event's parts) it was found in."""

    part: int
    finding: Finding


class PartEdit(NamedTuple):
    """An edit the engine ordered: which part, which finding, what to do with it."""

    part: int
    finding: Finding
    edit: Edit


class RuleRef(NamedTuple):
    """A rule, as it is named to people: its id and where it stands."""

    id: str
    file: str
    line: int


class RuleFailure(NamedTuple):
    """A rule whose condition could not be decided: why (in words without content), and whether it rested."""

    rule: RuleRef
    error: str
    open: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one event, and by which rule."""

    id: str
    """ULID."""
    verdict: Verdict = Verdict.PERMIT
    rule: RuleRef | None = None
    """The deciding rule: the first of the strongest. None where nothing matched."""
    matched: tuple[RuleRef, ...] = ()
    """Every rule that fired, in policy order."""
    reason: str = ""
    status: int | None = None
    """The rule's own `status:` for a denial, where it sets one."""
    edits: tuple[PartEdit, ...] = ()
    inject: tuple[str, ...] = ()
    """Texts of `inject:` rules, to be added at the end of the last user turn."""
    failures: tuple[RuleFailure, ...] = ()
    """Conditions that could not be decided. One that is not `open` has denied."""


class TextEdit(NamedTuple):
    """Replace characters [start, end) of a text by `text`."""

    start: int
    end: int
    text: str
