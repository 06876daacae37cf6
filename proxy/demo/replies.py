"""What the stand-in sends back for a request: routing, then a scripted reply written as bytes. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import orjson

from proxy.demo import formats
from proxy.demo.answers import Answer, Failure, Raw, Received, Reply, Scenario


def reply(scenario: Scenario, request: Received) -> Raw:
    """What goes back for this request, as bytes."""
    path = request.path.partition("?")[0]
    if path == "/v1/models":
        return _document(200, formats.models(request.api))
    if request.method != "POST" or path not in _POSTS:
        return _error(request, 404, f"Unknown request URL: {request.method} {path}.")
    try:
        known = isinstance(request.json, dict)
    except orjson.JSONDecodeError:
        known = False
    if not known:
        return _error(request, 400, "The body is no JSON object.")
    if path == "/v1/messages/count_tokens":
        return _document(200, orjson.dumps({"input_tokens": len(request.body) // 4}))
    return _written(request, scenario(request))


_POSTS = ("/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens")


def _written(request: Received, reply: Reply) -> Raw:
    match reply:
        case Raw():
            return reply
        case Failure():
            raw = _error(request, reply.status, reply.message)
            return replace(raw, headers=raw.headers + reply.headers)
        case Answer() if request.json.get("stream"):
            return _stream(formats.events(request, reply), reply)
        case Answer():
            return _whole(formats.whole(request, reply), reply)


def _stream(events: Sequence[bytes], answer: Answer) -> Raw:
    headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
    chunks = tuple(_recut(b"".join(events), answer.chunk_size)) if answer.chunk_size else tuple(events)
    return Raw(chunks, headers=(*headers, ("request-id", "req_standin")), before=answer.before, cut=answer.cut)


def _whole(body: bytes, answer: Answer) -> Raw:
    """One JSON document; where it is to be cut it goes in two chunks, else there is nothing to cut between."""
    document = replace(_document(200, body), before=answer.before)
    if answer.cut is None:
        return document
    headers = tuple(header for header in document.headers if header[0] != "content-length")
    return replace(document, chunks=tuple(_recut(body, len(body) // 2 + 1)), headers=headers, cut=answer.cut)


def _recut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def _document(status: int, body: bytes) -> Raw:
    headers = (("content-type", "application/json"), ("content-length", str(len(body))), ("request-id", "req_standin"))
    return Raw((body,), status, headers)


def _error(request: Received, status: int, message: str) -> Raw:
    return _document(status, formats.error(request.api, status, message))
