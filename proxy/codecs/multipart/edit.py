"""Changes to a multipart body, spliced into its bytes: everything outside the changed texts stays byte for byte.

What a part says, and where, is `form`'s; JSON inside of a part is changed as any JSON is.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from proxy.codecs import Path, splicing
from proxy.codecs.multipart.form import Span, document_of, is_json, read_part, sections_of
from proxy.codecs.multipart.scan import Section
from proxy.codecs.splicing import Change, Replace, TextChange
from proxy.decision import TextEdit


def splice(raw: bytes, changes: Sequence[Change]) -> bytes:
    """`raw` with texts changed and every other byte as it was; lengths that a part tells of itself are made right."""
    if not changes or is_json(raw):
        return splicing.splice(raw, changes)
    by_part: dict[int, list[Change]] = {}
    for change in changes:
        if len(change.path) < 3 or change.path[0] != "parts" or not isinstance(change.path[1], int):
            raise LookupError("a form has nothing to change there")
        by_part.setdefault(change.path[1], []).append(change)
    every = sections_of(raw)
    pieces: list[bytes] = []
    done = 0
    for number in sorted(by_part):
        section = every[number]
        for (start, end), new in _spliced(raw, section, by_part[number]):
            pieces += [raw[done:start], new]
            done = end
    return b"".join([*pieces, raw[done:]])


def _spliced(raw: bytes, section: Section, changes: Sequence[Change]) -> list[tuple[Span, bytes]]:
    """What is new in a part, in order."""
    read = read_part(raw, section)
    by_place: dict[Path, list[Change]] = {}
    for change in changes:
        inner = change.path[2:]
        place = inner[:2] if inner[0] in ("headers", "lines") else inner[:1]
        by_place.setdefault(place, []).append(change._replace(path=inner[len(place) :]))
    new = [(read.spans[place], _changed(raw, place, read.spans[place], of)) for place, of in by_place.items()]
    grown = sum(len(text) - (end - start) for (start, end), text in new if start >= section.start)
    if grown and read.length is not None:
        new.append((read.length, b"%d" % (section.end - section.start + grown)))
    return sorted(new)


def _changed(raw: bytes, place: Path, span: Span, changes: Sequence[Change]) -> bytes:
    content = raw[span[0] : span[1]]
    if place[0] == "json" or (place[0] == "lines" and document_of(content) is not None):
        return splicing.splice(content, changes)
    edits: list[TextEdit] = []
    for change in changes:
        if isinstance(change, TextChange) and not change.path:
            edits += change.edits
        elif isinstance(change, Replace) and not change.path and isinstance(text := orjson.loads(change.json), str):
            edits.append(TextEdit(0, len(content.decode()), text))
        else:
            raise LookupError("a text has nothing to change there")
    text = _edited(content.decode(), sorted(edits), in_header=place[0] not in ("text", "lines"))
    return text.encode("utf-8", "replace")


_IN_HEADERS: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A", "\\": "%5C"})
"""How WHATWG's form encoding writes them in names."""


def _edited(text: str, edits: Sequence[TextEdit], *, in_header: bool) -> str:
    pieces: list[str] = []
    done = 0
    for start, end, new in edits:
        if start < done:
            raise ValueError("edits of one text overlap")
        pieces += [text[done:start], new.translate(_IN_HEADERS) if in_header else new]
        done = end
    return "".join([*pieces, text[done:]])
