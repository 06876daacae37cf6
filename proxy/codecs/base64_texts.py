"""Texts that a JSON document carries in base64: read and edited as the texts they are.

Only the syntax lives here; which members hold such texts is the codecs' business.
"""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Path, splicing, trees
from proxy.codecs.codec import Syntax
from proxy.codecs.splicing import Change, Replace, TextChange
from proxy.decision import TextEdit

_URL_SAFE: Final = str.maketrans("-_", "+/")

type Places = Callable[[Json], Iterable[Path]]
"""Where in a document base64 may stand that is text."""


def syntax(places: Places, *names: str) -> Syntax:
    """JSON in which the strings at `places`, all of them members of one of these names, are read decoded.

    What is not base64 there stays as it is.
    """

    def parse(raw: bytes) -> Json:
        tree = trees.parse(raw)
        for path in places(tree):
            holder = _at(tree, path[:-1])
            text = _decoded(holder[path[-1]])
            if text is not None:
                holder[path[-1]] = text
        return tree

    def splice(raw: bytes, changes: Sequence[Change]) -> bytes:
        if not any(_may_be(change, names) for change in changes):
            return splicing.splice(raw, changes)
        tree = trees.parse(raw)
        texts = {path: text for path in places(tree) if (text := _decoded(_at(tree, path))) is not None}
        return splicing.splice(raw, _encoded(changes, texts))

    return Syntax(parse, splice)


def _may_be(change: Change, names: Collection[str]) -> bool:
    return isinstance(change, TextChange) and bool(change.path) and change.path[-1] in names


def _encoded(changes: Sequence[Change], texts: Mapping[Path, str]) -> list[Change]:
    """The changes, those of decoded texts as new base64 in the place of the old."""
    out: list[Change] = []
    edits: dict[Path, list[TextEdit]] = {}
    for change in changes:
        if isinstance(change, TextChange) and change.path in texts:
            edits.setdefault(change.path, []).extend(change.edits)
        else:
            out.append(change)
    for path, mine in edits.items():
        out.append(Replace(path, orjson.dumps(b64encode(_bytes(_edited(texts[path], mine))).decode())))
    return out


def _edited(text: str, edits: Sequence[TextEdit]) -> str:
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _at(tree: Json, path: Iterable[object]) -> Json:
    for step in path:
        tree = tree[step]
    return tree


def _decoded(encoded: str) -> str | None:
    """Bytes that are not UTF-8 become lone surrogates, and bytes again.

    Both alphabets (RFC 4648 §4, §5) are read, with or without padding, as ProtoJSON has it; the first is written.
    """
    try:
        plain = encoded.translate(_URL_SAFE).rstrip("=")
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode("utf-8", "surrogateescape")
    except (Error, ValueError):
        return None


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
