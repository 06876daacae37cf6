"""Google's generateContent, whole and as server-sent events, and embeddings (Gemini API reference; Vertex AI alike)."""

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.demo.answers import Answer, Call, Raw, Received, Text
from tests.sdk.provider.writing import VECTOR, arguments, data, document, sse


def whole(_: Received, answer: Answer) -> Raw:
    """`POST …:generateContent`."""
    parts = [_text(str(part)) if isinstance(part, Text) else _call(part) for part in answer.content]
    return document(_content(parts, answer, finish=True))


def streamed(request: Received, answer: Answer) -> Raw:
    """`POST …:streamGenerateContent?alt=sse`; its lines end in CR LF, and nothing says that it is over."""
    assert "alt=sse" in request.path
    return sse((data(event, end=b"\r\n") for event in _events(answer)), answer)


def _events(answer: Answer) -> Iterator[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for part in answer.content:
        parts += [_call(part)] if isinstance(part, Call) else [_text(piece) for piece in part.pieces]
    for each in parts[:-1]:
        yield _content([each], answer, finish=False)
    yield _content(parts[-1:], answer, finish=True)


def _text(text: str) -> dict[str, Any]:
    return {"text": text}


def _call(part: Call) -> dict[str, Any]:
    return {"functionCall": {"id": part.id, "name": part.name, "args": arguments(part)}}


def _content(parts: Sequence[dict[str, Any]], answer: Answer, *, finish: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish:
        candidate["finishReason"] = "STOP"
    usage: dict[str, Any] = {"promptTokenCount": answer.input_tokens, "totalTokenCount": answer.input_tokens}
    if finish:
        total = answer.input_tokens + answer.output_tokens
        usage |= {"candidatesTokenCount": answer.output_tokens, "totalTokenCount": total}
    return {
        "candidates": [{**candidate, "index": 0}],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "standin",
    }


def embeddings(request: Received, _: Answer) -> Raw:
    """`POST …:batchEmbedContents`."""
    return document({"embeddings": [{"values": VECTOR} for _ in request.json["requests"]]})
