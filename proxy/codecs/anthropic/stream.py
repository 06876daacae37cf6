"""Events of a stream. What a content block says is read in `blocks`; nothing is changed here."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, Kind, OpenCall, Path, Reading, ToolResult
from proxy.codecs.anthropic.blocks import CALLS, arguments, read_block
from proxy.codecs.anthropic.document import read_usage
from proxy.codecs.channels import Channels, Said
from proxy.codecs.walk import Parts, array, number, table, word

_EVENT: Final = {
    "content_block_delta": frozenset({"type", "index", "delta"}),
    "content_block_start": frozenset({"type", "index", "content_block"}),
    "content_block_stop": frozenset({"type", "index"}),
    "message_start": frozenset({"type", "message"}),
    "message_delta": frozenset({"type", "delta", "usage"}),
    "message_stop": frozenset({"type"}),
}
"""What is read of each event; other members of it are walked."""
_DELTA: Final[Mapping[str, tuple[str, Kind]]] = {
    "text_delta": ("text", "text"),
    "input_json_delta": ("partial_json", "tool_call"),
    "thinking_delta": ("thinking", "reasoning"),
    "compaction_delta": ("content", "text"),
}
_GROWS: Final[Mapping[str, tuple[str, Kind]]] = {
    "text": ("text", "text"),
    "thinking": ("thinking", "reasoning"),
    "compaction": ("content", "text"),
}


class Reader:
    """State of one stream: its open blocks, its calls, its usage so far."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._calls: list[Channel] = []
        """Of the message so far, those that the client carries out."""
        self._used: dict[str, Json] = {}
        self._spoke = False

    def read(self, event: Json) -> Reading:
        """What one event says. A fragment of a block comes often, so it goes the short way."""
        said = Said()
        root = table(event)
        kind = root.get("type")
        if kind == "content_block_delta" and isinstance(root.get("delta"), dict):
            self._delta(said, root["delta"], self._index(root))
        elif kind == "content_block_start" and isinstance(root.get("content_block"), dict):
            self._start(said, root["content_block"], self._index(root))
        elif kind == "content_block_stop":
            self._stop(said, self._index(root))
        elif kind == "message_start" and isinstance(root.get("message"), dict):
            self._message(said, root["message"])
        elif kind == "message_delta" and isinstance(root.get("delta"), dict):
            self._ending(said, root)
        elif kind == "message_stop":
            said.closes += self._channels.close_all()
            said.end = True
        else:
            self._channels.walked(said, event, ())
            return said.reading()
        known = _EVENT[kind]
        if not isinstance(root.get("index", 0), int):
            known -= {"index"}
        self._channels.rest(said, root, (), known)
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _index(self, root: Mapping[str, Json]) -> int:
        return number(root.get("index"))

    def _delta(self, said: Said, delta: Mapping[str, Json], index: int) -> None:
        known = _DELTA.get(word(delta.get("type")) or "")
        path: Path = ("delta",)
        if known is not None and isinstance(delta.get(known[0]), str):
            field, kind = known
            self._grow(said, (kind, index), (*path, field), delta[field])
            if len(delta) > 2:
                self._channels.rest(said, delta, path, frozenset({"type", field}))
            return
        if delta.get("type") == "citations_delta":
            self._channels.walked(said, delta, path)
            return
        # Of an unknown delta every string may grow; but sealed ones are whole.
        grown = {
            n for n, v in delta.items() if isinstance(v, str) and n not in ("type", "signature", "encrypted_content")
        }
        for field in sorted(grown):
            self._grow(said, ("text", index, str(delta.get("type")), field), (*path, field), delta[field])
        self._channels.rest(said, delta, path, frozenset(grown))

    def _grow(self, said: Said, base: Channel, path: Path, text: str) -> None:
        channel = self._channels.growing(base)
        if base[0] == "text":
            self._spoke = True
        elif base[0] == "reasoning":
            said.sealed.append(channel)  # the signature over it comes at the end of the block
        else:
            said.entries.append((path[:1], channel))
        if text:
            said.fragment(channel, path, text)

    def _start(self, said: Said, block: Mapping[str, Json], index: int) -> None:
        kind = word(block.get("type")) or ""
        path: Path = ("content_block",)
        said.closes += self._channels.close_block(index)
        if kind in CALLS:
            self._open(said, block, ("tool_call", index), path)
        elif kind in _GROWS and isinstance(block.get(_GROWS[kind][0]), str):
            field, of = _GROWS[kind]
            self._grow(said, (of, index), (*path, field), block[field])
            self._channels.rest(said, block, path, frozenset({"type", field}))
        else:
            self._whole(said, block, path)

    def _open(self, said: Said, block: Mapping[str, Json], base: Channel, path: Path) -> None:
        channel = self._channels.growing(base)
        given, by_provider = block.get("input"), block.get("type") != "tool_use"
        said.opens.append(
            OpenCall(
                channel,
                word(block.get("id")) or "",
                word(block.get("name")) or "",
                arguments(given) if given else None,
                self._spoke,
                by_provider,
                word(block.get("server_name")),
            )
        )
        if not by_provider:
            self._calls.append(channel)
        said.entries.append((path, channel))
        if given:
            self._channels.given(said, given, (*path, "input"))
        told = {name for name in ("id", "name") if isinstance(block.get(name), str)}
        self._channels.rest(said, block, path, frozenset({"type", "input"} | told))

    def _stop(self, said: Said, index: int) -> None:
        closed = self._channels.close_block(index)
        said.closes += closed
        said.entries += [((), channel) for channel in closed if channel[0] == "tool_call"]

    def _message(self, said: Said, message: Mapping[str, Json]) -> None:
        """A message begins; where one had begun, a gateway took the answer from elsewhere, and that one is over."""
        said.closes += self._channels.close_all()
        self._calls, self._spoke = [], False
        said.model = word(message.get("model"))
        self._usage(said, message.get("usage"))
        content = message.get("content")
        for index, block in enumerate(array(content)):
            path: Path = ("message", "content", index)
            if word(table(block).get("type")) in CALLS:
                base: Channel = ("tool_call", "start", index)
                self._open(said, block, base, path)
                said.closes += self._channels.close(base)
            else:
                self._whole(said, block, path)
        if isinstance(message.get("stop_reason"), str):
            said.stop = message["stop_reason"]
            said.calls += self._calls
        skip = frozenset({"content"}) if isinstance(content, list) else frozenset()
        self._channels.rest(said, message, ("message",), skip)

    def _ending(self, said: Said, root: Mapping[str, Json]) -> None:
        said.stop = word(root["delta"].get("stop_reason"))
        said.calls += self._calls
        self._usage(said, root.get("usage"))
        self._channels.rest(said, root["delta"], ("delta",), frozenset())
        self._channels.walked(said, root.get("usage"), ("usage",))

    def _usage(self, said: Said, used: Json) -> None:
        """Counts are cumulative, and later events repeat only some of them."""
        if isinstance(used, dict):
            self._used |= {name: value for name, value in used.items() if value is not None}
            said.usage = read_usage(self._used)

    def _whole(self, said: Said, block: Json, path: Path) -> None:
        parts = Parts()
        read = read_block(parts, block, path, "assistant")
        first = len(said.fragments)
        self._channels.once(parts.out, said)
        if isinstance(read, ToolResult):
            mine = tuple(first + index for index in read.parts if not parts.out[index].sealed)
            said.results.append(read._replace(parts=mine))


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
