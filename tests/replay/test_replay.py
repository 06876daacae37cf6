"""`midstream replay`, from the command line: what it prints, what it writes, how it exits."""

import hashlib
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.cli import main
from tests.wire import Call, anthropic_stream, openai_stream

SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
REDACTS = """
version: 1
rules:
  - {id: secrets, at: [pre_llm_request, post_llm_response], find: [secret], verdict: modify, edit: redact}
  - {id: no-dotenv, at: pre_tool_execution, when: "string(tool.arguments.path).endsWith('.env')", verdict: deny}
"""
NOTHING = "version: 1\n"


def recorded(url: str, request: Any, response: bytes, *, number: int = 0, **headers: str) -> dict[str, Any]:
    kind = {"content-type": "text/event-stream" if response.startswith((b"data:", b"event:")) else "application/json"}
    up = {"method": "POST", "url": url, "headers": {}, "body_text": orjson.dumps(request).decode()}
    down = {"status": 200, "headers": kind | headers, "body_text": response.decode()}
    return {"id": f"exchange-{number}", "request": up, "response": down}


def asked(text: str, *, stream: bool = False) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}


OPENAI, ANTHROPIC = "https://api.openai.com/v1/chat/completions", "https://api.anthropic.com/v1/messages"
SAID = orjson.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}], "model": "m"})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    records = [
        recorded(OPENAI, asked("hello"), SAID),
        recorded(OPENAI, asked(f"use {SECRET}", stream=True), openai_stream(["far ", SECRET, " and wide"])),
        recorded(ANTHROPIC, asked("read it"), anthropic_stream(["Yes."], [Call("read", ['{"path":', '".env"}'])])),
        recorded("https://example.com/else", {"a": 1}, b"{}"),
    ]
    paths = {"flows": tmp_path / "f.jsonl", "redacts": tmp_path / "redacts.yaml", "nothing": tmp_path / "nothing.yaml"}
    paths["flows"].write_bytes(b"".join(orjson.dumps({**r, "id": f"e{i}"}) + b"\n" for i, r in enumerate(records)))
    paths["redacts"].write_text(REDACTS)
    paths["nothing"].write_text(NOTHING)
    return {name: str(path) for name, path in paths.items()}


def replayed(capsys: pytest.CaptureFixture[str], *argv: str, status: int = 0) -> list[Any]:
    assert main(["replay", *argv, "--json"]) == status
    out = capsys.readouterr().out
    assert SECRET not in out
    return [json.loads(line) for line in out.splitlines()]


def test_every_exchange_is_one_object_and_the_summary_is_last(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third, fourth, summary = replayed(capsys, files["flows"], "-p", files["redacts"])
    assert set(first) == {
        *("id", "source", "provider", "format", "streaming", "events", "decisions", "request", "response", "error")
    }
    assert (first["id"], first["provider"], first["format"]) == ("e0", "openai", "openai_chat")
    assert [event["point"] for event in first["events"]] == [
        *("session_started", "run_started", "pre_llm_request", "post_llm_response", "run_completed")
    ]
    assert first["request"] == {
        "changed": False,
        "sha256": hashlib.sha256(orjson.dumps(asked("hello"))).hexdigest(),
    }
    assert second["streaming"]
    assert second["request"]["changed"]
    assert second["response"]["changed"]
    modified = [d for d in second["decisions"] if d["verdict"] == "modify"]
    assert {(d["point"], d["rule"]["id"]) for d in modified} == {
        ("pre_llm_request", "secrets"),
        ("post_llm_response", "secrets"),
    }
    denied = next(d for d in third["decisions"] if d["verdict"] == "deny")
    assert (denied["rule"]["id"], denied["rule"]["line"], denied["point"]) == ("no-dotenv", 5, "pre_tool_execution")
    assert (fourth["provider"], fourth["format"], fourth["events"]) == (None, None, [])
    assert summary["summary"]["exchanges"] == 4
    assert summary["summary"]["verdicts"] == {"modify": 2, "deny": 1}


def test_the_bytes_that_would_have_travelled_are_written(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    told = replayed(capsys, files["flows"], "-p", files["redacts"], "--emit", str(out))
    for number, line in enumerate(told[:4], 1):
        for side in ("request", "response"):
            written = (out / f"f.jsonl-{number}.{side}").read_bytes()
            assert hashlib.sha256(written).hexdigest() == line[side]["sha256"]
            assert SECRET.encode() not in written
    assert (out / "f.jsonl-1.response").read_bytes() == SAID
    assert b"no-dotenv" in (out / "f.jsonl-3.response").read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_the_output_does_not_depend_on_the_chunks(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    def sums(*more: str) -> list[str]:
        told = replayed(capsys, files["flows"], "-p", files["redacts"], *more)
        return [line[side]["sha256"] for line in told[:-1] for side in ("request", "response")]

    assert sums("--rechunk", str(seed)) == sums()


def test_policies_are_compared_exchange_by_exchange(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    both = ("-p", files["redacts"], "--against", files["nothing"])
    second, third, summary = replayed(capsys, files["flows"], *both, status=1)
    assert [(d["point"], d["before"], d["after"], d["change"]) for d in second["differences"]] == [
        ("pre_llm_request", "permit", "modify", "newly changed"),
        ("post_llm_response", "permit", "modify", "newly changed"),
    ]
    assert [(d["change"], d["rule"]) for d in third["differences"]] == [("newly denied", "no-dotenv")]
    assert third["bodies_differ"]
    assert summary["summary"]["differing"] == 2
    *_, again = replayed(capsys, files["flows"], "-p", files["redacts"], "--against", files["redacts"])
    assert again["summary"]["differing"] == 0


def test_what_another_policy_permits_is_told(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", files["flows"], "-p", files["nothing"], "--against", files["redacts"]]) == 1
    out = capsys.readouterr().out
    assert "f.jsonl:3: pre_tool_execution" in out
    assert "deny -> permit, newly permitted" in out
    assert out.splitlines()[-1].endswith("2 differ")


def test_several_files_are_told_in_the_order_they_were_named(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "a-second.jsonl"
    other.write_bytes(orjson.dumps(recorded(OPENAI, asked("two"), SAID)))
    told = replayed(capsys, files["flows"], str(other), "-p", files["nothing"])
    assert [Path(line["source"]).name for line in told[:-1]] == [
        *(f"f.jsonl:{n}" for n in range(1, 5)),
        f"{other.name}:1",
    ]


def test_audit_records_are_written_where_they_are_asked_for(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    replayed(capsys, files["flows"], "-p", files["redacts"], "--audit", "--state", str(state))
    (log,) = (state / "audit").glob("*.jsonl")
    assert "no-dotenv" in log.read_text()
    assert main(["audit", "verify", "--state", str(state)]) == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["absent.har"], "no such file"),
        (["__file__"], "not a recording"),
        (["FLOWS", "-p", "absent.yaml"], "absent.yaml"),
        (["FLOWS", "--audit"], "--audit needs --state"),
        (["FLOWS", "--rechunk", "x"], "--rechunk"),
        ([], "FLOWS"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert main(["replay", *(files["flows"] if word == "FLOWS" else word for word in argv)]) == 2
    assert said in capsys.readouterr().err


def test_a_record_that_cannot_be_read_is_named_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = recorded(OPENAI, asked("x"), SAID[:-5])
    (tmp_path / "f.jsonl").write_bytes(orjson.dumps(record))
    (line, _) = replayed(capsys, str(tmp_path / "f.jsonl"), status=1)
    assert line["error"] == f"response: not JSON at byte {len(SAID) - 5}"
