"""Lines of JSON: any cut gives the same lines and bytes; what is a stream of lines and what is one document."""

import gzip
import itertools
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import DecodeError, cohere_v1, ollama
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Event, Frame
from proxy.codecs.framings.choose import WHOLE, choose
from proxy.codecs.framings.lines import MAX_FIRST, Lines
from tests.codecs import recorded
from tests.codecs.framed import consistent, readings
from tests.shared import SHARED, needs_shared

LINE = st.sampled_from([b"{}", b'{"a":1}', b' {"a": 1} ', b"", b"  ", b'"a\xe2\x80\xa8b"', b"\xef\xbb\xbf"])
STREAMS = st.lists(st.tuples(LINE, st.sampled_from([b"\n", b"\r\n"])), max_size=16).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def read(pieces: list[bytes]) -> list[Frame]:
    framing = Lines()
    return [frame for piece in pieces for frame in framing.feed(piece)] + framing.finish()


def said(frames: list[Frame]) -> list[bytes]:
    return [frame.data for frame in frames if not frame.is_comment]


@given(STREAMS, st.sampled_from([b"", b'{"last":1}']), st.lists(st.integers(0, 200), max_size=6))
def test_every_cut_gives_the_same(stream: bytes, last: bytes, cuts: list[int]) -> None:
    stream += last
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    whole = read([stream])
    for pieces in ([stream[a:b] for a, b in itertools.pairwise(places)], [bytes([byte]) for byte in stream]):
        assert read(pieces) == whole
    assert b"".join(frame.raw for frame in whole) == stream


