"""The framing of one JSON array: elements at any cut, the array kept valid, refusals, linear time."""

import time
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import DecodeError
from proxy.codecs.framings import Event, Frame
from proxy.codecs.framings.array import Array

RAW = b'\xef\xbb\xbf [{"a": "x]}\\"\\\\"},\r\n{"b": [1, {"c": "\xe2\x80\xa8"}]}\n,\n [] , "s,]" , 12 ,null\n]\n'
DATA = [b'{"a": "x]}\\"\\\\"}', b'{"b": [1, {"c": "\xe2\x80\xa8"}]}', b"[]", b'"s,]"', b"12", b"null"]


def frames_of(raw: bytes, size: int) -> list[Frame]:
    array = Array()
    found = [frame for i in range(0, len(raw), size) for frame in array.feed(raw[i : i + size])]
    return [*found, *array.finish()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_elements_at_any_cut(size: int) -> None:
    frames = frames_of(RAW, size)
    assert b"".join(frame.raw for frame in frames) == RAW
    assert [frame.data for frame in frames if not frame.is_comment] == DATA
    assert [frame.raw for frame in frames if frame.is_comment] == [b"\xef\xbb\xbf [", b"\n]", b"\n"]
    array = Array()
    assert b"".join(map(array.unchanged, frames)) == RAW


def test_an_element_comes_as_soon_as_it_is_complete() -> None:
    array = Array()
    assert [frame.data for frame in array.feed(b'[{"a":1}')] == [b"", b'{"a":1}']
    assert array.feed(b"\n") == []
    assert [frame.raw for frame in array.feed(b',\n{"b":2}')] == [b'\n,\n{"b":2}']
    assert array.pending == 0
    assert array.feed(b" ,{") == []
    assert array.pending == 3


@pytest.mark.parametrize("raw", [b"[]", b" [ \n] \n", b'[{"error": {"code": 400}}]\n'])
def test_small_arrays(raw: bytes) -> None:
    assert b"".join(frame.raw for frame in frames_of(raw, 1)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[",
        b'[{"a":1}',
        b'[{"a":1},',
        b'[{"a":1},]',
        b"[,1]",
        b"[1 2]",
        b'[{"a":1}{"b":2}]',
        b"[{]}]",
        b"[}]",
        b"[1]x",
        b"[1][2]",
        b'[1]{"a":1}',
        b'{"a":1}',
        b"data: 1",
        b'["\\',
        b"\xef\xbb",
        b"[" * 400,
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_array_is_refused(raw: bytes, size: int) -> None:
    with pytest.raises(DecodeError):
        frames_of(raw, size)


def test_an_element_that_never_ends_is_refused() -> None:
    array = Array(max_element=100)
    array.feed(b'[{"a":"')
    with pytest.raises(DecodeError, match="more than 100 bytes"):
        for _ in range(200):
            array.feed(b"x")
    with pytest.raises(DecodeError, match="more than 100 bytes"):
        Array(max_element=100).feed(b"[" + b'"' + b"x" * 200 + b'"]')


def written(raw: bytes, drop: set[int], add: set[int]) -> list[Any]:
    """Elements by number are dropped, and others come before them; what a reader makes of it."""
    array = Array()
    frames = [*array.feed(raw), *array.finish()]
    out: list[bytes] = []
    number = -1
    for frame in frames:
        number += 0 if frame.is_comment else 1
        if not frame.is_comment and number in add:
            out.append(array.encode(Event(None, b'{"new":%d}' % number)))
        leaves_out = not frame.is_comment and number in drop
        out.append(array.dropped(frame) if leaves_out else array.unchanged(frame))
    return list(orjson.loads(b"".join(out)))


@given(st.integers(0, 5), st.sets(st.integers(0, 4)), st.sets(st.integers(0, 4)), st.sampled_from([b",", b" ,\r\n "]))
def test_an_array_stays_one(length: int, drop: set[int], add: set[int], comma: bytes) -> None:
    raw = b"[" + comma.join(b'{"n":%d}' % i for i in range(length)) + b"\n]"
    expected: list[Any] = []
    for number in range(length):
        expected += [{"new": number}] if number in add else []
        expected += [] if number in drop else [{"n": number}]
    assert written(raw, drop, add) == expected


def test_another_document_in_an_element() -> None:
    array = Array()
    first, one, two, last = array.feed(b'[{"a":1},\n{"b":2}\n]')
    out = [array.unchanged(first), array.dropped(one), array.with_data(two, b'{"c":3}'), array.unchanged(last)]
    assert b"".join(out) == b'[\n{"c":3}\n]'


def test_an_element_in_the_place_of_everything() -> None:
    array = Array()
    array.feed(b'[{"a":1}]')
    array.finish()
    assert array.encode(Event(None, b'{"b":2}')) == b'[{"b":2}]'


def test_white_space_keeps_the_connection_alive() -> None:
    array = Array()
    pieces = [array.keepalive]
    for frame in array.feed(b'[{"a":1},{"b":2}]'):
        pieces += [array.unchanged(frame), array.keepalive]
    assert orjson.loads(b"".join(pieces)) == [{"a": 1}, {"b": 2}]


def test_what_a_frame_has_beside_its_document() -> None:
    array = Array()
    frames = array.feed(b'[{"a":1} ,\n{"b":2}]')
    assert [array.outside(frame) for frame in frames] == [b""] * 4
    assert not any(array.is_end(frame) for frame in frames)
    assert all(array.is_whole(frame) for frame in frames)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=6), st.integers(1, 9), st.booleans())
def test_any_elements(elements: list[Any], size: int, indented: bool) -> None:
    raw = orjson.dumps(elements, option=orjson.OPT_INDENT_2 if indented else 0)
    frames = frames_of(raw, size)
    assert b"".join(frame.raw for frame in frames) == raw
    assert [orjson.loads(frame.data) for frame in frames if not frame.is_comment] == elements


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for size in (1, 100):
        try:
            frames = frames_of(raw, size)
        except DecodeError:
            continue
        assert b"".join(frame.raw for frame in frames) == raw


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b'[{"a":"' + b"x" * n + b'"}]',
        lambda n: b'[{"a":"' + b"\\\\" * (n // 2) + b'"}]',
        lambda n: b"[" + b",".join([b"{}"] * (n // 3)) + b"]",
        lambda n: b'[{"a":[' + b"{}," * (n // 3) + b"1]}]",
        lambda n: b"[" + b" " * n + b"1]",
    ],
)
def test_twice_the_bytes_take_about_twice_the_time(make: Any) -> None:
    def seconds(length: int) -> float:
        raw = make(length)
        started = time.process_time()
        frames_of(raw, 3)
        return time.process_time() - started

    seconds(1000)
    spent = [min(seconds(n) for _ in range(3)) for n in (40_000, 160_000)]
    assert all(later < 12 * earlier + 0.05 for earlier, later in pairwise(spent))
