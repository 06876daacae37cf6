"""Events and decisions as `--json` shows them: the events' own shape, with everything that detectors find taken out.

What is shown may be kept and sent around: a finding is named by kind, position and keyed hash, never by its text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from proxy.decision import Decision, Edit, EditKind, RuleRef
from proxy.detectors import CLASSES
from proxy.detectors.history import FindingCache
from proxy.effects import redact
from proxy.effects.pseudonymise import Pseudonyms
from proxy.events import Event

_TAKEN_OUT: Final = frozenset(CLASSES) - {"pseudonym", "injection"}
_NO_KEY: Final = Pseudonyms(b"")
_TEXTS: Final = ("request", "response", "tool", "model", "session")


def event_view(event: Event, cache: FindingCache) -> dict[str, Any]:
    """An event as JSON (contract version 1)."""
    shown = event.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name in _TEXTS:
        if name in shown:
            shown[name] = _without(shown[name], lambda text: _redacted(text, cache))
    return shown


def _without(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_without(item, clean) for item in value]
    if isinstance(value, dict):
        return {clean(name): _without(item, clean) for name, item in value.items()}
    return value


def _redacted(text: str, cache: FindingCache) -> str:
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate has no place in JSON that is told
    found = cache.scan(text, _TAKEN_OUT)
    if not found:
        return text
    edits = redact.text_edits(text, [(finding, Edit(EditKind.REDACT)) for finding in found], _NO_KEY)
    return redact.apply(text, edits)


def decision_view(event: Event, decision: Decision) -> dict[str, Any]:
    """A decision as JSON: what, by which rule, at which event."""
    return {
        "id": decision.id,
        "event": event.id,
        "point": event.point,
        "verdict": decision.verdict,
        "rule": _rule(decision.rule) if decision.rule else None,
        "matched": [_rule(rule) for rule in decision.matched],
        "reason": decision.reason,
        "status": decision.status,
        "edits": [_edit(edit.part, edit.finding.kind, edit.edit.kind) for edit in decision.edits],
        "injected": len(decision.inject),
        "failures": [{"rule": _rule(failed.rule), "open": failed.open} for failed in decision.failures],
    }


def _rule(rule: RuleRef) -> Mapping[str, Any]:
    return {"id": rule.id, "file": rule.file, "line": rule.line}


def _edit(finding: int, kind: str, edit: EditKind) -> Mapping[str, Any]:
    """`finding` counts the event's findings."""
    return {"finding": finding, "kind": kind, "edit": edit}


def told_apart(told: Sequence[tuple[Event, Decision]]) -> dict[tuple[str, str, int], Decision]:
    """The decisions of an exchange by what they are about: point, tool call, and which of several alike."""
    known: dict[tuple[str, str, int], Decision] = {}
    for event, decision in told:
        about = (str(event.point), event.tool.call_id or event.tool.name if event.tool else "")
        nth = 0
        while (*about, nth) in known:
            nth += 1
        known[*about, nth] = decision
    return known
