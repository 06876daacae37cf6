"""Events of a stream, told by their members: their names are the framing's, and Nova's InvokeModel wraps them.

What a content block says is read in `blocks`; nothing is changed here.
"""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, OpenCall, Path, Reading, ToolResult
from proxy.codecs.bedrock_converse.blocks import BY_PROVIDER, arguments, read_content
from proxy.codecs.bedrock_converse.document import OWN_FIELDS, read_usage
from proxy.codecs.channels import Channels, Said
from proxy.codecs.framings.event_chunks import PADDING
from proxy.codecs.walk import Parts, number, table, word

WRAPPERS: Final = frozenset(
    ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
)
_READ: Final = frozenset({"start", "delta", OWN_FIELDS})
_STOPS: Final = frozenset({"contentBlockIndex", "p"})
_CALL: Final = frozenset({"toolUseId", "name", "type", "input"})


class Reader:
    """State of one stream: its open blocks and its calls."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._calls: list[Channel] = []
        self._opened: dict[Channel, OpenCall] = {}
        self._names: dict[str, str] = {}
        """The tools that were called, by id of the call."""
        self._results: dict[int, ToolResult] = {}
        """Those of Bedrock's own tools, by block: what their start says of them."""
        self._spoke = False

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said = Said()
        root = table(event)
        wrapped = [name for name in root if name in WRAPPERS and isinstance(root[name], dict)]
        for name in wrapped:
            self._event(said, root[name], (name,), name)
        if not wrapped:
            self._event(said, root, (), "")
        else:
            self._rest(said, root, (), frozenset(wrapped))
        if not isinstance(event, dict):
            self._channels.walked(said, event, ())
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _event(self, said: Said, root: Mapping[str, Json], path: Path, name: str) -> None:
        index = number(root.get("contentBlockIndex"))
        start, delta = root.get("start"), root.get("delta")
        if isinstance(delta, dict):
            self._delta(said, delta, index, (*path, "delta"))
        elif delta is not None:
            self._channels.walked(said, delta, (*path, "delta"))
        if isinstance(start, dict):
            self._start(said, start, index, (*path, "start"))
        elif start is not None:
            self._channels.walked(said, start, (*path, "start"))
        if name == "contentBlockStop" or ("contentBlockIndex" in root and root.keys() <= _STOPS):
            closed = self._channels.close_block(index)
            said.closes += closed
            said.entries += [(path, channel) for channel in closed if channel[0] == "tool_call"]
        if isinstance(root.get("stopReason"), str):
            self._stopped(said, root["stopReason"])
        if OWN_FIELDS in root:
            self._arbitrary(said, root[OWN_FIELDS], (*path, OWN_FIELDS))
        if "usage" in root:
            said.usage = read_usage(root["usage"])
        whole = isinstance(root.get("contentBlockIndex"), int)
        self._rest(said, root, path, _READ | {"contentBlockIndex"} if whole else _READ)

    def _rest(self, said: Said, root: Mapping[str, Json], path: Path, skip: frozenset[str]) -> None:
        padding = root.get("p")
        if isinstance(padding, str) and PADDING.startswith(padding):
            skip |= {"p"}
        self._channels.rest(said, root, path, skip)

    def _arbitrary(self, said: Said, value: Json, path: Path) -> None:
        parts = Parts()
        parts.walk_any(value, path, "other", "text")
        self._channels.once(parts.out, said)

    def _stopped(self, said: Said, reason: str) -> None:
        said.stop = reason
        said.calls += self._calls
        said.closes += self._channels.close_all()

    # blocks

    def _start(self, said: Said, start: Mapping[str, Json], index: int, path: Path) -> None:
        said.closes += self._channels.close_block(index)
        call = start.get("toolUse")
        if isinstance(call, dict):
            self._open(said, call, index, (*path, "toolUse"))
            self._channels.rest(said, start, path, frozenset({"toolUse"}))
        else:
            self._begin_result(table(start.get("toolResult")), index)
            self._channels.rest(said, start, path, frozenset())

    def _begin_result(self, result: Mapping[str, Json], index: int) -> None:
        call_id, error = word(result.get("toolUseId")) or "", result.get("status") == "error"
        self._results[index] = ToolResult(call_id, self._names.get(call_id, ""), (), (), is_error=error)

    def _open(self, said: Said, call: Mapping[str, Json], index: int, path: Path) -> None:
        channel = self._channels.growing(("tool_call", index))
        given, by_provider = call.get("input"), call.get("type") == BY_PROVIDER
        name, call_id = word(call.get("name")) or "", word(call.get("toolUseId")) or ""
        whole = arguments(given) if given else None
        opened = self._opened[channel] = OpenCall(channel, call_id, name, whole, self._spoke, by_provider)
        self._names[call_id] = name
        said.opens.append(opened)
        if not by_provider:
            self._calls.append(channel)
        said.entries.append((path, channel))
        if given:
            self._channels.given(said, given, (*path, "input"))
        self._channels.rest(said, call, path, _CALL)

    def _delta(self, said: Said, delta: Mapping[str, Json], index: int, path: Path) -> None:
        for name, value in delta.items():
            here = (*path, name)
            if name == "text" and isinstance(value, str):
                self._spoke = True
                self._grow(said, ("text", index), here, value)
            elif name == "toolUse" and isinstance(value, dict):
                self._arguments(said, value, index, here)
            elif name == "reasoningContent" and isinstance(value, dict):
                self._reasoning(said, value, index, here)
            elif name == "toolResult" and isinstance(value, list):
                self._result(said, value, index, here)
            elif name == "image":
                self._channels.walked(said, value, here, "media")
            elif name == "citation":
                self._channels.walked(said, value, here)
            elif isinstance(value, str):  # of an unknown delta every string may grow
                self._grow(said, ("text", index, name), here, value)
            else:
                self._channels.rest(said, {name: value}, path, frozenset())

    def _grow(self, said: Said, base: Channel, path: Path, text: str) -> None:
        channel = self._channels.growing(base)
        if text:
            said.fragment(channel, path, text)

    def _arguments(self, said: Said, call: Mapping[str, Json], index: int, path: Path) -> None:
        given = call.get("input")
        channel = self._channels.growing(("tool_call", index))
        said.entries.append((path, channel))
        if isinstance(given, str):
            self._grow(said, ("tool_call", index), (*path, "input"), given)
        elif given is not None:
            if channel in self._opened:
                said.opens.append(self._opened[channel]._replace(arguments=arguments(given)))
            self._channels.given(said, given, (*path, "input"))
        self._channels.rest(said, call, path, frozenset({"input"}))

    def _reasoning(self, said: Said, value: Mapping[str, Json], index: int, path: Path) -> None:
        """The signature over a text comes behind it, so the text is sealed from the start."""
        text = value.get("text")
        skip = frozenset[str]()
        if isinstance(text, str):
            base: Channel = ("reasoning", index)
            said.sealed.append(self._channels.growing(base))
            self._grow(said, base, (*path, "text"), text)
            skip = frozenset({"text"})
        parts = Parts()
        parts.members(value, path, "assistant", "reasoning", skip)
        self._channels.once(parts.out, said)

    def _result(self, said: Said, content: Json, index: int, path: Path) -> None:
        """A result of one of Bedrock's own tools. What each event holds of it is decided as one."""
        parts = Parts()
        read_content(parts, content, path)
        begin = len(said.fragments)
        self._channels.once(parts.out, said)
        begun = self._results.get(index, ToolResult("", "", (), ()))
        said.results.append(begun._replace(content=path, parts=tuple(range(begin, len(said.fragments)))))


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
