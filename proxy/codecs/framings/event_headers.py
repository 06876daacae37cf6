"""The headers of one AWS event stream message: names, typed values, and which of them could hold a text.

Source: "Amazon Event Stream Encoding" in the AWS SDK documentation. Frames are `event_stream`'s business.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from proxy.codecs import DecodeError

_STRING: Final = 7
_SIZED: Final = (6, _STRING)
"""Byte array and string: two bytes of length before the value."""

_FIXED: Final[Mapping[int, int]] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""true, false, byte, short, integer, long, timestamp, UUID: bytes of the value."""

_KNOWN: Final = frozenset({":event-type", ":exception-type", ":message-type", ":content-type", ":error-code"})
_WORD: Final = re.compile(r"[A-Za-z./-]{1,64}")

ERROR_MESSAGE: Final = ":error-message"
MAX_STRING: Final = 0x7FFF
"""Bytes a string value may have."""


class Header(NamedTuple):
    """One header as it stands in the block."""

    name: str
    value: bytes
    is_string: bool
    span: tuple[int, int]
    """Bytes of its value in the block, the length before it included."""


class Head(NamedTuple):
    """What the headers of a message say of it."""

    name: str | None
    """`:event-type`, or `:exception-type`."""
    error: str | None
    """`:error-message`."""
    strange: bytes
    """Other headers that are none of the framing's own words, and so could hold a text."""


def encode(strings: Mapping[str, str]) -> bytes:
    """A block of headers with these string values."""
    return b"".join(bytes((len(name),)) + name.encode() + b"\x07" + _sized(value) for name, value in strings.items())


def with_error(block: bytes, message: str) -> bytes:
    """The block with another `:error-message`, cut to the length that a header may have."""
    for header in _headers(block):
        if header.name == ERROR_MESSAGE:
            return block[: header.span[0]] + _sized(message) + block[header.span[1] :]
    return block


@lru_cache(maxsize=256)  # the same few blocks come with every event of a stream
def read(block: bytes) -> Head:
    """What a block says. DecodeError for one that is none, or that names a header twice."""
    headers = list(_headers(block))
    strings = {header.name: header.value.decode(errors="replace") for header in headers if header.is_string}
    if len({header.name for header in headers}) < len(headers):
        raise DecodeError("a header given twice")
    name = strings.get(":event-type") or strings.get(":exception-type")
    strange = [header.name.encode() + b": " + header.value for header in headers if _is_strange(header)]
    return Head(name, strings.get(ERROR_MESSAGE), b"\n".join(strange))


def _is_strange(header: Header) -> bool:
    if header.name == ERROR_MESSAGE:
        return False
    return header.name not in _KNOWN or _WORD.fullmatch(header.value.decode(errors="replace")) is None


def _headers(block: bytes) -> Iterator[Header]:
    position = 0
    try:
        while position < len(block):
            start = position + 1 + block[position] + 1
            name, kind = block[position + 1 : start - 1], block[start - 1]
            if kind in _SIZED:
                (size,) = struct.unpack_from(">H", block, start)
                begin, position = start + 2, start + 2 + size
            else:
                begin, position = start, start + _FIXED[kind]
            if position > len(block):
                raise DecodeError("headers longer than the block that holds them")
            yield Header(name.decode(), block[begin:position], kind == _STRING, (start, position))
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise DecodeError("headers that cannot be read") from None


def _sized(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogateescape")[:MAX_STRING]
    return struct.pack(">H", len(raw)) + raw
