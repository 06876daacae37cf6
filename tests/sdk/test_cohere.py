"""Cohere's SDK through midstream: chat in both versions, and embeddings."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cohere
import httpx

from proxy.demo.answers import Answer, Text
from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import KEY, PERMIT_ALL, Lines
from tests.sdk.contract import READ_ENV, SECRET, TOOLS, Contract, Told
from tests.sdk.lines import Line
from tests.serving import GUARDED

MODEL = "command-a-03-2025"
OFFERED = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]
OFFERED_V1 = [{"name": name, "description": "Does it.", "parameter_definitions": {}} for name in TOOLS]


@contextmanager
def _client(line: Line, kind: Any = cohere.ClientV2) -> Iterator[Any]:
    with httpx.Client(**line.httpx) as http:
        yield kind(KEY, httpx_client=http)


def _whole(response: Any) -> Told:
    message = response.message
    text = (message.tool_plan or "") + "".join(block.text for block in message.content or ())
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
    return Told(text, calls, response.finish_reason, response.model_dump())


def _streamed(events: list[Any]) -> Told:
    """Assembled by index, as Cohere's guide to streaming does."""
    text, stop = "", None
    calls: dict[int, tuple[str, list[str]]] = {}
    for event in events:
        match event.type:
            case "tool-plan-delta":
                text += event.delta.message.tool_plan
            case "content-start" | "content-delta":
                text += event.delta.message.content.text
            case "tool-call-start":
                calls[event.index] = (event.delta.message.tool_calls.function.name, [])
            case "tool-call-delta":
                calls[event.index][1].append(event.delta.message.tool_calls.function.arguments)
            case "message-end":
                stop = event.delta.finish_reason
    assembled = [(name, json.loads("".join(fragments))) for name, fragments in calls.values()]
    return Told(text, assembled, stop, [event.model_dump() for event in events])


class TestV2(Contract):
    """`POST /v2/chat`."""

    ended, calling = "COMPLETE", "TOOL_CALL"
    refused = cohere.BadRequestError

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        asked: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}], "tools": OFFERED}
        with _client(line) as client:
            if streaming:
                return _streamed(list(client.chat_stream(model=MODEL, **asked)))
            return _whole(client.chat(model=MODEL, **asked))

    def give(self, line: Line, name: str, result: str) -> Told:
        call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": '{"city":"Paris"}'}}
        history = [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "tool_plan": "I look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": result},
        ]
        with _client(line) as client:
            return _whole(client.chat(model=MODEL, messages=history, tools=OFFERED))


def _told_v1(response: Any, whole: Any) -> Told:
    calls = [(call.name, call.parameters) for call in response.tool_calls or ()]
    return Told(response.text, calls, response.finish_reason, whole)


class TestV1(Contract):
    """`POST /v1/chat`; streamed as JSON lines."""

    ended = calling = "COMPLETE"
    refused = cohere.BadRequestError

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        with _client(line, cohere.Client) as client:
            if not streaming:
                response = client.chat(model=MODEL, message=prompt, tools=OFFERED_V1)
                return _told_v1(response, response.model_dump())
            events = list(client.chat_stream(model=MODEL, message=prompt, tools=OFFERED_V1))
        told = _told_v1(events[-1].response, [event.model_dump() for event in events])
        # The last event repeats what came before, and must say the same.
        assert told.text == "".join(event.text for event in events if event.event_type == "text-generation")
        calls = [call for event in events if event.event_type == "tool-calls-generation" for call in event.tool_calls]
        assert told.calls == [(call.name, call.parameters) for call in calls]
        return told

    def give(self, line: Line, name: str, result: str) -> Told:
        given = {"call": {"name": name, "parameters": {"city": "Paris"}}, "outputs": [{"text": result}]}
        with _client(line, cohere.Client) as client:
            response = client.chat(model=MODEL, message="Look.", tools=OFFERED_V1, tool_results=[given])
        return _told_v1(response, response.model_dump())


def test_the_notice_of_a_stream_is_content(lines: Lines, stand_in: StandIn) -> None:
    """Clients show content, not the plan: a content block opens, says it and closes before the message ends."""
    stand_in.scenario = lambda _: Answer((Text("I will ", "read it."), READ_ENV))
    with _client(lines(GUARDED)) as client:
        events = list(client.chat_stream(model=MODEL, messages=[{"role": "user", "content": "Go."}], tools=OFFERED))
    kinds = [event.type for event in events if event.type != "tool-plan-delta"]
    assert kinds == ["message-start", "content-start", "content-delta", "content-end", "message-end"]


def test_embeddings(straight: Line, lines: Lines, stand_in: StandIn) -> None:
    for line in (straight, lines(PERMIT_ALL), lines(GUARDED)):
        with _client(line) as client:
            texts = ["Hello.", f"Key {SECRET}"]
            made = client.embed(model="embed-v4.0", texts=texts, input_type="classification", embedding_types=["float"])
        assert made.embeddings.float_ == [[0.25, -0.5, 1.0]] * 2
    one, two, three = stand_in.requests
    assert one.body == two.body
    assert SECRET not in three.text
    assert three.json["texts"][0] == "Hello."
