"""Recorded bodies: everything decodes, nothing is overlooked, the calls are those the recording counts."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
import pytest

from proxy.codecs import DecodeError, Part, Response, spans, splicing, trees
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Framing
from proxy.codecs.framings.choose import choose
from proxy.codecs.framings.sse import Sse
from proxy.codecs.walk import STRUCTURE
from tests.codecs import recorded
from tests.shared import needs_shared

pytestmark = needs_shared


UNLIKE = (b'"function_call"', b'"executed_tools"')
"""Legacy calls the recordings count twice, and Groq's own tools they do not count."""


@cache
def corpus() -> list[tuple[str, Codec, dict[str, Any]]]:
    return list(recorded.exchanges())


def _framing(codec: Codec, record: dict[str, Any], raw: bytes) -> Framing | None:
    """How a recorded answer is framed; None where it is one document."""
    kind = next((v for k, v in (record["response"].get("headers") or {}).items() if k.lower() == "content-type"), "")
    chosen = choose(str(kind), raw, codec.framings) if raw else None
    return None if isinstance(chosen, str) else chosen


def test_every_recorded_request_is_read_whole() -> None:
    read = 0
    for where, codec, record in corpus():
        raw = recorded.body(record["request"])
        if raw.lstrip()[:1] != b"{":
            continue
        try:
            document = codec.syntax.parse(raw)
        except DecodeError:
            with pytest.raises(ValueError):
                json.loads(raw)
            continue
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
        if not raw or _framing(codec, record, raw) is not None:
            continue
        try:
            document = codec.of_answers.parse(raw)
        except DecodeError:
            with pytest.raises(ValueError):
                json.loads(raw)
            continue
        response = codec.read_response(document)
        assert recorded.unread(document, response) == [], where
        assert recorded.misplaced(document, response) == [], where
        if record["endpoint_kind"] in recorded.COUNTED and not any(name in raw for name in UNLIKE):
            assert len(response.calls) == (record["response_tool_calls"] or 0), where
        read += 1
    assert read > 1000


def test_every_recorded_stream_is_read_whole() -> None:
    read = 0
    for where, codec, record in corpus():
        raw = recorded.body(record["response"])
        frames = _framing(codec, record, raw)
        if frames is None:
            continue
        reader = codec.stream_reader()
        events = [*frames.feed(raw), *frames.finish()]
        assert b"".join(event.raw for event in events) == raw, where
        calls, opened, closed = set(), set(), set()
        for event in events:
            if not event.data or frames.is_end(event):
                continue
            try:
                document = codec.of_events.parse(event.data)
            except DecodeError:
                with pytest.raises(ValueError):
                    json.loads(event.data)
                continue
            reading = reader.read(document)
            told = [*reading.fragments, *reading.repeats, *reading.so_far]
            said = [Part(f.path, f.text, "", "text") for f in told]
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
        if record["endpoint_kind"] in recorded.COUNTED and not any(name in raw for name in UNLIKE):
            assert len(calls) == (record["response_tool_calls"] or 0), where
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
    shortest = sorted((item for item in _streams() if len(item[2]) < 20_000), key=lambda item: len(item[2]))
    for where, codec, raw, frames in shortest[::9]:
        whole = _readings(codec, frames, [raw])
        assert _readings(codec, frames, [raw[i : i + 1] for i in range(len(raw))]) == whole, where
        assert _readings(codec, frames, [raw[i : i + 7] for i in range(0, len(raw), 7)]) == whole, where
        if isinstance(frames, Sse):  # what comes behind leaves what was read before as it was
            assert _readings(codec, frames, [raw.rstrip(b"\r\n") + b"\n\n: trailing"])[: len(whole) - 1] == whole[:-1]


def _streams() -> list[tuple[str, Codec, bytes, Framing]]:
    found = []
    for where, codec, record in corpus():
        raw = recorded.body(record["response"])
        frames = _framing(codec, record, raw)
        if frames is not None:
            found.append((where, codec, raw, frames))
    return found


def _readings(codec: Codec, frames: Framing, pieces: list[bytes]) -> list[Any]:
    frames, reader = type(frames)(), codec.stream_reader()
    events = [event for piece in pieces for event in frames.feed(piece)] + frames.finish()
    said = [event for event in events if event.data and not frames.is_end(event)]
    documents = [document for event in said for document in _parsed(codec, event.data)]
    return [*map(reader.read, documents), reader.finish()]


def _parsed(codec: Codec, data: bytes) -> Iterator[Any]:
    try:
        yield codec.of_events.parse(data)
    except DecodeError:
        return  # a recording that was cut
