"""Mistral's chat completions where they differ from OpenAI's: ids of nine characters, padding, usage unasked."""

from collections.abc import Iterator
from typing import Any

from proxy.demo.answers import Answer, Call, Raw, Received, Text
from tests.sdk.provider.writing import CREATED, data, document, sse


def chat(request: Received, answer: Answer) -> Raw:
    """`POST /v1/chat/completions`."""
    if request.json.get("stream"):
        return sse(_events(request, answer), answer)
    message: dict[str, Any] = {"role": "assistant", "tool_calls": None, "content": answer.text}
    if answer.calls:
        message["tool_calls"] = [_call(at, part) for at, part in enumerate(answer.calls)]
    choice = {"index": 0, "finish_reason": _finish_reason(answer), "message": message}
    return document({**_head(request, "chat.completion"), "usage": _usage(answer), "choices": [choice]})


def _head(request: Received, kind: str) -> dict[str, Any]:
    return {"id": "standin", "object": kind, "created": CREATED, "model": request.json["model"]}


def _usage(answer: Answer) -> dict[str, int]:
    total = answer.input_tokens + answer.output_tokens
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": total,
    }


def _finish_reason(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"


def _call(at: int, part: Call) -> dict[str, Any]:
    function = {"name": part.name, "arguments": part.arguments}
    return {"id": f"call{at:05}", "function": function, "index": at}


def _events(request: Received, answer: Answer) -> Iterator[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **members: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        head = _head(request, "chat.completion.chunk")
        return data({**head, "choices": [choice], **members, "p": "abcdefghijklmnopq"})

    yield chunk({"role": "assistant", "content": ""})
    for part in answer.content:
        if isinstance(part, Text):
            yield from (chunk({"content": piece}) for piece in part.pieces)
    calls = [_call(at, part) for at, part in enumerate(answer.calls)]  # they come whole, in the last chunk
    last: dict[str, Any] = {"content": "", "tool_calls": calls} if calls else {"content": ""}
    yield chunk(last, _finish_reason(answer), usage=_usage(answer))
    yield b"data: [DONE]\n\n"
