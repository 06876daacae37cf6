"""A stream as its documents alone, framing left aside: read, assembled, and with calls cut out; and generic checks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from proxy.codecs import Channel, Key, Path, Reading, Request, Response, trees
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Frame
from proxy.codecs.splicing import Remove, TextChange, splice
from proxy.codecs.walk import LONGEST_WORD, STRUCTURE
from proxy.decision import TextEdit

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def readings(codec: Codec, documents: Iterable[Any]) -> list[Reading]:
    """Every document read; the end of the stream last."""
    reader = codec.stream_reader()
    return [*(reader.read(document) for document in documents), reader.finish()]


def texts(codec: Codec, documents: Iterable[Any]) -> dict[Channel, str]:
    """All channels, assembled."""
    found: dict[Channel, str] = {}
    for reading in readings(codec, documents):
        for channel, _, text in reading.fragments:
            found[channel] = found.get(channel, "") + text
    return found


def calls(codec: Codec, documents: Iterable[Any]) -> list[tuple[str, str, bool]]:
    """Id, name and `by_provider` of every call, as last opened."""
    opened = {item.channel: item for reading in readings(codec, documents) for item in reading.opens}
    return [(item.call_id, item.name, item.by_provider) for item in opened.values()]


def cut(codec: Codec, documents: Sequence[Any], cuts: Mapping[Channel, str]) -> list[Any]:
    """The documents that leave when calls are cut out."""
    reader, writer, out = codec.stream_reader(), codec.stream_writer(), []
    for document in documents:
        raw = orjson.dumps(document)
        rewritten = writer.rewrite(Frame(raw, None, raw), document, reader.read(document), cuts)
        out += [document] if rewritten is None else [orjson.loads(event.data) for event in rewritten]
    return out


def edited(codec: Codec, documents: Sequence[Any], word: str, by: str) -> list[Any]:
    """The documents that leave when a word, which no channel spreads over events, is another everywhere."""
    reader, out, touched = codec.stream_reader(), [], set[Channel]()
    for document in documents:
        reading = reader.read(document)
        changes: list[Any] = []
        for channel, path, text in [*reading.fragments, *reading.repeats]:
            if word in text and channel not in reading.sealed:
                touched.add(channel)
                at = text.index(word)
                changes.append(TextChange(path, [TextEdit(at, at + len(word), by)]))
        changes += [change for channel, change in reading.when_edited if channel in touched]
        if Remove(()) not in changes:
            out.append(orjson.loads(splice(orjson.dumps(document), changes)))
    return out


def unread(document: Any, read: Request | Response) -> list[Path]:
    """String leaves that are neither a part nor one of the short words of structure, nor a copy of a part."""
    copies = [change.path for _, change in read.when_edited] if isinstance(read, Response) else []
    return _left(document, {part.path for part in read.parts}, copies)


def unsaid(document: Any, reading: Reading) -> list[Path]:
    """The same for one document of a stream."""
    said = {fragment.path for fragment in [*reading.fragments, *reading.repeats]}
    return _left(document, said, [change.path for _, change in reading.when_edited])


def _left(document: Any, seen: set[Path], copies: Sequence[Path]) -> list[Path]:
    return [
        path
        for path, text in trees.strings(document)
        if text
        and path not in seen
        and not (path and path[-1] in STRUCTURE and len(text) <= LONGEST_WORD)
        and not any(path[: len(copy)] == copy for copy in copies)
    ]


def misplaced(document: Any, parts: Iterable[tuple[Path, str]]) -> list[Path]:
    """Parts whose text is not what stands at their path."""
    return [path for path, text in parts if text != _text(document, path)]


def _text(document: Any, path: Path) -> str:
    for step in path:
        if isinstance(step, Key):
            return step.name if step.name in document else ""
        document = document[step]
    return document if isinstance(document, str) else str(document)


def places(document: Any) -> list[Path]:
    """Every place of a document, for another value to be put there."""
    found: list[Path] = []
    stack: list[tuple[Path, Any]] = [((), document)]
    while stack:
        path, value = stack.pop()
        found.append(path)
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        stack += [((*path, step), item) for step, item in inner]
    return found


def put(document: Any, path: Path, value: Any) -> Any:
    """A copy of a document with another value at `path`."""
    if not path:
        return value
    copy = orjson.loads(orjson.dumps(document))
    holder = copy
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return copy
