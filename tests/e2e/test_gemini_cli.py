"""Gemini CLI from npm behind `midstream run`. Before it asks for an answer, it asks which model is to give it."""

import re

import pytest

from proxy.demo.answers import Received
from tests.e2e.agents import GEMINI, Ran
from tests.e2e.contract import AgentContract

pytestmark = pytest.mark.e2e


class TestGeminiCli(AgentContract):
    agent = GEMINI
    format = "gemini"
    asks = 2

    def session(self, ran: Ran, request: Received) -> str | None:
        """It tells nobody its session with an API key (`x-gemini-api-privileged-user-id` names the installation)."""
        found = {each["session"] for each in ran.exchanges(self.format)}
        assert all(re.fullmatch("[0-9a-f]{16}", each) for each in found)
        return found.pop() if len(found) == 1 else None
