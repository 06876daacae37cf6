"""Claude Code from npm behind `midstream run`, as a user would start it, against the stand-in provider.

The environment is empty but for what the agent needs, so that nothing but midstream's own variables can make it use
the proxy and trust the CA. `make e2e` installs the agent.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.demo.answers import FINAL_TEXT, Failure, Received, Reply
from proxy.demo.stand_in import StandIn

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
CLAUDE = HERE / "node_modules" / ".bin" / "claude"
BASELINE = HERE.parent.parent / "policies" / "baseline.yaml"
WITHIN = 90
"""Seconds for one run; it takes about five."""

NO_BASH = """version: 1
rules:
  - id: no-shell
    at: pre_tool_execution
    tools: [Bash]
    verdict: deny
    reason: no shell on this machine
"""
NO_PROMPTS = """version: 1
rules:
  - {id: closed, at: pre_llm_request, verdict: deny, reason: closed for today}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def claude(home: Path, stand_in: StandIn, policy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`midstream run -p POLICY … -- claude -p …` in an otherwise empty environment."""
    assert CLAUDE.exists(), "Claude Code is not installed: run make e2e, or npm ci in tests/e2e"
    line = [sys.executable, "-m", "proxy", "run", "-p", str(policy), "--state", str(home.parent / "state")]
    line += ["--connect-to", f"api.anthropic.com={stand_in.address}", "--upstream-ca", str(stand_in.ca_file)]
    line += ["--", str(CLAUDE), "-p", *arguments, "--allowedTools", "Bash"]
    environ = {
        "HOME": str(home),
        "PATH": os.pathsep.join((str(Path(shutil.which("node") or "/usr/bin/node").parent), "/usr/bin", "/bin")),
        "ANTHROPIC_API_KEY": "placeholder",
        # Only calls to the model: no update check, no telemetry to other hosts.
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    return subprocess.run(
        line,
        cwd=home,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


def turns(stand_in: StandIn) -> list[Received]:
    """The requests for an answer, without the agent's other calls."""
    return [request for request in stand_in.requests if request.path.partition("?")[0] == "/v1/messages"]


def write(tmp_path: Path, policy: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(policy)
    return path


def test_a_tool_turn_completes_under_the_baseline(home: Path, stand_in: StandIn) -> None:
    done = claude(home, stand_in, BASELINE, "Run the tool")
    assert (done.returncode, done.stdout.strip()) == (0, FINAL_TEXT), done.stderr
    call, result = turns(stand_in)
    assert "Bash" in call.tool_names
    assert "TOOL_RAN_OK" in str(result.messages[-1])
    assert "model requests, 0 denied" in done.stderr


def test_a_denied_tool_ends_the_turn_with_the_reason(home: Path, stand_in: StandIn, tmp_path: Path) -> None:
    done = claude(home, stand_in, write(tmp_path, NO_BASH), "Run the tool")
    assert done.returncode == 0, done.stderr
    assert "no shell on this machine" in done.stdout
    assert "TOOL_RAN_OK" not in done.stdout
    assert len(turns(stand_in)) == 1
    assert "no-shell" in done.stderr


def test_a_denied_prompt_stops_at_once_with_the_reason(home: Path, stand_in: StandIn, tmp_path: Path) -> None:
    done = claude(home, stand_in, write(tmp_path, NO_PROMPTS), "Hello")
    assert done.returncode == 1
    assert "closed for today" in done.stdout
    assert turns(stand_in) == []


def test_the_agents_own_failure_is_passed_on(home: Path, stand_in: StandIn, tmp_path: Path) -> None:
    def failing(request: Received) -> Reply:
        return Failure(400, "The stand-in was told to fail.")

    stand_in.scenario = failing
    done = claude(home, stand_in, write(tmp_path, "version: 1\n"), "Hello")
    assert done.returncode == 1
    assert "The stand-in was told to fail." in done.stdout


def test_a_secret_in_the_prompt_never_reaches_the_provider(home: Path, stand_in: StandIn) -> None:
    key = "AKIA" + "QYLPMN5HHHFPZAM2"
    done = claude(home, stand_in, BASELINE, f"Deploy with {key} please")
    assert done.returncode == 0, done.stderr
    assert turns(stand_in)
    assert all(key not in request.text for request in stand_in.requests)
    assert "[REDACTED:" in turns(stand_in)[0].text


def test_the_agents_own_json_stream_is_whole(home: Path, stand_in: StandIn, tmp_path: Path) -> None:
    done = claude(
        home, stand_in, write(tmp_path, "version: 1\n"), "--output-format", "stream-json", "--verbose", "Run it"
    )
    assert done.returncode == 0, done.stderr
    kinds = [line.split('"type":"', 1)[1].split('"', 1)[0] for line in done.stdout.splitlines()]
    assert kinds[0] == "system"
    assert kinds[-1] == "result"
