"""`midstream run`: what the child is given, what becomes of its status, signals and terminal."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certs.trust import TRUST
from proxy.config import Config, load, prepared
from proxy.demo.stand_in import StandIn
from proxy.run import CommandError, Outcome, run, summary_lines

ASK = """
import json, os, ssl, urllib.request
body = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
headers = {"content-type": "application/json", "x-api-key": "none", "anthropic-version": "2023-06-01"}
request = urllib.request.Request("https://api.anthropic.com/v1/messages", json.dumps(body).encode(), headers)
print(json.load(urllib.request.urlopen(request))["content"][0]["text"])
"""
"""A client that knows nothing but its environment."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state for all: its CA and compiled detectors need not be made anew."""
    return tmp_path_factory.mktemp("state")


def config(state: Path, stand_in: StandIn | None = None, **flags: str) -> Config:
    if stand_in is not None:
        flags |= {"upstream_ca": str(stand_in.ca_file), "connect_to": f"api.anthropic.com={stand_in.address}"}
    given = {name: [value] if name == "connect_to" else value for name, value in flags.items()}
    return prepared(load(given | {"state": str(state)}, environ={}))


def in_process(state: Path, *command: str, stand_in: StandIn | None = None, **flags: str) -> Outcome:
    return asyncio.run(run(config(state, stand_in, **flags), command))


# -- exit status


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
)
def test_the_exit_status_is_the_childs(state: Path, script: str, status: int) -> None:
    assert in_process(state, "sh", "-c", script).status == status


def test_a_command_that_is_not_there(state: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no-such-command: command not found") as missing:
        in_process(state, "no-such-command")
    assert missing.value.status == 127
    plain = tmp_path / "plain.txt"
    plain.write_text("no program")
    with pytest.raises(CommandError, match=r"plain\.txt is not executable") as refused:
        in_process(state, str(plain))
    assert refused.value.status == 126


# -- what the child is given


def test_the_child_has_every_variable(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "api.anthropic.com")
    monkeypatch.setenv("KEPT", "as it was")
    shown = tmp_path / "environment.json"
    code = f"import json, os; json.dump(dict(os.environ), open({str(shown)!r}, 'w'))"
    assert in_process(state, sys.executable, "-c", code, agent="a builder").status == 0
    given = json.loads(shown.read_text())
    assert given["HTTPS_PROXY"].startswith("http://a%20builder:")
    assert (given["NO_PROXY"], given["KEPT"]) == ("", "as it was")
    for row in TRUST:
        assert given[row.variable] == str(state / ("ca.pem" if row.gives == "ca" else "ca-bundle.pem"))


def test_a_client_that_knows_only_its_environment_comes_through(state: Path, stand_in: StandIn, tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    shell = f'"$0" -c "$1" > {answer}'
    outcome = in_process(state, "sh", "-c", shell, sys.executable, ASK, stand_in=stand_in)
    assert (outcome.status, answer.read_text()) == (0, "FINAL_TEXT_OK\n")
    assert [request.path for request in stand_in.requests] == ["/v1/messages"]
    assert "proxy-authorization" not in {name.lower() for name, _ in stand_in.requests[0].headers}
    assert outcome.summary["requests"] == 1


def test_nobody_else_may_use_the_private_proxy(state: Path, stand_in: StandIn, tmp_path: Path) -> None:
    said = tmp_path / "said"
    without = 'HTTPS_PROXY="http://${HTTPS_PROXY#*@}" https_proxy="http://${https_proxy#*@}"'
    shell = f'{without} "$0" -c "$1" 2> {said}'
    assert in_process(state, "sh", "-c", shell, sys.executable, ASK, stand_in=stand_in).status == 1
    assert "407" in said.read_text()
    assert stand_in.requests == []


# -- the summary


def test_the_summary_is_short() -> None:
    counts = {"requests": 2, "denied": 1, "input_tokens": 1500, "output_tokens": 34, "nano_usd": 12_300_000}
    named = {"findings": {"secret/github_token": 1, "pii/email": 3}, "rules": {"no-secrets": 1}}
    found, fired = "found pii/email 3, secret/github_token 1", "rules no-secrets 1"
    assert summary_lines({**counts, **named}) == [
        f"2 model requests, 1 denied; {found}; {fired}; 1,534 tokens, 0.0123 USD"
    ]


def test_a_child_that_asked_nothing_is_told_of() -> None:
    first, second = summary_lines({"findings": {}, "rules": {}})
    assert first == "no model request came through the proxy"
    assert "HTTPS_PROXY" in second


# -- as a process


def midstream(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "proxy", *arguments]


def test_streams_are_the_childs_own(state: Path) -> None:
    line = midstream("run", "--state", str(state), "--json", "--", "sh", "-c", "cat; echo told >&2; exit 3")
    done = subprocess.run(line, input=b"\x00bytes\xff", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, b"\x00bytes\xff")
    warning, told, summary = done.stderr.splitlines()
    assert b"no policy given" in warning
    assert told == b"told"
    assert json.loads(summary)["status"] == 3


def test_a_temporary_state_is_removed(tmp_path: Path) -> None:
    line = midstream("run", "--", "sh", "-c", 'echo "$NODE_EXTRA_CA_CERTS"')
    environ = os.environ | {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.startswith(str(tmp_path / "midstream-"))
    assert list(tmp_path.glob("midstream-*")) == []


def test_a_signal_is_forwarded_and_the_childs_answer_counts(state: Path) -> None:
    script = "trap 'exit 5' TERM; echo ready; while :; do read -r line || :; done"
    line = midstream("run", "--state", str(state), "--", "sh", "-c", script)
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdin is not None
        process.stdin.write(b"\n")  # dash runs a trap once its `read` returns
        process.communicate()
        assert process.returncode == 5


TERMINAL = """
import os, signal, sys
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
print(sys.stdin.isatty(), sys.stdout.isatty(), os.tcgetpgrp(0) == os.getpgrp(), flush=True)
sys.stdin.readline()
print("interrupts", len(got), flush=True)
"""


def test_the_child_has_the_terminal_and_one_ctrl_c(state: Path) -> None:
    with _on_terminal(midstream("run", "--state", str(state), "--", sys.executable, "-c", TERMINAL)) as terminal:
        assert _until(terminal, b"True True True\r\n")
        os.write(terminal, b"\x03")
        assert _until(terminal, b"^C")
        os.write(terminal, b"go\n")
        assert _until(terminal, b"interrupts 1\r\n")


@contextmanager
def _on_terminal(line: list[str]) -> Iterator[int]:
    """The master of a terminal whose foreground is `line`."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(line[0], line)
    try:
        yield terminal
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def _until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 4096)
    return seen
