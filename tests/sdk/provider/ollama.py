"""Ollama's chat, generate and embed (docs/api.md): JSON lines unless the request says `"stream": false`."""

from collections.abc import Iterator
from typing import Any

from proxy.demo.answers import Answer, Call, Raw, Received
from tests.sdk.provider.writing import VECTOR, arguments, document, lines, stream

_KIND = "application/x-ndjson"


def chat(request: Received, answer: Answer) -> Raw:
    """`POST /api/chat`; a call comes whole, in a line of its own."""
    calls = [{"id": part.id, "function": _function(at, part)} for at, part in enumerate(answer.calls)]
    if not request.json.get("stream", True):
        message = {"role": "assistant", "content": answer.text} | ({"tool_calls": calls} if calls else {})
        return document({**_head(request), "message": message, **_end(answer)})
    return stream(_KIND, lines(_chat_lines(request, answer, calls)), answer)


def _function(at: int, part: Call) -> dict[str, Any]:
    return {"index": at, "name": part.name, "arguments": arguments(part)}


def _head(request: Received) -> dict[str, Any]:
    return {"model": request.json["model"], "created_at": "2026-01-01T00:00:00.000000Z"}


def _end(answer: Answer) -> dict[str, Any]:
    took = {"total_duration": 9, "load_duration": 1, "prompt_eval_duration": 3, "eval_duration": 5}
    counted = {"prompt_eval_count": answer.input_tokens, "eval_count": answer.output_tokens}
    return {"done": True, "done_reason": "stop", **took, **counted}


def _chat_lines(request: Received, answer: Answer, calls: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for piece in _pieces(answer):
        yield {**_head(request), "message": {"role": "assistant", "content": piece}, "done": False}
    for call in calls:
        message = {"role": "assistant", "content": "", "tool_calls": [call]}
        yield {**_head(request), "message": message, "done": False}
    yield {**_head(request), "message": {"role": "assistant", "content": ""}, **_end(answer)}


def _pieces(answer: Answer) -> list[str]:
    return [piece for part in answer.content if not isinstance(part, Call) for piece in part.pieces]


def generate(request: Received, answer: Answer) -> Raw:
    """`POST /api/generate`: a completion, without calls."""
    end = {**_end(answer), "context": [1, 2, 3]}
    if not request.json.get("stream", True):
        return document({**_head(request), "response": answer.text, **end})
    written = [{**_head(request), "response": piece, "done": False} for piece in _pieces(answer)]
    return stream(_KIND, lines([*written, {**_head(request), "response": "", **end}]), answer)


def embeddings(request: Received, answer: Answer) -> Raw:
    """`POST /api/embed`."""
    inputs = request.json["input"]
    rows = [VECTOR] * (1 if isinstance(inputs, str) else len(inputs))
    return document({"model": request.json["model"], "embeddings": rows, "prompt_eval_count": answer.input_tokens})
