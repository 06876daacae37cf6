"""Recorded bodies: everything decodes, nothing is overlooked, the calls are those the recording counts."""

import json
from functools import cache
from typing import Any

import orjson
import pytest

from proxy.codecs import Codec, Part, spans
from proxy.codecs.sse import DONE, SseReader
from proxy.codecs.walk import STRUCTURE
from tests.codecs import recorded
from tests.shared import needs_shared

pytestmark = needs_shared


@cache
def corpus() -> list[tuple[str, Codec, dict[str, Any]]]:
    return list(recorded.exchanges())


def _is_sse(raw: bytes) -> bool:
    return raw.lstrip()[:1] not in (b"{", b"[", b"")


def test_every_recorded_request_is_read_whole() -> None:
    read = 0
    for where, codec, record in corpus():
        raw = recorded.body(record["request"])
        if raw.lstrip()[:1] != b"{":
            continue
        document = spans.parse(raw)
        request = codec.read_request(document)
        assert recorded.unread(document, request) == [], where
        assert recorded.misplaced(document, request) == [], where
        assert len({part.path for part in request.parts}) == len(request.parts), where
        read += 1
    assert read > 1000


def test_every_recorded_answer_is_read_whole() -> None:
    read = 0
    for where, codec, record in corpus():
        raw = recorded.body(record["response"])
        if raw.lstrip()[:1] != b"{":
            continue
        try:
            document = spans.parse(raw)
        except spans.DecodeError:
            with pytest.raises(ValueError, match=""):
                json.loads(raw)
            continue
        response = codec.read_response(document)
        assert recorded.unread(document, response) == [], where
        assert recorded.misplaced(document, response) == [], where
        by_provider = sum(recorded.is_by_provider(block) for block in recorded.blocks(document))
        legacy = sum(call.path[-1] == "function_call" for call in response.calls)  # the recording counts these twice
        assert len(response.calls) + legacy + by_provider == (record["response_tool_calls"] or 0), where
        read += 1
    assert read > 1000


def test_every_recorded_stream_is_read_whole() -> None:
    read = 0
    for where, codec, record in corpus():
        raw = recorded.body(record["response"])
        if not _is_sse(raw):
            continue
        frames, reader = SseReader(), codec.stream_reader()
        events = [*frames.feed(raw), *frames.finish()]
        assert b"".join(event.raw for event in events) == raw, where
        calls, opened, closed = set(), set(), set()
        by_provider = 0
        for event in events:
            if not event.data or event.data == DONE:
                continue
            document = spans.parse(event.data)
            reading = reader.read(document)
            by_provider += recorded.is_by_provider(document.get("content_block"))
            said = [Part(f.path, f.text, "", "text") for f in reading.fragments]
            holder = type("Read", (), {"parts": said, "drop_on_edit": [(0, path) for _, path in reading.drop_on_edit]})
            left = [path for path in recorded.unread(document, holder) if not _small(document, path)]
            assert left == [], where
            assert recorded.misplaced(document, holder) == [], where
            calls |= {item.channel for item in reading.opens}
            for fragment in reading.fragments:
                assert fragment.channel not in closed, where
                opened.add(fragment.channel)
            closed |= set(reading.closes)
        closed |= set(reader.finish().closes)
        assert opened <= closed, where
        assert len(calls) + by_provider == (record["response_tool_calls"] or 0), where
        read += 1
    assert read > 100


def _small(document: Any, path: tuple[Any, ...]) -> bool:
    """Words of a stream that no channel carries: empty texts, names and ids of calls, sizes of padding."""
    value = document
    for step in path:
        value = value[step]
    return value == "" or path[-1] in ("name", "p", "obfuscation", "stop_reason") or path[-1] in STRUCTURE


def test_a_change_of_every_editable_part_changes_nothing_else() -> None:
    for where, codec, record in corpus()[::7]:
        raw = recorded.body(record["request"])
        if raw.lstrip()[:1] != b"{":
            continue
        document = spans.parse(raw)
        parts = [part for part in codec.read_request(document).parts if not part.sealed]
        places = spans.locate(raw, [part.path for part in parts])
        for part in parts:
            start, end = places[part.path]
            assert str(orjson.loads(raw[start:end])) == part.text, where
        untouched = spans.splice(raw, [spans.TextChange(part.path, ()) for part in parts])
        assert orjson.loads(untouched) == document, where
