"""Coding agents from npm behind `midstream run`, as a user would start them, against the stand-in provider.

The environment is empty but for what an agent needs, so that nothing but midstream's own variables can make it use the
proxy and trust the CA. `make e2e` installs the agents.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from proxy.demo.answers import Answer, Call, Received, Scenario, Text, call, says
from proxy.demo.stand_in import StandIn

HERE = Path(__file__).parent
BASELINE = HERE.parent.parent / "policies" / "baseline.yaml"
WITHIN = 90
"""Seconds for one run; it takes about four."""

COMMAND = "echo TOOL_''RAN_OK"
RAN = "TOOL_RAN_OK"
"""What the command prints; it does not stand in the command itself."""
FINAL = "FINAL_TEXT_OK"


@dataclass(frozen=True)
class Agent:
    """How an agent is started."""

    program: str
    """In `node_modules/.bin`."""
    arguments: tuple[str, ...]
    """Those before the prompt."""
    shell: Call
    """How its model runs `COMMAND`."""
    hosts: tuple[str, ...]
    """Whom it calls, at least."""
    environ: Mapping[str, str] = field(default_factory=dict)


CODEX = Agent(
    "codex",
    (
        *("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
        *("-c", "analytics.enabled=false", "-c", "check_for_update_on_startup=false"),
    ),
    # Its one tool takes JavaScript, in which the real ones are functions.
    Call("exec", ("const ran = await tools.exec_command({cmd: ", f'"{COMMAND}"', "}); text(ran.output);")),
    ("api.openai.com", "chatgpt.com"),
    {"CODEX_API_KEY": "placeholder"},
)
CLAUDE = Agent(
    "claude",
    ("-p", "--allowedTools=Bash"),
    call("Bash", {"command": COMMAND, "description": "Say that tools run"}),
    ("api.anthropic.com",),
    {
        "ANTHROPIC_API_KEY": "placeholder",
        # Only calls to the model: no update check, no telemetry to other hosts.
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    },
)
GEMINI = Agent(
    "gemini",
    ("--yolo", "--prompt"),
    call("run_shell_command", {"command": COMMAND, "description": "Say that tools run"}),
    ("generativelanguage.googleapis.com",),
    {"GEMINI_API_KEY": "placeholder", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
)
OPENCODE = Agent(
    "opencode",
    ("run", "-m", "anthropic/claude-sonnet-4-5"),
    call("bash", {"command": COMMAND, "description": "Say that tools run"}),
    ("api.anthropic.com",),
    {"ANTHROPIC_API_KEY": "placeholder", "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
)


def working(agent: Agent, final: str = FINAL) -> Scenario:
    """The model calls the agent's shell once, where it is offered, then ends with a final text."""

    def reply(request: Received) -> Answer:
        if '"responseJsonSchema"' in request.text:  # the Gemini CLI asks which model is to answer
            return says('{"complexity_reasoning": "short", "complexity_score": 10}')
        if RAN in request.text or f'"name":"{agent.shell.name}"' not in request.text:
            return says(final[:6], final[6:9], final[9:])
        return Answer((Text("Let me ", "run it."), agent.shell))

    return reply


class Ran(NamedTuple):
    """What became of a run."""

    status: int
    out: str
    err: str
    home: Path
    records: Sequence[Mapping[str, Any]]
    """What the audit log holds of it."""

    def exchanges(self, fmt: str) -> list[Mapping[str, Any]]:
        """Those with a model in this format."""
        return [each for each in self.records if each["kind"] == "exchange" and each["format"] == fmt]

    def holds(self, text: str) -> list[Path]:
        """Where the agent kept a text, or showed it."""
        kept = [path for path in self.home.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
        return kept + [Path("/dev/stdout")] * (text in self.out) + [Path("/dev/stderr")] * (text in self.err)


class Behind:
    """Starts agents behind `midstream run`, before one stand-in and with one state."""

    def __init__(self, stand_in: StandIn, folder: Path, state: Path) -> None:
        """`folder` is for what belongs to one run, `state` midstream's."""
        self._stand_in = stand_in
        self._folder = folder
        self._state = state

    def run(self, agent: Agent, policy: Path | str, *arguments: str, record: Path | None = None) -> Ran:
        """`midstream run -p POLICY … -- AGENT …` in an otherwise empty environment. `policy`: a file, or its text."""
        home = self._folder / "home"
        home.mkdir()
        if isinstance(policy, str):
            (self._folder / "policy.yaml").write_text(policy)
            policy = self._folder / "policy.yaml"
        before = len(self._audit())
        recorded = [] if record is None else [f"--record-raw={record}"]
        line = [*self._midstream(agent, policy), *recorded, "--", *_command(agent), *arguments]
        done = _finished(line, home, agent.environ)
        return Ran(*done, home, [orjson.loads(each) for each in self._audit()[before:]])

    def _midstream(self, agent: Agent, policy: Path) -> list[str]:
        line = [sys.executable, "-m", "proxy", "run", "-p", str(policy), "--state", str(self._state)]
        line += [f"--connect-to={host}={self._stand_in.address}" for host in agent.hosts]
        return [*line, "--upstream-ca", str(self._stand_in.ca_file)]

    def _audit(self) -> list[bytes]:
        log = self._state / "audit" / "worker-0.jsonl"
        return log.read_bytes().splitlines() if log.exists() else []


def _command(agent: Agent) -> list[str]:
    program = HERE / "node_modules" / ".bin" / agent.program
    assert program.exists(), f"{agent.program} is not installed: run make e2e, or npm ci in tests/e2e"
    return [str(program), *agent.arguments]


def _finished(line: Sequence[str], home: Path, environ: Mapping[str, str]) -> tuple[int, str, str]:
    node = Path(shutil.which("node") or "/usr/bin/node").parent
    paths = os.pathsep.join((str(node), "/usr/bin", "/bin"))
    process = subprocess.Popen(
        line,
        cwd=home,
        env={"HOME": str(home), "PATH": paths, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that what an agent started ends with it
    )
    try:
        out, err = process.communicate(timeout=WITHIN)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, out, err
