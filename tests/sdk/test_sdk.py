"""The official SDKs, straight to the stand-in and behind midstream with an empty policy: the same either way."""

import asyncio
import json

import anthropic
import httpx2
import openai
import pytest

from proxy.demo.answers import Answer, Cut, Failure, Raw, Received, Text, call, says
from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import ANTHROPIC_MODEL, OPENAI_MODEL, Way

ASK = [{"role": "user", "content": "Say it."}]
OPENAI_TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
ANTHROPIC_TOOLS = [{"name": "get_weather", "input_schema": {"type": "object"}}]
TEXT = ("Grüße, ", "“all”\n", "\U0001f600 of it.")


def _both(_: Received) -> Answer:
    return Answer(
        (Text("Two ", "calls."), call("get_weather", {"city": 'Köln "x"'}), call("other", {}, call_id="call_2"))
    )


def test_openai_whole(way: Way, stand_in: StandIn) -> None:
    stand_in.scenario = lambda _: says(*TEXT, input_tokens=30, cached_tokens=10)
    answer = way.openai().chat.completions.create(model=OPENAI_MODEL, messages=ASK)
    assert answer.choices[0].message.content == "".join(TEXT)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 30
    assert answer.usage.prompt_tokens_details.cached_tokens == 10


@pytest.mark.parametrize("chunk_size", [0, 1, 7])
def test_openai_stream(way: Way, stand_in: StandIn, chunk_size: int) -> None:
    stand_in.scenario = lambda _: says(*TEXT, chunk_size=chunk_size)
    stream = way.openai().chat.completions.create(
        model=OPENAI_MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "".join(TEXT)
    assert chunks[-1].usage.total_tokens == 19


def test_openai_stream_helper_assembles_calls(way: Way, stand_in: StandIn) -> None:
    stand_in.scenario = _both
    with way.openai().chat.completions.stream(model=OPENAI_MODEL, messages=ASK, tools=OPENAI_TOOLS) as stream:
        message = stream.get_final_completion().choices[0]
    assert message.finish_reason == "tool_calls"
    assert message.message.content == "Two calls."
    assert [(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.message.tool_calls] == [
        ("call_1", "get_weather", {"city": 'Köln "x"'}),
        ("call_2", "other", {}),
    ]


async def test_openai_async(way: Way, stand_in: StandIn) -> None:
    stand_in.scenario = _both
    async with way.async_openai() as client:
        whole = await client.chat.completions.create(model=OPENAI_MODEL, messages=ASK, tools=OPENAI_TOOLS)
        async with client.chat.completions.stream(model=OPENAI_MODEL, messages=ASK, tools=OPENAI_TOOLS) as stream:
            streamed = await stream.get_final_completion()
    assert len(whole.choices[0].message.tool_calls) == len(streamed.choices[0].message.tool_calls) == 2


def test_anthropic_whole(way: Way, stand_in: StandIn) -> None:
    stand_in.scenario = lambda _: says(*TEXT, input_tokens=30, cached_tokens=10)
    answer = way.anthropic().messages.create(model=ANTHROPIC_MODEL, max_tokens=99, messages=ASK)
    assert answer.content[0].text == "".join(TEXT)
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (20, 10)


@pytest.mark.parametrize("chunk_size", [0, 1, 7])
def test_anthropic_stream(way: Way, stand_in: StandIn, chunk_size: int) -> None:
    stand_in.scenario = lambda _: says(*TEXT, chunk_size=chunk_size)
    with way.anthropic().messages.stream(model=ANTHROPIC_MODEL, max_tokens=99, messages=ASK) as stream:
        assert "".join(stream.text_stream) == "".join(TEXT)
        assert stream.get_final_message().usage.output_tokens == 7


def test_anthropic_stream_helper_assembles_calls(way: Way, stand_in: StandIn) -> None:
    stand_in.scenario = _both
    with way.anthropic().messages.stream(
        model=ANTHROPIC_MODEL, max_tokens=99, messages=ASK, tools=ANTHROPIC_TOOLS
    ) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    text, *calls = message.content
    assert text.text == "Two calls."
    assert [(c.id, c.name, c.input) for c in calls] == [
        ("call_1", "get_weather", {"city": 'Köln "x"'}),
        ("call_2", "other", {}),
    ]


async def test_anthropic_async(way: Way, stand_in: StandIn) -> None:
    stand_in.scenario = _both
    async with way.async_anthropic() as client:
        whole = await client.messages.create(model=ANTHROPIC_MODEL, max_tokens=99, messages=ASK, tools=ANTHROPIC_TOOLS)
        async with client.messages.stream(
            model=ANTHROPIC_MODEL, max_tokens=99, messages=ASK, tools=ANTHROPIC_TOOLS
        ) as stream:
            streamed = await stream.get_final_message()
    assert [b.type for b in whole.content] == [b.type for b in streamed.content] == ["text", "tool_use", "tool_use"]


def test_default_scenario_runs_a_tool_turn(way: Way, stand_in: StandIn) -> None:
    client = way.anthropic()
    tools = [{"name": "Bash", "input_schema": {"type": "object"}}]
    first = client.messages.create(model=ANTHROPIC_MODEL, max_tokens=99, messages=ASK, tools=tools)
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "TOOL_RAN_OK"}
    history = [*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(model=ANTHROPIC_MODEL, max_tokens=99, messages=history, tools=tools)
    assert first.content[1].input["command"] == "echo TOOL_RAN_OK"
    assert second.content[0].text == "FINAL_TEXT_OK"
    assert len(stand_in.requests) == 2


def test_other_endpoints(way: Way) -> None:
    assert way.openai().models.list().data[0].id == "gpt-standin"
    assert way.anthropic().models.list().data[0].id == "claude-standin"
    counted = way.anthropic().messages.count_tokens(model=ANTHROPIC_MODEL, messages=ASK)
    assert counted.input_tokens > 0
    with pytest.raises(openai.NotFoundError, match="Unknown request URL"):
        way.openai().moderations.create(input="x")


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (401, 1), (429, 2), (500, 2)])
def test_errors_of_the_provider_reach_the_agent(way: Way, stand_in: StandIn, status: int, tries: int) -> None:
    quick = (("retry-after-ms", "1"),)
    stand_in.scenario = lambda _: Failure(status, "no such luck", quick)
    with pytest.raises(openai.APIStatusError, match="no such luck") as chat:
        way.openai(max_retries=1).chat.completions.create(model=OPENAI_MODEL, messages=ASK)
    with pytest.raises(anthropic.APIStatusError, match="no such luck") as message:
        way.anthropic(max_retries=1).messages.create(model=ANTHROPIC_MODEL, max_tokens=9, messages=ASK)
    assert chat.value.status_code == message.value.status_code == status
    assert len(stand_in.requests) == way.sent == 2 * tries


