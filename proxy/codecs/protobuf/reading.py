"""Messages read into trees of dicts, lists and scalars, as JSON is read; nothing is changed here (`writing`)."""

import struct
from typing import Final

from proxy.codecs import AmbiguousError, DecodeError, Json
from proxy.codecs.protobuf import wire
from proxy.codecs.protobuf.schema import SCALARS, Kind, Table, is_text, kind_of

MAX_DEPTH: Final = 100
"""Nesting that is read, as in protobuf's own parsers."""

_FORMATS: Final = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}


def read(table: Table, name: str, raw: bytes, start: int, end: int, depth: int = 0) -> dict[str, Json]:
    """The message called `name` in raw[start:end].

    DecodeError for what is none, AmbiguousError for a field given twice that may come once: the last one counts for
    most readers (protobuf.dev, "Last One Wins"), and messages are merged, so what was scanned need not be what is used.
    """
    if depth > MAX_DEPTH:
        raise DecodeError(f"nested deeper than {MAX_DEPTH} levels")
    message = table.get(name, {})
    tree: dict[str, Json] = {}
    for field in wire.fields(raw, start, end):
        kind = kind_of(message, field, raw)
        if kind.repeated:
            values = tree.setdefault(kind.name, [])
            if field.wire == wire.LEN and kind.type in SCALARS:
                values += _packed(kind, raw, field)
            else:
                values.append(_value(table, kind, raw, field, depth))
        elif kind.name in tree:
            raise AmbiguousError(f"a second field {field.number} at byte {field.start}")
        else:
            tree[kind.name] = _value(table, kind, raw, field, depth)
    return tree


def _value(table: Table, kind: Kind, raw: bytes, field: wire.Field, depth: int) -> Json:
    if kind.type == "string":
        return _text(raw, field)
    if kind.type in SCALARS:
        return scalar(kind.type, raw, field.value, field.end)[0]
    if kind.type == "bytes":
        content = raw[field.value : field.end]
        return content.decode() if is_text(content) else content
    return read(table, kind.type, raw, field.value, field.end, depth + 1)


def _text(raw: bytes, field: wire.Field) -> str:
    try:
        return raw[field.value : field.end].decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"not UTF-8 at byte {field.value + error.start}") from None


def scalar(kind: str, raw: bytes, at: int, end: int) -> tuple[int | bool | float, int]:
    """A number and the offset behind it."""
    if kind in _FORMATS:
        form = _FORMATS[kind]
        if at + form.size > end:
            raise DecodeError(f"a number that is cut short at byte {at}")
        return form.unpack_from(raw, at)[0], at + form.size
    value, after = wire.varint(raw, at, end)
    if kind == "bool":
        return bool(value), after
    return value - (1 << 64) if value >> 63 else value, after


def _packed(kind: Kind, raw: bytes, field: wire.Field) -> list[int | bool | float]:
    """Repeated numbers in one field (protobuf.dev, "Packed Repeated Fields")."""
    found, at = [], field.value
    while at < field.end:
        value, at = scalar(kind.type, raw, at, field.end)
        found.append(value)
    return found
