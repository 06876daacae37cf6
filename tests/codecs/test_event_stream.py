"""AWS event streams: cut anywhere, corrupt anywhere, chunks unwrapped and wrapped, headers kept."""

import struct
import zlib
from base64 import b64encode

import orjson
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import AmbiguousError, DecodeError
from proxy.codecs.framings import Event, Frame
from proxy.codecs.framings.choose import choose
from proxy.codecs.framings.event_stream import EventStream, is_event_stream
from proxy.codecs.framings.sse import Sse
from tests.codecs.event_frames import chunk, event, header, message


def only(raw: bytes) -> Frame:
    (frame,) = EventStream().feed(raw)
    return frame


def parsed(raw: bytes) -> list[tuple[dict[str, object], bytes]]:
    """What botocore reads."""
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    return [(item.headers, item.payload) for item in buffer]


STREAM = b"".join(
    [
        event("messageStart", b'{"p":"abc","role":"assistant"}'),
        event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"hi"},"p":"ab"}'),
        chunk(b'{"outputText":"hi"}', p="abcd"),
        chunk("Grüße".encode()),
        message(header(":exception-type", b"throttlingException") + header(":message-type", b"exception"), b'{"m":1}'),
    ]
)


def fed(pieces: list[bytes]) -> list[Frame]:
    framing = EventStream()
    return [*(frame for piece in pieces for frame in framing.feed(piece)), *framing.finish()]


def test_frames_are_named_and_unwrapped() -> None:
    assert [(frame.name, frame.data) for frame in fed([STREAM])] == [
        ("messageStart", b'{"p":"abc","role":"assistant"}'),
        ("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"hi"},"p":"ab"}'),
        ("chunk", b'{"outputText":"hi"}'),
        ("chunk", '{"bytes":"Grüße"}'.encode()),
        ("throttlingException", b'{"m":1}'),
    ]


def test_every_cut_gives_the_same_frames() -> None:
    whole = fed([STREAM])
    assert b"".join(frame.raw for frame in whole) == STREAM
    assert fed([STREAM[i : i + 1] for i in range(len(STREAM))]) == whole
    for cut in range(len(STREAM)):
        assert fed([STREAM[:cut], STREAM[cut:]]) == whole


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255), st.integers(1, 50))
def test_a_changed_byte_is_an_error(position: int, change: int, size: int) -> None:
    raw = bytearray(STREAM)
    raw[position] ^= change
    framing = EventStream()
    frames: list[Frame] = []
    with pytest.raises(DecodeError, match=r"at byte \d+"):
        for start in range(0, len(raw), size):
            frames += framing.feed(bytes(raw[start : start + size]))
        framing.finish()
        framing.finish()
    sent = b"".join(frame.raw for frame in frames)
    assert STREAM.startswith(sent), "what is whole before the error is given"
    assert len(sent) <= position


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
def test_what_comes_before_an_error_does_not_depend_on_the_cut(position: int, change: int) -> None:
    raw = bytearray(STREAM)
    raw[position] ^= change

    def before(size: int) -> list[Frame]:
        framing, frames = EventStream(), list[Frame]()
        try:
            for start in range(0, len(raw), size):
                frames += framing.feed(bytes(raw[start : start + size]))
        except DecodeError:
            pass
        return frames

    assert before(len(raw)) == before(1) == before(97)


@given(st.binary(max_size=200))
def test_anything_is_an_error_or_read(raw: bytes) -> None:
    framing = EventStream()
    try:
        frames = [*framing.feed(raw), *framing.finish()]
    except DecodeError:
        return
    assert b"".join(frame.raw for frame in frames) == raw


def test_trailing_bytes_are_an_error() -> None:
    framing = EventStream()
    assert len(framing.feed(STREAM + b"\0\0")) == 5
    assert framing.pending == 2
    with pytest.raises(DecodeError, match=f"byte {len(STREAM)}"):
        framing.finish()


def test_an_error_stays() -> None:
    framing = EventStream()
    assert len(framing.feed(STREAM + b"x" * 12)) == 5
    for _ in range(2):
        with pytest.raises(DecodeError, match="prelude"):
            framing.feed(b"")
    with pytest.raises(DecodeError, match="prelude"):
        framing.finish()


def test_a_length_over_the_cap_is_not_waited_for() -> None:
    lengths = struct.pack(">II", 1 << 30, 0)
    with pytest.raises(DecodeError, match="more than 100 bytes"):
        EventStream(max_event=100).feed(lengths + struct.pack(">I", zlib.crc32(lengths)))


