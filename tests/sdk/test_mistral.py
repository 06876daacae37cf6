"""Mistral's SDK through midstream: chat and embeddings."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from mistralai.client import Mistral
from mistralai.client.errors import SDKError

from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import KEY, PERMIT_ALL, Lines
from tests.sdk.contract import SECRET, TOOLS, Contract, Told
from tests.sdk.lines import Line
from tests.serving import GUARDED

MODEL = "mistral-small-latest"
OFFERED = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]


@contextmanager
def _client(line: Line) -> Iterator[Any]:
    http: Any = httpx.Client(**line.httpx)  # the SDK spells out a protocol that only an older httpx meets
    with http, Mistral(api_key=KEY, client=http) as client:
        yield client


def _calls(message: Any) -> list[tuple[str, Any]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]


def _whole(response: Any) -> Told:
    choice = response.choices[0]
    return Told(choice.message.content, _calls(choice.message), choice.finish_reason, response.model_dump())


def _streamed(events: list[Any]) -> Told:
    choices = [event.data.choices[0] for event in events]
    text = "".join(choice.delta.content or "" for choice in choices)
    calls = [call for choice in choices for call in _calls(choice.delta)]
    return Told(text, calls, choices[-1].finish_reason, [event.model_dump() for event in events])


class TestChat(Contract):
    """`POST /v1/chat/completions` of api.mistral.ai."""

    ended, calling = "stop", "tool_calls"
    refused = SDKError

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        asked: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}], "tools": OFFERED}
        with _client(line) as client:
            if not streaming:
                return _whole(client.chat.complete(model=MODEL, **asked))
            with client.chat.stream(model=MODEL, **asked) as stream:
                return _streamed(list(stream))

    def give(self, line: Line, name: str, result: str) -> Told:
        function = {"name": name, "arguments": '{"city":"Paris"}'}
        history = [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "call00000", "function": function}]},
            {"role": "tool", "tool_call_id": "call00000", "name": name, "content": result},
        ]
        with _client(line) as client:
            return _whole(client.chat.complete(model=MODEL, messages=history, tools=OFFERED))


def test_embeddings(straight: Line, lines: Lines, stand_in: StandIn) -> None:
    for line in (straight, lines(PERMIT_ALL), lines(GUARDED)):
        with _client(line) as client:
            made = client.embeddings.create(model="mistral-embed", inputs=["Hello.", f"Key {SECRET}"])
        assert [row.embedding for row in made.data] == [[0.25, -0.5, 1.0]] * 2
    one, two, three = stand_in.requests
    assert one.body == two.body
    assert SECRET not in three.text
    assert three.json["input"][0] == "Hello."
