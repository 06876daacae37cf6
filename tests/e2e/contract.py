"""What every coding agent must be able to do behind midstream, and what must never happen. One class, one agent each.

Each test is one run of the agent, which takes seconds, so that it asserts all that the run shows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from proxy.demo.answers import Received
from proxy.demo.stand_in import StandIn
from proxy.replay import flows
from tests.e2e.agents import BASELINE, FINAL, RAN, Agent, Behind, Ran, working

KEY = "AKIA" + "QYLPMN5HHHFPZAM2"
"""What the user lets slip."""
OTHER_KEY = "AKIA" + "QYLPT7WNRS5ZKDE3"
"""What the model lets slip."""

REASON = "closed for today"
NO_REQUESTS = f"""version: 1
rules:
  - {{id: closed, at: pre_llm_request, verdict: deny, reason: {REASON}}}
"""


class AgentContract:
    """Tests of one agent."""

    agent: ClassVar[Agent]
    format: ClassVar[str]
    """The codec that reads it."""
    fails: ClassVar[int] = 1
    """Its exit status when the provider refuses."""
    harmless: ClassVar[Path | str] = BASELINE
    """A policy that finds nothing in what it sends by itself."""
    asks: ClassVar[int] = 1
    """How many requests it makes where all are refused."""

    def test_a_tool_turn_completes_and_nothing_is_changed(
        self, behind: Behind, stand_in: StandIn, tmp_path: Path
    ) -> None:
        stand_in.scenario = working(self.agent)
        ran = behind.run(self.agent, self.harmless, "Run the tool", record=tmp_path / "run.mitm")
        assert ran.status == 0, ran.err
        assert FINAL in ran.out
        *_, call, result = self.turns(stand_in)
        assert (RAN in call.text, RAN in result.text) == (False, True)
        assert ", 0 denied" in ran.err
        assert "found" not in ran.err.splitlines()[-1]
        self.nothing_is_changed(stand_in, tmp_path / "run.mitm")
        sessions = {each["session"] for each in ran.exchanges(self.format) if each["status"] != 101}
        assert sessions == {self.session(ran, result)}

    def nothing_is_changed(self, stand_in: StandIn, record: Path) -> None:
        """What the agent sent, as it came into midstream, is what the provider saw."""
        heard = list(flows.read(record))
        sent = [m.content for each in heard for m in each.messages if m.from_client]
        sent += [each.body for each in heard if each.method == "POST"]
        assert sorted(sent) == sorted(turn.body for turn in self.turns(stand_in))

    def test_secrets_stay_where_they_are(self, behind: Behind, stand_in: StandIn) -> None:
        stand_in.scenario = working(self.agent, f"Use {OTHER_KEY} now")
        ran = behind.run(self.agent, BASELINE, f"Deploy with {KEY} please")
        assert ran.status == 0, ran.err
        assert all(KEY not in request.text for request in stand_in.requests)
        assert any("Deploy with [REDACTED:" in turn.text for turn in self.turns(stand_in))
        assert ran.holds(OTHER_KEY) == []
        assert "Use [REDACTED:" in ran.out

    def test_a_denied_call_is_not_made_and_the_turn_ends(self, behind: Behind, stand_in: StandIn) -> None:
        stand_in.scenario = working(self.agent)
        ran = behind.run(self.agent, self.without_shell(), "Run the tool")
        assert ran.status == 0, ran.err
        assert "no shell on this machine" in ran.out
        assert ran.holds(RAN) == []
        assert all(RAN not in request.text for request in stand_in.requests)
        assert "no-shell" in ran.err

    def without_shell(self) -> str:
        """A policy that denies the agent's shell."""
        return f"""version: 1
rules:
  - id: no-shell
    at: pre_tool_execution
    tools: [{self.agent.shell.name}]
    verdict: deny
    reason: no shell on this machine
"""

    def test_a_denied_request_stops_it_at_once(self, behind: Behind, stand_in: StandIn) -> None:
        stand_in.scenario = working(self.agent)
        ran = behind.run(self.agent, NO_REQUESTS, "Hello")
        assert ran.status == self.fails
        assert REASON in ran.out + ran.err.rpartition("midstream: ")[0]
        assert self.turns(stand_in) == []
        assert sum(each["refused"] for each in ran.exchanges(self.format)) == self.asks

    def turns(self, stand_in: StandIn) -> Sequence[Received]:
        """The requests to a model, without the agent's other calls."""
        return [each for each in stand_in.requests if each.method in ("POST", "MESSAGE")]

    def session(self, ran: Ran, request: Received) -> str | None:
        """The agent's own session id, as this run tells it."""
        raise NotImplementedError
