"""Lines of a stream. Each tells a piece of the texts, and calls whole; nothing is changed here."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, OpenCall, Path, Reading
from proxy.codecs.channels import Channels, Said
from proxy.codecs.ollama.document import ANSWER, read_usage
from proxy.codecs.ollama.messages import arguments
from proxy.codecs.splicing import Remove
from proxy.codecs.walk import table, word

_TEXT: Final[Channel] = ("text", 0)
_THINKING: Final[Channel] = ("reasoning", 0)
_MESSAGE: Final = frozenset({"content", "thinking", "tool_calls"})


class Reader:
    """State of one stream: its two texts and its calls."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._calls: list[Channel] = []
        self._spoke = False

    def read(self, event: Json) -> Reading:
        """What one line says."""
        said = Said()
        root = table(event)
        message = root.get("message")
        if isinstance(message, dict):
            self._piece(said, message, ("message",), "content")
            self._tool_calls(said, message.get("tool_calls"))
            self._channels.rest(said, message, ("message",), _MESSAGE)
        else:
            self._channels.walked(said, message, ("message",))
        self._piece(said, root, (), "response")
        self._beside(said, root)
        if not isinstance(event, dict):
            self._channels.walked(said, event, ())
        said.model = word(root.get("model"))
        if root.get("done") is True:
            self._over(said, root)
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _piece(self, said: Said, members: Mapping[str, Json], path: Path, field: str) -> None:
        """Thinking is over when the answer begins: its last word need not wait."""
        thinking, text = members.get("thinking"), members.get(field)
        if isinstance(thinking, str):
            self._grow(said, _THINKING, (*path, "thinking"), thinking)
        elif thinking is not None:
            self._channels.walked(said, thinking, (*path, "thinking"), "reasoning")
        if isinstance(text, str):
            if text:
                said.closes += self._channels.close(_THINKING)
                self._spoke = True
            self._grow(said, _TEXT, (*path, field), text)
        elif text is not None:
            self._channels.walked(said, text, (*path, field))

    def _grow(self, said: Said, base: Channel, path: Path, text: str) -> None:
        if text:
            said.fragment(self._channels.growing(base), path, text)

    def _tool_calls(self, said: Said, calls: Json) -> None:
        if not isinstance(calls, list):
            self._channels.walked(said, calls, ("message", "tool_calls"))
            return
        for base in (_THINKING, _TEXT) if calls else ():
            said.closes += self._channels.close(base)
        for index, call in enumerate(calls):
            self._call(said, call, ("message", "tool_calls", index))

    def _call(self, said: Said, call: Json, path: Path) -> None:
        members = table(call)
        if not members:
            self._channels.walked(said, call, path)
            return
        function = table(members.get("function"))
        channel: Channel = ("tool_call", len(self._calls))
        given = function.get("arguments")
        call_id, name = word(members.get("id")) or "", word(function.get("name")) or ""
        said.opens.append(OpenCall(channel, call_id, name, arguments(given), self._spoke))
        said.entries.append((path, channel))
        said.closes.append(channel)
        self._calls.append(channel)
        here = (*path, "function")
        self._channels.given(said, given, (*here, "arguments"))
        read = {"arguments"} if not isinstance(function.get("name"), str) else {"arguments", "name"}
        self._channels.rest(said, function, here, frozenset(read))
        skip = frozenset({"function"}) if isinstance(members.get("function"), dict) else frozenset[str]()
        self._channels.rest(said, members, path, skip)

    def _beside(self, said: Said, root: Mapping[str, Json]) -> None:
        """What a line says besides its texts: probabilities of the tokens, an image, an error."""
        if root.get("logprobs") is not None:
            grown = [fragment.channel for fragment in said.fragments if fragment.channel[1] == 0]
            said.when_edited += [(channel, Remove(("logprobs",))) for channel in grown]
            if not grown:
                self._channels.walked(said, root["logprobs"], ("logprobs",))
        if (image := root.get("image")) is not None:
            channel: Channel = ("media", "image")
            if isinstance(image, str):
                said.fragment(self._channels.growing(channel), ("image",), image)
                said.sealed.append(self._channels.growing(channel))
            else:
                self._channels.walked(said, image, ("image",), "media")
        self._channels.rest(said, root, (), ANSWER)

    def _over(self, said: Said, root: Mapping[str, Json]) -> None:
        said.stop = word(root.get("done_reason"))
        said.usage = read_usage(root)
        said.calls += self._calls
        said.closes += self._channels.close_all()
        said.end = True


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
