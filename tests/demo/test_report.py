"""How scenes are shown, and the checks as checks: each fails on what it is there to catch."""

import io
from collections.abc import Sequence
from typing import Any

import pytest

from proxy.demo import report, tour
from proxy.demo.agent import Got
from proxy.demo.answers import Received
from proxy.demo.scenes import SCENES, Played, Scene, Spent

PLAIN = report.Paint(colour=False)


def _unguarded(scene: Scene) -> Played:
    """The scene as it would go without midstream: the provider sees and the agent gets everything."""
    import orjson

    received = [Received("POST", "/v1/messages", "h", (), orjson.dumps(request)) for request in scene.requests]
    replies = [scene.answer(request) for request in received]
    got: list[Got] = []
    for request, reply in zip(received, replies, strict=True):
        told: Any = reply
        request.sent += orjson.dumps([told.text, [(item.name, item.arguments) for item in told.calls]])
        calls = tuple((item.name, orjson.loads(item.arguments)) for item in told.calls)
        got.append(Got(told.text, calls, "tool_calls" if calls else "stop"))
    return Played(scene.requests, received, replies, got, len(got), (), Spent())


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_every_scene_fails_without_midstream(scene: Scene) -> None:
    played = _unguarded(scene)
    assert not all(check.holds(played) for check in scene.checks)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_every_scene_fits_the_width(scene: Scene) -> None:
    shown = report.scene(1, scene, _unguarded(scene), PLAIN)
    assert max(map(len, shown.split("\n"))) <= report.WIDTH
    assert "\x1b" not in shown
    assert "FAILED" in shown


def test_columns_keep_every_word() -> None:
    text = "one two " * 20 + "x" * 150
    left, right = zip(*(line.split(" │ ") for line in report.columns([text], [text])), strict=True)
    assert "".join("".join(left).split()) == "".join("".join(right).split()) == "".join(text.split())


def test_a_request_that_never_arrived_leaves_a_gap() -> None:
    budget = SCENES[-1]
    whole = _unguarded(budget)
    refused = Got(error="[midstream] No budget left.", status=400)
    played = Played(
        whole.asked, whole.received[:1], whole.replies[:1], [whole.got[0], refused], 2, ("demo-budget",), Spent(1, 2)
    )
    shown = report.scene(7, budget, played, PLAIN)
    assert "(nothing: the request was refused)" in shown
    assert "HTTP 400: [midstream] No budget left." in shown
    assert "rules fired: demo-budget" in shown


def test_colours_only_when_asked() -> None:
    assert report.Paint(colour=True)("\x1b[1m", "x") == "\x1b[1mx\x1b[0m"
    assert PLAIN("\x1b[1m", "x") == "x"


@pytest.mark.parametrize(("failed", "last"), [((), "Every check held."), (("a", "b"), "2 checks failed: a; b")])
def test_the_last_line_says_how_it_went(failed: Sequence[str], last: str) -> None:
    assert report.closing([], failed, PLAIN).startswith(last)


def test_an_agent_s_identity_is_a_policy_file(tmp_path: Any) -> None:
    import yaml

    path = tour._identity(tmp_path / "agents.yaml", "token")
    assert yaml.safe_load(io.StringIO(path.read_text()))["agents"]["list"][0]["id"] == tour.AGENT
