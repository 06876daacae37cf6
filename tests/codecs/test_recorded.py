"""Recorded bodies: everything decodes, nothing is overlooked, the calls are those the recording counts."""

import json
from functools import cache
from typing import Any

import orjson
import pytest

from proxy.codecs import DecodeError, Part, Response, spans, splicing, trees
from proxy.codecs.codec import Codec
from proxy.codecs.framings.sse import DONE, Sse
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
        document = trees.parse(raw)
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
            document = trees.parse(raw)
        except DecodeError:
            with pytest.raises(ValueError, match=""):
                json.loads(raw)
            continue
        response = codec.read_response(document)
        assert recorded.unread(document, response) == [], where
        assert recorded.misplaced(document, response) == [], where
        by_provider = sum(recorded.is_by_provider(block) for block in recorded.blocks(document))
        if b'"function_call"' not in raw:  # legacy calls the recording counts twice, empty ones once
            assert len(response.calls) + by_provider == (record["response_tool_calls"] or 0), where
        read += 1
    assert read > 1000


def test_every_recorded_stream_is_read_whole() -> None:
    read = 0
    for where, codec, record in corpus():
        raw = recorded.body(record["response"])
        if not _is_sse(raw):
            continue
        frames, reader = Sse(), codec.stream_reader()
        events = [*frames.feed(raw), *frames.finish()]
        assert b"".join(event.raw for event in events) == raw, where
        calls, opened, closed = set(), set(), set()
        by_provider = 0
        for event in events:
            if not event.data or event.data == DONE:
                continue
            document = trees.parse(event.data)
            reading = reader.read(document)
            by_provider += recorded.is_by_provider(document.get("content_block"))
            said = [Part(f.path, f.text, "", "text") for f in reading.fragments]
            holder = Response(None, said, when_edited=[(0, change) for _, change in reading.when_edited])
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
        document = trees.parse(raw)
        parts = [part for part in codec.read_request(document).parts if not part.sealed]
        places = spans.locate(raw, [part.path for part in parts])
        for part in parts:
            start, end = places[part.path]
            assert str(orjson.loads(raw[start:end])) == part.text, where
        untouched = splicing.splice(raw, [splicing.TextChange(part.path, ()) for part in parts])
        assert orjson.loads(untouched) == document, where


def test_recorded_streams_cut_anywhere_say_the_same() -> None:
    shortest = sorted(
        ((where, codec, raw) for where, codec, raw in _streams() if len(raw) < 20_000), key=lambda item: len(item[2])
    )
    for where, codec, raw in shortest[::9]:
        whole = _readings(codec, [raw])
        assert _readings(codec, [raw[i : i + 1] for i in range(len(raw))]) == whole, where
        assert _readings(codec, [raw[i : i + 7] for i in range(0, len(raw), 7)]) == whole, where
        # A second stream's bytes behind the first leave what was read before as it was.
        assert _readings(codec, [raw.rstrip(b"\r\n") + b"\n\n: trailing"])[: len(whole) - 1] == whole[:-1], where


def _streams() -> list[tuple[str, Codec, bytes]]:
    bodies = [(where, codec, recorded.body(record["response"])) for where, codec, record in corpus()]
    return [item for item in bodies if _is_sse(item[2])]


def _readings(codec: Codec, pieces: list[bytes]) -> list[Any]:
    frames, reader = Sse(), codec.stream_reader()
    events = [event for piece in pieces for event in frames.feed(piece)] + frames.finish()
    read = [reader.read(trees.parse(event.data)) for event in events if event.data and event.data != DONE]
    return [*read, reader.finish()]