@pytest.mark.parametrize(("total", "head"), [(15, 0), (16, 1), (20, 5), (1 << 20, 1 << 18), (0, 0)])
def test_impossible_lengths(total: int, head: int) -> None:
    lengths = struct.pack(">II", total, head)
    with pytest.raises(DecodeError, match="impossible lengths of the message at byte 0"):
        EventStream().feed(lengths + struct.pack(">I", zlib.crc32(lengths)) + b"\0" * 40)


@pytest.mark.parametrize(
    "block",
    [
        b"\x05ab",
        header("a", b"x")[:-1],
        header("a", b"", 77),
        header("a", b"x") + header("a", b"y"),
        b"\x01\xff\x00",
        b"\x01a",
    ],
)
def test_headers_that_cannot_be_read(block: bytes) -> None:
    with pytest.raises(DecodeError, match="in the message at byte 0"):
        EventStream().feed(message(block, b"{}"))


def test_headers_of_every_type_stay() -> None:
    sizes = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: 3, 8: 8, 9: 16}
    more = [header(f"h{kind}", b"\1" * size, kind) for kind, size in sizes.items()]
    raw = event("messageStop", b'{"stopReason":"end_turn"}', *more)
    framing = EventStream()
    out = framing.with_data(only(raw), b'{"stopReason":"x"}')
    (before, _), (after, payload) = parsed(raw) + parsed(out)
    assert before == after
    assert payload == b'{"stopReason":"x"}'


# chunks


@pytest.mark.parametrize(
    "payload",
    [
        b'{"bytes":"eyJhIjoxfQ==","p":"abc"}',
        b'{"p":"abc","bytes":"eyJhIjoxfQ=="}',
        b' { "bytes" : "eyJhIjoxfQ==" , "p":"abc"} ',
    ],
)
def test_another_document_keeps_the_padding_and_the_order(payload: bytes) -> None:
    frame = only(event("chunk", payload))
    assert frame.data == b'{"a":1}'
    ((_, out),) = parsed(EventStream().with_data(frame, b'{"b":2}'))
    assert out == payload.replace(b"eyJhIjoxfQ==", b64encode(b'{"b":2}'))
    assert EventStream().with_data(frame, frame.data) == frame.raw


@pytest.mark.parametrize(
    "text",
    [
        b"plain",
        b"",
        b"42",
        b'"quoted"',
        b"[1]",
        b'{"cut": ',
        b"\xff\xfe\x00",
        "Grüße 😀 \u2028".encode(),
        b'{"x":NaN}',
    ],
)
def test_a_chunk_of_text_is_a_string(text: bytes) -> None:
    frame = only(chunk(text, p="abc"))
    document = orjson.loads(frame.data) if text != b"\xff\xfe\x00" else {"bytes": "\udcff\udcfe\0"}
    assert document["bytes"].encode("utf-8", "surrogateescape") == text
    assert EventStream().outside(frame) == b""
    assert EventStream().with_data(frame, frame.data) == frame.raw
    new = EventStream().with_data(frame, b'{"bytes":"new","p":"abc"}')
    assert only(new).data == b'{"bytes":"new","p":"abc"}'
    assert parsed(new)[0][1] == orjson.dumps({"bytes": b64encode(b"new").decode(), "p": "abc"})


def test_what_an_agent_cites_is_in_the_document() -> None:
    frame = only(chunk(b'{"a":1}', attribution={"citations": ["c"]}))
    assert orjson.loads(frame.data) == {"bytes": '{"a":1}', "attribution": {"citations": ["c"]}}
    assert EventStream().with_data(frame, frame.data) == frame.raw


@pytest.mark.parametrize("encoded", ["e", "eyJ!", "eyJhIjoxfQ", "eyJhIjoxfQ== "])
def test_base64_that_readers_decode_differently(encoded: str) -> None:
    with pytest.raises(DecodeError, match="base64"):
        only(event("chunk", orjson.dumps({"bytes": encoded})))


def test_bytes_given_twice() -> None:
    with pytest.raises(AmbiguousError, match="duplicate"):
        only(event("chunk", b'{"bytes":"eyJhIjoxfQ==","bytes":"eyJhIjoxfQ=="}'))


