"""Protocol Buffers on the wire (protobuf.dev/programming-guides/encoding): varints and fields, not what they mean.

Reading and writing of single fields only; which message they belong to is `schema`'s, trees and changes the others'.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from proxy.codecs import DecodeError

VARINT: Final = 0
FIXED64: Final = 1
LEN: Final = 2
FIXED32: Final = 5

_SIZES: Final = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT: Final = 10
_MAX_TAG: Final = 1 << 32
"""Field numbers have 29 bits, wire types 3."""


class Field(NamedTuple):
    """One field as it stands in the bytes."""

    number: int
    wire: int
    start: int
    """Of the tag."""
    after_tag: int
    value: int
    """Where the value begins; of LEN the content, behind its length."""
    end: int


def varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    """An unsigned varint and the offset behind it. Forms longer than needed count as what they say."""
    if at < end and raw[at] < 0x80:  # most are
        return raw[at], at + 1
    result = shift = 0
    for position in range(at, min(end, at + _MAX_VARINT)):
        byte = raw[position]
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            if result >> 64:
                raise DecodeError(f"a varint of more than 64 bits at byte {at}")
            return result, position + 1
        shift += 7
    raise DecodeError(f"a varint that does not end at byte {at}")


def fields(raw: bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of the message in raw[start:end], in order. DecodeError for what is none.

    Groups (wire types 3 and 4) were deprecated before proto3 and are in no API that is read here: they are refused.
    """
    at = start
    while at < end:
        tag, after = varint(raw, at, end)
        number, wire = tag >> 3, tag & 7
        value = after
        if wire == LEN:
            size, value = varint(raw, after, end)
            stop = value + size
        elif wire == VARINT:
            stop = varint(raw, after, end)[1]
        elif wire in _SIZES:
            stop = after + _SIZES[wire]
        else:
            raise DecodeError(f"wire type {wire} at byte {at}")
        if not number or tag >= _MAX_TAG:
            raise DecodeError(f"no field has the number {number}, at byte {at}")
        if stop > end:
            raise DecodeError(f"a field reaches beyond its message, at byte {at}")
        yield Field(number, wire, at, after, value, stop)
        at = stop


def encode_varint(value: int) -> bytes:
    """The shortest form. Negative numbers as 64 bits of two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return encode_varint(number << 3 | LEN) + encode_varint(len(content)) + content
