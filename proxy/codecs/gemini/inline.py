"""Where a document holds text files as base64 (`inlineData`), so that they are read and edited as the texts they are.

Only where: decoding is `base64_texts`', what a part says is read in `parts`.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from proxy.codecs import Json, Path
from proxy.codecs.gemini.names import camel, member, spelling
from proxy.codecs.walk import array, table, word

_TEXTS: Final = ("application/json", "application/xml", "application/yaml", "application/x-yaml", "application/csv")
_SUFFIXES: Final = ("json", "+xml", "javascript", "typescript", "x-sh", "x-python", "sql", "toml", "x-ndjson")
_CONTENTS: Final = frozenset({"contents", "content", "systemInstruction", "turns", "modelTurn", "functionResponses"})
_HOLDERS: Final = frozenset({"request", "requests", "generateContentRequest", "response", "candidates"}) | frozenset(
    {"setup", "clientContent", "serverContent", "toolResponse"}
)


def is_text(blob: Mapping[str, Json]) -> bool:
    """Whether a blob says that it is text, which its parameters (`;charset=`) do not change."""
    kind = (word(member(blob, "mimeType")) or "").partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _TEXTS or (kind.startswith("application/") and kind.endswith(_SUFFIXES))


def text_places(document: Json) -> Iterator[Path]:
    """The base64 of every text file, in requests, answers and messages alike."""
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from _holder(table(item), (index,))
    else:
        yield from _holder(table(document), ())


def _holder(members: Mapping[str, Json], path: Path) -> Iterator[Path]:
    """An object that holds contents, or objects that do."""
    for name, value in members.items():
        known = camel(name)
        read = _content if known in _CONTENTS else _holder if known in _HOLDERS else None
        if read is None:
            continue
        if isinstance(value, dict):
            yield from read(value, (*path, name))
        for index, item in enumerate(array(value)):
            if isinstance(item, dict):
                yield from read(item, (*path, name, index))


def _content(content: Mapping[str, Json], path: Path) -> Iterator[Path]:
    """A content, or a part in its place; a result's parts are no other."""
    yield from _part(content, path)
    parts = content.get("parts")
    if isinstance(parts, dict):
        yield from _part(parts, (*path, "parts"))
    for index, part in enumerate(array(parts)):
        yield from _part(table(part), (*path, "parts", index))


def _part(part: Mapping[str, Json], path: Path) -> Iterator[Path]:
    for known in ("inlineData", "functionResponse"):
        name = spelling(part, known)
        value = part.get(name)
        if not isinstance(value, dict):
            continue
        if known == "functionResponse":
            yield from _content(value, (*path, name))
        elif is_text(value) and isinstance(value.get("data"), str):
            yield (*path, name, "data")
