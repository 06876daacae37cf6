"""Claude Code from npm behind `midstream run`."""

import pytest

from proxy.demo.answers import Failure, Received, Reply
from proxy.demo.stand_in import StandIn
from tests.e2e.agents import CLAUDE, Behind, Ran, working
from tests.e2e.contract import AgentContract

pytestmark = pytest.mark.e2e


class TestClaudeCode(AgentContract):
    agent = CLAUDE
    format = "anthropic"
    # Its prompt tells the address that signs commits, which the baseline takes for a person's.
    harmless = """version: 1
rules:
  - {id: secrets, at: [pre_llm_request, post_llm_response], find: [secret], verdict: modify, edit: redact}
"""

    def session(self, ran: Ran, request: Received) -> str | None:
        return request.header("x-claude-code-session-id")

    def test_its_own_failure_is_passed_on(self, behind: Behind, stand_in: StandIn) -> None:
        def failing(request: Received) -> Reply:
            return Failure(400, "The stand-in was told to fail.")

        stand_in.scenario = failing
        ran = behind.run(CLAUDE, "version: 1\n", "Hello")
        assert ran.status == 1
        assert "The stand-in was told to fail." in ran.out

    def test_its_own_json_stream_is_whole(self, behind: Behind, stand_in: StandIn) -> None:
        stand_in.scenario = working(CLAUDE)
        ran = behind.run(CLAUDE, "version: 1\n", "--output-format", "stream-json", "--verbose", "Run it")
        assert ran.status == 0, ran.err
        kinds = [line.split('"type":"', 1)[1].split('"', 1)[0] for line in ran.out.splitlines()]
        assert (kinds[0], kinds[-1]) == ("system", "result")
