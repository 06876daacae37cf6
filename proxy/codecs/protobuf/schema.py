"""Which fields a message has: descriptor tables, and what to make of fields that no table knows.

Data and its reading only; trees are made in `reading`, bytes in `writing`.
"""

import re
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from proxy.codecs import DecodeError
from proxy.codecs.protobuf import wire

SCALARS: Final = {"int": wire.VARINT, "bool": wire.VARINT, "float": wire.FIXED32, "double": wire.FIXED64}
"""`int` stands for every integer type with plain varints, enumerations among them."""

TEXTS: Final = frozenset({"string", "bytes"})
"""`bytes` are read as a text where they are one: a file's content may be."""


class Kind(NamedTuple):
    """What a table says of one field."""

    name: str
    type: str
    """string | bytes | int | bool | float | double, or the name of a message."""
    repeated: bool


type Message = Mapping[int, Kind]

type Table = Mapping[str, Message]


def table(text: str) -> Table:
    """A table from its short notation: a line for each message, `Name: 1 field type, 2 field type*` (`*`: repeated)."""
    messages = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, members = line.partition(":")
        messages[name] = dict(_member(*member.split()) for member in filter(None, members.split(",")))
    unknown = {kind.type for message in messages.values() for kind in message.values()} - messages.keys()
    if unknown - SCALARS.keys() - TEXTS:
        raise ValueError(f"a table names types that it does not have: {sorted(unknown)}")
    return messages


def _member(number: str, name: str, kind: str) -> tuple[int, Kind]:
    return int(number), Kind(name, kind.rstrip("*"), kind.endswith("*"))


UNKNOWN: Final = "#"
"""Fields that no table knows are named after their number, and always repeated: any may come again."""


def kind_of(message: Message, field: wire.Field, raw: bytes) -> Kind:
    """What a field is. Of an unknown one, the type is guessed from its bytes."""
    known = message.get(field.number)
    if known is None:
        return _unknown(field.number, _guess(raw, field))
    expected = SCALARS.get(known.type, wire.LEN)
    if field.wire != expected and not (known.repeated and field.wire == wire.LEN):
        raise DecodeError(f"wire type {field.wire} is none of field {field.number}'s, at byte {field.start}")
    return known


@lru_cache(maxsize=1024)
def _unknown(number: int, kind: str) -> Kind:
    return Kind(f"{UNKNOWN}{number}", kind, True)


_NUMBERS: Final = {wire.VARINT: "int", wire.FIXED32: "float", wire.FIXED64: "double"}


def _guess(raw: bytes, field: wire.Field) -> str:
    return _NUMBERS.get(field.wire) or guess(raw, field.value, field.end)


NAMELESS: Final = ""
"""The name of a message that no table has."""

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def guess(raw: bytes, start: int, end: int) -> Literal["string", "bytes", ""]:
    """Whether unknown bytes are a text, a message (NAMELESS) or neither.

    What can be read as a text is one: nothing of it goes unseen. But a message whose first field is text of some 32 to
    126 bytes reads like a text too, with a line feed for its tag: those that begin so are messages if all of it fits.
    """
    content = raw[start:end]
    printable = not _CONTROL.search(content) and is_text(content)
    if printable and not content.startswith(b"\n"):
        return "string"
    if content and _is_message(raw, start, end):
        return NAMELESS
    return "string" if printable or is_text(content) else "bytes"


def is_text(content: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_message(raw: bytes, start: int, end: int) -> bool:
    try:
        deque(wire.fields(raw, start, end), maxlen=0)
    except DecodeError:
        return False
    return True
