"""opencode from npm behind `midstream run`. Beside its answer it asks for a title."""

import pytest

from proxy.demo.answers import Received
from tests.e2e.agents import OPENCODE, Ran
from tests.e2e.contract import AgentContract

pytestmark = pytest.mark.e2e


class TestOpencode(AgentContract):
    agent = OPENCODE
    format = "anthropic"
    asks = 2

    def session(self, ran: Ran, request: Received) -> str | None:
        return request.header("x-session-id")
