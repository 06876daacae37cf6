"""The texts of a document as detectors see them, and edits of those texts as changes of the document.

A part that is itself JSON (a tool call's `arguments` string) is opened: its own strings are scanned decoded and spliced
twice, inner document first. Knows codecs and edits, no policy.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from proxy.codecs import DecodeError, Json, Part, Path, splicing, trees
from proxy.codecs.splicing import TextChange
from proxy.decision import TextEdit
from proxy.effects.redact import difference


class Unit(NamedTuple):
    """One text to scan: a part's own, or (`inner`) a string inside a part that is JSON."""

    part: int
    text: str
    inner: Path | None = None
    base: int = 0
    """Where `text` begins in the whole text of a stream, in characters."""


def units(parts: Sequence[Part]) -> list[Unit]:
    """Every text of `parts` that may be edited, in document order."""
    found: list[Unit] = []
    for index, part in enumerate(parts):
        if part.sealed:
            continue
        if part.json:
            found += json_units(index, part.text)
        else:
            found.append(Unit(index, part.text))
    return found


def by_part(units: Sequence[Unit]) -> dict[int, list[Unit]]:
    """The texts of each part."""
    grouped: dict[int, list[Unit]] = {}
    for unit in units:
        grouped.setdefault(unit.part, []).append(unit)
    return grouped


def json_units(part: int, text: str) -> list[Unit]:
    """The strings inside a JSON text; the text as a whole where it is not JSON (cut off by a token limit, or empty)."""
    document = parsed(text)
    if document is None:
        return [Unit(part, text)] if text else []
    return [Unit(part, leaf, path) for path, leaf in trees.leaves(document)]


_ESCAPE: Final = re.compile(r'\\u([0-9a-fA-F]{4})|\\(["\\/bfnrt])')
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def unescaped(text: str) -> str:
    """The text with JSON's escapes (RFC 8259 §7) undone wherever they stand: how a lenient reader may see it."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _SHORT.get(match[2], match[2]), text)


def parsed(text: str) -> Json | None:
    """The JSON value of a text, None where it has none that can be decoded without doubt."""
    try:
        return trees.parse(text.encode("utf-8", "surrogatepass"))
    except DecodeError:
        return None


def edited(text: str, edits: Mapping[Path | None, Sequence[TextEdit]]) -> list[TextEdit]:
    """Edits of a part's text, from edits of its units: as they are, or spliced into the inner document."""
    if None in edits:
        return list(edits[None])
    changes = [TextChange(path, tuple(inner)) for path, inner in edits.items() if path is not None and inner]
    raw = splicing.splice(text.encode("utf-8", "surrogatepass"), changes)
    return difference(text, raw.decode("utf-8", "surrogatepass"))


def changes(parts: Sequence[Part], edits: Iterable[tuple[Unit, Sequence[TextEdit]]]) -> list[TextChange]:
    """Edits of units as changes of the document that holds the parts."""
    grouped: dict[int, dict[Path | None, Sequence[TextEdit]]] = {}
    for unit, unit_edits in edits:
        if unit_edits:
            grouped.setdefault(unit.part, {})[unit.inner] = unit_edits
    return [TextChange(parts[index].path, tuple(edited(parts[index].text, inner))) for index, inner in grouped.items()]
