"""Content codings: gzip, deflate, br, zstd, stacked as they come, whole or as a stream, bounded against bombs.

RFC 9110 §8.4.1 (gzip, deflate), RFC 7932 (br), RFC 8878 (zstd). Only bytes in, bytes out: what is in them, and what to
do when they cannot be read, is decided elsewhere.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import brotli
import zstandard

MAX_STREAM_RATIO: Final = 200
"""A stream may grow to this many times what came in; text compresses 3 to 30 times, a bomb 1,000 times and more."""
STREAM_FLOOR: Final = 1 << 20
"""Bytes any stream may grow to, whatever its ratio."""

_SLICE: Final = 256
"""Compressed bytes handed at once to a decoder that cannot bound its output. Four bytes of zstd can mean 128 KiB (one
RLE block, RFC 8878 §3.1.1.2.2), so a slice can overshoot the limit by 8 MiB at most."""
_PIECE: Final = 1 << 16
_ZSTD_WINDOW: Final = 8 << 20
"""Largest window accepted, RFC 8878 §3.1.1.1.2's recommendation and RFC 9659's rule for HTTP."""


class BadEncoding(ValueError):  # noqa: N818 - says what is wrong with the body, as callers read it
    """Not what the content coding says, cut off, or in a coding nobody here knows."""


class TooLarge(ValueError):  # noqa: N818 - as above
    """Decodes to more than the limit."""


class _Decoder(Protocol):
    def decode(self, data: bytes) -> Iterator[bytes]:
        """Pieces of bounded size."""
        ...

    def finish(self) -> None:
        """Raise BadEncoding where the data ended too early."""
        ...


class _Zlib:
    """gzip (members may follow each other, RFC 1952 §2.2) and zlib."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self._started = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(self._wbits)
            self._started = True
            try:
                yield self._inflate.decompress(data, _PIECE)
            except zlib.error as exc:
                raise BadEncoding("broken deflate data") from exc
            data = self._inflate.unconsumed_tail or self._inflate.unused_data

    def finish(self) -> None:
        if self._started and not self._inflate.eof:
            raise BadEncoding("deflate data ends too early")


class _Deflate:
    """`deflate` is the zlib format (RFC 9110 §8.4.1.2); some servers send it raw, as its note warns."""

    def __init__(self) -> None:
        self._first = b""
        self._inner: _Zlib | None = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._inner is None:
            data = self._first = self._first + data
            if len(data) < 2:
                return
            # RFC 1950 §2.2: method 8, and the two header bytes are a multiple of 31
            zlibbed = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._inner = _Zlib(zlib.MAX_WBITS if zlibbed else -zlib.MAX_WBITS)
        yield from self._inner.decode(data)

    def finish(self) -> None:
        if self._inner is not None:
            self._inner.finish()
        elif self._first:
            raise BadEncoding("deflate data ends too early")


class _Brotli:
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()
        self._started = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            self._started = self._started or bool(data)
            yield self._decoder.process(data, output_buffer_limit=_PIECE)
            while not self._decoder.can_accept_more_data():
                yield self._decoder.process(b"", output_buffer_limit=_PIECE)
        except brotli.error as exc:
            raise BadEncoding("broken br data") from exc

    def finish(self) -> None:
        if self._started and not self._decoder.is_finished():
            raise BadEncoding("br data ends too early")


class _Zstd:
    """Frames may follow each other (RFC 8878 §3.1)."""

    def __init__(self) -> None:
        self._frames = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._frames.decompressobj()
        self._started = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            for piece in _sliced(data):
                rest = piece
                while rest:
                    if self._frame.eof:
                        self._frame = self._frames.decompressobj()
                    self._started = True
                    yield self._frame.decompress(rest)
                    rest = self._frame.unused_data if self._frame.eof else b""
        except zstandard.ZstdError as exc:
            raise BadEncoding("broken zstd data") from exc

    def finish(self) -> None:
        if self._started and not self._frame.eof:
            raise BadEncoding("zstd data ends too early")


