"""Changes to a message, spliced into its bytes; messages made of JSON values.

Only changed fields and the lengths of what encloses them are written anew: all else, unknown fields, the order and
varints longer than needed included, stays byte for byte. Where a tree comes from is `reading`'s.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import assert_never

import orjson

from proxy.codecs import Json, Key, Path
from proxy.codecs.protobuf import wire
from proxy.codecs.protobuf.reading import scalar
from proxy.codecs.protobuf.schema import SCALARS, TEXTS, Kind, Table, kind_of
from proxy.codecs.splicing import Append, Change, Insert, Remove, Replace, TextChange
from proxy.decision import TextEdit


@dataclass(slots=True)
class _Plan:
    """What is to be changed at one place and below it."""

    inner: dict[str | int | Key, "_Plan"] = field(default_factory=dict)
    edits: list[TextEdit] | None = None
    replace: bytes | None = None
    remove: bool = False
    append: list[bytes] = field(default_factory=list)
    met: bool = False

    def at(self, path: Path) -> "_Plan":
        """The plan for the place at `path`."""
        node = self
        for step in path:
            node = node.inner.setdefault(step, _Plan())
        return node

    def of(self, *steps: str | int) -> "_Plan | None":
        """The plan for a place right below, if there is one. It is met then."""
        node: _Plan | None = self
        for step in steps:
            node = node.inner.get(step) if node else None
            if node:
                node.met = True
        return node


def splice(table: Table, root: str, raw: bytes, changes: Sequence[Change]) -> bytes:
    """`raw`, a message called `root`, with the changes made.

    LookupError for a path that is not in it, ValueError for what cannot be written in its place. Values are JSON, as
    everywhere. A number that is edited becomes 0, unless what is left of it is one.
    """
    plan = _planned(changes)
    if plan.replace is not None:
        return encode(table, root, orjson.loads(plan.replace))
    return _message(table, root, raw, 0, len(raw), plan) if changes else raw


def _planned(changes: Sequence[Change]) -> _Plan:
    root = _Plan()
    for change in changes:
        if isinstance(change, TextChange) and not change.edits:
            continue
        node = root.at(change.path)
        match change:
            case TextChange():
                node.edits = [*(node.edits or ()), *change.edits]
            case Replace():
                if node.replace is not None:
                    raise ValueError("one value replaced twice")
                node.replace = change.json
            case Remove():
                node.remove = True
            case Append():
                node.append.append(change.json)
            case Insert():
                raise ValueError("an element is only added at the end of a field")
            case _:
                assert_never(change)
    return root


def _message(table: Table, name: str, raw: bytes, start: int, end: int, plan: _Plan) -> bytes:
    """The content of a message, changed."""
    message = table.get(name, {})
    counts: dict[str, int] = {}
    pieces: list[bytes] = []
    done = start
    for each in wire.fields(raw, start, end):
        kind = kind_of(message, each, raw)
        new = None
        if kind.name in plan.inner:
            new = _field(table, kind, raw, each, plan, counts)
        if new is not None:
            pieces += (raw[done : each.start], new)
            done = each.end
    return b"".join([*pieces, raw[done:end], *_added(table, name, plan)])


def _field(table: Table, kind: Kind, raw: bytes, each: wire.Field, plan: _Plan, counts: dict[str, int]) -> bytes | None:
    """One field of a name that something is planned for: its new bytes, None where they stay."""
    here = plan.of(kind.name)
    assert here is not None
    if here.remove or (here.replace is not None and kind.repeated):
        return b""  # a list is written anew at the end of its message
    if not kind.repeated:
        return _changed(table, kind, raw, each, here)
    if each.wire == wire.LEN and kind.type in SCALARS:
        return None
    index = counts[kind.name] = counts.get(kind.name, -1) + 1
    item = here.of(index)
    return _changed(table, kind, raw, each, item) if item else None


def _changed(table: Table, kind: Kind, raw: bytes, each: wire.Field, plan: _Plan) -> bytes | None:
    if plan.remove:
        return b""
    if plan.replace is not None:
        return _encoded(table, each.number, kind, orjson.loads(plan.replace))
    if (kind.type in SCALARS or kind.type in TEXTS) and (plan.inner or plan.append):
        raise LookupError("nothing is inside of a text or number")
    if kind.type in SCALARS:
        return _number(kind, raw, each, plan.edits)
    if kind.type in TEXTS:
        content = raw[each.value : each.end]
        new = apply(content.decode(), plan.edits or ()).encode("utf-8", "replace")
    else:
        if plan.edits is not None:
            raise LookupError("a message is no text")
        new = _message(table, kind.type, raw, each.value, each.end, plan)
    if len(new) == each.end - each.value:
        return raw[each.start : each.value] + new
    return raw[each.start : each.after_tag] + wire.encode_varint(len(new)) + new


def _number(kind: Kind, raw: bytes, each: wire.Field, edits: Sequence[TextEdit] | None) -> bytes | None:
    if not edits:
        return None
    if each.wire != wire.VARINT:
        raise LookupError("a fraction is no text")
    text = apply(str(scalar(kind.type, raw, each.value, each.end)[0]), edits)
    left = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return raw[each.start : each.after_tag] + wire.encode_varint(left)


def apply(text: str, edits: Iterable[TextEdit]) -> str:
    """The text with the edits made. ValueError where they overlap, LookupError beyond its end."""
    ordered = sorted(edits)
    if any(before.end > after.start for before, after in pairwise(ordered)):
        raise ValueError("edits of one text overlap")
    if ordered and ordered[-1].end > len(text):
        raise LookupError(f"a text of {len(text)} characters has no offset {ordered[-1].end}")
    for edit in reversed(ordered):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _added(table: Table, name: str, plan: _Plan) -> list[bytes]:
    """What is new in a message: elements of its lists, members it did not have."""
    out = [encode(table, name, orjson.loads(b"{" + json + b"}")) for json in plan.append]
    kinds = {kind.name: (number, kind) for number, kind in table.get(name, {}).items()}
    for step, node in plan.inner.items():
        known = kinds.get(str(step)) if isinstance(step, str) else None
        repeated = known[1].repeated if known else isinstance(step, str)
        items = [node.replace] if node.replace is not None and (repeated or not node.met) else []
        items += [b"[" + json + b"]" for json in node.append] if repeated else []
        _all_met(node, repeated, bool(items))
        if items and known is None:
            raise LookupError("no field of that name can be added")
        out += [_encoded(table, *known, orjson.loads(item)) for item in items if known]
    return out


def _all_met(node: _Plan, repeated: bool, added: bool) -> None:
    """LookupError where something was planned for what is not there."""
    gone = node.remove or node.replace is not None
    lost = repeated and not gone and not all(inner.met for inner in node.inner.values())
    if lost or not (node.met or added) or (repeated and node.edits is not None):
        raise LookupError("no value at that path of the message")


def encode(table: Table, name: str, value: Json) -> bytes:
    """A JSON object as a message called `name`."""
    kinds = {kind.name: (number, kind) for number, kind in table[name].items()}
    if not isinstance(value, dict) or not value.keys() <= kinds.keys():
        raise ValueError(f"no message {name}")
    return b"".join(_encoded(table, *kinds[member], item) for member, item in value.items())


def _encoded(table: Table, number: int, kind: Kind, value: Json) -> bytes:
    """A field with a JSON value; of a repeated one, all its elements. Nothing for null."""
    if isinstance(value, list):
        if not kind.repeated:
            raise ValueError(f"{kind.name} is no list")
        return b"".join(_encoded(table, number, kind, item) for item in value)
    if value is None:
        return b""
    if kind.type in TEXTS:
        if not isinstance(value, str):
            raise ValueError(f"{kind.name} is a text")
        return wire.encode_field(number, value.encode("utf-8", "replace"))
    if kind.type not in SCALARS:
        return wire.encode_field(number, encode(table, kind.type, value))
    if not isinstance(value, int | float):
        raise ValueError(f"{kind.name} is a number")
    tag = wire.encode_varint(number << 3 | SCALARS[kind.type])
    if SCALARS[kind.type] == wire.VARINT:
        return tag + wire.encode_varint(int(value))
    return tag + struct.pack("<f" if kind.type == "float" else "<d", value)
