"""A conversation of a hand-written client with a strict provider through midstream, without a network."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.bodies import Refusal
from proxy.codecs import providers
from proxy.context import Context
from proxy.detectors.history import FindingCache
from proxy.events import Agent, Flow
from proxy.exchange import Exchange
from proxy.judge import Runtime
from proxy.session import Unaffordable
from proxy.socket_exchange import SocketExchange
from proxy.streamed import Streamed
from tests.conformance.strict import Call, Form, Json, Turn, responses
from tests.judging import KEY, Recorded, detectors, policy


def runtime(text: str, key: bytes = KEY) -> Runtime:
    """One process of midstream under this policy."""
    return Runtime(policy(text), detectors(), FindingCache(detectors(), key, 1000), key, Recorded())


def exchange(running: Runtime, codec: str) -> Exchange:
    """One more exchange of this process."""
    flow = Flow(id="flow", host="api.example", method="POST", path="/v1/x")
    context = Context(Agent(id="tester"), flow, provider="test", format=codec)
    return Exchange(running, providers.codec(codec), context)


@dataclass
class Talk:
    """A conversation, and what was said on both sides of midstream."""

    form: Form
    running: Runtime
    streamed: bool = False
    results: str = "Sunny."
    go_on: str = "Go on."
    sent: list[bytes] = field(default_factory=list)
    """Requests as the provider got them."""
    heard: list[Call] = field(default_factory=list)
    """Calls that reached the client."""
    answers: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.provider = self.form.provider()
        self.client = self.form.client()

    def over(self, prompt: str, script: Sequence[Turn]) -> "Talk":
        """The whole script: calls are answered, and where there are none the user speaks."""
        self.client.say(prompt)
        for turn in script:
            self.step(turn)
        return self

    def step(self, turn: Turn) -> None:
        """One request and its answer, and what the client makes of it."""
        calls = self._heard(turn)
        self.heard += calls
        for call in calls:
            self.client.give(call, self.results)
        if not calls:
            self.client.say(self.go_on)

    def _heard(self, turn: Turn) -> list[Call]:
        one = exchange(self.running, self.form.codec)
        self._ask(one, self.client.request(streamed=self.streamed))
        answer = self._delivered(one, self.provider.answer(turn, streamed=self.streamed))
        self.answers.append(answer)
        return self.client.hear(answer, streamed=self.streamed)

    def _ask(self, one: Exchange, request: Json) -> None:
        body = orjson.dumps(request)
        outcome = one.on_request(body)
        assert outcome.refusal is None
        self.sent.append(body if outcome.body is None else outcome.body)
        self.provider.ask(orjson.loads(self.sent[-1]))

    def _delivered(self, one: Exchange, answer: bytes) -> bytes:
        if self.streamed:
            guard = Streamed(one, self.form.kind)
            return guard.feed(answer) + guard.finish()
        outcome = one.on_response(answer)
        assert outcome.refusal is None
        return answer if outcome.body is None else outcome.body


class Books:
    """Bookkeeping of an answer that nobody pays for."""

    budgeted = False

    async def reserve(self, size: int) -> Unaffordable | None:
        """Nothing is held."""
        return None

    def refused(self, refusal: Refusal) -> None:
        """Nothing is noted."""

    def failed_open(self, error: BaseException) -> None:
        """Nothing may fail here."""
        raise AssertionError from error

    def end(self, status: int | None) -> None:
        """Nothing is settled."""


class SocketTalk(Talk):
    """The same over a WebSocket: one connection, one message an event."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.socket = self.connect()

    def connect(self) -> SocketExchange[Books]:
        """A connection to this process."""
        return SocketExchange(lambda: (exchange(self.running, self.form.codec), Books()), failure_open=False)

    def _heard(self, turn: Turn) -> list[Call]:
        assert isinstance(self.provider, responses.Provider) and isinstance(self.client, responses.Client)
        self.up({"type": "response.create"} | self.client.request(streamed=True))
        return self.client.take(self.down(self.provider.events(turn)))

    def up(self, message: Json) -> None:
        """A client's message goes up, and the provider takes it."""
        passed = asyncio.run(self.socket.up(orjson.dumps(message)))
        assert not passed.back
        self.sent += passed.onward
        for onward in passed.onward:
            self.provider.ask(orjson.loads(onward))

    def down(self, events: Sequence[Json]) -> list[Any]:
        """What reaches the client of the server's messages."""
        told = [message for event in events for message in self.socket.down(orjson.dumps(event)).onward]
        self.answers += told
        return [orjson.loads(message) for message in told]
