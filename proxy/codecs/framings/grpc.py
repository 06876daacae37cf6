"""gRPC's length-prefixed messages (github.com/grpc/grpc, PROTOCOL-HTTP2.md) and gRPC-Web's trailers behind them.

A compressed message (flag 1) is read decompressed. It leaves as it came unless it was edited; then it leaves plain,
with flag 0, which is right whatever `grpc-encoding` says. What a message says is the codecs' business.
"""

import zlib
from typing import Final
from urllib.parse import quote

from proxy.codecs import DecodeError
from proxy.codecs.framings import Event, Frame

MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Bytes a message may have, compressed or not, unless the caller says otherwise."""

_HEAD: Final = 5
_COMPRESSED: Final = 0x01
_TRAILERS: Final = 0x80
"""gRPC-Web only (PROTOCOL-WEB.md): the last frame holds the trailers as HTTP/1 header lines."""

_ANY_ZLIB: Final = 47
"""gzip or zlib, by the magic bytes: `gzip` and `deflate` of grpc-encoding."""


class Grpc:
    """The framing of one stream."""

    keepalive: Final = b""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._buffer = bytearray()
        self._max = max_message

    @property
    def pending(self) -> int:
        """Bytes of the frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. DecodeError for flags and lengths that no frame has."""
        self._buffer += data
        frames: list[Frame] = []
        done = 0
        while (end := self._end(done)) is not None:
            frames.append(self._frame(bytes(self._buffer[done:end])))
            done = end
        del self._buffer[:done]
        return frames

    def finish(self) -> list[Frame]:
        """Nothing may be left over."""
        if self._buffer:
            raise DecodeError(f"a gRPC message that ends after {len(self._buffer)} bytes")
        return []

    def is_end(self, frame: Frame) -> bool:
        """The stream ends with HTTP trailers."""
        return False

    def is_whole(self, frame: Frame) -> bool:
        """Every frame has its length."""
        return True

    def outside(self, frame: Frame) -> bytes:
        """The trailers of gRPC-Web."""
        return self._content(frame.raw) if frame.is_comment else b""

    def unchanged(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return frame.raw

    def with_data(self, frame: Frame, data: bytes) -> bytes:
        """See `Framing`."""
        return _framed(data)

    def encode(self, event: Event) -> bytes:
        """See `Framing`."""
        return _framed(event.data)

    def dropped(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return b""

    def _end(self, start: int) -> int | None:
        """Where the frame at `start` ends; None where it is not complete."""
        buffer = self._buffer
        if len(buffer) <= start:
            return None
        if buffer[start] & ~(_COMPRESSED | _TRAILERS):
            raise DecodeError("no gRPC message has such flags")
        if len(buffer) < start + _HEAD:
            return None
        size = int.from_bytes(buffer[start + 1 : start + _HEAD])
        if size > self._max:
            raise DecodeError(f"a gRPC message of more than {self._max} bytes")
        end = start + _HEAD + size
        return end if end <= len(buffer) else None

    def _frame(self, raw: bytes) -> Frame:
        if raw[0] & _TRAILERS:
            return Frame(raw, None, b"", is_comment=True)
        return Frame(raw, None, self._content(raw))

    def _content(self, raw: bytes) -> bytes:
        content = raw[_HEAD:]
        if not raw[0] & _COMPRESSED:
            return content
        inflate = zlib.decompressobj(_ANY_ZLIB)
        try:
            plain = inflate.decompress(content, self._max)
        except zlib.error:
            raise DecodeError("a gRPC message compressed in an unknown way") from None
        if not inflate.eof or inflate.unused_data or inflate.unconsumed_tail:
            raise DecodeError("a compressed gRPC message that is too long, cut short or followed by something")
        return plain


def _framed(data: bytes) -> bytes:
    return b"\0" + len(data).to_bytes(4) + data


_CODES: Final = {400: 7, 401: 16, 403: 7, 404: 5, 407: 16, 413: 8, 429: 8, 503: 14, 504: 4}
"""gRPC status codes for a denial's HTTP status. 7 (PERMISSION_DENIED) is not retried by gRPC clients, 14 is."""


def status_headers(status: int, message: str) -> tuple[tuple[str, str], ...]:
    """The headers of an answer that is only trailers (PROTOCOL-HTTP2.md, `Trailers-Only`): HTTP 200 without a body."""
    return (
        ("content-type", "application/grpc"),
        ("grpc-status", str(_CODES.get(status, 13))),
        ("grpc-message", quote(message, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")),
    )
