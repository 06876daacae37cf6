"""Streams: what users of this field's tools ran into (pain-points.md, rows 1-5, 11 and 20).

Through the running proxy, real TLS on both sides.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests import net
from tests.behind import CHAT, answer, asking, saying, serving
from tests.judging import REDACT
from tests.net import chunk
from tests.scripted import MESSAGES, ask, ledgers, replying, scripted, streamed
from tests.wire import Call, anthropic_answer, anthropic_stream, openai_answer, openai_stream

TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
EMAIL = "grace.hopper@navy-lab.org"

FORMATS: dict[str, tuple[str, Any, Any]] = {
    "openai_chat": (CHAT, openai_stream, openai_answer),
    "anthropic": (MESSAGES, anthropic_stream, anthropic_answer),
}
each_format = pytest.mark.parametrize("codec", FORMATS)


def asking_stream(text: str = "hello") -> bytes:
    return asking(text, stream=True, max_tokens=9)


@each_format
@pytest.mark.parametrize("said", [True, False], ids=["event-stream", "wrong-content-type"])
async def test_response_redaction_works_on_streams(tmp_path: Path, codec: str, said: bool) -> None:
    """Row 1 (agentgateway 2956): the answer is redacted whether or not it is called a stream."""
    path, make, read = FORMATS[codec]
    kind = "text/event-stream" if said else "application/octet-stream"
    async with serving(tmp_path, REDACT, answer(make([f"Use {TOKEN} now."]), kind=kind)) as running:
        status, body = await ask(running.proxy, path, asking_stream())
    assert status == 200
    assert read(body).text == "Use [REDACTED:github_token] now."


@each_format
@pytest.mark.parametrize("size", [1, 7])
async def test_a_value_split_across_chunks_is_found(tmp_path: Path, codec: str, size: int) -> None:
    """Row 2 (litellm 41611, 41936): in text and in a tool call's arguments."""
    path, make, read = FORMATS[codec]
    arguments = json.dumps({"key": TOKEN})
    stream = make(pieces(f"Use {TOKEN} now.", size), [Call("send", pieces(arguments, size))])
    async with serving(tmp_path, REDACT, streamed(stream)) as running:
        _, body = await ask(running.proxy, path, asking_stream())
    got = read(body)
    assert got.text == "Use [REDACTED:github_token] now."
    assert [(name, json.loads(text)) for name, text in got.calls] == [("send", {"key": "[REDACTED:github_token]"})]


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@each_format
async def test_the_first_token_does_not_wait_for_the_last(tmp_path: Path, codec: str) -> None:
    """Row 3 (litellm 29134, 38722): upstream goes on only when the client has the first words, up to the last white
    space: a value may go on after it."""
    path, make, _ = FORMATS[codec]
    begun, rest = cut_after(make(["First words, ", "then", " the rest."]), b"then")
    heard = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED + chunk(begun))
        await heard.wait()
        writer.write(chunk(rest) + chunk(b""))

    async with scripted(tmp_path, REDACT, script) as proxy, proxy.client() as client, asyncio.timeout(10):
        await client.send("POST", path, asking_stream(), ["content-type: application/json"])
        await client.head()
        received = b""
        while b"First words" not in received:
            received += await client.piece()
        heard.set()
        while piece := await client.piece():
            received += piece
    assert received == begun + rest


def cut_after(stream: bytes, mark: bytes) -> tuple[bytes, bytes]:
    at = stream.index(b"\n\n", stream.index(mark)) + 2
    return stream[:at], stream[at:]


DENY_ANSWER = """
version: 1
rules:
  - {id: no-keys, at: post_llm_response, find: [secret], verdict: deny, reason: keys stay}
  - id: no-dotenv
    at: pre_tool_execution
    when: tool.arguments.exists(k, string(tool.arguments[k]).contains('.env'))
    verdict: deny
    reason: credential files stay
"""


@each_format
async def test_nothing_partial_leaks_before_a_block(tmp_path: Path, codec: str) -> None:
    """Row 4 (defenseclaw 99): of a denied answer or a denied call the client sees the refusal and nothing else."""
    path, make, read = FORMATS[codec]
    stream = make(["The key, ", "as promised: ", TOKEN])
    async with serving(tmp_path, DENY_ANSWER, streamed(stream)) as running:
        _, body = await ask(running.proxy, path, asking_stream())
    assert b"promised" not in body and TOKEN[:8].encode() not in body
    assert "denied by rule no-keys" in read(body).text


