"""Changes to a document, spliced into its raw bytes: everything outside the changed spans stays byte for byte.

JSON is never rebuilt here; where a value stands is the business of `spans`. Nothing here knows a provider's field.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import orjson

from proxy.codecs import Key, Path
from proxy.codecs.spans import Span, Wanted, survey
from proxy.decision import TextEdit


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


class Insert(NamedTuple):
    """Add `json` to an array, before the element at `path`."""

    path: Path
    json: bytes


type Change = TextChange | Replace | Remove | Append | Insert


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
    root = survey(raw, [change.path for change in changes])
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


def _texts(raw: bytes, root: Wanted, changes: Sequence[Change]) -> Iterator[_Cut]:
    edits: dict[Path, list[TextEdit]] = {}
    for change in changes:
        if isinstance(change, TextChange):
            edits.setdefault(change.path, []).extend(change.edits)
    for path, of_path in edits.items():
        start, end = root.found(path)
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


def _replacements(root: Wanted, changes: Sequence[Change]) -> Iterator[_Cut]:
    seen: set[Path] = set()
    for change in changes:
        if not isinstance(change, Replace) or _missing(root, change):
            continue
        if change.path in seen:
            raise ValueError("one value replaced twice")
        seen.add(change.path)
        yield _Cut(*root.found(change.path), change.json)


def _missing(root: Wanted, change: Replace) -> bool:
    return root.at(change.path).span is None and bool(change.path) and isinstance(change.path[-1], str)


class _Rearranged:
    """What becomes of the elements of one container, by their numbers."""

    def __init__(self) -> None:
        self.removed: set[int] = set()
        self.inserted: dict[int, list[bytes]] = {}
        """What is put before each; behind the last, what is added at the end."""


def _rearranged(raw: bytes, root: Wanted, changes: Sequence[Change]) -> Iterator[_Cut]:
    """Cuts of what is removed from and added to each container."""
    containers: dict[Path, _Rearranged] = defaultdict(_Rearranged)
    for change in changes:
        if isinstance(change, Remove):
            containers[change.path[:-1]].removed.add(_number(root, change.path))
        elif isinstance(change, Append):
            _add(containers[change.path], len(root.at(change.path).children), change.json)
        elif isinstance(change, Insert):
            _add(containers[change.path[:-1]], _number(root, change.path), change.json)
        elif isinstance(change, Replace) and _missing(root, change):
            member = _quote(str(change.path[-1])) + b":" + change.json
            _add(containers[change.path[:-1]], len(root.at(change.path[:-1]).children), member)
    for path, rearranged in containers.items():
        span = root.found(path)
        if raw[span[0]] not in b"{[":
            raise LookupError("neither an array nor an object")
        yield from _container(span, root.at(path).children, rearranged)


def _number(root: Wanted, path: Path) -> int:
    parent, step = root.at(path[:-1]), path[-1]
    if isinstance(step, Key) or step not in parent.order:
        raise LookupError("nothing there to remove, or to stand before")
    return parent.order[step]


def _add(rearranged: _Rearranged, number: int, added: bytes) -> None:
    rearranged.inserted.setdefault(number, []).append(added)


def _container(span: Span, children: Sequence[Span], rearranged: _Rearranged) -> Iterator[_Cut]:
    removed, inserted = rearranged.removed, rearranged.inserted
    if len(removed) == len(children):
        start, end = (children[0][0], children[-1][1]) if children else (span[0] + 1, span[0] + 1)
        yield _Cut(start, end, b",".join(text for _, texts in sorted(inserted.items()) for text in texts))
        return
    kept = False
    end = span[0] + 1
    for index, child in enumerate(children):
        if texts := inserted.get(index):
            yield _Cut(end, end, b"," + b",".join(texts)) if kept else _Cut(child[0], child[0], b",".join(texts) + b",")
        if index not in removed:
            kept = True
        elif kept:  # goes with the comma before it
            yield _Cut(end, child[1], b"")
        else:  # nothing stays before it: goes with the comma after it
            yield _Cut(child[0], children[index + 1][0], b"")
        end = child[1]
    if texts := inserted.get(len(children)):
        yield _Cut(end, end, b"," + b",".join(texts))
