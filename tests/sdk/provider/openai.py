"""OpenAI's responses, whole and streamed, and embeddings (API reference: "Responses", "Streaming events").

Chat completions are written by the demo's stand-in.
"""

import base64
import struct
from collections.abc import Iterator
from itertools import count
from typing import Any

from proxy.demo.answers import Answer, Call, Raw, Received, Text
from tests.sdk.provider.writing import CREATED, VECTOR, data, document, pieces, sse


def response(request: Received, answer: Answer) -> Raw:
    """`POST /v1/responses`."""
    if request.json.get("stream"):
        return sse((data(event, event["type"]) for event in events(request, answer)), answer)
    return document(_response(request, answer, "completed"))


def _response(request: Received, answer: Answer, status: str, identity: str = "resp_standin") -> dict[str, Any]:
    done = status == "completed"
    return {
        "id": identity,
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": request.json.get("instructions"),
        "metadata": {},
        "model": request.json.get("model"),
        "output": [_item(request, at, part, "completed") for at, part in enumerate(answer.content)] if done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": request.json.get("tools") or [],
        "top_p": 1.0,
        "usage": _usage(answer) if done else None,
    }


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _item(request: Received, at: int, part: Text | Call, status: str) -> dict[str, Any]:
    """An output item; one that is not completed is still empty."""
    done = status == "completed"
    if isinstance(part, Text):
        content = [_text(str(part))] if done else []
        return {"id": f"msg_{at}", "type": "message", "status": status, "content": content, "role": "assistant"}
    named = {"call_id": part.id, "name": part.name}
    written = part.arguments if done else ""
    if _is_custom(request, part):
        return {"id": f"ctc_{at}", "type": "custom_tool_call", "status": status, "input": written, **named}
    return {"id": f"fc_{at}", "type": "function_call", "status": status, "arguments": written, **named}


def _is_custom(request: Received, part: Call) -> bool:
    """Whether the tool takes a text of any form. It may be offered in the conversation itself, and in a namespace."""
    items = request.json.get("input")
    later = [tool for item in items if isinstance(item, dict) for tool in item.get("tools") or ()] if items else []
    offered = [*(request.json.get("tools") or ()), *later]
    every = [each for tool in offered for each in (tool, *(tool.get("tools") or ()))]
    return any(tool.get("type") == "custom" and tool.get("name") == part.name for tool in every)


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def events(request: Received, answer: Answer, identity: str = "resp_standin") -> Iterator[dict[str, Any]]:
    """The events of a streamed response; `identity` is its id."""
    numbers = count()

    def event(name: str, /, **members: Any) -> dict[str, Any]:
        return {"type": name, "sequence_number": next(numbers), **members}

    opening = _response(request, answer, "in_progress", identity)
    yield event("response.created", response=opening)
    yield event("response.in_progress", response=opening)
    for at, part in enumerate(answer.content):
        begun = _item(request, at, part, "in_progress")
        yield event("response.output_item.added", output_index=at, item=begun)
        for name, members in _text_events(part) if isinstance(part, Text) else _call_events(part, begun["type"]):
            yield event(name, item_id=begun["id"], output_index=at, **members)
        yield event("response.output_item.done", output_index=at, item=_item(request, at, part, "completed"))
    yield event("response.completed", response=_response(request, answer, "completed", identity))


def _text_events(part: Text) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "response.content_part.added", {"content_index": 0, "part": _text("")}
    for piece in pieces(part):
        yield "response.output_text.delta", {"content_index": 0, "delta": piece, "logprobs": [], "obfuscation": "Aq3"}
    yield "response.output_text.done", {"content_index": 0, "text": str(part), "logprobs": []}
    yield "response.content_part.done", {"content_index": 0, "part": _text(str(part))}


def _call_events(part: Call, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    name = "custom_tool_call_input" if kind == "custom_tool_call" else "function_call_arguments"
    for fragment in pieces(part):
        yield f"response.{name}.delta", {"delta": fragment, "obfuscation": "Zx9kQ"}
    whole = (
        {"input": part.arguments} if kind == "custom_tool_call" else {"name": part.name, "arguments": part.arguments}
    )
    yield f"response.{name}.done", whole


def embeddings(request: Received, answer: Answer) -> Raw:
    """`POST /v1/embeddings`, Mistral's too; the SDK asks for base64 unless told otherwise."""
    inputs = request.json["input"]
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector = packed if request.json.get("encoding_format") == "base64" else VECTOR
    rows = [{"object": "embedding", "index": at, "embedding": vector} for at in range(_length(inputs))]
    usage = {"prompt_tokens": answer.input_tokens, "completion_tokens": 0, "total_tokens": answer.input_tokens}
    head = {"id": "embd_standin", "object": "list", "model": request.json["model"]}
    return document({**head, "data": rows, "usage": usage})


def _length(inputs: str | list[Any]) -> int:
    return 1 if isinstance(inputs, str) else len(inputs)
