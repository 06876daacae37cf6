"""Framing: any cut gives the same bytes and the same events; the odd forms of wire-formats §0.7."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import DecodeError
from proxy.codecs.framings import Frame
from proxy.codecs.framings.sse import KEEPALIVE, Sse, encode, with_data

LINES = st.sampled_from(
    [
        b"data: {}",
        b"data:x",
        b"data",
        b"data: a\xe2\x80\xa8b",
        b": c",
        b"event: e",
        b"id: 1",
        b"",
        b"\xef\xbb\xbf",
        b"dataset: 1",
    ]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=24).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def read(pieces: list[bytes]) -> list[Frame]:
    reader = Sse()
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.finish()


def said(events: list[Frame]) -> list[tuple[str | None, bytes]]:
    return [(event.name, event.data) for event in events if not event.is_comment]


@given(STREAMS, st.lists(st.integers(0, 300), max_size=8))
def test_every_cut_gives_the_same(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    whole, cut, single = read([stream]), read(pieces), read([bytes([byte]) for byte in stream])
    for events in (whole, cut, single):
        assert b"".join(event.raw for event in events) == stream
        assert said(events) == said(whole)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(end: bytes) -> None:
    events = read([b"event: a" + end + b"data: 1" + end + b"data:2" + end + end + b"data: 3" + end + end])
    assert said(events) == [("a", b"1\n2"), (None, b"3")]


def test_a_cr_at_the_end_of_a_piece_does_not_stall() -> None:
    reader = Sse()
    assert said(reader.feed(b"data: 1\r\n\r")) == [(None, b"1")]
    rest = reader.feed(b"\ndata: 2\r\n\r\n")
    assert b"".join(event.raw for event in rest) == b"\ndata: 2\r\n\r\n"
    assert said(rest) == [(None, b"2")]


def test_comments_empty_data_and_bom() -> None:
    events = read([b"\xef\xbb\xbfdata: 1\n\n: OPENROUTER PROCESSING\n\nid: 7\ndata:\n\n" + KEEPALIVE])
    assert [(event.data, event.is_comment) for event in events] == [
        (b"1", False),
        (b"", True),
        (b"", False),
        (b"", True),
    ]


def test_an_end_without_blank_line_is_still_an_event() -> None:
    assert said(read([b"data: 1\n\ndata: 2"])) == [(None, b"1"), (None, b"2")]


def test_unicode_line_separators_are_text() -> None:
    data = '{"t":"a\u2028b\u2029c\u0085d"}'.encode()
    assert said(read([b"data: " + data + b"\n\n"])) == [(None, data)]


@pytest.mark.parametrize("pieces", [[b"data: " + b"x" * 100 + b"\n\n"], [b"data: "] + [b"x"] * 100])
def test_an_event_over_the_cap_is_refused(pieces: list[bytes]) -> None:
    reader = Sse(max_event=64)
    with pytest.raises(DecodeError, match="an event of more than 64 bytes"):
        for piece in pieces:
            reader.feed(piece)


def test_pending_counts_what_is_not_complete() -> None:
    reader = Sse()
    reader.feed(b"data: 1\n\ndata")
    assert reader.pending == 4


def test_an_event_that_grows_byte_by_byte_costs_linear_time() -> None:
    reader = Sse()
    for _ in range(400_000):  # quadratic would be minutes
        reader.feed(b"x")
    assert len(reader.feed(b"\n\n")) == 1


@pytest.mark.parametrize(
    ("raw", "data", "expected"),
    [
        (b'event: e\ndata: {"a":1}      \nid: 1\n\n', b'{"b":2}      ', b'event: e\ndata: {"b":2}      \nid: 1\n\n'),
        (b"data:{}\r\n\r\n", b"[]", b"data:[]\r\n\r\n"),
        (b"data: {\ndata: }\n\n", b'{"a":1\n}', b'data: {"a":1\ndata: }\n\n'),
        (b"data: {\ndata: }\n\n", b"{}", b"data: {}\n\n"),
        (b"\xef\xbb\xbfdata: 1\n\n", b"2", b"\xef\xbb\xbfdata: 2\n\n"),
        (b"database: 1\ndata: 1", b"2", b"database: 1\ndata: 2"),
        (b"data\n\n", b"2", b"data: 2\n\n"),
    ],
)
def test_with_data_changes_the_data_alone(raw: bytes, data: bytes, expected: bytes) -> None:
    (event,) = read([raw])
    assert with_data(event, data) == expected


@given(STREAMS)
def test_with_its_own_data_an_event_stays_as_it_is(stream: bytes) -> None:
    for event in read([stream]):
        if event.data:
            assert with_data(event, event.data) == event.raw


@given(st.none() | st.sampled_from(["a", "message_stop"]), st.binary(max_size=40))
def test_encode_is_read_back(name: str | None, data: bytes) -> None:
    expected = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert said(read([encode(name, data)])) == [(name, expected)]
