"""Amazon Bedrock: Converse and InvokeModel (Claude, Titan embeddings), streams in frames of `vnd.amazon.eventstream`.

Bedrock Runtime API reference; frames: AWS's "Amazon event stream encoding".
"""

import base64
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from zlib import crc32

import orjson

from proxy.demo import formats
from proxy.demo.answers import Answer, Call, Raw, Received, Text
from tests.sdk.provider.writing import VECTOR, arguments, document, pieces, stream

_KIND = "application/vnd.amazon.eventstream"


def frame(event: str, payload: bytes) -> bytes:
    """One frame: lengths, their checksum, headers, payload, checksum of all that."""
    named = {":event-type": event, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(_header(name, value) for name, value in named.items())
    prelude = struct.pack(">II", 12 + len(headers) + len(payload) + 4, len(headers))
    checked = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return checked + struct.pack(">I", crc32(checked))


def _header(name: str, value: str) -> bytes:
    """A header of type 7, a string."""
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()


# Converse


def converse(_: Received, answer: Answer) -> Raw:
    """`POST /model/…/converse`."""
    content = [_block(part) for part in answer.content]
    return document(
        {
            "metrics": {"latencyMs": 7},
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": _stop_reason(answer),
            "usage": _usage(answer),
        }
    )


def _block(part: Text | Call) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"text": str(part)}
    return {"toolUse": {"input": arguments(part), "name": part.name, "toolUseId": part.id}}


def _stop_reason(answer: Answer) -> str:
    return "tool_use" if answer.calls else "end_turn"


def _usage(answer: Answer) -> dict[str, int]:
    total = answer.input_tokens + answer.output_tokens
    return {"inputTokens": answer.input_tokens, "outputTokens": answer.output_tokens, "totalTokens": total}


def converse_stream(_: Received, answer: Answer) -> Raw:
    """`POST /model/…/converse-stream`; every payload is padded with `p`."""
    frames = (frame(name, orjson.dumps({**payload, "p": "abcdefghij"})) for name, payload in _events(answer))
    return stream(_KIND, frames, answer)


def _events(answer: Answer) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "messageStart", {"role": "assistant"}
    for index, part in enumerate(answer.content):
        if isinstance(part, Call):  # a text block begins with its first delta
            start = {"toolUse": {"toolUseId": part.id, "name": part.name}}
            yield "contentBlockStart", {"contentBlockIndex": index, "start": start}
        for piece in pieces(part):
            delta = {"text": piece} if isinstance(part, Text) else {"toolUse": {"input": piece}}
            yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": _stop_reason(answer)}
    yield "metadata", {"metrics": {"latencyMs": 7}, "usage": _usage(answer)}


# InvokeModel


def invoke(request: Received, answer: Answer) -> Raw:
    """`POST /model/anthropic…/invoke`: Claude's own messages."""
    return document(orjson.loads(formats.whole(_as_claude(request), answer)))


def invoke_stream(request: Received, answer: Answer) -> Raw:
    """`POST /model/anthropic…/invoke-with-response-stream`: its events in base64, with metrics in the last."""
    return stream(_KIND, (_chunk(event) for event in _claude_events(request, answer)), answer)


def _claude_events(request: Received, answer: Answer) -> Iterator[dict[str, Any]]:
    counted = {"inputTokenCount": answer.input_tokens, "outputTokenCount": answer.output_tokens}
    metrics = {**counted, "invocationLatency": 7, "firstByteLatency": 3}
    for event in formats.events(_as_claude(request), answer):
        document = orjson.loads(event.partition(b"data: ")[2])
        last = {"amazon-bedrock-invocationMetrics": metrics} if document["type"] == "message_stop" else {}
        yield document | last


def _chunk(event: dict[str, Any]) -> bytes:
    written = base64.b64encode(orjson.dumps(event)).decode()
    return frame("chunk", orjson.dumps({"bytes": written, "p": "abcdefghijklmn"}))


def _as_claude(request: Received) -> Received:
    """The request as Anthropic's own API would get it."""
    return replace(request, path="/v1/messages")


def embedding(_: Received, answer: Answer) -> Raw:
    """`POST /model/amazon.titan-embed…/invoke`."""
    return document({"embedding": VECTOR, "inputTextTokenCount": answer.input_tokens})
