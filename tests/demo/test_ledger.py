"""The demo's reading of the audit log, against records the log really writes."""

from pathlib import Path

import pytest

from proxy.audit.log import AuditLog
from proxy.audit.records import budget_record, exchange_record
from proxy.demo import ledger
from proxy.demo.ledger import Ledger, LedgerError
from proxy.demo.scenes import Spent
from proxy.events import Flow, Usage

FLOW = Flow(id="f", host="api.openai.com", method="POST", path="/v1/chat/completions")


def _exchange(log: AuditLog, *, refused: bool = False, rules: dict[str, int] | None = None) -> None:
    usage = None if refused else Usage(input=100, output=20)
    names = {"agent": "a", "provider": "openai"}
    counts = {"rules": rules or {}, "findings": {}, "denials": {}}
    log.append(
        exchange_record(flow=FLOW, names=names, status=200, refused=refused, usage=usage, nano_usd=5_000, counts=counts)
    )


def test_reads_each_record_once(tmp_path: Path) -> None:
    reading = Ledger(tmp_path)
    with AuditLog(tmp_path / "audit" / "worker-0.jsonl") as log:
        _exchange(log, rules={"one": 2, "two": 1})
        assert reading.read(1) == (["one", "two"], Spent(1, 120, 5e-6))
        log.append(budget_record(agent="a", flow="f", budget="daily", verdict="deny"))
        _exchange(log, refused=True)
        rules, spent = reading.read(1)
    assert rules == ["daily"]
    assert (spent.requests, spent.tokens) == (0, 0)


def test_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_PATIENCE", 0.0)
    with pytest.raises(LedgerError, match="does not show 1 more exchanges"):
        Ledger(tmp_path).read(1)