@each_format
async def test_nothing_of_a_denied_call_leaks(tmp_path: Path, codec: str) -> None:
    """Row 4, for the arguments of a call: they stop an agent only as long as it never saw them."""
    path, make, read = FORMATS[codec]
    stream = make(["Let me look."], [Call("read_file", ['{"path": "/srv/', "app/", '.env"}'])])
    async with serving(tmp_path, DENY_ANSWER, streamed(stream)) as running:
        _, body = await ask(running.proxy, path, asking_stream())
    got = read(body)
    assert b"/srv/" not in body and got.calls == []
    assert got.text.startswith("Let me look.") and "denied by rule no-dotenv" in got.text
    assert got.stop in ("stop", "end_turn")


@each_format
async def test_a_response_rule_never_touches_streams_it_does_not_match(tmp_path: Path, codec: str) -> None:
    """Row 5 (agentgateway 3603): byte for byte as the provider sent it."""
    path, make, _ = FORMATS[codec]
    stream = make(["Zwölf „Boxer“ ", "\u2028jagen 😀"], [Call("send", ['{"a": ', "1.50}"])])
    async with serving(tmp_path, REDACT, streamed(stream)) as running:
        _, body = await ask(running.proxy, path, asking_stream())
    assert body == stream


@each_format
@pytest.mark.parametrize("size", [1, 100])
async def test_placeholders_are_restored_in_tool_arguments(tmp_path: Path, codec: str, size: int) -> None:
    """Row 11 (litellm 31950, pasteguard 166): the provider sees the placeholder, the tool gets the address."""
    path, make, read = FORMATS[codec]
    seen: list[bytes] = []

    def echo(request: Any) -> bytes:
        arguments = json.dumps({"to": request["messages"][-1]["content"].split()[-1]})
        return streamed(make([], [Call("send", pieces(arguments, size))]))

    async with scripted(tmp_path, REDACT, replying(echo, seen)) as proxy:
        _, body = await ask(proxy, path, asking_stream(f"Write to {EMAIL}"))
    assert EMAIL.encode() not in seen[0]
    assert [(name, json.loads(text)) for name, text in read(body).calls] == [("send", {"to": EMAIL})]


async def test_someone_else_s_placeholder_is_left_alone(tmp_path: Path) -> None:
    """Beside row 11: a placeholder that this request did not make is the provider's invention, and stays text."""
    invented = "⟪PII_email_zzzzz⟫"
    async with serving(tmp_path, REDACT, answer(saying(f"Ask {invented}."))) as running:
        _, body = await ask(running.proxy, CHAT, asking(f"Mail {EMAIL} or {invented}"))
    assert orjson.loads(body)["choices"][0]["message"]["content"] == f"Ask {invented}."


SPENDING = """
version: 1
budgets: [{id: day, per: agent, window: day, limit: {tokens: 1_000_000, usd: 100}}]
"""


@each_format
async def test_streamed_responses_are_accounted(tmp_path: Path, codec: str) -> None:
    """Row 20 (ai-gateway 281, higress 4145, litellm 36008): by the provider's own count."""
    path, make, _ = FORMATS[codec]
    async with serving(tmp_path, SPENDING, streamed(make(["Hello."]))) as running:
        await ask(running.proxy, path, asking_stream())
    (row,) = await ledgers(tmp_path)
    assert (row.used.requests, row.used.tokens) == (1, 18)  # 11 in, 7 out
    assert row.used.nano_usd > 0
    assert not any(row.reserved)


@each_format
async def test_aborted_responses_are_accounted(tmp_path: Path, codec: str) -> None:
    """Row 20 (bitrouter 537): a client that leaves in the middle has spent its input and what it was sent."""
    path, make, _ = FORMATS[codec]
    begun, _ = cut_after(make(["First words, then ", "the rest."]), b"First words")
    left = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED + chunk(begun))
        await reader.read()  # until the proxy hangs up
        left.set()

    async with scripted(tmp_path, SPENDING, script) as proxy, asyncio.timeout(10):
        async with proxy.client() as client:
            await client.send("POST", path, asking_stream("hello " * 100), ["content-type: application/json"])
            await client.head()
            await client.piece()
        await left.wait()
    (row,) = await ledgers(tmp_path)
    assert row.used.requests == 1 and row.used.tokens > 10
    assert not any(row.reserved)
