"""What is told of played recordings: one value and one text an exchange, and a summary of all."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from proxy.decision import Verdict
from proxy.detectors.history import FindingCache
from proxy.replay.against import Difference
from proxy.replay.player import Played, Side
from proxy.replay.view import decision_view, event_view


def view(played: Played, cache: FindingCache) -> dict[str, Any]:
    """One exchange as JSON (design contract, `replay --json`). The sums are of the bytes that would have travelled."""
    return {
        "id": played.recording.id,
        "source": played.recording.source,
        "provider": played.route.provider if played.route else None,
        "format": played.route.codec if played.route else None,
        "streaming": played.streaming,
        "events": [event_view(event, cache) for event, _ in played.told],
        "decisions": [decision_view(event, decision) for event, decision in played.told],
        "request": _side(played.up),
        "response": _side(played.down),
        "error": played.error,
    }


def _side(side: Side) -> dict[str, Any]:
    return {"changed": side.changed, "sha256": hashlib.sha256(side.sent).hexdigest()}


def text(played: Played) -> str:
    """One exchange for people: what was not simply permitted, and what could not be read."""
    where = played.recording.source
    lines = [
        f"{where}: {event.point}{f' {event.tool.name}' if event.tool else ''}: {decision.verdict}"
        + (f" by {decision.rule.id} ({decision.rule.file}:{decision.rule.line})" if decision.rule else "")
        for event, decision in played.told
        if decision.verdict is not Verdict.PERMIT
    ]
    return "\n".join([*lines, *([f"{where}: {played.error}"] if played.error else [])])


def difference_view(played: Played, found: Iterable[Difference], *, bodies: bool) -> dict[str, Any]:
    """One exchange that two policies judge differently, as JSON."""
    told = [difference.view() for difference in found]
    return {
        "id": played.recording.id,
        "source": played.recording.source,
        "differences": told,
        "bodies_differ": bodies,
    }


def difference_text(played: Played, found: Iterable[Difference]) -> str:
    """The same for people."""
    where = played.recording.source
    lines = [
        f"{where}: {d.point}{f' {d.about}' if d.about else ''}: {d.before or '-'} -> {d.after or '-'}, {d.change}"
        + (f" by {d.rule}" if d.rule else "")
        for d in found
    ]
    return "\n".join(lines or [f"{where}: other bytes would have travelled"])


def emit(played: Played, folder: Path) -> None:
    """Write the bytes that would have gone up and down beside each other, named after file and entry."""
    name = Path(played.recording.source).name.replace(":", "-")
    (folder / f"{name}.request").write_bytes(played.up.sent)
    (folder / f"{name}.response").write_bytes(played.down.sent)


def counts(played: Played) -> Counter[str]:
    """What one exchange adds to the summary."""
    counted = Counter({"exchanges": 1, "bytes": len(played.recording.body) + len(played.recording.answer)})
    counted["errors"] = int(played.error is not None)
    counted["unmatched"] = int(played.route is None)
    counted["requests_changed"] = int(played.up.changed)
    counted["responses_changed"] = int(played.down.changed)
    for event, decision in played.told:
        counted[f"events.{event.point}"] += 1
        if decision.verdict is not Verdict.PERMIT:
            counted[f"verdicts.{decision.verdict}"] += 1
    return counted


def summary(total: Counter[str], differing: int | None) -> dict[str, Any]:
    """The summary object: counts, those of one kind together. `differing`: exchanges, where policies were compared."""
    flat = {name: count for name, count in total.items() if "." not in name}
    told: dict[str, Any] = {**flat, "events": {}, "verdicts": {}}
    for name, count in total.items():
        kind, dot, rest = name.partition(".")
        if dot:
            told[kind][rest] = count
    return {"summary": told if differing is None else {**told, "differing": differing}}


def summary_text(total: Counter[str], differing: int | None) -> str:
    """The same for people."""
    events = sum(count for name, count in total.items() if name.startswith("events."))
    verdicts = [f"{n.partition('.')[2]} {c:,}" for n, c in sorted(total.items()) if n.startswith("verdicts.")]
    said = [
        f"{total['exchanges']:,} exchanges, {total['bytes'] / 1e6:,.1f} MB, {events:,} events",
        f"{total['requests_changed']:,} requests and {total['responses_changed']:,} responses changed",
        f"{total['errors']:,} could not be read",
        *verdicts,
    ]
    return "; ".join(said if differing is None else [*said, f"{differing:,} differ"])
