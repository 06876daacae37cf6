"""Events of a stream, of HTTP and of a WebSocket alike: which text of which item each speaks of (wire-formats §2.2).

A WebSocket carries several answers one after the other, or beside each other in lanes (`stream_id`). What an item says
is `item`'s business; nothing is changed here.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from proxy.codecs import Channel, Fragment, Json, Kind, Path, Reading
from proxy.codecs.channels import Channels, Said
from proxy.codecs.openai_responses.answer import Answer
from proxy.codecs.openai_responses.item import Item
from proxy.codecs.openai_responses.pieces import (
    PARTS,
    read_annotation,
    read_media,
    read_part_of,
    read_shell_output,
    read_shell_outputs,
)
from proxy.codecs.splicing import Replace
from proxy.codecs.walk import LONGEST_WORD, number, table, word


class _Text(NamedTuple):
    """A text that grows: what it is, where it stands in its item, and the member that says all of it at its end."""

    kind: Kind
    place: tuple[str, ...]
    """Names that end in `_index` stand for the event's number of that name."""
    whole: str


_TEXTS: Final[Mapping[str, _Text]] = {
    "response.output_text": _Text("text", ("content", "content_index", "text"), "text"),
    "response.refusal": _Text("text", ("content", "content_index", "refusal"), "refusal"),
    "response.reasoning_text": _Text("reasoning", ("content", "content_index", "text"), "text"),
    "response.reasoning_summary_text": _Text("reasoning", ("summary", "summary_index", "text"), "text"),
    "response.function_call_arguments": _Text("tool_call", ("arguments",), "arguments"),
    "response.mcp_call_arguments": _Text("tool_call", ("arguments",), "arguments"),
    "response.custom_tool_call_input": _Text("tool_call", ("input",), "input"),
    "response.code_interpreter_call_code": _Text("tool_call", ("code",), "code"),
    "response.shell_call_command": _Text("tool_call", ("action", "commands", "command_index"), "command"),
    "response.apply_patch_call_operation_diff": _Text("tool_call", ("operation", "diff"), "diff"),
    "response.audio.transcript": _Text("text", ("transcript",), "transcript"),
}

_PIECES: Final[Mapping[str, Callable[[Channels, Said, Answer, Mapping[str, Json]], None]]] = {
    "response.output_text.annotation.added": read_annotation,
    "response.shell_call_output_content.delta": read_shell_output,
    "response.shell_call_output_content.done": read_shell_outputs,
    "response.image_generation_call.partial_image": read_media,
    "response.audio.delta": read_media,
}
_ITEMS: Final = frozenset({"response.output_item.added", "response.output_item.done"})
_OVER: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_INDEXES: Final = ("output_index", "content_index", "summary_index", "stream_id")
_DELTA: Final = frozenset({"type", "delta", "item_id", "sequence_number", "logprobs", "obfuscation", *_INDEXES})


class _Flowing(NamedTuple):
    """The text whose delta came last, and nothing else since."""

    event: str
    indexes: tuple[Json, ...]
    channel: Channel
    pieces: list[str]
    entries: tuple[tuple[Path, Channel], ...]


