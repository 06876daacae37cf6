"""Reading JSON, finding values in its raw bytes, and splicing them.

The exact way, by one pass of a tokenizer over the bytes, and only when something is edited: everything outside the
changed spans stays byte for byte what it was. Nothing here knows a provider's field.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Never

import orjson

from proxy.codecs import DecodeError, Json, Key, Path
from proxy.decision import TextEdit

__all__ = [
    "Append",
    "Change",
    "DecodeError",
    "Remove",
    "Replace",
    "TextChange",
    "leaves",
    "locate",
    "parse",
    "splice",
    "strings",
]

MAX_DEPTH = 254
"""Nesting that is read; orjson writes no deeper, and writing is how duplicate keys are found out."""

_BOM = b"\xef\xbb\xbf"


class TextChange(NamedTuple):
    """Edit the string (or number, which then becomes a string) at `path`; offsets count its decoded characters.

    With a `Key` at the end of the path, the member's name is edited.
    """

    path: Path
    edits: Sequence[TextEdit]


class Replace(NamedTuple):
    """Put `json` in the place of a value; a missing member of an object is added."""

    path: Path
    json: bytes


class Remove(NamedTuple):
    """Take out a member or an element, with its comma."""

    path: Path


class Append(NamedTuple):
    """Add `json` at the end of the array or object at `path`; for an object it is `"name": value`."""

    path: Path
    json: bytes


type Change = TextChange | Replace | Remove | Append
type Span = tuple[int, int]
"""Byte offsets [start, end)."""


def parse(raw: bytes) -> Json:
    """The document in `raw`: strict RFC 8259 in UTF-8, a leading BOM skipped (§8.1 lets a reader ignore it).

    DecodeError for anything else, for nesting deeper than MAX_DEPTH and for duplicate names: of two members with one
    name readers keep different ones, so what was scanned need not be what is used. Integers beyond 64 bits come as
    floats, as most clients read them.
    """
    if raw.startswith(_BOM):
        raw = raw[3:]
    try:
        tree = orjson.loads(raw)
        if _quotes(raw) == _quotes(orjson.dumps(tree)):
            return tree
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass  # what orjson refuses is judged, with a place, by the exact reader
    return _parse_exactly(raw)


def _quotes(raw: bytes) -> int:
    # Every string counts 2, or 1 where it ends in an escaped backslash; a member lost to a duplicate name leaves
    # a difference. Escapes that are not orjson's own (\u005c) can only make the raw side larger: then the exact
    # reader decides.
    return raw.count(b'"') - raw.count(b'\\"')


def _parse_exactly(raw: bytes) -> Json:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"not UTF-8 at byte {error.start}") from None
    try:
        tree = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise DecodeError(f"not JSON at byte {len(text[: error.pos].encode())}") from None
    except RecursionError:
        raise DecodeError("nested too deep") from None
    except DecodeError:
        raise
    except ValueError:
        raise DecodeError("a number with too many digits") from None
    if _deeper(tree, MAX_DEPTH):
        raise DecodeError(f"nested deeper than {MAX_DEPTH} levels")
    return tree


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DecodeError("duplicate member name in an object")
    return members


def _refuse_constant(_: str) -> Never:
    raise DecodeError("NaN and Infinity are not JSON")


def _deeper(tree: Json, limit: int) -> bool:
    level = [tree]
    for _ in range(limit + 1):
        inner: list[Json] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if not inner:
            return False
        level = inner
    return any(isinstance(value, dict | list) for value in level)


def strings(document: Json) -> Iterator[tuple[Path, str]]:
    """Every string value of a document with its path, in document order (member names are not among them)."""
    stack: list[tuple[Path, Json]] = [((), document)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            stack.extend((((*path, name), item) for name, item in reversed(value.items())))
        elif isinstance(value, list):
            stack.extend(((*path, index), value[index]) for index in range(len(value) - 1, -1, -1))


PLAIN_NAME = re.compile(r"[A-Za-z_$]{1,24}")
"""Letters only, and few: a member's name that can hide nothing."""

LONG = 10**8
"""Integers from 9 digits on count as texts where tools speak: card and phone numbers come as numbers too."""