def test_request_reaches_the_provider_byte_for_byte(way: Way, stand_in: StandIn) -> None:
    """Promise 1: no rule, no change; spacing, escapes and key order included."""
    body = (
        b'{ "model":"'
        + OPENAI_MODEL.encode()
        + b'",\t"messages":[{"content":"\\u00e9\\/ \xc3\xa9", "role":"user"}] }\n'
    )
    client = way.openai()
    client.post("/chat/completions", cast_to=object, content=body, options={"headers": {"x-extra": "kept"}})
    assert stand_in.requests[0].body == body
    assert stand_in.requests[0].header("x-extra") == "kept"


def test_response_reaches_the_agent_byte_for_byte(way: Way, stand_in: StandIn) -> None:
    body = b'{"id" : "\\u0078","choices":[{"index":0,"message":{"role":"assistant","content":"\\u00e9"}} ] }\r\n'
    stand_in.scenario = lambda _: Raw((body[:30], body[30:]))
    got = way.openai().chat.completions.with_raw_response.create(model=OPENAI_MODEL, messages=ASK)
    assert got.content == body


def test_stream_reaches_the_agent_byte_for_byte(way: Way, stand_in: StandIn) -> None:
    events = (
        b": comment\n\n",
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a\\u00e9"}}] }   \r\n\r\n',
        b'data:{"choices":[],"x":"\xe2\x80\xa8"}\n\n',
        b"data: [DONE]\n\n",
    )
    stand_in.scenario = lambda _: Raw(events, headers=(("content-type", "text/event-stream"),))
    streaming = way.openai().chat.completions.with_streaming_response
    with streaming.create(model=OPENAI_MODEL, messages=ASK, stream=True) as response:
        assert b"".join(response.iter_bytes()) == b"".join(events)