class Reader:
    """State of one stream: an answer for each lane."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._lanes: dict[str, Answer] = {}
        self._flowing: _Flowing | None = None

    def read(self, event: Json) -> Reading:
        """What one event says."""
        return self._flow(event) or self._read(event)

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _flow(self, event: Json) -> Reading | None:
        """The short way for the event that comes most: one more piece of the text that came before."""
        flowing = self._flowing
        if flowing is None or type(event) is not dict or event.get("type") != flowing.event:
            return None
        text = event.get("delta")
        if type(text) is not str or not text or event.get("logprobs") or not event.keys() <= _DELTA:
            return None
        if tuple(event.get(name) for name in _INDEXES) != flowing.indexes or not _is_plain(event):
            return None
        flowing.pieces.append(text)
        return Reading((Fragment(flowing.channel, ("delta",), text),), entries=flowing.entries)

    def _read(self, event: Json) -> Reading:
        self._flowing = None
        said = Said()
        root = table(event)
        kind = word(root.get("type")) or ""
        answer = self._answer(root, kind, said)
        subject, _, step = kind.rpartition(".")
        if kind in _PIECES:
            _PIECES[kind](self._channels, said, answer, root)
        elif kind in _ITEMS:
            self._item(said, answer, root)
        elif kind == "error":
            self._error(said, answer, root)
        elif subject in _TEXTS and step in ("delta", "added", "done"):
            self._text(said, answer, root, kind)
        elif subject in PARTS and step in ("added", "done"):
            read_part_of(self._channels, said, answer, root)
        elif isinstance(root.get("response"), dict):
            self._response(said, answer, root, over=kind in _OVER)
        else:
            self._other(said, answer, root, event)
        return said.reading()

    def _answer(self, root: Mapping[str, Json], kind: str, said: Said) -> Answer:
        lane = word(root.get("stream_id")) or ""
        answer = self._lanes.get(lane)
        if answer is None or kind == "response.created":
            if answer is not None:
                said.closes += answer.close()
            answer = self._lanes[lane] = Answer(self._channels, (lane,) if lane else ())
        return answer

    # texts

    def _text(self, said: Said, answer: Answer, root: Mapping[str, Json], kind: str) -> None:
        subject, _, step = kind.rpartition(".")
        growing = _TEXTS[subject]
        member = "delta" if step == "delta" else growing.whole
        value = root.get(member)
        item = answer.item(root)
        place: Path = tuple(number(root.get(name)) if name.endswith("_index") else name for name in growing.place)
        skip = {member} if isinstance(value, str) else set[str]()
        if isinstance(value, str) and (value or step == "done"):
            if step == "done":
                item.ends(said, growing.kind, place, (member,), value)
            else:
                channel = item.grows(said, growing.kind, place, (member,), value)
                self._remember(root, kind, channel, item, place)
            answer.spoke |= growing.kind == "text"
        else:
            item.touch(said, ())
        if value and isinstance(value, str) and root.get("logprobs"):
            item.follows(said, place, Replace(("logprobs",), b"[]"))
            skip.add("logprobs")
        self._channels.rest(said, root, (), frozenset(skip))

    def _remember(self, root: Mapping[str, Json], kind: str, channel: Channel, item: Item, place: Path) -> None:
        pieces = item.texts.pieces(place)
        if kind.endswith(".delta") and (len(place) == 1 or place[0] in ("content", "summary")):
            indexes = tuple(root.get(name) for name in _INDEXES)
            entries = tuple(((), call) for call in item.calls)
            self._flowing = _Flowing(kind, indexes, channel, pieces, entries)

    # items and answers

    def _item(self, said: Said, answer: Answer, root: Mapping[str, Json]) -> None:
        answer.carry(said, root, begins=root.get("type") == "response.output_item.added")
        self._channels.rest(said, root, (), frozenset({"item"}))

    def _response(self, said: Said, answer: Answer, root: Mapping[str, Json], *, over: bool) -> None:
        answer.response(said, root["response"], over=over)
        self._channels.rest(said, root, (), frozenset({"response"}))
        said.end = over

    def _error(self, said: Said, answer: Answer, root: Mapping[str, Json]) -> None:
        said.stop, said.end = "error", True
        said.calls += answer.calls()
        said.closes += answer.close()
        self._channels.rest(said, root, (), frozenset())

    def _other(self, said: Said, answer: Answer, root: Mapping[str, Json], event: Json) -> None:
        """Progress of a call, and events that are not known: a `delta` among them may be a piece of a text."""
        if not isinstance(event, dict):
            self._channels.walked(said, event, ())
            return
        delta = root.get("delta")
        grows = isinstance(delta, str) and bool(delta)
        if grows:
            place: Path = (word(root.get("type")) or "", *(number(root.get(name)) for name in _INDEXES[:3]))
            answer.item(root).grows(said, "text", place, ("delta",), str(delta))
        elif "output_index" in root:
            answer.item(root).touch(said, ())
        self._channels.rest(said, root, (), frozenset({"delta"} if grows else ()))


def _is_plain(event: Mapping[str, Json]) -> bool:
    """Whether nothing beside the piece itself could hold a text."""
    for name in ("item_id", "obfuscation"):
        value = event.get(name)
        if value is not None and (type(value) is not str or len(value) > LONGEST_WORD):
            return False
    return type(event.get("sequence_number")) in (int, type(None))


def stream_reader() -> Reader:
    """A reader for one response stream, or for all that come on one WebSocket."""
    return Reader()
