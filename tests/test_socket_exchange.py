"""WebSockets through the running proxy: every message waits for its decision, in both directions."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import connection
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.websocket import WebsocketConnection
from websockets.frames import Frame, Opcode
from wsproto import ConnectionType

from proxy.demo.answers import Answer, Call, Received, Text, call, says
from proxy.detectors.history import FindingCache
from proxy.exchange import Exchange
from proxy.guard import Guard
from proxy.layer import websocket
from proxy.recorder import Recorder
from proxy.replay import flows
from proxy.socket_exchange import MOST_WAITING
from tests import net, sockets
from tests.behind import serving
from tests.judging import REDACT
from tests.scripted import ledgers, scripted
from tests.sdk.provider import openai
from tests.sockets import Closed, Message, RefusedError, Socket

TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
EMAIL = "maria.huber@example.org"
PERMIT = "version: 1\n"
NO_SHELL = """version: 1
rules:
  - {id: no-shell, at: pre_tool_execution, tools: [shell], verdict: deny, reason: not on this machine}
"""
NO_CATS = """version: 1
rules:
  - id: no-cats
    at: pre_llm_request
    when: request.new_parts.exists(p, p.text.contains('cat'))
    verdict: deny
    reason: dogs only
"""
RESPONSES = "/v1/responses"
WITHIN = 20

type Talk = Callable[[Socket], Awaitable[None]]


# -- what the two sides say


def create(text: str, **members: Any) -> dict[str, Any]:
    """A client's request for an answer."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return {"type": "response.create", "model": "gpt-5", "input": [item], **members}


def events(answer: Answer, name: str = "resp_1") -> Iterator[dict[str, Any]]:
    """A whole answer, event by event."""
    return openai.events(Received("MESSAGE", RESPONSES, "", [], b'{"model":"gpt-5"}'), answer, name)


def said(messages: Sequence[dict[str, Any]]) -> str:
    """The text that a client assembles."""
    return "".join(each["delta"] for each in messages if each["type"] == "response.output_text.delta")


def dump(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


@dataclass
class Provider:
    """Answers every request on every connection by `reply`; what it was sent is in `asked`."""

    reply: Callable[[dict[str, Any]], Answer] = lambda _: says("Hello ", "world.")
    deflate: bool = False
    asked: list[Message] = field(default_factory=list)
    ends: list[Closed] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = await sockets.accept(reader, writer, deflate=self.deflate)
        while isinstance(message := await socket.receive(), Message):
            self.asked.append(message)
            if message.json["type"] == "response.create":
                await socket.tell(events(self.reply(message.json), f"resp_{len(self.asked)}"))
        self.ends.append(message)


def talking(talk: Talk, *, deflate: bool = False) -> net.Script:
    """An upstream that says what `talk` says on each connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(await sockets.accept(reader, writer, deflate=deflate))

    return script


@asynccontextmanager
async def carried(
    folder: Path,
    policy: str,
    script: net.Script,
    recorder: Recorder | None = None,
    *,
    deflate: bool = False,
) -> AsyncIterator[Socket]:
    """A client's connection through midstream."""
    async with (
        asyncio.timeout(WITHIN),
        scripted(folder, policy, script, recorder) as proxy,
        proxy.client() as client,
    ):
        yield await sockets.connect(client, RESPONSES, deflate=deflate)


async def whole(socket: Socket) -> list[dict[str, Any]]:
    """The messages of one answer."""
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] not in ("response.completed", "error"):
        messages.append((await socket.message()).json)
    return messages


async def ask(socket: Socket, text: str, **members: Any) -> list[dict[str, Any]]:
    await socket.tell([create(text, **members)])
    return await whole(socket)