class _Encoder(Protocol):
    def encode(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class _ZlibEncoder:
    def __init__(self, wbits: int) -> None:
        self._deflate = zlib.compressobj(wbits=wbits)

    def encode(self, data: bytes) -> bytes:
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._deflate.flush()


class _BrotliEncoder:
    def __init__(self) -> None:
        self._encoder = brotli.Compressor(quality=4)  # the default, 11, is for files: 50 times slower

    def encode(self, data: bytes) -> bytes:
        return bytes(self._encoder.process(data) + self._encoder.flush())

    def finish(self) -> bytes:
        return bytes(self._encoder.finish())


class _ZstdEncoder:
    def __init__(self) -> None:
        self._encoder = zstandard.ZstdCompressor().compressobj()

    def encode(self, data: bytes) -> bytes:
        return self._encoder.compress(data) + self._encoder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._encoder.flush()


_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS

_DECODERS: Final[dict[str, Callable[[], _Decoder]]] = {
    "gzip": lambda: _Zlib(_GZIP_WBITS),
    "x-gzip": lambda: _Zlib(_GZIP_WBITS),  # RFC 9110 §8.4.1.3: equivalent to gzip
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}

_ENCODERS: Final[dict[str, Callable[[], _Encoder]]] = {
    "gzip": lambda: _ZlibEncoder(_GZIP_WBITS),
    "x-gzip": lambda: _ZlibEncoder(_GZIP_WBITS),
    "deflate": lambda: _ZlibEncoder(zlib.MAX_WBITS),
    "br": _BrotliEncoder,
    "zstd": _ZstdEncoder,
}

ACCEPTED: Final = "gzip, deflate, br, zstd"
"""For `accept-encoding`: what can be decoded here."""


def codings(content_encoding: str) -> list[str]:
    """The codings of a Content-Encoding field, in the order they were applied; `identity` is none.

    Raises BadEncoding for one that is unknown, and for more than four.
    """
    names = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    for name in names:
        if name not in _DECODERS:
            raise BadEncoding("unknown content coding")
    if len(names) > 4:
        raise BadEncoding("too many content codings")
    return names


class StreamDecoder:
    """Decodes a body as it comes. `content_encoding` is the header's value; several codings are undone in turn.

    Raises TooLarge once more than `limit` bytes came out (None: no limit), or more than `ratio` times what came
    in and STREAM_FLOOR; BadEncoding on anything that is not in that coding.
    """

    def __init__(self, content_encoding: str, limit: int | None = None, ratio: int = MAX_STREAM_RATIO) -> None:
        self._decoders = [_DECODERS[name]() for name in reversed(codings(content_encoding))]
        self._limit = limit
        self._ratio = ratio
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> bytes:
        """Whatever can be decoded with this chunk."""
        self._taken += len(data)
        if not self._decoders:
            self._count(len(data), self._allowed())
            return data
        return b"".join(self._through(data, 0))

    def _through(self, data: bytes, depth: int) -> Iterator[bytes]:
        last = depth == len(self._decoders) - 1
        allowed = self._allowed()
        for piece in self._decoders[depth].decode(data):
            if not last:
                yield from self._through(piece, depth + 1)
            elif piece:
                self._count(len(piece), allowed)
                yield piece

    def _allowed(self) -> int:
        by_ratio = max(STREAM_FLOOR, self._taken * self._ratio)
        return by_ratio if self._limit is None else min(self._limit, by_ratio)

    def _count(self, size: int, allowed: int) -> None:
        self._given += size
        if self._given > allowed:
            raise TooLarge("the decoded body is larger than allowed")

    def finish(self) -> bytes:
        """The end of the body: b"", or BadEncoding where data is missing."""
        for decoder in self._decoders:
            decoder.finish()
        return b""


class StreamEncoder:
    """Encodes a body as it comes; after every chunk the reader can decode all of it, so that a stream stays one."""

    def __init__(self, content_encoding: str) -> None:
        self._encoders = [_ENCODERS[name]() for name in codings(content_encoding)]

    def feed(self, data: bytes) -> bytes:
        """The chunk, encoded and flushed; b"" for b""."""
        for encoder in self._encoders if data else ():
            data = encoder.encode(data)
        return data

    def finish(self) -> bytes:
        """What closes the encoding."""
        data = b""
        for encoder in self._encoders:
            data = (encoder.encode(data) if data else b"") + encoder.finish()
        return data


def decode_body(raw: bytes, content_encoding: str, limit: int) -> bytes:
    """A whole body, decoded. Raises TooLarge past `limit` bytes, BadEncoding where it cannot be read."""
    decoder = StreamDecoder(content_encoding, limit, ratio=limit)
    body = decoder.feed(raw)
    decoder.finish()
    return body


def encode_body(body: bytes, content_encoding: str) -> bytes:
    """A whole body, encoded again as the header says."""
    encoder = StreamEncoder(content_encoding)
    return encoder.feed(body) + encoder.finish()


def _sliced(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _SLICE):
        yield data[start : start + _SLICE]
