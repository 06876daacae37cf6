"""Ollama's SDK through midstream: chat, generate and embeddings of ollama.com."""

from typing import Any

import ollama

from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import PERMIT_ALL, Lines
from tests.sdk.contract import SECRET, TOOLS, Contract, TextContract, Told
from tests.sdk.lines import Line
from tests.serving import GUARDED

MODEL = "gpt-oss:20b"
OFFERED = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]


def _client(line: Line) -> Any:
    return ollama.Client(host="https://ollama.com", **line.httpx)


def _calls(message: Any) -> list[tuple[str, Any]]:
    return [(call.function.name, dict(call.function.arguments)) for call in message.tool_calls or ()]


class TestChat(Contract):
    """`POST /api/chat`."""

    ended = calling = "stop"
    refused = ollama.ResponseError

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        return self._said(line, [{"role": "user", "content": prompt}], streaming=streaming)

    def _said(self, line: Line, messages: list[dict[str, Any]], *, streaming: bool) -> Told:
        with _client(line) as client:
            got = client.chat(model=MODEL, messages=messages, tools=OFFERED, stream=streaming)
            chunks = list(got) if streaming else [got]
        text = "".join(chunk.message.content or "" for chunk in chunks)
        calls = [call for chunk in chunks for call in _calls(chunk.message)]
        return Told(text, calls, chunks[-1].done_reason, [chunk.model_dump() for chunk in chunks])

    def give(self, line: Line, name: str, result: str) -> Told:
        call = {"function": {"name": name, "arguments": {"city": "Paris"}}}
        history: list[dict[str, Any]] = [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_name": name, "content": result},
        ]
        return self._said(line, history, streaming=False)


class TestGenerate(TextContract):
    """`POST /api/generate`."""

    refused = ollama.ResponseError

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        with _client(line) as client:
            got = client.generate(model=MODEL, prompt=prompt, stream=streaming)
            chunks = list(got) if streaming else [got]
        text = "".join(chunk.response for chunk in chunks)
        return Told(text, [], chunks[-1].done_reason, [chunk.model_dump() for chunk in chunks])


def test_embeddings(straight: Line, lines: Lines, stand_in: StandIn) -> None:
    for line in (straight, lines(PERMIT_ALL), lines(GUARDED)):
        with _client(line) as client:
            made = client.embed(model="nomic-embed-text", input=["Hello.", f"Key {SECRET}"])
        assert made.embeddings == [[0.25, -0.5, 1.0]] * 2
    one, two, three = stand_in.requests
    assert one.body == two.body
    assert SECRET not in three.text
    assert three.json["input"][0] == "Hello."