def records(folder: Path, kind: str = "exchange") -> list[dict[str, Any]]:
    lines = (folder / "audit" / "worker-0.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def answered(folder: Path) -> list[dict[str, Any]]:
    """The exchanges of a connection, without the handshake."""
    return [record for record in records(folder) if record["status"] != 101]


# -- messages as they come


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflated"])
async def test_what_no_policy_touches_is_identical(tmp_path: Path, deflate: bool) -> None:
    odd = '{ "type" : "response.create","model":"gpt-5", "input":"Gr\\u00fc\\u00dfe \\"x\\" \U0001f600 " }'
    down = [dump(event).replace(":", " : ") for event in events(says("Grüße ", "\U0001f600"))]
    seen: list[Message] = []

    async def talk(socket: Socket) -> None:
        assert socket.deflates == deflate
        seen.append(await socket.message())
        for message in down:
            await socket.send(message)
        await socket.receive()

    async with carried(tmp_path, REDACT, talking(talk, deflate=deflate), deflate=deflate) as socket:
        assert socket.deflates == deflate
        await socket.send(odd)
        got = [await socket.message() for _ in down]
    assert seen == [Message((odd.encode(),), is_text=True)]
    assert got == [Message((message.encode(),), is_text=True) for message in down]


async def test_only_one_side_may_compress(tmp_path: Path) -> None:
    provider = Provider()
    async with carried(tmp_path, PERMIT, provider, deflate=True) as socket:
        assert not socket.deflates
        assert said(await ask(socket, "Hi")) == "Hello world."


async def test_binary_messages_stay_binary(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        message = await socket.message()
        assert not message.is_text
        await socket.send(message.data)
        await socket.receive()

    body = dump(create(f"Use {TOKEN} and Grüße")).encode()
    async with carried(tmp_path, PERMIT, talking(talk)) as socket:
        await socket.send(body)
        assert await socket.receive() == Message((body,), is_text=False)


async def test_frames_stay_where_nothing_changes(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        message = await socket.message()
        await socket.send(*(frame.decode() for frame in message.frames))
        await socket.receive()

    text = dump(create("Hello, world"))
    frames = (text[:7], text[7:8], "", text[8:])
    async with carried(tmp_path, PERMIT, talking(talk)) as socket:
        await socket.send(*frames)
        assert (await socket.message()).frames == tuple(frame.encode() for frame in frames)


async def test_a_character_that_two_frames_share_arrives(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        await socket.send((await socket.message()).data.decode())
        await socket.receive()

    text = dump(create("Grüße \U0001f600"))
    cut = text.encode().index("\U0001f600".encode()) + 2
    async with carried(tmp_path, PERMIT, talking(talk)) as socket:
        socket.protocol.send_text(text.encode()[:cut], fin=False)
        socket.protocol.send_continuation(text.encode()[cut:], fin=True)
        await socket.flush()
        assert (await socket.message()).data.decode() == text


@pytest.mark.parametrize("pieces", [1, 3, 400])
async def test_an_edited_message_is_whole_however_it_is_framed(tmp_path: Path, pieces: int) -> None:
    provider = Provider()
    text = dump(create(f"{'ü€\U0001f600' * 3000} {TOKEN} {'ü€\U0001f600' * 3000}"))
    size = -(-len(text) // pieces)
    async with carried(tmp_path, REDACT, provider) as socket:
        await socket.send(*(text[at : at + size] for at in range(0, len(text), size)))
        await whole(socket)
    (seen,) = provider.asked
    before, _, after = seen.json["input"][0]["content"][0]["text"].split(" ")
    assert before == after == "ü€\U0001f600" * 3000
    assert TOKEN.encode() not in seen.data
    assert (len(seen.frames) == 1) == (pieces == 1)


async def test_an_edited_binary_message_stays_binary(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        message = await socket.message()
        assert (message.is_text, TOKEN.encode() in message.data) == (False, False)
        await socket.send(message.data)
        await socket.receive()

    body = dump(create(f"Use {TOKEN} and Grüße")).encode()
    async with carried(tmp_path, REDACT, talking(talk)) as socket:
        await socket.send(body[:40], body[40:])
        message = await socket.message()
    assert not message.is_text
    assert message.json["input"][0]["content"][0]["text"].endswith(" and Grüße")


async def test_a_ping_between_frames_does_not_wait_for_the_message(tmp_path: Path) -> None:
    provider = Provider()
    text = dump(create("Hi")).encode()
    async with carried(tmp_path, PERMIT, provider) as socket:
        socket.protocol.send_text(text[:9], fin=False)
        await socket.ping(b"there?")
        assert await socket.event() == Frame(Opcode.PONG, b"there?")
        socket.protocol.send_continuation(text[9:], fin=True)
        await socket.flush()
        assert said(await whole(socket)) == "Hello world."


def test_the_frames_of_a_message_are_written_as_one() -> None:
    """asyncio sums up everything that waits at each write: 200,000 small frames took minutes."""
    side = WebsocketConnection(ConnectionType.SERVER, [], conn=connection.Server(address=("127.0.0.1", 1)))
    (written,) = websocket._send(side, "aüb".encode(), (1, 3), is_text=True)
    assert isinstance(written, commands.SendData)
    assert written.data == b"\x01\x01a" + b"\x00\x02" + "ü".encode() + b"\x80\x01b"


async def test_messages_that_come_with_the_handshake_are_not_lost(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = await sockets.accept(reader, writer, early=[dump(event) for event in events(says("Early."))])
        await socket.receive()

    async with carried(tmp_path, REDACT, script) as socket:
        assert said(await whole(socket)) == "Early."


async def test_pings_and_closing_words_pass(tmp_path: Path) -> None:
    provider = Provider()
    async with carried(tmp_path, PERMIT, provider) as socket:
        await socket.ping(b"there?")
        await ask(socket, "Hi")
        assert socket.pongs == [b"there?"]
        await socket.close(4001, "tired")
        assert await socket.receive() == Closed(4001, "tired")
    assert provider.ends == [Closed(4001, "tired")]


async def test_the_server_may_close_in_its_own_words(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        await socket.message()
        await socket.close(4008, "session expired")
        await socket.receive()

    async with carried(tmp_path, PERMIT, talking(talk)) as socket:
        await socket.tell([create("Hi")])
        assert await socket.receive() == Closed(4008, "session expired")


# -- what is decided


async def test_secrets_neither_go_up_nor_come_down(tmp_path: Path) -> None:
    """In whatever pieces they come, and in all five copies of a text."""
    for number, pieces in enumerate(
        [(f"Use {TOKEN} now.",), ("Use ", TOKEN[:9], TOKEN[9:], " now."), tuple(f"Use {TOKEN} now.")]
    ):
        provider = Provider(lambda _, pieces=pieces: says(*pieces))  # type: ignore[misc]
        (folder := tmp_path / str(number)).mkdir()
        async with carried(folder, REDACT, provider) as socket:
            got = await ask(socket, f"The token is {TOKEN}, keep it.")
        assert said(got).startswith("Use [REDACTED") and said(got).endswith(" now.")
        assert TOKEN not in dump(got)
        assert got[-1]["response"]["output"][0]["content"][0]["text"] == said(got)
        (asked,) = provider.asked
        assert b"The token is [REDACTED" in asked.data and TOKEN.encode() not in asked.data


async def test_placeholders_are_restored_in_this_answer_and_in_later_ones(tmp_path: Path) -> None:
    shown: list[str] = []

    def echo(request: dict[str, Any]) -> Answer:
        text = request["input"][0]["content"][0]["text"]
        if text.startswith("Write to "):
            shown.append(text.removeprefix("Write to "))
        return Answer((Text("To ", shown[0][:7], shown[0][7:], "."), call("send", {"to": shown[0]})))

    provider = Provider(echo)
    async with carried(tmp_path, REDACT, provider) as socket:
        for text in (f"Write to {EMAIL}", "Again."):
            got = await ask(socket, text)
            assert said(got) == f"To {EMAIL}."
            assert json.loads(got[-1]["response"]["output"][1]["arguments"]) == {"to": EMAIL}
    assert all(EMAIL.encode() not in message.data for message in provider.asked)


async def test_a_denied_call_becomes_a_message(tmp_path: Path) -> None:
    shell, look = call("shell", {"cmd": "rm -rf /srv"}, call_id="a"), call("look", {"at": "/"}, call_id="b")
    provider = Provider(lambda _: Answer((Text("So: "), shell, look)))
    async with carried(tmp_path, NO_SHELL, provider) as socket:
        got = await ask(socket, "Go")
    done = [each["item"] for each in got if each["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["message", "message", "function_call"]
    assert done == got[-1]["response"]["output"]
    assert "not on this machine" in done[1]["content"][0]["text"]
    assert [each["sequence_number"] for each in got] == list(range(len(got)))
    assert "/srv" not in dump(got)


async def test_a_denied_request_is_answered_here_and_the_connection_goes_on(tmp_path: Path) -> None:
    provider = Provider()
    async with carried(tmp_path, NO_CATS, provider) as socket:
        (error,) = await ask(socket, "A cat, please")
        assert (error["type"], error["status"]) == ("error", 400)
        assert "dogs only" in error["error"]["message"]
        assert said(await ask(socket, "A dog, please")) == "Hello world."
    (asked,) = provider.asked
    assert b"dog" in asked.data
    assert [(record["status"], record["refused"]) for record in answered(tmp_path)] == [(400, True), (200, False)]


async def test_a_message_that_asks_for_nothing_may_be_denied_too(tmp_path: Path) -> None:
    provider = Provider()
    beside = {"type": "conversation.note", "input": create("about a cat")["input"]}
    async with carried(tmp_path, NO_CATS, provider) as socket:
        await socket.tell([beside])
        assert "dogs only" in (await socket.message()).json["error"]["message"]
        assert said(await ask(socket, "Hi")) == "Hello world."
    assert len(provider.asked) == 1


async def test_what_cannot_be_read_is_denied_where_the_policy_says_so(tmp_path: Path) -> None:
    provider = Provider()
    async with carried(tmp_path, "version: 1\nunrecognised: deny\n", provider) as socket:
        await socket.send("no JSON at all")
        assert "cannot read" in (await socket.message()).json["error"]["message"]
        assert said(await ask(socket, "Hi")) == "Hello world."
    assert len(provider.asked) == 1


async def test_an_answer_that_a_rule_reads_whole_is_held_and_may_be_denied(tmp_path: Path) -> None:
    policy = """version: 1
rules:
  - id: no-rain
    at: post_llm_response
    when: response.parts.exists(p, p.text.contains('rain'))
    verdict: deny
    reason: no bad news
"""
    answers = iter([says("All ", "ra", "in."), says("Sun.")])
    async with carried(tmp_path, policy, Provider(lambda _: next(answers))) as socket:
        assert "no bad news" in said(await ask(socket, "Weather?"))
        assert said(await ask(socket, "And now?")) == "Sun."


# -- several answers of one connection


async def test_answers_asked_for_at_once_are_told_apart(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        asked = [await socket.message() for _ in range(2)]
        for number, message in enumerate(asked, 1):
            text = message.json["input"][0]["content"][0]["text"]
            await socket.tell(events(says(f"{text} ", "it is.", input_tokens=number * 10), f"resp_{number}"))
        await socket.receive()

    async with carried(tmp_path, REDACT, talking(talk)) as socket:
        await socket.tell([create("One"), create("Two")])
        assert [said(await whole(socket)) for _ in range(2)] == ["One it is.", "Two it is."]
    assert [record["usage"]["input"] for record in answered(tmp_path)] == [10, 20]


async def test_a_denial_waits_for_the_answer_before_it(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def talk(socket: Socket) -> None:
        await socket.message()
        first, *rest = events(says("A dog."))
        await socket.tell([first])
        await go_on.wait()
        await socket.tell(rest)
        await socket.message()
        await socket.tell(events(says("Another dog.")))
        await socket.receive()

    async with carried(tmp_path, NO_CATS, talking(talk)) as socket:
        await socket.tell([create("A dog"), create("A cat"), create("Another dog")])
        created = (await socket.message()).json
        go_on.set()
        assert [created["type"], said(await whole(socket))] == ["response.created", "A dog."]
        assert "dogs only" in (await socket.message()).json["error"]["message"]
        assert said(await whole(socket)) == "Another dog."
    assert sorted(record["refused"] for record in answered(tmp_path)) == [False, False, True]


async def test_a_client_that_asks_for_too_much_at_once_is_told(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        for _ in range(MOST_WAITING + 1):
            await socket.message()
        assert isinstance(await socket.receive(), Closed)

    async with carried(tmp_path, PERMIT, talking(talk)) as socket:
        await socket.tell(create(str(number)) for number in range(MOST_WAITING + 2))
        error = (await socket.message()).json
    assert (error["status"], error["error"]["message"]) == (429, "[midstream] Too many answers are asked for at once.")


async def test_an_error_ends_an_answer(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        await socket.message()
        await socket.tell([{"type": "error", "status": 400, "error": {"message": "no such answer"}}])
        await socket.message()
        await socket.tell(events(says("Here.", input_tokens=30)))
        await socket.receive()

    async with carried(tmp_path, PERMIT, talking(talk)) as socket:
        assert (await ask(socket, "One", previous_response_id="resp_0"))[0]["error"]["message"] == "no such answer"
        assert said(await ask(socket, "Two")) == "Here."
    assert [record["usage"] and record["usage"]["input"] for record in answered(tmp_path)] == [None, 30]


async def test_a_secret_in_the_lane_of_an_answer_beside_is_found(tmp_path: Path) -> None:
    """Answers that interleave: the end of one is not the end of the other's text."""
    one = [event | {"stream_id": "a"} for event in events(says("Short."), "resp_a")]
    two = [event | {"stream_id": "b"} for event in events(says("Use ", TOKEN[:9], TOKEN[9:], " now."), "resp_b")]
    cut = next(at for at, event in enumerate(two) if event.get("delta") == TOKEN[:9]) + 1

    async def talk(socket: Socket) -> None:
        for _ in range(2):
            await socket.message()
        await socket.tell([*two[:cut], *one, *two[cut:]])
        await socket.receive()

    async with carried(tmp_path, REDACT, talking(talk)) as socket:
        await socket.tell([create("A", stream_id="a"), create("B", stream_id="b")])
        got = [*await whole(socket), *await whole(socket)]
    of_b = [each for each in got if each["stream_id"] == "b"]
    assert TOKEN[:9] not in dump(got)
    assert said(of_b).startswith("Use [REDACTED") and said(of_b).endswith(" now.")
    assert len(answered(tmp_path)) == 2


# -- budgets and books


async def test_each_answer_is_reserved_and_settled(tmp_path: Path) -> None:
    policy = "version: 1\nbudgets: [{id: day, per: agent, window: day, limit: {tokens: 100000, requests: 2}}]\n"
    provider = Provider(lambda _: says("Fine.", input_tokens=100, output_tokens=20))
    async with carried(tmp_path, policy, provider) as socket:
        for _ in range(2):
            assert said(await ask(socket, "Hi")) == "Fine."
        (error,) = await ask(socket, "Hi")
        assert error["status"] in (400, 429)
        assert "day" in error["error"]["message"]
    assert len(provider.asked) == 2
    (row,) = await ledgers(tmp_path)
    assert (row.used.tokens, row.used.requests, row.reserved.tokens) == (240, 2, 0)


async def test_a_client_that_leaves_has_its_answer_booked(tmp_path: Path) -> None:
    policy = "version: 1\nbudgets: [{id: day, per: agent, window: day, limit: {tokens: 100000}}]\n"
    left = asyncio.Event()

    async def talk(socket: Socket) -> None:
        await socket.message()
        await socket.tell(list(events(says("Never ", "finished.")))[:5])
        assert await socket.receive() == Closed(1006)
        left.set()

    async with carried(tmp_path, policy, talking(talk)) as socket:
        await socket.tell([create("Hi")])
        for _ in range(5):
            await socket.message()
        socket.abort()
        await left.wait()
    (record,) = answered(tmp_path)
    assert record["status"] is None
    (row,) = await ledgers(tmp_path)
    assert row.used.tokens > 0
    assert row.reserved.tokens == 0


async def test_a_server_that_breaks_off_is_no_clean_end(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        await socket.message()
        await socket.tell(list(events(says("Use ", TOKEN[:9])))[:6])
        socket.abort()

    async with carried(tmp_path, REDACT, talking(talk)) as socket:
        await socket.tell([create("Hi")])
        got = []
        while isinstance(message := await socket.receive(), Message):
            got.append(message.json)
    assert message == Closed(1006)
    assert said(got) == "Use "


async def test_what_was_held_is_decided_when_the_server_closes(tmp_path: Path) -> None:
    async def talk(socket: Socket) -> None:
        await socket.message()
        await socket.tell(list(events(says("The ", "rest")))[:6])
        await socket.close(1000)
        await socket.receive()

    async with carried(tmp_path, REDACT, talking(talk)) as socket:
        await socket.tell([create("Hi")])
        got = []
        while isinstance(message := await socket.receive(), Message):
            got.append(message.json)
    assert (message, said(got)) == (Closed(1000), "The rest")


async def test_the_handshake_is_recorded_and_is_no_model_request(tmp_path: Path) -> None:
    granted = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    async with serving(tmp_path, PERMIT, granted) as running, running.proxy.client() as client:
        with pytest.raises(RefusedError, match="101"):  # without the key that a client looks for
            await sockets.connect(client, RESPONSES)
        assert running.services.summary()["requests"] == 0
    assert [(record["status"], record["model"]) for record in records(tmp_path)] == [(101, None)]


async def test_a_proxy_that_stops_books_what_was_under_way(tmp_path: Path) -> None:
    policy = "version: 1\nbudgets: [{id: day, per: agent, window: day, limit: {tokens: 100000}}]\n"

    async def talk(socket: Socket) -> None:
        await socket.message()
        await socket.tell(list(events(says("Never ", "finished.")))[:5])
        assert await socket.receive() == Closed(1006)

    async with asyncio.timeout(WITHIN), AsyncExitStack() as outlasting:
        async with scripted(tmp_path, policy, talking(talk)) as proxy:
            client = await outlasting.enter_async_context(proxy.client())
            socket = await sockets.connect(client, RESPONSES)
            await socket.tell([create("Hi")])
            for _ in range(5):
                await socket.message()
        assert await socket.receive() == Closed(1006)
    assert [record["status"] for record in answered(tmp_path)] == [None]
    (row,) = await ledgers(tmp_path)
    assert (row.used.tokens > 0, row.reserved.tokens) == (True, 0)


@pytest.mark.parametrize("redacts", [True, False], ids=["record", "record-raw"])
async def test_messages_are_recorded_as_they_came(tmp_path: Path, redacts: bool) -> None:
    path = tmp_path / "flows.mitm"
    recorder = Recorder(path, redacts=redacts)
    provider = Provider(lambda _: says("Use ", TOKEN[:9], TOKEN[9:]))
    async with carried(tmp_path, PERMIT, provider, recorder) as socket:
        await ask(socket, f"The token is {TOKEN}.")
        await socket.close()
        await socket.receive()
    recorder.close()
    (heard,) = flows.read(path)
    assert (heard.method, heard.status) == ("GET", 101)
    up = [message.content for message in heard.messages if message.from_client]
    down = [json.loads(message.content) for message in heard.messages if not message.from_client]
    assert (TOKEN.encode() in up[0], TOKEN in said(down)) == (not redacts, not redacts)
    if not redacts:
        assert up == [message.data for message in provider.asked]


# -- limits


async def test_a_message_that_is_too_big_is_not_read_on(tmp_path: Path) -> None:
    provider = Provider()
    async with carried(tmp_path, PERMIT + "limits: {request_body: 10000}\n", provider) as socket:
        await ask(socket, "small")
        await socket.send(dump(create("big " * 500_000)))
        assert await socket.receive() == Closed(1009, "message too big")
    assert len(provider.asked) == 1
    assert [end.code for end in provider.ends] == [1009]


async def test_an_answer_that_is_too_big_is_not_delivered(tmp_path: Path) -> None:
    provider = Provider(lambda _: says("big " * 10_000))
    async with carried(tmp_path, PERMIT + "limits: {response_body: 10000}\n", provider) as socket:
        await socket.tell([create("Hi")])
        got = []
        while isinstance(message := await socket.receive(), Message):
            got.append(message.json)
    assert message == Closed(1009, "message too big")
    assert "big" not in dump(got)


async def test_a_message_that_expands_is_too_big_all_the_same(tmp_path: Path) -> None:
    provider = Provider(deflate=True)
    async with carried(tmp_path, PERMIT + "limits: {request_body: 10000}\n", provider, deflate=True) as socket:
        await socket.send(dump(create("big " * 500_000)))
        assert await socket.receive() == Closed(1009, "message too big")
    assert provider.asked == []


async def test_no_more_is_held_than_the_policy_allows(tmp_path: Path) -> None:
    policy = """version: 1
limits: {held: 10000}
rules:
  - {id: calls, at: pre_tool_execution, tools: [nothing], verdict: deny}
"""
    long = Call("shell", tuple(["x" * 500] * 40))
    provider = Provider(lambda _: Answer((long,)))
    async with carried(tmp_path, policy, provider) as socket:
        await socket.tell([create("Hi")])
        got = []
        while isinstance(message := await socket.receive(), Message):
            got.append(message.json)
    assert "limits.held" in got[-1]["error"]["message"]
    assert message == Closed(1008, "refused by policy")
    assert "xxx" not in dump(got)
    assert [record["failure"] for record in answered(tmp_path)] == ["closed: StreamRefusedError"]


# -- faults


class InjectedError(RuntimeError):
    """The fault. No code of midstream's knows it."""


def breaking(*_: Any, **__: Any) -> Any:
    raise InjectedError("injected")


UPWARD: dict[str, tuple[Any, str]] = {
    "exchange": (Exchange, "on_request"),
    "detector": (FindingCache, "scan"),
}


@pytest.mark.parametrize("fault", UPWARD)
async def test_a_fault_on_the_way_up_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    provider = Provider()
    async with carried(tmp_path, REDACT, provider) as socket:
        await ask(socket, "before")
        monkeypatch.setattr(*UPWARD[fault], breaking)
        await socket.tell([create("after")])
        assert await socket.receive() == Closed(1006)
        monkeypatch.undo()
    assert len(provider.asked) == 1
    assert [record["policy"] for record in records(tmp_path, "failure")] == ["closed"]


async def test_a_fault_on_the_way_down_ends_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with carried(tmp_path, REDACT, Provider()) as socket:
        assert said(await ask(socket, "before")) == "Hello world."
        monkeypatch.setattr(Guard, "pump", breaking)
        await socket.tell([create("after")])
        assert await socket.receive() == Closed(1006)
        monkeypatch.undo()
    assert [record["failure"] for record in answered(tmp_path)] == [None, "closed: InjectedError"]


@pytest.mark.parametrize("fault", UPWARD)
async def test_failure_open_lets_a_message_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    provider = Provider()
    async with carried(tmp_path, "failure: open\n" + REDACT, provider) as socket:
        with monkeypatch.context() as patch:
            patch.setattr(*UPWARD[fault], breaking)
            await socket.tell([create("after all")])
            first = (await socket.message()).json
        assert said([first, *await whole(socket)]) == "Hello world."
    assert b"after all" in provider.asked[0].data
    assert {record["policy"] for record in records(tmp_path, "failure")} == {"open"}


async def test_failure_open_lets_an_answer_down_whole_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was held when the guard broke; the next answer is guarded again."""
    broken = asyncio.Event()
    answers = [list(events(says("one ", "two", TOKEN[:9], " three"))), list(events(says("Use ", TOKEN)))]

    async def talk(socket: Socket) -> None:
        await socket.message()
        await socket.tell(answers[0][:6])
        await broken.wait()
        await socket.tell(answers[0][6:])
        await socket.message()
        await socket.tell(answers[1])
        await socket.receive()

    async with carried(tmp_path, "failure: open\n" + REDACT, talking(talk)) as socket:
        await socket.tell([create("Hi")])
        got = [(await socket.message()).json for _ in range(5)]
        with monkeypatch.context() as patch:
            patch.setattr(Guard, "pump", breaking)
            broken.set()
            got += await whole(socket)
        assert got == answers[0]
        assert TOKEN not in dump(await ask(socket, "Again"))
    assert [record["failure"] for record in answered(tmp_path)] == ["open: InjectedError", None]


# -- handshakes


async def test_an_upgrade_that_the_provider_refuses_is_refused(tmp_path: Path) -> None:
    error = b'{"error":{"message":"No such key."}}'
    head = b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(error)
    with pytest.raises(RefusedError) as refused:
        async with carried(tmp_path, REDACT, net.answering(head + error)):
            pass
    assert (refused.value.status, refused.value.body) == (401, error)


async def test_a_format_that_knows_no_websocket_is_refused_one(tmp_path: Path) -> None:
    async with scripted(tmp_path, PERMIT, net.answering(b"")) as proxy, proxy.client() as client:
        with pytest.raises(RefusedError) as refused:
            await sockets.connect(client, "/v1/chat/completions")
        assert proxy.upstream.connections == 0
    assert refused.value.status == 426


@pytest.mark.parametrize("unrecognised", ["permit", "deny"])
async def test_a_websocket_that_nobody_reads_passes_or_is_denied(tmp_path: Path, unrecognised: str) -> None:
    async def talk(socket: Socket) -> None:
        message = await socket.message()
        await socket.send(*message.frames)
        await socket.receive()

    async with (
        asyncio.timeout(WITHIN),
        scripted(tmp_path, f"version: 1\nunrecognised: {unrecognised}\n", talking(talk)) as proxy,
        proxy.client() as client,
    ):
        if unrecognised == "deny":
            with pytest.raises(RefusedError, match="403"):
                await sockets.connect(client, "/chat")
            return
        socket = await sockets.connect(client, "/chat")
        await socket.send(b"\x00\xff", b"\x01")
        assert await socket.receive() == Message((b"\x00\xff", b"\x01"), is_text=False)
