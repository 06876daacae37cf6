"""AWS event streams (`application/vnd.amazon.eventstream`): framing only. What an event says is the codecs' business.

Source: "Amazon Event Stream Encoding" in the AWS SDK documentation: total length, length of the headers, CRC-32 of
these eight bytes, headers, payload, CRC-32 of all before. Headers are read in `event_headers`, chunks in
`event_chunks`.
"""

import struct
import zlib
from typing import Final

import orjson

from proxy.codecs import DecodeError
from proxy.codecs.framings import Event, Frame
from proxy.codecs.framings import event_chunks as chunks
from proxy.codecs.framings import event_headers as headers
from proxy.codecs.framings.sse import MAX_EVENT
from proxy.codecs.trees import parse

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
PRELUDE: Final = 12
"""Bytes before the headers."""

MAX_HEADERS: Final = 128 * 1024
"""Bytes the headers of a message may have (AWS SDKs' limit)."""

_SMALLEST: Final = PRELUDE + 4
_CHUNK: Final = "chunk"


def is_event_stream(head: bytes) -> bool:
    """Whether a body that begins with `head` (12 bytes are needed) begins with a message's prelude."""
    return len(head) >= PRELUDE and zlib.crc32(head[:8]) == int.from_bytes(head[8:PRELUDE])


class EventStream:
    """The framing of one stream. DecodeError, naming the byte, for wrong lengths and sums, past `max_event` bytes, and
    for a stream that ends within a message."""

    keepalive: Final = b""

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self._max_event = max_event
        self._error: DecodeError | None = None

    @property
    def pending(self) -> int:
        """Bytes of the message that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The messages that `data` completes. What is whole before an error comes first, however the stream was cut."""
        if self._error is not None:
            raise self._error
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        position = 0
        try:
            while len(buffer) - position >= PRELUDE:
                total, head = self._prelude(position)
                if len(buffer) - position < total:
                    break
                raw = bytes(buffer[position : position + total])
                frames.append(_frame(raw, head, self._offset + position))
                position += total
        except DecodeError as error:
            self._error = error
            if not frames:
                raise
        del buffer[:position]
        self._offset += position
        return frames

    def finish(self) -> list[Frame]:
        """Nothing may be left over."""
        if self._error is not None:
            raise self._error
        if self._buffer:
            raise DecodeError(f"the stream ends within the message at byte {self._offset}")
        return []

    def _prelude(self, position: int) -> tuple[int, int]:
        """Length of a message and of its headers. Their sum is right before anything is waited for."""
        total, head, crc = struct.unpack_from(">III", self._buffer, position)
        where = f"of the message at byte {self._offset + position}"
        if zlib.crc32(self._buffer[position : position + 8]) != crc:
            raise DecodeError(f"wrong checksum of the prelude {where}")
        if total > self._max_event:
            raise DecodeError(f"more than {self._max_event} bytes {where}")
        if head > MAX_HEADERS or total < _SMALLEST + head:
            raise DecodeError(f"impossible lengths {where}")
        return total, head

    def is_end(self, frame: Frame) -> bool:
        """OpenAI-style models may end with `[DONE]`, in a chunk."""
        return frame.data == chunks.DONE

    def is_whole(self, frame: Frame) -> bool:
        """Every message is."""
        return True

    def outside(self, frame: Frame) -> bytes:
        """Unusual headers, and what a chunk holds beside its document."""
        block, payload = _split(frame.raw)
        head = headers.read(block)
        rest = chunks.beside(payload) if head.name == _CHUNK else b""
        error = head.error.encode() if head.error and payload else b""
        return b"\n".join(filter(None, (head.strange, error, rest)))

    def unchanged(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return frame.raw

    def with_data(self, frame: Frame, data: bytes) -> bytes:
        """See `Framing`."""
        block, payload = _split(frame.raw)
        head = headers.read(block)
        if _is_bare_error(head, payload):
            return _message(headers.with_error(block, _said(data)), b"")
        return _message(block, chunks.closed(payload, data) if head.name == _CHUNK else data)

    def encode(self, event: Event) -> bytes:
        """A new message; without a name a chunk, where nothing says that the stream ends."""
        if event.data == chunks.DONE:
            return b""
        name = event.name or _CHUNK
        kind = "exception" if name.endswith("Exception") else "event"
        strings = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
        return _message(headers.encode(strings), chunks.wrapped(event.data) if name == _CHUNK else event.data)

    def dropped(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return b""


def _message(block: bytes, payload: bytes) -> bytes:
    lengths = struct.pack(">II", _SMALLEST + len(block) + len(payload), len(block))
    body = b"".join((lengths, struct.pack(">I", zlib.crc32(lengths)), block, payload))
    return body + struct.pack(">I", zlib.crc32(body))


def _split(raw: bytes) -> tuple[bytes, bytes]:
    end = PRELUDE + int.from_bytes(raw[4:8])
    return raw[PRELUDE:end], raw[end:-4]


def _frame(raw: bytes, head: int, offset: int) -> Frame:
    if zlib.crc32(raw[:-4]) != int.from_bytes(raw[-4:]):
        raise DecodeError(f"wrong checksum of the message at byte {offset}")
    block, payload = raw[PRELUDE : PRELUDE + head], raw[PRELUDE + head : -4]
    try:
        said = headers.read(block)
        if _is_bare_error(said, payload):
            payload = orjson.dumps({"message": said.error})
        elif said.name == _CHUNK:
            payload = chunks.opened(payload)
    except DecodeError as error:
        raise type(error)(f"{error}, in the message at byte {offset}") from None
    return Frame(raw, said.name, payload)


def _is_bare_error(head: headers.Head, payload: bytes) -> bool:
    """An error of the transport has no payload: what it says stands in a header, and is read like an exception's."""
    return head.error is not None and not payload


def _said(data: bytes) -> str:
    try:
        return str(parse(data)["message"])
    except (DecodeError, LookupError, TypeError):
        return data.decode(errors="replace")
