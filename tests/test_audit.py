"""The audit log: what it records, that it survives, and that `verify` finds what was done to it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.audit.chain import GENESIS, verify
from proxy.audit.log import AuditError, AuditLog
from proxy.audit.records import (
    Record,
    budget_record,
    decision_record,
    exchange_record,
    failure_record,
    lifecycle_record,
)
from proxy.decision import Decision, RuleRef, Verdict
from proxy.events import Agent, Event, EventPart, FindingRef, Flow, Point, Request, Response, Tool, ToolResult, Usage

PLANTED = "sk-planted-0123456789"
RULE = RuleRef("secrets-stay-home", "policies/baseline.yaml", 12)


def an_event(**fields: object) -> Event:
    plain: dict[str, object] = {
        "id": "01E",
        "invocation_key": "k",
        "point": Point.PRE_LLM_REQUEST,
        "time": 1.0,
        "agent": Agent(id="builder"),
        "session": {"id": "s"},
        "run": {"id": "r"},
        "flow": Flow(id="f", host="api.openai.com", method="POST", path="/v1/chat/completions"),
        "provider": "openai",
        "model": "gpt-4o",
    }
    return Event.model_validate(plain | fields)


def a_record(number: int) -> Record:
    return lifecycle_record("tick", number=number)


def an_exchange(event: Event) -> Record:
    return exchange_record(
        flow=event.flow,
        names={"agent": event.agent.id, "provider": event.provider, "model": event.model},
        status=200,
        refused=False,
        usage=Usage(input=100, output=20),
        nano_usd=5000,
        counts={"findings": {"secret": 1}, "rules": {"secrets-stay-home": 1}, "denials": {}},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "worker-0.jsonl"


def written(path: Path, count: int) -> list[bytes]:
    with AuditLog(path) as log:
        for number in range(count):
            log.append(a_record(number))
    return path.read_bytes().splitlines(keepends=True)


def messages(path: Path) -> list[tuple[int, str]]:
    return [(problem.line, problem.message.split(":")[0]) for problem in verify(path)]


def test_a_decision_is_recorded_with_rule_and_findings(path: Path) -> None:
    finding = FindingRef(part=0, cls="secret", kind="openai", rule="openai-key", start=3, end=24, score=1.0, hash="ab")
    decision = Decision("01D", Verdict.DENY, RULE, (RULE,), "stays home", 403)
    with AuditLog(path, clock=lambda: 5.0) as log:
        log.append(decision_record(an_event(findings=(finding,)), decision))
    record = json.loads(path.read_text())
    assert (record["seq"], record["prev"], record["time"], record["kind"]) == (1, GENESIS, 5.0, "decision")
    assert (record["verdict"], record["reason"], record["status"]) == ("deny", "stays home", 403)
    assert record["rule"] == {"id": "secrets-stay-home", "file": "policies/baseline.yaml", "line": 12}
    assert record["findings"] == [finding.model_dump(by_alias=True)]
    assert record["flow"]["path"] == "/v1/chat/completions"
    assert verify(path) == []


def test_no_planted_secret_reaches_the_file(path: Path) -> None:
    part = EventPart(role="user", kind="text", text=PLANTED)
    everywhere = an_event(
        request=Request(system=(part,), messages=(part,), new_parts=(part,), params={"user": PLANTED}),
        response=Response(parts=(part,)),
        tool=Tool(call_id="c", name="read", arguments={"path": PLANTED}, result=ToolResult(parts=(part,))),
        flow=Flow(id="f", host="api.openai.com", method="POST", path=f"/v1/chat/completions?key={PLANTED}"),
    )
    elsewhere = an_event(provider=None, flow=Flow(id="f", host="tools.example", method="GET", path=f"/bot{PLANTED}/x"))
    with AuditLog(path) as log:
        log.append(decision_record(everywhere, Decision("01D")))
        log.append(decision_record(elsewhere, Decision("01D")))
        log.append(failure_record(component="codec", error=ValueError(f"bad {PLANTED}"), policy="closed", flow="f"))
        log.append(budget_record(agent="builder", flow="f", budget="daily", verdict="deny", status=400))
        for event in (everywhere, elsewhere):
            log.append(an_exchange(event))
    text = path.read_text()
    assert PLANTED not in text
    assert [json.loads(line)["kind"] for line in text.splitlines()] == ["decision", "decision", "failure", "budget"] + [
        "exchange"
    ] * 2


def test_an_exchange_is_recorded_by_what_it_spent_and_found(path: Path) -> None:
    with AuditLog(path) as log:
        log.append(an_exchange(an_event()))
    record = json.loads(path.read_text())
    assert (record["kind"], record["agent"], record["status"], record["nano_usd"]) == ("exchange", "builder", 200, 5000)
    assert record["usage"]["input"] == 100
    assert record["rules"] == {"secrets-stay-home": 1}


def test_names_from_the_wire_are_cut_and_made_writable(path: Path) -> None:
    with AuditLog(path) as log:
        log.append(decision_record(an_event(model="m\n" * 4000, session={"id": "\ud800"}), Decision("01D")))
    (record,) = map(json.loads, path.read_text().splitlines())
    assert (len(record["model"]), record["session"]) == (200, "?")
    assert verify(path) == []


def test_the_chain_goes_on_after_a_restart(path: Path) -> None:
    written(path, 2)
    lines = written(path, 2)
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3, 4]
    assert verify(path) == []


def test_a_very_long_last_line_is_found_again(path: Path) -> None:
    with AuditLog(path) as log:
        log.append(lifecycle_record("long", **{f"n{i}": "x" * 200 for i in range(1000)}))
    assert len(written(path, 1)) == 2
    assert verify(path) == []


@pytest.mark.parametrize("cut", [1, 30, -1])
def test_a_torn_line_is_moved_aside_and_recorded(path: Path, cut: int) -> None:
    *whole, last = written(path, 3)
    path.write_bytes(b"".join(whole) + last[:cut])
    assert messages(path) == [(3, "the line is torn")]
    lines = written(path, 1)
    moved = json.loads(lines[2])
    assert (moved["seq"], moved["what"], moved["size"]) == (3, "torn_line_moved", len(last[:cut]))
    assert path.with_name(moved["file"]).read_bytes() == last[:cut]
    assert verify(path) == []


def test_a_first_line_that_is_torn(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"seq":1,')
    written(path, 1)
    assert verify(path) == []


def test_a_damaged_last_record_is_not_built_upon(path: Path) -> None:
    *whole, last = written(path, 2)
    path.write_bytes(b"".join(whole) + last.replace(b"tick", b"tock"))
    with pytest.raises(AuditError, match="last record is damaged"):
        AuditLog(path)


def test_one_writer_only(path: Path) -> None:
    with AuditLog(path), pytest.raises(AuditError, match="another process writes it"):
        AuditLog(path)
    written(path, 1)


def test_a_closed_log_refuses(path: Path) -> None:
    log = AuditLog(path)
    log.close()
    log.close()
    with pytest.raises(AuditError, match="closed"):
        log.append(a_record(1))


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file, not a folder")
    with pytest.raises(AuditError, match=r"audit/worker-0\.jsonl: File exists"):
        AuditLog(tmp_path / "audit" / "worker-0.jsonl")


TAMPERING: dict[str, tuple[Callable[[list[bytes]], list[bytes]], list[tuple[int, str]]]] = {
    "an edit": (
        lambda lines: [lines[0], lines[1].replace(b'"number":1', b'"number":7'), *lines[2:]],
        [(2, "the record was changed")],
    ),
    "a removal": (lambda lines: [lines[0], *lines[2:]], [(2, "record 2 should stand here, not 3")]),
    "a removed beginning": (lambda lines: lines[1:], [(1, "record 1 should stand here, not 2")]),
    "a reordering": (
        lambda lines: [lines[0], lines[2], lines[1], lines[3]],
        [(n, f"record {w} should stand here, not {f}") for n, w, f in ((2, 2, 3), (3, 4, 2), (4, 3, 4))],
    ),
    "an insertion": (lambda lines: [*lines[:2], b"{}\n", *lines[2:]], [(3, "not an audit record"), (4, "record 4")]),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_found(path: Path, name: str) -> None:
    tamper, expected = TAMPERING[name]
    path.write_bytes(b"".join(tamper(written(path, 4))))
    found = messages(path)
    assert [
        (line, message[: len(words)]) for (line, message), (_, words) in zip(found, expected, strict=True)
    ] == expected


def test_a_record_replaced_with_a_fitting_hash_is_found(path: Path, tmp_path: Path) -> None:
    lines = written(path, 3)
    with AuditLog(tmp_path / "other.jsonl") as log:
        log.append(a_record(99))
    path.write_bytes(b"".join([(tmp_path / "other.jsonl").read_bytes(), *lines[1:]]))
    assert messages(path) == [(2, "record 2 does not follow the one before it")]


@given(position=st.integers(0), byte=st.integers(0, 255))
def test_any_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, position: int, byte: int) -> None:
    path = tmp_path_factory.mktemp("audit") / "a.jsonl"
    content = bytearray(b"".join(written(path, 3)))
    position %= len(content)
    changed = content[position] != byte
    content[position] = byte
    path.write_bytes(content)
    assert bool(verify(path)) == changed


WRITER = """
import sys
from pathlib import Path
from proxy.audit.log import AuditLog
from proxy.audit.records import lifecycle_record
log = AuditLog(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    log.append(lifecycle_record("tick", number=number))
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout.readlines() if line.endswith("\n"))])
    ticks = [json.loads(line)["number"] for line in path.read_text().splitlines()]
    assert ticks[acknowledged - 1] == acknowledged
    assert written(path, 1)
    assert verify(path) == []


def test_durable_writes_the_same(path: Path) -> None:
    with AuditLog(path, durable=True) as log:
        log.append(a_record(1))
    assert verify(path) == []


def test_a_full_disk_leaves_the_chain_whole(path: Path) -> None:
    """A file size limit (setrlimit(2)) cuts a write short as a full disk does."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from proxy.audit.log import AuditError, AuditLog\n"
        "from proxy.audit.records import lifecycle_record\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "errors = []\n"
        "for number in range(10):\n"
        "    try:\n"
        "        log.append(lifecycle_record('tick', number=number))\n"
        "    except AuditError as error:\n"
        "        errors.append(str(error))\n"
        "print(errors[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert "no room for a record" in done.stdout
    assert verify(path) == []
    assert path.read_bytes().endswith(b"\n")
