"""Streams of InvokeModel: each event in a chunk, in the model's own format. The first event that tells it decides.

Native formats are read here; others by their own readers and cut by their own writers, whose events leave as chunks.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.codecs import Channel, DecodeError, Json, Path, Reading, trees
from proxy.codecs.bedrock_converse.document import count
from proxy.codecs.bedrock_invoke.native import LISTS, TEXTS, read_metrics, reason
from proxy.codecs.bedrock_invoke.shapes import of_event
from proxy.codecs.channels import Channels, Said
from proxy.codecs.codec import StreamReader, StreamWriter
from proxy.codecs.framings import Event, Frame
from proxy.codecs.framings.sse import DONE
from proxy.codecs.walk import array, table
from proxy.events import Usage

CHUNK: Final = "chunk"
_TEXT_FORM: Final = frozenset({"bytes", "p"})


def parse_event(data: bytes) -> Json:
    """An event's document. A chunk that holds no JSON object is none: models write nothing else into it."""
    document = trees.parse(data)
    if isinstance(document, dict) and isinstance(document.get("bytes"), str) and document.keys() <= _TEXT_FORM:
        raise DecodeError("a chunk that holds no JSON object")
    return document


class Native:
    """State of one stream of a native format: answers that grow."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._used = Usage()

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said, root = Said(), table(event)
        skip = {name for name in TEXTS if isinstance(root.get(name), str)}
        for name in sorted(skip):
            self._grow(said, ("text", 0, name), (name,), root[name])
        for name, inner in LISTS.items():
            if isinstance(root.get(name), list) and len(inner) == 1:
                skip.add(name)
                for index, item in enumerate(array(root[name])):
                    self._listed(said, item, name, index, str(inner[0]))
        said.stop = reason(root) or said.stop
        self._count(said, root)
        self._channels.rest(said, root, (), frozenset(skip))
        if not isinstance(event, dict):
            self._channels.walked(said, event, ())
        if said.stop is not None:
            said.closes += self._channels.close_all()
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what no reason closed."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _grow(self, said: Said, base: Channel, path: Path, text: str) -> None:
        channel = self._channels.growing(base)
        if text:
            said.fragment(channel, path, text)

    def _listed(self, said: Said, item: Json, listed: str, index: int, name: str) -> None:
        members, path = table(item), (listed, index)
        text = members.get(name)
        if isinstance(text, str):
            self._grow(said, ("text", index, listed), (*path, name), text)
            self._channels.rest(said, members, path, frozenset({name}))
        else:
            self._channels.walked(said, item, path)
        said.stop = reason(members) or said.stop

    def _count(self, said: Said, root: Mapping[str, Json]) -> None:
        """Counts are of all so far; the prompt's come with the first event only."""
        given = count(root.get("inputTextTokenCount")) or count(root.get("prompt_token_count"))
        output = count(root.get("totalOutputTextTokenCount")) or count(root.get("generation_token_count"))
        if given or output:
            self._used = Usage(input=given or self._used.input, output=output or self._used.output)
            said.usage = self._used


class Reader:
    """Hands every event to the reader of the model's format."""

    def __init__(self) -> None:
        self._native = Native()
        self._other: StreamReader | None = None
        self._counted = False

    def read(self, event: Json) -> Reading:
        """What one event says."""
        if self._other is None and (codec := of_event(event)) is not None:
            self._other = codec.stream_reader()
        reading = (self._other or self._native).read(event)
        self._counted = self._counted or reading.usage is not None
        metrics = read_metrics(table(event))
        # A format's own counts tell cached tokens apart where Bedrock's do not; only what has none is counted by them.
        if metrics is not None and not self._counted:
            reading = reading._replace(usage=metrics)
        return reading

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        last = self._native.finish()
        if self._other is None:
            return last
        other = self._other.finish()
        return other._replace(closes=[*last.closes, *other.closes])


class Writer:
    """Hands every event to the writer of the model's format; what it says itself leaves in chunks."""

    def __init__(self) -> None:
        self._other: StreamWriter | None = None

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> Sequence[Event] | None:
        """See `StreamWriter`."""
        if self._other is None and (codec := of_event(document)) is not None:
            self._other = codec.stream_writer()
        said = self._other.rewrite(event, document, reading, cuts) if self._other else None
        return None if said is None else in_chunks(said)


def in_chunks(events: Sequence[Event]) -> list[Event]:
    """Events of a format as chunks; the framing ends the stream by itself."""
    return [Event(CHUNK, event.data) for event in events if event.data != DONE]


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()