def leaves(document: Json) -> Iterator[tuple[Path, str]]:
    """Every text of an arbitrary value, in document order: strings, names that are more than a word (as `Key`), long
    integers."""
    stack: list[tuple[Path, Json]] = [((), document)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            for name, item in reversed(value.items()):
                stack.append(((*path, name), item))
                if not PLAIN_NAME.fullmatch(name):
                    stack.append(((*path, Key(name)), name))
        elif isinstance(value, list):
            stack.extend(((*path, index), value[index]) for index in range(len(value) - 1, -1, -1))
        elif isinstance(value, int) and abs(value) >= LONG:
            yield path, str(value)


# Possessive, so that neither a long string nor one that never ends costs more than one pass.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(rb"[ \t\n\r]*+(" + _STRING + rb'|[{}\[\],:]|[^ \t\n\r{}\[\],:"]++)', re.DOTALL)
_BRACKET = re.compile(_STRING + rb"|([\[{])|[\]}]", re.DOTALL)


@dataclass(slots=True)
class _Wanted:
    """A place somebody asked for, and what was found there."""

    inner: dict[str | int | Key, "_Wanted"] = field(default_factory=dict)
    span: Span | None = None
    children: list[Span] = field(default_factory=list)
    """Members (name included) or elements, in order."""
    order: dict[str | int, int] = field(default_factory=dict)
    """Which child a member name or index is."""


def _plant(paths: Collection[Path]) -> _Wanted:
    root = _Wanted()
    for path in paths:
        node = root
        for step in path:
            node = node.inner.setdefault(step, _Wanted())
    return root


def _survey(raw: bytes, paths: Collection[Path]) -> _Wanted:
    root = _plant(paths)
    _value(raw, 3 if raw.startswith(_BOM) else 0, root)
    return root


def _next(raw: bytes, position: int) -> tuple[int, int, int]:
    """Start, end and first byte of the next token."""
    match = _TOKEN.match(raw, position)
    if match is None:
        raise DecodeError(f"not JSON at byte {position}")
    start, end = match.span(1)
    return start, end, raw[start]


def _value(raw: bytes, position: int, node: _Wanted | None) -> Span:
    start, end, first = _next(raw, position)
    if first in b"{[":
        if node is None:
            end = _skip(raw, start)
        else:
            end = _members(raw, end, node) if first == 0x7B else _elements(raw, end, node)
    if node is not None:
        node.span = (start, end)
    return start, end


def _skip(raw: bytes, start: int) -> int:
    depth = 0
    for match in _BRACKET.finditer(raw, start):
        if raw[match.start()] == 0x22:
            continue
        depth += 1 if match.group(1) else -1
        if not depth:
            return match.end()
    raise DecodeError(f"an array or object that never ends, at byte {start}")


def _members(raw: bytes, position: int, node: _Wanted) -> int:
    while True:
        start, end, first = _next(raw, position)
        if first == 0x7D:
            return end
        if first == 0x2C:
            position = end
            continue
        name = json.loads(raw[start:end])
        key = node.inner.get(Key(name)) if node.inner else None
        if key is not None:
            key.span = (start, end)
        _, colon, _ = _next(raw, end)
        _, position = _value(raw, colon, node.inner.get(name))
        node.order[name] = len(node.children)
        node.children.append((start, position))


def _elements(raw: bytes, position: int, node: _Wanted) -> int:
    while True:
        start, end, first = _next(raw, position)
        if first == 0x5D:
            return end
        if first == 0x2C:
            position = end
            continue
        index = len(node.children)
        span = _value(raw, start, node.inner.get(index))
        node.order[index] = index
        node.children.append(span)
        position = span[1]


def _find(root: _Wanted, path: Path) -> _Wanted:
    node = root
    for step in path:
        node = node.inner[step]
    return node


def locate(raw: bytes, paths: Collection[Path]) -> dict[Path, Span]:
    """Byte spans of the values at `paths` (quotes included; for a `Key` at the end, of the member's name).

    `raw` is a document that `parse` accepted. LookupError for a path that is not in it.
    """
    root = _survey(raw, paths)
    return {path: _span(_find(root, path), path) for path in paths}


def _span(node: _Wanted, path: Path) -> Span:
    if node.span is None:
        raise LookupError(f"no value at depth {len(path)} of the document")
    return node.span


class _Cut(NamedTuple):
    start: int
    end: int
    text: bytes


def splice(raw: bytes, changes: Sequence[Change]) -> bytes:
    """`raw` with the changes made and every other byte as it was.

    `raw` is a document that `parse` accepted. What lies inside a removed or replaced value goes with it. LookupError
    for a path that is not in the document, ValueError for edits that overlap or replace one value twice.
    """
    if not changes:
        return raw
    root = _survey(raw, [change.path for change in changes])
    cuts = [*_texts(raw, root, changes), *_replacements(root, changes), *_rearranged(raw, root, changes)]
    return _apply(raw, cuts)


def _apply(raw: bytes, cuts: list[_Cut]) -> bytes:
    pieces: list[bytes] = []
    done = 0
    view = memoryview(raw)
    # Insertions before what they precede, then the widest; inside a wider cut nothing is left to change.
    for cut in sorted(cuts, key=lambda cut: (cut.start, cut.end > cut.start, -cut.end)):
        if cut.start < done:
            if cut.end > done:
                raise ValueError("changes overlap")
            continue
        pieces += (view[done : cut.start], cut.text)  # type: ignore[arg-type]  # join takes any buffer
        done = cut.end
    pieces.append(view[done:])  # type: ignore[arg-type]  # as above
    return b"".join(pieces)


def _texts(raw: bytes, root: _Wanted, changes: Sequence[Change]) -> Iterator[_Cut]:
    edits: dict[Path, list[TextEdit]] = {}
    for change in changes:
        if isinstance(change, TextChange):
            edits.setdefault(change.path, []).extend(change.edits)
    for path, of_path in edits.items():
        start, end = _span(_find(root, path), path)
        ordered = sorted(of_path)
        if any(before.end > after.start for before, after in pairwise(ordered)):
            raise ValueError("edits of one text overlap")
        if raw[start] == 0x22:
            yield from _string_cuts(raw, start + 1, end - 1, ordered)
        else:
            yield _Cut(start, end, _quote(_edited(raw[start:end].decode(), ordered)))


def _edited(text: str, edits: Sequence[TextEdit]) -> str:
    for edit in reversed(edits):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _quote(text: str) -> bytes:
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:  # a lone surrogate has no UTF-8, only an escape
        return json.dumps(text).encode()


def _string_cuts(raw: bytes, start: int, end: int, edits: Sequence[TextEdit]) -> Iterator[_Cut]:
    marks = sorted({offset for edit in edits for offset in edit[:2]})
    places = dict(zip(marks, _offsets(raw[start:end], marks), strict=True))
    for edit in edits:
        yield _Cut(start + places[edit.start], start + places[edit.end], _quote(edit.text)[1:-1])


_PIECE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.)|[^\\]++", re.DOTALL
)


