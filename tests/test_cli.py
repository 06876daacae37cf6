"""The command line: what is parsed, what is printed where, and the exit status."""

import asyncio
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from proxy import cli, commands
from proxy.__main__ import main
from proxy.audit.log import AuditLog
from proxy.audit.records import lifecycle_record
from proxy.config import SETTINGS
from proxy.store import Amounts, Ledger, LedgerKey, Limits, open_store

SECRET = "ghp_" + "Aa0" * 12
"""GitHub's shape without its checksum; no detector has to agree: what is tested here is the printing."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(_cache(tmp_path)))


def _cache(tmp_path: Path) -> Path:
    """One for the whole run, so that detectors are compiled once."""
    return tmp_path.parent / "cache"


def command_line(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = main(argv)
    out, err = capsys.readouterr()
    return status, out, err


# -- usage


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["serve", "--help"], ["run", "--help"]])
def test_help_is_no_error(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = command_line(capsys, *argv)
    assert (status, err) == (0, "")
    assert "midstream" in out


@pytest.mark.parametrize("name", sorted(cli._COMMANDS))
def test_every_command_has_json_and_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = command_line(capsys, *name.split(), "--help")
    assert "--json" in out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "midstream: the following arguments are required: COMMAND"),
        (["fly"], "midstream: argument COMMAND: invalid choice: 'fly'"),
        (["relpay"], "midstream: argument COMMAND: invalid choice: 'relpay'"),
        (["serve", "--lis", "a:1"], "midstream: unrecognized arguments: --lis a:1"),
        (["serve", "--listen", "here"], "midstream: --listen: 'here' is not HOST:PORT"),
        (["serve", "--connect-to", "a=b"], "midstream: --connect-to: 'a=b' is not HOST[:PORT]=ADDRESS:PORT"),
        (["serve", "--workers", "2"], "midstream: --workers: '2' is not carried out by this version: one worker"),
        (
            ["serve", "--state", "/dev/null/state"],
            "midstream: --state: /dev/null/state cannot be made: Not a directory",
        ),
        (["serve", "-p", "/nowhere.yaml"], "midstream: /nowhere.yaml: "),
        (["serve", "--", "true"], "midstream: only `midstream run` takes a command after --"),
        (["run"], "midstream: give the command to run after --"),
        (["check"], "midstream: give the policies to check"),
        (["certs"], "midstream certs: the following arguments are required: WHAT"),
        (["scan", "/nowhere.txt"], "midstream: /nowhere.txt cannot be read: No such file or directory"),
        (["audit", "verify"], "midstream: no audit log in "),
        (["audit", "verify", "/nowhere"], "midstream: /nowhere cannot be read: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_sentence_and_two(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = command_line(capsys, *argv)
    *warnings, last = err.rstrip("\n").split("\n")
    assert (status, out) == (2, "")
    assert last.startswith(says)
    assert all("no policy given" in line for line in warnings)


def test_an_unexpected_error_is_told_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError(f"while reading {SECRET}")

    monkeypatch.setattr(commands, "schema", broken)
    status, out, err = command_line(capsys, "schema")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("midstream: internal error RuntimeError at ")
    assert SECRET not in err
    monkeypatch.setenv("MIDSTREAM_LOG_LEVEL", "debug")
    assert "Traceback" in command_line(capsys, "schema")[2]


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    script = f"{sys.executable} -m proxy schema | head -c 1; echo; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout in ("{\n141\n", "{\n0\n")  # 0 where the pipe took everything before head closed it
    assert done.stderr == ""


# -- scan


def test_scan_finds_nothing_and_is_well(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "plain.txt"
    file.write_text("nothing to see")
    assert command_line(capsys, "scan", str(file)) == (0, "", "")


def test_scan_reads_text_and_tells_kinds_and_places(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mail.txt"
    file.write_text("write to ada@lovelace.org today")
    status, out, _ = command_line(capsys, "scan", str(file))
    assert (status, out) == (1, "0: 9-25: pii/email (email, 1.00)\n")
    status, out, _ = command_line(capsys, "scan", "--json", str(file))
    finding = {"class": "pii", "kind": "email", "rule": "email", "start": 9, "end": 25, "score": 1.0}
    assert status == 1
    assert json.loads(out) == {"index": 0, "findings": [finding], "redacted": "write to [REDACTED:email] today"}


@pytest.mark.parametrize("packed", [False, True])
def test_scan_reads_json_lines(packed: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / ("texts.jsonl.gz" if packed else "texts.jsonl")
    lines = b'{"text": "none"}\n\n{"text": "ada@lovelace.org"}\n'
    file.write_bytes(gzip.compress(lines) if packed else lines)
    status, out, _ = command_line(capsys, "scan", "--json", str(file))
    assert status == 1
    assert [(found["index"], len(found["findings"])) for found in map(json.loads, out.splitlines())] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("line", ["{", "[]", '{"text": 1}', "{}"])
def test_scan_names_the_line_that_is_no_text(line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": ""}\n' + line + "\n")
    status, _, err = command_line(capsys, "scan", str(file))
    assert (status, err) == (2, f'midstream: {file}:2: not a JSON object with a "text"\n')


def test_scan_of_something_that_is_no_gzip(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl.gz"
    file.write_bytes(b"plain")
    status, _, err = command_line(capsys, "scan", str(file))
    assert status == 2
    assert err.startswith(f"midstream: {file} cannot be read: ")


def test_scan_reads_standard_input() -> None:
    line = [sys.executable, "-m", "proxy", "scan"]
    done = subprocess.run(line, input=b"ada@lovelace.org \xff", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"0: 0-16: pii/email (email, 1.00)\n", b"")


# -- budgets, audit, certs


def test_budgets_tells_what_is_spent_and_held(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line(capsys, "budgets", "--state", str(tmp_path)) == (0, "", "")
    asyncio.run(_hold(tmp_path))
    status, out, _ = command_line(capsys, "budgets", "--state", str(tmp_path))
    assert status == 0
    assert (
        out
        == "daily builder 2999-01-01: 0 + 1 of 5 requests, 0.0000 + 0.2500 of 1.00 USD; resets 2999-01-02 00:00 UTC\n"
    )
    row = json.loads(command_line(capsys, "budgets", "--json", "--state", str(tmp_path))[1])
    assert (row["budget"], row["agent"], row["reserved"]["requests"], row["limit"]["tokens"]) == (
        "daily",
        "builder",
        1,
        None,
    )


async def _hold(state: Path) -> None:
    store = await open_store(None, state)
    key = LedgerKey("daily", "agent=builder", "2999-01-01")
    ledger = Ledger(key, 32472230400.0, Limits(requests=5, nano_usd=10**9))
    amounts = Amounts(requests=1, tokens=100, nano_usd=250_000_000)
    await store.reserve("one", [ledger], amounts, amounts)
    await store.close()


def test_audit_verify_finds_an_edit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "audit" / "worker.jsonl"
    file.parent.mkdir()
    with AuditLog(file) as log:
        for what in ("started", "stopped"):
            log.append(lifecycle_record(what))
    assert command_line(capsys, "audit", "verify", "--state", str(tmp_path)) == (0, f"{file}: the chain holds\n", "")
    file.write_bytes(file.read_bytes().replace(b"started", b"startled"))
    status, out, _ = command_line(capsys, "audit", "verify", str(file))
    assert (status, out) == (1, f"{file}:1: the record was changed: its hash does not fit\n")
    report = json.loads(command_line(capsys, "audit", "verify", "--json", str(file))[1])
    assert report == {"file": str(file), "problems": [{"line": 1, "message": out.strip().partition(":1: ")[2]}]}


def test_certs_path_and_env(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line(capsys, "certs", "path", "--state", str(tmp_path)) == (0, f"{tmp_path}/ca.pem\n", "")
    argv = ["certs", "env", "--state", str(tmp_path), "--proxy", "http://me:it's@proxy:1"]
    status, out, _ = command_line(capsys, *argv)
    assert status == 0
    shown = subprocess.run(
        ["sh", "-c", out + 'printf %s "$HTTPS_PROXY $SSL_CERT_FILE"'], capture_output=True, text=True
    )
    assert shown.stdout == f"http://me:it's@proxy:1 {tmp_path}/ca-bundle.pem"
    assert json.loads(command_line(capsys, *argv, "--json")[1])["no_proxy"] == "localhost,127.0.0.1,::1"


# -- policies


def test_check_tells_every_problem(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("version: 1\nrules:\n  - {id: a, at: pre_llm_request, verdict: permit}\n")
    bad.write_text(
        "version: 1\nrules:\n  - {id: a, at: nowhere, verdict: permit}\n  - {id: b, at: nowhere, verdict: deny}\n"
    )
    status, out, _ = command_line(capsys, "check", str(good))
    assert (status, out) == (0, "valid: 1 file, 1 rule, 0 budgets\n")
    assert json.loads(command_line(capsys, "check", "--json", "-p", str(good))[1])["rules"] == 1
    status, out, err = command_line(capsys, "check", str(bad))
    assert (status, err) == (1, "")
    assert [line.split(": ")[0] for line in out.splitlines()] == [f"{bad}:3", f"{bad}:4"]


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = command_line(capsys, "schema")
    assert json.loads(out) == json.loads(command_line(capsys, "schema", "--json")[1])
