"""What the audit log says of the demo: which rules fired and what was spent, since one last asked.

Reads the JSON lines of DIR/audit as any auditor may; their shape is `audit`'s.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from proxy.demo import DemoError
from proxy.demo.scenes import Spent

_PATIENCE = 10.0
_POLL = 0.01


class LedgerError(DemoError):
    """The audit log does not hold what must be in it by now."""


class Ledger:
    """Reads the audit log of one state folder, each record once."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "audit"
        self._seen = 0

    def read(self, exchanges: int) -> tuple[Sequence[str], Spent]:
        """Rules and budgets that fired and what was spent since the last call, once `exchanges` more have ended.

        An exchange's record is written as its answer ends, so the agent may ask a moment too early.
        Raises LedgerError when they do not appear.
        """
        deadline = time.monotonic() + _PATIENCE
        while _ended(records := self._new()) < exchanges:
            if time.monotonic() > deadline:
                raise LedgerError(f"the audit log in {self._folder} does not show {exchanges} more exchanges")
            threading.Event().wait(_POLL)
        self._seen += len(records)
        return _fired(records), _spent(records)

    def _new(self) -> list[dict[str, Any]]:
        lines = [line for path in sorted(self._folder.glob("*.jsonl")) for line in path.read_bytes().split(b"\n")]
        return [orjson.loads(line) for line in lines[:-1][self._seen :]]  # the last is empty, or still being written


def _ended(records: Sequence[dict[str, Any]]) -> int:
    return sum(record["kind"] == "exchange" for record in records)


def _fired(records: Sequence[dict[str, Any]]) -> list[str]:
    """In order, each once."""
    return list(dict.fromkeys(name for record in records for name in _names(record)))


def _names(record: dict[str, Any]) -> Iterator[str]:
    match record["kind"]:
        case "decision":
            yield from record["matched"]
        case "budget":
            yield record["budget"]
        case "exchange":
            yield from record["rules"]


def _spent(records: Sequence[dict[str, Any]]) -> Spent:
    answered = [record for record in records if record["kind"] == "exchange" and not record["refused"]]
    used = [record["usage"] or {} for record in answered]
    tokens = sum(usage.get("input", 0) + usage.get("output", 0) for usage in used)
    return Spent(len(answered), tokens, sum(record["nano_usd"] for record in answered) / 1e9)
