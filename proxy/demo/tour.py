"""The tour: sets the stage in a temporary folder, plays the scenes, prints them, cleans up."""

import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from proxy import config
from proxy.demo import report
from proxy.demo.agent import Agent
from proxy.demo.answers import Received, Reply
from proxy.demo.ledger import Ledger
from proxy.demo.scenes import SCENES, Played, Scene, Spent
from proxy.demo.served import serving
from proxy.demo.stand_in import StandIn, in_thread

AGENT = "demo-agent"


class Stage:
    """A running stand-in, midstream before it, and an agent behind that."""

    def __init__(self, provider: StandIn, agent: Agent, ledger: Ledger) -> None:
        self._provider, self._agent, self._ledger = provider, agent, ledger

    def play(self, scene: Scene) -> Played:
        """Play one scene from its first request to its last."""
        replies: list[Reply] = []
        before, tries = len(self._provider.requests), self._agent.tries
        self._provider.scenario = _recording(scene, replies)
        got, told = [], []
        for request in scene.requests:
            got.append(self._agent.ask(scene.api, request))
            told.append(self._ledger.read(exchanges=1))
        rules = list(dict.fromkeys(rule for fired, _ in told for rule in fired))
        spent = Spent.total(part for _, part in told)
        received = self._provider.requests[before:]
        return Played(scene.requests, received, replies, got, self._agent.tries - tries, rules, spent)


def _recording(scene: Scene, replies: list[Reply]) -> Callable[[Received], Reply]:
    def answer(request: Received) -> Reply:
        replies.append(scene.answer(request))
        return replies[-1]

    return answer


@contextmanager
def staged() -> Iterator[Stage]:
    """Everything started; everything stopped and removed afterwards."""
    token = secrets.token_urlsafe(16)
    with (
        TemporaryDirectory(prefix="midstream-demo-") as folder,
        as_file(files("policies")) as policies,
        in_thread() as provider,
    ):
        identity = _identity(Path(folder) / "agents.yaml", token)
        used = [policies / "baseline.yaml", policies / "demo.yaml", identity]
        with (
            serving(used, provider.address, provider.ca_file, Path(folder) / "state", grace=1) as served,
            Agent(served.proxy_url(AGENT, token), served.ca_file) as agent,
        ):
            yield Stage(provider, agent, Ledger(served.state))


def _identity(path: Path, token: str) -> Path:
    """A policy that knows one agent by a token made for this run."""
    listed = {"id": AGENT, "token_sha256": sha256(token.encode()).hexdigest()}
    # JSON is YAML (YAML 1.2.2 §1.3), and needs no second serialiser.
    path.write_bytes(orjson.dumps({"version": 1, "agents": {"require_identity": True, "list": [listed]}}))
    return path


def tour(*, as_json: bool) -> int:
    """Play and print; 1 when a check fails."""
    played: list[tuple[Scene, Played]] = []
    paint = report.Paint(colour=sys.stdout.isatty() and "NO_COLOR" not in config.inherited())
    with staged() as stage:
        for number, scene in enumerate(SCENES, 1):
            played.append((scene, stage.play(scene)))
            if not as_json:
                _write(report.scene(number, *played[-1], paint) + "\n")
    failed = [check.claim for scene, shown in played for check in scene.checks if not check.holds(shown)]
    if as_json:
        _write(orjson.dumps(_document(played, failed), option=orjson.OPT_INDENT_2).decode())
    else:
        _write(report.closing([shown for _, shown in played], failed, paint))
    return 1 if failed else 0


def _document(played: Sequence[tuple[Scene, Played]], failed: Sequence[str]) -> dict[str, Any]:
    return {"scenes": [report.document(scene, shown) for scene, shown in played], "failed": failed, "ok": not failed}


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