def test_a_document_with_doubled_names_is_left_to_the_codec() -> None:
    assert only(chunk(b'{"a":1,"a":2}')).data == b'{"a":1,"a":2}'


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"no json", b'{"bytes":5}', b'{"body":"eA=="}'])
def test_other_payloads_stay(payload: bytes) -> None:
    frame = only(event("chunk", payload))
    assert frame.data == payload
    assert EventStream().outside(frame) == b""
    assert EventStream().with_data(frame, payload) == frame.raw


def test_the_end_of_an_openai_stream() -> None:
    framing, frame = EventStream(), only(chunk(b"[DONE]"))
    assert framing.is_end(frame)
    assert not framing.is_end(only(chunk(b"{}")))
    assert framing.encode(Event(None, b"[DONE]")) == b""


# what stands beside a document


@pytest.mark.parametrize(
    ("raw", "beside"),
    [
        (STREAM[: STREAM.index(b'ab"}')], b""),
        (chunk(b"{}", p="abcdefgh"), b""),
        (chunk(b"{}", p="secret"), b'{"bytes":"","p":"secret"}'),
        (chunk(b"{}", p={"x": "secret"}), b'{"bytes":"","p":{"x":"secret"}}'),
        (event("trace", b"{}", header("note", b"secret")), b"note: secret"),
        (event("sk-live-123", b"{}"), b":event-type: sk-live-123"),
        (event("trace", b"{}", header(":error-message", b"secret")), b"secret"),
        (chunk(b"{}", p="s"), b'{"bytes":"","p":"s"}'),
    ],
)
def test_what_could_hide_a_text_is_outside(raw: bytes, beside: bytes) -> None:
    frames = EventStream().feed(raw)
    assert EventStream().outside(frames[0]) == beside


def test_an_errors_message_is_its_document() -> None:
    block = header(":message-type", b"error") + header(":error-code", b"Internal") + header(":error-message", b"oh no")
    frame = only(message(block, b""))
    assert frame.data == b'{"message":"oh no"}'
    assert EventStream().outside(frame) == b""
    ((headers, payload),) = parsed(EventStream().with_data(frame, b'{"message":"[hidden]"}'))
    assert headers == {":message-type": "error", ":error-code": "Internal", ":error-message": "[hidden]"}
    assert payload == b""
    ((headers, _),) = parsed(EventStream().with_data(frame, b'{"message":"' + b"x" * 99_999 + b'"}'))
    assert len(str(headers[":error-message"])) == 0x7FFF


# new events


def test_new_events() -> None:
    framing = EventStream()
    out = framing.encode(Event("contentBlockStop", b"{}")) + framing.encode(Event(None, b'{"a":1}'))
    out += framing.encode(Event("chunk", b'{"bytes":"text"}')) + framing.encode(Event("validationException", b"{}"))
    assert parsed(out) == [
        (
            {":event-type": "contentBlockStop", ":content-type": "application/json", ":message-type": "event"},
            b"{}",
        ),
        (
            {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"},
            b'{"bytes":"' + b64encode(b'{"a":1}') + b'"}',
        ),
        (
            {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"},
            b'{"bytes":"dGV4dA=="}',
        ),
        (
            {
                ":exception-type": "validationException",
                ":content-type": "application/json",
                ":message-type": "exception",
            },
            b"{}",
        ),
    ]
    assert [frame.data for frame in fed([out])][:3] == [b"{}", b'{"a":1}', b'{"bytes":"text"}']


def test_plain_answers() -> None:
    framing, frame = EventStream(), only(chunk(b"{}"))
    assert framing.keepalive == b""
    assert framing.is_whole(frame)
    assert framing.unchanged(frame) == frame.raw
    assert framing.dropped(frame) == b""


@pytest.mark.parametrize(
    ("head", "is_one"), [(STREAM[:12], True), (STREAM, True), (STREAM[:11], False), (b'{"a":1}' * 3, False)]
)
def test_it_is_told_by_its_first_bytes(head: bytes, is_one: bool) -> None:
    assert is_event_stream(head) is is_one


@pytest.mark.parametrize(
    ("content_type", "head", "kind"),
    [
        ("application/vnd.amazon.eventstream", b"", EventStream),
        ("", STREAM, EventStream),
        ("", STREAM[:11], type(None)),
        ("", b"\0" * 12, Sse),
        ("", b"data: {}", Sse),
    ],
)
def test_it_is_chosen(content_type: str, head: bytes, kind: type) -> None:
    assert isinstance(choose(content_type, head, ("sse",)), kind)
