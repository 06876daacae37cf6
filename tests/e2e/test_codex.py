"""Codex CLI from npm behind `midstream run`, over WebSocket as it comes, and over HTTP where that is refused."""

from dataclasses import replace

import pytest

from proxy.demo.answers import Failure, Received, Reply, Scenario
from proxy.demo.stand_in import StandIn
from tests.e2e.agents import CODEX, Behind, Ran, working
from tests.e2e.contract import AgentContract
from tests.sdk.provider.sockets import MESSAGE

pytestmark = pytest.mark.e2e


class OfCodex(AgentContract):
    """Both ways."""

    agent = CODEX
    format = "openai_responses"

    def session(self, ran: Ran, request: Received) -> str | None:
        shown = next(line for line in ran.err.splitlines() if line.startswith("session id: "))
        assert shown.removeprefix("session id: ") == request.header("session-id")
        return request.header("session-id")


class TestOverWebSocket(OfCodex):
    """Its default: a prewarming request, then what is new since the answer before."""

    asks = 2

    def test_it_goes_on_with_the_answer_before(self, behind: Behind, stand_in: StandIn) -> None:
        stand_in.scenario = working(CODEX)
        behind.run(CODEX, "version: 1\n", "Run the tool")
        warming, call, result = self.turns(stand_in)
        assert {turn.method for turn in (warming, call, result)} == {MESSAGE}
        assert warming.json["generate"] is False
        assert "previous_response_id" in result.json
        assert [item["type"] for item in result.json["input"]] == ["custom_tool_call_output"]


class TestOverHttp(OfCodex):
    """A provider of its own configuration, which is said to speak no WebSocket."""

    agent = replace(
        CODEX,
        arguments=(
            *CODEX.arguments,
            "-c",
            'model_providers.post={name="post",base_url="https://api.openai.com/v1",env_key="CODEX_API_KEY",'
            'wire_api="responses",supports_websockets=false}',
            *("-c", "model_provider=post"),
        ),
        hosts=("api.openai.com",),
    )

    def test_a_refused_upgrade_is_no_end(self, behind: Behind, stand_in: StandIn) -> None:
        stand_in.scenario = _refusing_upgrades(working(CODEX))
        ran = behind.run(CODEX, "version: 1\n", "Run the tool")
        assert ran.status == 0, ran.err
        assert {turn.method for turn in self.turns(stand_in)} == {"POST"}


def _refusing_upgrades(scenario: Scenario) -> Scenario:
    def reply(request: Received) -> Reply:
        return Failure(426, "No WebSocket here.") if request.method == "GET" else scenario(request)

    return reply
