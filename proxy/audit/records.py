"""What may be appended to the audit log: names, positions and keyed hashes, never text (promise 5).

Only records made by the functions here can be appended. How they are written is not known here.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from proxy.decision import Decision
from proxy.events import Event, FindingRef, Flow, Usage

_NAME_LIMIT: Final = 200
"""Longest name from the wire (model, tool, host …) that a record takes."""


class Record(NamedTuple):
    """What may be appended. Made by the functions below, so that no text of a body gets in."""

    kind: str
    fields: Mapping[str, Any]


def decision_record(event: Event, decision: Decision) -> Record:
    """A decision on one event: who, where, which rules, which findings by kind, position and keyed hash."""
    rule = decision.rule
    return Record(
        "decision",
        {
            "event": event.id,
            "invocation_key": event.invocation_key,
            "point": event.point,
            "agent": _name(event.agent.id),
            "session": _name(event.session.get("id")),
            "run": _name(event.run.get("id")),
            "turn": event.turn,
            "flow": _flow(event),
            "provider": event.provider,
            "format": event.format,
            "model": _name(event.model),
            "tool": _tool(event),
            "decision": decision.id,
            "verdict": decision.verdict,
            "rule": None if rule is None else {"id": rule.id, "file": rule.file, "line": rule.line},
            "matched": [matched.id for matched in decision.matched],
            "reason": decision.reason,
            "status": decision.status,
            "edits": len(decision.edits),
            "injected": len(decision.inject),
            "failures": [{"rule": failed.rule.id, "open": failed.open} for failed in decision.failures],
            "findings": [_finding(finding) for finding in event.findings],
        },
    )


def exchange_record(
    *,
    flow: Flow,
    names: Mapping[str, str | None],
    status: int | None,
    refused: bool,
    usage: Usage | None,
    nano_usd: int,
    counts: Mapping[str, Mapping[str, int]],
) -> Record:
    """One request and its answer, as a whole. `names`: agent, session, run, model …; `counts`: kinds and rules."""
    return Record(
        "exchange",
        {
            "flow": _place(flow, known=names.get("provider") is not None),
            **{key: _name(value) for key, value in names.items()},
            "status": status,
            "refused": refused,
            "usage": None if usage is None else usage.model_dump(),
            "nano_usd": nano_usd,
            **{key: dict(value) for key, value in counts.items()},
        },
    )


def budget_record(
    *, agent: str, flow: str, budget: str, verdict: str, status: int | None = None, retry_after: int | None = None
) -> Record:
    """A budget denied (`deny`) or warned (`warn`) about the request of flow id `flow`."""
    names = {"agent": _name(agent), "flow": flow, "budget": budget, "verdict": verdict}
    return Record("budget", names | {"status": status, "retry_after": retry_after})


def failure_record(*, component: str, error: BaseException, policy: str, flow: str | None = None) -> Record:
    """A component failed and its failure policy (`open` or `closed`) took effect.

    Only the error's type is recorded: its message may quote what was being read.
    """
    return Record("failure", {"component": component, "error": type(error).__name__, "policy": policy, "flow": flow})


def lifecycle_record(what: str, **names: str | int | None) -> Record:
    """The process itself: `started`, `stopped`, `policy_loaded` … with names such as version or revision."""
    return Record(
        "lifecycle", {"what": what} | {key: _name(v) if isinstance(v, str) else v for key, v in names.items()}
    )


def _name(text: str | None) -> str | None:
    """A name from the wire, at a length that names nothing but a name; lone surrogates made writable."""
    return None if text is None else text[:_NAME_LIMIT].encode("utf-8", "replace").decode()


def _flow(event: Event) -> dict[str, str | None]:
    """Queries carry keys (`?key=…`), so do paths of hosts that are no provider (`/bot<token>/`): neither is kept."""
    return _place(event.flow, known=event.provider is not None)


def _place(flow: Flow, *, known: bool) -> dict[str, str | None]:
    path = flow.path.split("?", 1)[0] if known else None
    return {"id": flow.id, "host": _name(flow.host), "method": _name(flow.method), "path": _name(path)}


def _tool(event: Event) -> dict[str, str | None] | None:
    """The tool by name; never its arguments or result."""
    tool = event.tool
    if tool is None:
        return None
    names = {"call_id": tool.call_id, "name": tool.name, "server": tool.server}
    return {"transport": tool.transport} | {key: _name(value) for key, value in names.items()}


def _finding(finding: FindingRef) -> dict[str, Any]:
    return {
        "part": finding.part,
        "class": finding.cls,
        "kind": finding.kind,
        "rule": finding.rule,
        "start": finding.start,
        "end": finding.end,
        "score": finding.score,
        "hash": finding.hash,
    }
