"""How the stand-in writes an answer: OpenAI's chat completions and Anthropic's messages, whole and as a stream.

Pure functions from `answers` to bytes; shapes as the providers document them (OpenAI: "Create chat completion";
Anthropic: "Messages", "Streaming messages"). Nothing here knows sockets. Not the codecs: those read, and must not be
tested against their own idea of the format.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from proxy.demo.answers import Answer, Api, Call, Received, Text

_CREATED = 1_767_225_600  # 2026-01-01; answers are the same on every run


def error(api: Api, status: int, message: str) -> bytes:
    """An error body in the provider's own shape."""
    if api == "openai":
        kind = _OPENAI_ERRORS.get(status, "server_error" if status >= 500 else "invalid_request_error")
        return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": None}})
    kind = _ANTHROPIC_ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_standin"})


# OpenAI: "Error codes"; Anthropic: "Errors".
_OPENAI_ERRORS = {401: "authentication_error", 429: "rate_limit_error"}
_ANTHROPIC_ERRORS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def models(api: Api) -> bytes:
    """`GET /v1/models`."""
    if api == "openai":
        row = {"id": "gpt-standin", "object": "model", "created": _CREATED, "owned_by": "stand-in"}
        return orjson.dumps({"object": "list", "data": [row]})
    entry = {
        "type": "model",
        "id": "claude-standin",
        "display_name": "Stand-in",
        "created_at": "2026-01-01T00:00:00Z",
    }
    return orjson.dumps({"data": [entry], "has_more": False, "first_id": entry["id"], "last_id": entry["id"]})


def whole(request: Received, answer: Answer) -> bytes:
    """The answer as one JSON document."""
    return orjson.dumps(_completion(request, answer) if request.api == "openai" else _message(request, answer))


def events(request: Received, answer: Answer) -> list[bytes]:
    """The answer as server-sent events, one element each."""
    return list(_chunks(request, answer) if request.api == "openai" else _message_events(request, answer))


def _data(document: Any) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


# OpenAI


def _openai_usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
    }


def _openai_call(part: Call, arguments: str) -> dict[str, Any]:
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": arguments}}


def _completion(request: Received, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [_openai_call(part, part.arguments) for part in answer.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
    return {
        "id": "chatcmpl-standin",
        "object": "chat.completion",
        "created": _CREATED,
        "model": request.json.get("model"),
        "choices": [choice],
        "usage": _openai_usage(answer),
    }


def _finish_reason(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"


def _chunks(request: Received, answer: Answer) -> Iterator[bytes]:
    head = {
        "id": "chatcmpl-standin",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": request.json.get("model"),
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _data({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    yield from (chunk(delta) for delta in _deltas(answer))
    yield chunk({}, _finish_reason(answer))
    if (request.json.get("stream_options") or {}).get("include_usage"):
        yield _data({**head, "choices": [], "usage": _openai_usage(answer)})
    yield b"data: [DONE]\n\n"


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    index = 0
    for part in answer.content:
        if isinstance(part, Text):
            yield from ({"content": piece} for piece in part.pieces)
        else:
            yield {"tool_calls": [{"index": index, **_openai_call(part, "")}]}
            for fragment in part.fragments:
                yield {"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}
            index += 1


# Anthropic


def _anthropic_usage(answer: Answer) -> dict[str, int]:
    """`input_tokens` leaves the cached part out (Anthropic: "Prompt caching", tracking cache performance)."""
    return {
        "input_tokens": answer.input_tokens - answer.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": answer.output_tokens,
    }


def _block(part: Text | Call, *, empty: bool) -> dict[str, Any]:
    """A content block; `empty` as a stream opens it, before its deltas."""
    if isinstance(part, Text):
        return {"type": "text", "text": "" if empty else str(part)}
    arguments = {} if empty else orjson.loads(part.arguments)
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments}


def _message(request: Received, answer: Answer) -> dict[str, Any]:
    return {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": request.json.get("model"),
        "content": [_block(part, empty=False) for part in answer.content],
        "stop_reason": _stop_reason(answer),
        "stop_sequence": None,
        "usage": _anthropic_usage(answer),
    }


def _stop_reason(answer: Answer) -> str:
    return "tool_use" if answer.calls else "end_turn"


def _named(document: dict[str, Any]) -> bytes:
    name: str = document["type"]
    return b"event: " + name.encode() + b"\n" + _data(document)


def _message_events(request: Received, answer: Answer) -> Iterator[bytes]:
    usage = _anthropic_usage(answer)
    opening = {**_message(request, answer), "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield _named({"type": "message_start", "message": opening})
    yield _named({"type": "ping"})
    for index, part in enumerate(answer.content):
        yield _named({"type": "content_block_start", "index": index, "content_block": _block(part, empty=True)})
        for delta in _block_deltas(part):
            yield _named({"type": "content_block_delta", "index": index, "delta": delta})
        yield _named({"type": "content_block_stop", "index": index})
    stop = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
    yield _named({"type": "message_delta", "delta": stop, "usage": usage})
    yield _named({"type": "message_stop"})


def _block_deltas(part: Text | Call) -> Iterator[dict[str, str]]:
    if isinstance(part, Text):
        return ({"type": "text_delta", "text": piece} for piece in part.pieces)
    return ({"type": "input_json_delta", "partial_json": fragment} for fragment in part.fragments)
