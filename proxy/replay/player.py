"""Plays one recording: what its events were, what was decided, and which bytes would have gone up and down.

The objects that decide are those that serve traffic (`inspection`, `socket_exchange`); here is only what hands them the
recorded bytes. Nothing is sent anywhere.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.bodies import Outcome, Refusal
from proxy.codecs import DecodeError, providers
from proxy.codecs.providers import Route
from proxy.decision import Decision
from proxy.encoding import BadEncoding, TooLarge, decode_body
from proxy.events import Agent, Event, Flow
from proxy.exchange import Exchange
from proxy.inspection import Inspection
from proxy.judge import Runtime
from proxy.lifecycle import end_sessions
from proxy.replay.recordings import Message, Recording
from proxy.socket_exchange import SocketExchange
from proxy.stream_judge import StreamRefusedError

MOST_CUT: Final = 4096
"""Bytes of the largest piece that `--rechunk` cuts a body into."""


MOST_DECODED: Final = 1 << 30
"""Bytes of a stream that was delivered, decoded."""


class Side(NamedTuple):
    """One direction of an exchange: what was recorded, what would have travelled, and whether they differ.

    What is not changed is as it was recorded; what is, is without any content-encoding.
    """

    recorded: bytes
    sent: bytes
    changed: bool


_NOTHING: Final = Side(b"", b"", False)


@dataclass(slots=True)
class Played:
    """What happened when one recording was played."""

    recording: Recording
    route: Route | None
    streaming: bool = False
    told: list[tuple[Event, Decision]] = field(default_factory=list)
    up: Side = _NOTHING
    down: Side = _NOTHING
    passed: list[Message] = field(default_factory=list)
    """Of a connection: the messages that would have arrived, in order."""
    error: str | None = None


class Unbooked:
    """The bookkeeping of an answer that spends nothing."""

    budgeted: Final = False

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._refused = False

    async def reserve(self, size: int) -> None:
        """Nothing is spent."""

    def refused(self, refusal: Refusal) -> None:
        """See `Session`."""
        self._refused = True

    def failed_open(self, error: BaseException) -> None:
        """Nobody is told."""

    def end(self, status: int | None) -> None:
        """See `Session`."""
        self._exchange.lifecycle.ends(status, refused=self._refused)


class Player:
    """Plays recordings, one after the other, under one runtime; its sessions go on from one to the next."""

    def __init__(self, runtime: Runtime, told: list[tuple[Event, Decision]], agent: Agent, seed: int | None) -> None:
        """`told` is the list that `runtime.watch` appends to. `seed`: cut every body at random places first."""
        self._runtime = runtime
        self._told = told
        self._agent = agent
        self._seed = seed

    def play(self, recording: Recording) -> Played:
        """Play one."""
        self._told.clear()
        route = _route(recording)
        played = Played(recording, route)
        if route is None:
            played.up, played.down = (_same(body) for body in (recording.body, recording.answer))
        elif recording.messages:
            self._play_messages(played, route)
        else:
            self._play_exchange(played, self._inspection(recording, route))
        played.told = list(self._told)
        return played

    def end(self) -> list[tuple[Event, Decision]]:
        """All recordings were played: what sessions say when they end."""
        self._told.clear()
        end_sessions(self._runtime, 0)
        return list(self._told)

    def _inspection(self, recording: Recording, route: Route) -> Inspection:
        path, _, query = recording.path.partition("?")
        where = Flow(id=recording.id, host=recording.host, method=recording.method, path=path)
        return Inspection.begin(self._runtime, route, self._agent, where, recording.headers, counts=False, query=query)

    # an exchange

    def _play_exchange(self, played: Played, inspection: Inspection) -> None:
        recording, exchange = played.recording, inspection.exchange
        outcome = inspection.request(recording.body)
        refused = outcome.refusal is not None
        if outcome.refusal is not None:
            played.up = Side(recording.body, b"", True)
            played.down = Side(recording.answer, outcome.refusal.body, True)
        else:
            played.up = _side(recording.body, outcome)
            played.down = _same(recording.answer)
            if recording.status:
                refused = self._play_answer(played, inspection)
        exchange.lifecycle.ends(recording.status or None, refused=refused)
        played.error = played.error or _said(exchange)

    def _play_answer(self, played: Played, inspection: Inspection) -> bool:
        """The recorded answer; whether it was refused."""
        recording = played.recording
        headers = recording.answer_headers
        kind, coding = headers.get("content-type", ""), headers.get("content-encoding", "")
        inspection.exchange.on_answer(headers)
        played.streaming = inspection.streams(recording.status, kind)
        if played.streaming:
            return self._play_stream(played, inspection, kind, coding)
        try:
            outcome = inspection.response(recording.answer, kind, coding)
        except (BadEncoding, TooLarge) as error:
            played.error = str(error)
            return True
        played.down = _side(recording.answer, outcome)
        return outcome.refusal is not None

    def _play_stream(self, played: Played, inspection: Inspection, kind: str, coding: str) -> bool:
        answer = played.recording.answer
        stream = inspection.delivery(kind, coding, None)
        out: list[bytes] = []
        refused = False
        try:
            out += [stream.feed(piece) for piece in self._cut(answer)]
            out.append(stream.finish())
        except (StreamRefusedError, DecodeError, BadEncoding, TooLarge) as error:
            played.error, refused = str(error), True
        changed = refused or inspection.exchange.changed
        played.down = Side(answer, _uncoded(b"".join(out), coding), True) if changed else _same(answer)
        return refused

    def _cut(self, body: bytes) -> Iterator[bytes]:
        if self._seed is None:
            yield body
            return
        generator = random.Random(f"{self._seed}/{len(body)}")  # noqa: S311 - cuts, not keys
        begin = 0
        while begin < len(body):
            end = begin + generator.choice((1, 2, 7, 61, generator.randrange(1, MOST_CUT)))
            yield body[begin:end]
            begin = end

    # a connection

    def _play_messages(self, played: Played, route: Route) -> None:
        recording = played.recording
        played.streaming = True

        def begin() -> tuple[Exchange, Unbooked]:
            exchange = self._inspection(recording, route).exchange
            return exchange, Unbooked(exchange)

        codec = providers.codec(route.codec)
        if codec.by_message:
            _play_alone(played, self._inspection(recording, route).exchange)
            return
        if codec.socket_refusal is None:
            played.error = "this format is not read over connections of many messages"
            return
        asyncio.run(_play_connection(played, SocketExchange(begin, failure_open=False)))


def _route(recording: Recording) -> Route | None:
    if recording.method == "STDIO":  # a tool server's standard input and output, a message a line
        return providers.MCP
    headers = {**recording.headers, "upgrade": "websocket"} if recording.messages else recording.headers
    return providers.match(recording.host, recording.method, recording.path, headers)


def _play_alone(played: Played, exchange: Exchange) -> None:
    """Messages that stand for themselves, in both directions."""
    messages = played.recording.messages
    up: list[bytes] = []
    down: list[bytes] = []
    for message in messages:
        content = message.content
        outcome = exchange.on_request(content) if message.from_client else exchange.on_response(content)
        if outcome.refusal is not None:
            down.append(outcome.refusal.body)
            continue
        arrives = content if outcome.body is None else outcome.body
        (up if message.from_client else down).append(arrives)
        played.passed.append(Message(message.from_client, arrives))
    played.error = _said(exchange)
    played.up = _lines([message.content for message in messages if message.from_client], up)
    played.down = _lines([message.content for message in messages if not message.from_client], down)


async def _play_connection(played: Played, socket: SocketExchange[Unbooked]) -> None:
    up: list[bytes] = []
    down: list[bytes] = []
    messages = played.recording.messages
    try:
        for message in messages:
            if message.from_client:
                passed = await socket.up(message.content)
                down += passed.back
            else:
                passed = socket.down(message.content)
            (up if message.from_client else down).extend(passed.onward)
            played.passed += [Message(message.from_client, content) for content in passed.onward]
    except (StreamRefusedError, DecodeError) as error:
        played.error = str(error)
    played.error = played.error or next(iter(socket.problems), None)
    socket.close()
    played.up = _lines([message.content for message in messages if message.from_client], up)
    played.down = _lines([message.content for message in messages if not message.from_client], down)


def _lines(recorded: list[bytes], sent: list[bytes]) -> Side:
    """Messages as one body, a line each."""
    return Side(b"\n".join(recorded), b"\n".join(sent), recorded != sent)


def _uncoded(sent: bytes, coding: str) -> bytes:
    """A changed stream without its content-encoding, whose bytes depend on where pieces ended."""
    try:
        return decode_body(sent, coding, MOST_DECODED)
    except (BadEncoding, TooLarge):
        return b""


def _same(body: bytes) -> Side:
    return Side(body, body, False)


def _side(body: bytes, outcome: Outcome) -> Side:
    if outcome.refusal is not None:
        return Side(body, outcome.refusal.body, True)
    sent = body if outcome.body is None else outcome.body
    return Side(body, sent, sent != body or bool(outcome.headers))


def _said(exchange: Exchange) -> str | None:
    return next(iter(exchange.problems), None)
