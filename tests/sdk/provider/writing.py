"""How bodies go out: one JSON document, or a stream of events cut as the answer says."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from proxy.demo.answers import Answer, Call, Raw, Text

CREATED = 1_767_225_600  # 2026-01-01; answers are the same on every run
VECTOR = (0.25, -0.5, 1.0)
"""The embedding of everything."""


def document(value: Any) -> Raw:
    """A whole body."""
    body = orjson.dumps(value)
    headers = (("content-type", "application/json"), ("content-length", str(len(body))))
    return Raw((body,), headers=headers)


def stream(kind: str, events: Iterable[bytes], answer: Answer) -> Raw:
    """A chunk an event, or chunks of the size that the answer asks for."""
    chunks = tuple(_recut(b"".join(events), answer.chunk_size)) if answer.chunk_size else tuple(events)
    return Raw(chunks, headers=(("content-type", kind),), before=answer.before, cut=answer.cut)


def sse(events: Iterable[bytes], answer: Answer) -> Raw:
    """Server-sent events."""
    return stream("text/event-stream", events, answer)


def data(value: Any, name: str = "", end: bytes = b"\n") -> bytes:
    """One server-sent event; lines end with `end`."""
    named = b"event: " + name.encode() + end if name else b""
    return named + b"data: " + orjson.dumps(value) + end * 2


def lines(documents: Iterable[Any]) -> Iterator[bytes]:
    """Documents as JSON lines."""
    return (orjson.dumps(each) + b"\n" for each in documents)


def arguments(part: Call) -> Any:
    """The arguments as a document, for formats that hold no text of JSON."""
    return orjson.loads(part.arguments)


def pieces(part: Text | Call) -> Sequence[str]:
    """What becomes one delta each."""
    return part.pieces if isinstance(part, Text) else part.fragments


def _recut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))
