"""gRPC's framing: whole, byte by byte, compressed, corrupt; and the trailers of gRPC-Web."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from proxy.codecs import DecodeError
from proxy.codecs.framings import Event, Frame, Framing
from proxy.codecs.framings.grpc import Grpc, status_headers


def framed(content: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(content).to_bytes(4) + content


TRAILERS = b"grpc-status: 0\r\ngrpc-message: fine\r\n"
STREAM = framed(b"one") + framed(b"") + framed(gzip.compress(b"three", mtime=0), 1) + framed(TRAILERS, 0x80)


def frames(*pieces: bytes) -> list[Frame]:
    framing: Framing = Grpc()
    return [*(frame for piece in pieces for frame in framing.feed(piece)), *framing.finish()]


def test_a_stream_is_cut_into_messages() -> None:
    found = frames(STREAM)
    assert [(frame.data, frame.is_comment) for frame in found] == [
        (b"one", False),
        (b"", False),
        (b"three", False),
        (b"", True),
    ]
    assert b"".join(map(Grpc().unchanged, found)) == STREAM
    assert frames(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == found
    assert frames(*(STREAM[i : i + 7] for i in range(0, len(STREAM), 7))) == found


def test_what_is_pending() -> None:
    framing = Grpc()
    assert framing.feed(framed(b"one") + b"\0\0") == [Frame(framed(b"one"), None, b"one")]
    assert framing.pending == 2
    assert framing.feed(b"\0\0\x01") == []
    assert framing.feed(b"x")[0].data == b"x"
    assert framing.pending == 0


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_an_edited_message_leaves_plain(compress: Callable[[bytes], bytes]) -> None:
    (frame,) = frames(framed(compress(b"text"), 1))
    assert frame.data == b"text"
    framing = Grpc()
    assert framing.with_data(frame, b"other") == framed(b"other")
    assert framing.encode(Event("unnamed", b"new")) == framed(b"new")
    assert framing.dropped(frame) == framing.keepalive == b""
    assert framing.is_whole(frame)
    assert not framing.is_end(frame)


@pytest.mark.parametrize("flag", [0x80, 0x81])
def test_trailers_stand_outside(flag: int) -> None:
    (frame,) = frames(framed(gzip.compress(TRAILERS, mtime=0) if flag & 1 else TRAILERS, flag))
    assert frame.is_comment
    assert Grpc().outside(frame) == TRAILERS
    assert Grpc().outside(frames(framed(b"one"))[0]) == b""


@pytest.mark.parametrize(
    "raw",
    [
        b"\x02\0\0\0\0",
        b"{",
        b"\0\xff\xff\xff\xff",
        framed(b"cut short")[:-1],
        b"\0\0",
        framed(b"no gzip", 1),
        framed(gzip.compress(b"text", mtime=0)[:-1], 1),
        framed(gzip.compress(b"text", mtime=0) + b"more", 1),
        framed(b"", 1),
    ],
)
def test_what_is_no_stream(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        frames(raw)


def test_messages_have_a_limit_that_compression_does_not_hide() -> None:
    assert Grpc(10).feed(framed(b"x" * 10))[0].data == b"x" * 10
    with pytest.raises(DecodeError, match="more than 10 bytes"):
        Grpc(10).feed(framed(b"x" * 11))
    with pytest.raises(DecodeError, match="too long"):
        Grpc(100).feed(framed(gzip.compress(b"x" * 101, mtime=0), 1))
    assert Grpc(100).feed(framed(gzip.compress(b"x" * 100, mtime=0), 1))[0].data == b"x" * 100


@pytest.mark.parametrize(
    ("status", "code"), [(400, "7"), (401, "16"), (403, "7"), (429, "8"), (503, "14"), (599, "13")]
)
def test_denials_are_trailers(status: int, code: str) -> None:
    headers = dict(status_headers(status, "nein: 50 % für\nalle"))
    assert headers == {
        "content-type": "application/grpc",
        "grpc-status": code,
        "grpc-message": "nein: 50 %25 f%C3%BCr%0Aalle",
    }