def _offsets(literal: bytes, marks: Sequence[int]) -> Iterator[int]:
    """Byte offsets, inside a literal's content, of ascending decoded character offsets."""
    waiting = iter(marks)
    mark = next(waiting, None)
    characters = 0
    for match in _PIECE.finditer(literal):
        if mark is None:
            return
        run = "x" if match.group(1) else match.group().decode()
        while mark is not None and mark < characters + len(run):
            yield match.start() + len(run[: mark - characters].encode())
            mark = next(waiting, None)
        characters += len(run)
    while mark is not None:
        if mark > characters:
            raise LookupError(f"a text of {characters} characters has no offset {mark}")
        yield len(literal)
        mark = next(waiting, None)


def _replacements(root: _Wanted, changes: Sequence[Change]) -> Iterator[_Cut]:
    seen: set[Path] = set()
    for change in changes:
        if not isinstance(change, Replace) or _missing(root, change):
            continue
        if change.path in seen:
            raise ValueError("one value replaced twice")
        seen.add(change.path)
        yield _Cut(*_span(_find(root, change.path), change.path), change.json)


def _missing(root: _Wanted, change: Replace) -> bool:
    return _find(root, change.path).span is None and bool(change.path) and isinstance(change.path[-1], str)


def _rearranged(raw: bytes, root: _Wanted, changes: Sequence[Change]) -> Iterator[_Cut]:
    """Cuts of what is removed from and added to each container."""
    removed: dict[Path, set[int]] = {}
    added: dict[Path, list[bytes]] = {}
    for change in changes:
        if isinstance(change, Remove):
            parent = _find(root, change.path[:-1])
            step = change.path[-1]
            if isinstance(step, Key) or step not in parent.order:
                raise LookupError("nothing there to remove")
            removed.setdefault(change.path[:-1], set()).add(parent.order[step])
        elif isinstance(change, Append):
            added.setdefault(change.path, []).append(change.json)
        elif isinstance(change, Replace) and _missing(root, change):
            member = _quote(str(change.path[-1])) + b":" + change.json
            added.setdefault(change.path[:-1], []).append(member)
    for path in removed.keys() | added.keys():
        node = _find(root, path)
        if raw[_span(node, path)[0]] not in b"{[":
            raise LookupError("neither an array nor an object")
        yield from _container(node, path, removed.get(path, set()), added.get(path, []))


def _container(node: _Wanted, path: Path, removed: set[int], added: list[bytes]) -> Iterator[_Cut]:
    start, _ = _span(node, path)
    kept = False
    end = start + 1
    for index, child in enumerate(node.children):
        if index not in removed:
            kept = True
        elif kept:  # goes with the comma before it
            yield _Cut(end, child[1], b"")
        else:  # nothing stays before it: goes with the comma after it, if there is one
            after = node.children[index + 1][0] if index + 1 < len(node.children) else child[1]
            yield _Cut(child[0], after, b"")
        end = child[1]
    if added:
        yield _Cut(end, end, (b"," if kept else b"") + b",".join(added))
