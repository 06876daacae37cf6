"""The tool calls of a stream: which piece belongs to which, and what it adds. `writer` cuts them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.codecs import Channel, Json, OpenCall, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.cohere_v2.messages import given
from proxy.codecs.walk import array, table, word

_PATH: Final[Path] = ("delta", "message", "tool_calls")


class Before(NamedTuple):
    """What the message said before a call."""

    blocks: int
    """Content blocks: what stands in the place of a call that is cut is the next one."""
    text: bool


class Calls:
    """The calls of one stream, by their index."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._open: dict[int, tuple[Channel, Channel]] = {}
        """The name of the open call's text, and its channel."""
        self.made: list[Channel] = []
        """Every call so far, in order."""

    def told(self, said: Said, calls: Json, index: int, before: Before, *, begins: bool) -> None:
        """`tool_calls` is one call in an event, not a list of them; a list is read alike."""
        if isinstance(calls, dict):
            self._piece(said, calls, _PATH, index, (), before, begins)
        for position, call in enumerate(array(calls)):
            path = (*_PATH, position)
            self._piece(said, table(call), path, index + position, path, before, begins)
            if not isinstance(call, dict):
                self._channels.walked(said, call, path)

    def close(self, said: Said, index: int) -> Channel | None:
        """The call is complete."""
        base, channel = self._open.pop(index, (None, None))
        if base is not None:
            said.closes += self._channels.close(base)
        return channel

    def _piece(
        self, said: Said, call: Mapping[str, Json], path: Path, index: int, entry: Path, before: Before, begins: bool
    ) -> None:
        function = table(call.get("function"))
        call_id, name = word(call.get("id")) or "", word(function.get("name")) or ""
        if begins or index not in self._open:
            self._begin(said, index, before)
            said.opens.append(OpenCall(self._open[index][1], call_id, name, after_text=before.text))
        channel = self._open[index][1]
        said.entries.append((entry, channel))
        here = (*path, "function", "arguments")
        text = function.get("arguments")
        if isinstance(text, str) and text:
            said.fragment(channel, here, text)
        elif text is not None and text != "":
            said.opens.append(OpenCall(channel, call_id, name, given(text), before.text))
            self._channels.given(said, text, here)
        read = {"arguments", "name"} if begins and isinstance(function.get("name"), str) else {"arguments"}
        self._channels.rest(said, function, here[:-1], frozenset(read))
        skip = frozenset({"function"}) if isinstance(call.get("function"), dict) else frozenset[str]()
        self._channels.rest(said, call, path, skip)

    def _begin(self, said: Said, index: int, before: Before) -> None:
        self.close(said, index)
        base: Channel = ("tool_call", index, before.blocks)
        channel = self._channels.growing(base)
        self._open[index] = (base, channel)
        self.made.append(channel)
