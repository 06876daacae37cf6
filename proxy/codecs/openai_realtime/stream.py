"""What a server says over one WebSocket: many answers one after the other, each told several times over.

Source: OpenAI OpenAPI 2.3.0, `RealtimeServerEvent`, with the names of the beta that Azure Voice Live keeps. Items go by
their id: xAI numbers every item of an answer 0 and leaves `output_index` out of deltas. What comes whole is read in
`whole`; what becomes of a text that is told again is `tellings`'.
"""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Fragment, Json, Reading
from proxy.codecs.channels import Said
from proxy.codecs.openai_realtime.whole import numbered, tell_item, tell_part, tell_response
from proxy.codecs.splicing import Remove
from proxy.codecs.tellings import Tellings
from proxy.codecs.walk import Parts, table, word

_HEARD: Final = "conversation.item.input_audio_transcription"
_GROWS: Final[Mapping[str, str]] = {
    "response.output_text.delta": "text",
    "response.text.delta": "text",
    "response.output_audio_transcript.delta": "transcript",
    "response.audio_transcript.delta": "transcript",
    f"{_HEARD}.delta": "transcript",
}
"""Events with a piece of a content part, and the part's member that grows."""

_DONE: Final[Mapping[str, str]] = {
    "response.output_text.done": "text",
    "response.text.done": "text",
    "response.output_audio_transcript.done": "transcript",
    "response.audio_transcript.done": "transcript",
    f"{_HEARD}.completed": "transcript",
}
"""The same, complete."""

_ARGUMENTS: Final[Mapping[str, tuple[bool, str]]] = {
    "response.function_call_arguments.delta": (False, "delta"),
    "response.function_call_arguments.done": (False, "arguments"),
    "response.mcp_call_arguments.delta": (True, "delta"),
    "response.mcp_call_arguments.done": (True, "arguments"),
}
"""Events with a call's arguments: whether the provider carries the call out, and the member that has them."""

_SOUND: Final = frozenset({"response.output_audio.delta", "response.audio.delta", "session.output_audio.delta"})
_TRANSLATED: Final = frozenset({"session.input_transcript.delta", "session.output_transcript.delta"})
_TIMED: Final = "response.audio_timestamp.delta"
"""Azure Voice Live: when each word of a transcript is said."""

_COMPLETE: Final = frozenset({"conversation.item.done", "conversation.item.retrieved", "response.output_item.done"})
_FLOWING: Final = frozenset(
    {"type", "event_id", "response_id", "item_id", "output_index", "content_index", "delta", "obfuscation"}
)


class Reader:
    """State of one connection."""

    def __init__(self) -> None:
        self._texts = Tellings()
        self._flowing: tuple[Json, Json, Json, Channel] | None = None
        """Type, item, content part and channel of the piece that came last, if nothing came since."""

    def read(self, event: Json) -> Reading:
        """What one message says."""
        return self._flow(event) or self._read(event)

    def finish(self) -> Reading:
        """The end of the connection closes what is open."""
        return Reading(closes=self._texts.channels.close_all(), end=True)

    def _flow(self, event: Json) -> Reading | None:
        """The short way for the message that comes most: one more piece of the text that came before."""
        flowing = self._flowing
        if flowing is None or type(event) is not dict or not event.keys() <= _FLOWING:
            return None
        text = event.get("delta")
        if (
            type(text) is not str
            or (event.get("type"), event.get("item_id"), event.get("content_index")) != flowing[:3]
        ):
            return None
        return Reading((Fragment(flowing[3], ("delta",), text),)) if text else None

    def _read(self, event: Json) -> Reading:
        self._flowing = None
        said, root = Said(), table(event)
        kind = word(root.get("type")) or ""
        if kind in _ARGUMENTS:
            skip = self._arguments(said, root, kind)
        elif isinstance(root.get("delta"), str):
            skip = self._piece(said, root, kind)
        elif kind in _DONE and isinstance(root.get(_DONE[kind]), str):
            member = _DONE[kind]
            self._texts.whole(said, _content(root, member), (member,), root[member])
            skip = frozenset({member})
        else:
            skip = self._whole(said, root, kind)
        self._texts.channels.rest(said, root, (), skip)
        if not isinstance(event, dict):
            self._texts.channels.walked(said, event, ())
        said.model = word(table(root.get("session")).get("model"))
        return said.reading()

    def _arguments(self, said: Said, root: Mapping[str, Json], kind: str) -> frozenset[str]:
        base: Channel = ("tool_call", _item(root))
        by_provider, member = _ARGUMENTS[kind]
        self._texts.call(said, base, (), root, by_provider=by_provider)
        text = root.get(member)
        if not isinstance(text, str):
            return frozenset()
        if member == "delta":
            self._texts.grow(said, base, (member,), text)
        else:
            self._texts.arguments(said, base, (member,), text)
        return frozenset({member, "name"}) if isinstance(root.get("name"), str) else frozenset({member})

    def _piece(self, said: Said, root: Mapping[str, Json], kind: str) -> frozenset[str]:
        text = root["delta"]
        if kind in _GROWS:
            channel = self._texts.grow(said, _content(root, _GROWS[kind]), ("delta",), text)
            self._flowing = (kind, root.get("item_id"), root.get("content_index"), channel)
        elif kind in _TRANSLATED:
            self._texts.grow(said, ("text", kind), ("delta",), text)
        elif kind in _SOUND:
            parts = Parts()
            parts.add(("delta",), text, "assistant", "media", sealed=True)
            self._texts.channels.once(parts.out, said)
        else:
            return frozenset()
        return frozenset({"delta"})

    def _whole(self, said: Said, root: Mapping[str, Json], kind: str) -> frozenset[str]:
        whole = frozenset(name for name in ("item", "part", "response") if isinstance(root.get(name), dict))
        if "item" in whole:
            begins = not kind.startswith("conversation.")
            item = root["item"]
            tell_item(said, self._texts, item, ("item",), numbered(root), begins=begins, ends=kind in _COMPLETE)
        if "part" in whole:
            tell_part(said, self._texts, root["part"], _item(root), _index(root))
        if "response" in whole:
            tell_response(said, self._texts, root, ends=kind == "response.done")
        if kind == _TIMED and (spoken := self._texts.saying(_content(root, "transcript"))) is not None:
            said.when_edited.append((spoken, Remove(())))
        return whole


def _item(root: Mapping[str, Json]) -> str:
    return word(root.get("item_id")) or word(root.get("call_id")) or numbered(root)


def _index(root: Mapping[str, Json]) -> int:
    index = root.get("content_index")
    return index if isinstance(index, int) else 0


def _content(root: Mapping[str, Json], member: str) -> Channel:
    """What says the `member` of a content part."""
    return ("text", _item(root), "content", _index(root), member)


def stream_reader() -> Reader:
    """A reader for one connection."""
    return Reader()