class Gate:
    """Holds a stream back before one chunk until the test opens it, from its own thread."""

    def __init__(self, chunk: int) -> None:
        self._chunk, self._open = chunk, asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def before(self, index: int) -> None:
        self._loop = asyncio.get_running_loop()
        if index == self._chunk:
            await self._open.wait()

    def open(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._open.set)


def test_first_words_arrive_before_the_last_are_sent(way: Way, stand_in: StandIn) -> None:
    gate = Gate(3)
    stand_in.scenario = lambda _: says("first words ", "more ", "last", before=gate.before)
    stream = way.openai().chat.completions.create(model=OPENAI_MODEL, messages=ASK, stream=True)
    chunks = (c.choices[0].delta.content for c in stream if c.choices)
    assert next(text for text in chunks if text) == "first words "
    gate.open()
    assert "".join(text or "" for text in chunks) == "more last"


def test_agent_that_leaves_is_noticed_upstream(way: Way, stand_in: StandIn) -> None:
    gate = Gate(4)
    stand_in.scenario = lambda _: says("one ", "two ", "three ", before=gate.before)
    with way.anthropic().messages.stream(model=ANTHROPIC_MODEL, max_tokens=9, messages=ASK) as stream:
        next(iter(stream.text_stream))
    if way.http2:
        way.close()  # the SDKs' HTTP client resets no stream it leaves: only the connection's end shows it
    assert stand_in.requests[0].finished.wait(10)
    assert stand_in.requests[0].outcome == "client_gone"


def test_stream_that_ends_early_stays_short(way: Way, stand_in: StandIn) -> None:
    """clients-notes.md: a clean end of body mid-stream raises nothing in the SDK; what came is delivered."""
    stand_in.scenario = lambda _: says("all ", "there ", "is ", "gone", cut=Cut(4))
    stream = way.openai().chat.completions.create(model=OPENAI_MODEL, messages=ASK, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == "all there is "


def test_stream_that_is_reset_raises(way: Way, stand_in: StandIn) -> None:
    stand_in.scenario = lambda _: says("all ", "there ", "is ", "gone", cut=Cut(4, "abort"))
    stream = way.openai(max_retries=0).chat.completions.create(model=OPENAI_MODEL, messages=ASK, stream=True)
    with pytest.raises(openai.APIConnectionError):
        list(stream)
    stand_in.scenario = lambda _: says("all ", "gone", cut=Cut(4, "abort"))
    with (
        pytest.raises(httpx2.TransportError),  # the SDK lets the error of its HTTP client through, mid-stream
        way.anthropic(max_retries=0).messages.stream(model=ANTHROPIC_MODEL, max_tokens=9, messages=ASK) as message,
    ):
        message.until_done()


def test_answer_that_is_reset_raises(way: Way, stand_in: StandIn) -> None:
    """Nothing of the half is delivered: straight the connection breaks, behind midstream it is a 502."""
    stand_in.scenario = lambda _: says("whole", cut=Cut(1, "abort"))
    with pytest.raises((openai.APIConnectionError, openai.InternalServerError)):
        way.openai(max_retries=0).chat.completions.create(model=OPENAI_MODEL, messages=ASK)