def test_ends_blanks_and_a_last_line_without_end() -> None:
    frames = read([b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"b":2}\n {"c":3}'])
    assert [(frame.data, frame.is_comment) for frame in frames] == [
        (b'{"a":1}', False),
        (b"", True),
        (b"", True),
        (b'{"b":2}', False),
        (b'{"c":3}', False),
    ]
    framing = Lines()
    assert all(framing.is_whole(frame) and not framing.is_end(frame) for frame in frames)
    assert [framing.outside(frame) for frame in frames] == [b""] * 5
    assert b"".join(framing.unchanged(frame) for frame in frames).endswith(b' {"c":3}')
    assert framing.dropped(frames[0]) == b""


def test_unicode_line_separators_are_text() -> None:
    data = '{"t":"a\u2028b\u2029c\u0085d"}'.encode()
    assert said(read([data + b"\n"])) == [data]


@pytest.mark.parametrize(
    ("raw", "data", "expected"),
    [
        (b' {"a":1} \r\n', b'{"b":2}', b' {"b":2} \r\n'),
        (b'{"a":1}', b"{}", b"{}"),
        (b'{"a":1}\n', '{"a":"\u2028"}'.encode(), b'{"a":"\\u2028"}\n'),
        ('{"a":"\u2029"}\n'.encode(), '{"b":"\u2029"}'.encode(), '{"b":"\u2029"}\n'.encode()),
    ],
)
def test_with_data_changes_the_document_alone(raw: bytes, data: bytes, expected: bytes) -> None:
    (frame,) = read([raw])
    assert Lines().with_data(frame, data) == expected
    assert Lines().with_data(frame, frame.data) == raw


def test_a_new_line_has_no_end_inside_for_any_reader() -> None:
    text = "".join(map(chr, range(0x20))) + "\x85\u2028\u2029"
    line = Lines().encode(Event(None, orjson.dumps({"t": text}))).decode()
    assert line.splitlines(keepends=True) == [line]  # httpx, and so ollama-python, breaks lines as str.splitlines does
    assert json.loads(line) == {"t": text}


def test_a_keepalive_is_skipped_by_readers() -> None:
    line = (Lines.keepalive * 3 + b'{"a":1}\n').decode()
    assert [json.loads(each) for each in line.splitlines()] == [{"a": 1}]


@pytest.mark.parametrize(
    ("head", "fits"),
    [
        (b"", None),
        (b'{"a"', None),
        (b'{"a":1}', None),
        (b'{"a":1}\n', None),
        (b'{"a":1}\n\r\n', None),
        (b'\xef\xbb\xbf\n{"a":1}\r\n{', True),
        (b'{"a":1}\n[', False),
        (b'{\n  "a":1}\n', False),
        (b'{"a":[1,\n', False),
        (b'[{"a":1},\n', False),
        (b"data: {}\n", False),
        (b"1\n2\n", False),
        (b'{"a":"' + b"x" * MAX_FIRST, False),
    ],
)
def test_what_is_a_stream_of_lines(head: bytes, fits: bool | None) -> None:
    assert Lines.fits(head) is fits


@pytest.mark.parametrize(
    ("content_type", "head", "chosen"),
    [
        ("application/x-ndjson", b'{"a":1}\n', Lines),
        ("application/stream+json; charset=utf-8", b'{"a":1}\n', Lines),
        ("application/json", b'{"a":1}\n', None),
        ("application/json", b'{"a":1}\n{', Lines),
        ("application/x-ndjson", b'{\n "a":1}\n', WHOLE),
        ("application/x-ndjson", b'{"a":1}', None),
    ],
)
def test_the_content_type_spares_the_wait(content_type: str, head: bytes, chosen: Any) -> None:
    framing = choose(content_type, head, ("lines",))
    assert framing is chosen or framing == chosen or isinstance(framing, chosen)


@pytest.mark.parametrize("pieces", [[b"x" * 100 + b"\n"], [b"x"] * 100])
def test_a_line_over_the_cap_is_refused(pieces: list[bytes]) -> None:
    framing = Lines(max_line=64)
    with pytest.raises(DecodeError, match="a line of more than 64 bytes"):
        for piece in pieces:
            framing.feed(piece)


def test_a_line_that_grows_byte_by_byte_costs_linear_time() -> None:
    framing = Lines()
    for _ in range(400_000):  # quadratic would be minutes
        framing.feed(b"x")
    assert framing.pending == 400_000
    assert len(framing.feed(b"\n")) == 1
    assert framing.pending == 0


# recorded streams

CODECS: dict[str, Codec] = {
    "cohere_chat_v1": cohere_v1.CODEC,
    "cohere_generate": cohere_v1.GENERATE,
    "ollama_chat": ollama.CODEC,
    "ollama_generate": ollama.GENERATE,
}


def _records() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name in ("cohere", "ollama"):
        with gzip.open(SHARED / "corpus" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            found += [(f"{name}:{number}", json.loads(line)) for number, line in enumerate(file, 1)]
    return [(where, record) for where, record in found if record["endpoint_kind"] in CODECS]


@needs_shared
def test_recorded_streams_are_read_whole() -> None:
    kinds = set()
    for where, record in _records():
        codec, raw = CODECS[record["endpoint_kind"]], recorded.body(record["response"])
        if record["framing"] != "ndjson":
            assert not Lines.fits(raw), where
            continue
        kinds.add(record["endpoint_kind"])
        assert Lines.fits(raw), where
        read = readings(codec, Lines(), raw)
        for _, document, reading in read:
            consistent(codec, document, reading)
        assert len({item.channel for _, _, reading in read for item in reading.opens}) == record["response_tool_calls"]
        assert any(reading.usage and reading.stop_reason for _, _, reading in read), where
    assert kinds == CODECS.keys()


@needs_shared
def test_recorded_bodies_are_read_whole() -> None:
    for where, record in _records():
        codec = CODECS[record["endpoint_kind"]]
        request = orjson.loads(recorded.body(record["request"]))
        asked = codec.read_request(request)
        assert recorded.unread(request, asked) == [], where
        assert recorded.misplaced(request, asked) == [], where
        assert asked.stream == record["streaming"], where
        if record["framing"] == "json":
            document = orjson.loads(recorded.body(record["response"]))
            answer = codec.read_response(document)
            assert recorded.unread(document, answer) == [], where
            assert recorded.misplaced(document, answer) == [], where
            assert len(answer.calls) == record["response_tool_calls"], where
