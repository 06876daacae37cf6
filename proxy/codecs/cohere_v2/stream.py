"""Events of a stream. Citations are read in `messages`, pieces of calls in `calls`; nothing is changed here."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, Path, Reading
from proxy.codecs.channels import Channels, Said
from proxy.codecs.cohere_v2.calls import Before, Calls
from proxy.codecs.cohere_v2.document import cited, read_usage
from proxy.codecs.cohere_v2.messages import read_citation
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, number, table, word

_DELTA: Final = frozenset({"delta"})
_SCORED: Final = frozenset({"delta", "logprobs"})
_MESSAGE: Final = frozenset({"message"})
_PLAN: Final[Channel] = ("reasoning", "plan")
_CONTENT: Final[Path] = ("delta", "message", "content")
_TOOL_PLAN: Final[Path] = ("delta", "message", "tool_plan")
_CITATIONS: Final[Path] = ("delta", "message", "citations")
_LEAVES_OUT: Final[Change] = Remove(())


class Reader:
    """State of one stream: its open texts, its calls, and which text each citation stands on."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._calls = Calls(self._channels)
        self._blocks = 0
        self._texts: dict[str | int, Channel] = {}
        """The latest text of each content block and of the plan, and under "" the first text of all."""
        self._citations: dict[int, Channel] = {}
        self._spoke = False

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said = Said()
        root = table(event)
        message = table(table(root.get("delta")).get("message"))
        index = number(root.get("index"))
        kind = root.get("type")
        if kind in ("content-start", "content-delta") and isinstance(message.get("content"), dict):
            self._content(said, root, message, index)
        elif kind == "tool-plan-delta" and isinstance(message.get("tool_plan"), str):
            self._plan(said, root, message)
        elif kind in ("tool-call-start", "tool-call-delta") and isinstance(message.get("tool_calls"), dict | list):
            self._close_plan(said)
            before = Before(self._blocks, self._spoke)
            self._calls.told(said, message["tool_calls"], index, before, begins=kind == "tool-call-start")
            self._beside(said, root, message, "tool_calls")
        elif kind == "citation-start" and isinstance(message.get("citations"), dict | list):
            self._citation(said, root, message, index)
        elif kind in ("content-end", "tool-call-end", "citation-end"):
            self._end(said, root, str(kind), index)
        elif kind == "message-end":
            self._over(said, root)
        else:
            self._channels.walked(said, event, ())
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _beside(
        self, said: Said, root: Mapping[str, Json], message: Mapping[str, Json] | None = None, read: str = ""
    ) -> None:
        """What an event says besides what is read of it."""
        self._channels.rest(said, root, (), _SCORED if read == "content" else _DELTA)
        if message is not None:
            self._channels.rest(said, message, ("delta", "message"), frozenset({read}))
            self._channels.rest(said, root["delta"], ("delta",), _MESSAGE)
        else:
            self._channels.walked(said, root.get("delta"), ("delta",))

    # texts

    def _content(self, said: Said, root: Mapping[str, Json], message: Mapping[str, Json], index: int) -> None:
        content = message["content"]
        self._close_plan(said)
        self._blocks = max(self._blocks, index + 1)
        read = set[str]()
        for field, kind in (("text", "text"), ("thinking", "reasoning")):
            text = content.get(field)
            if isinstance(text, str):
                read.add(field)
                self._grow(said, (kind, index), index, (*_CONTENT, field), text)
        self._channels.rest(said, content, _CONTENT, frozenset(read))
        self._likelihoods(said, root)
        self._beside(said, root, message, "content")

    def _likelihoods(self, said: Said, root: Mapping[str, Json]) -> None:
        """`logprobs` tell the text of the same event once more."""
        if root.get("logprobs") is not None:
            grown = [fragment.channel for fragment in said.fragments if len(fragment.channel) == 2]
            said.when_edited += [(channel, Remove(("logprobs",))) for channel in grown]
            if not grown:
                self._channels.walked(said, root["logprobs"], ("logprobs",))

    def _plan(self, said: Said, root: Mapping[str, Json], message: Mapping[str, Json]) -> None:
        self._grow(said, _PLAN, "PLAN", _TOOL_PLAN, message["tool_plan"])
        self._beside(said, root, message, "tool_plan")

    def _grow(self, said: Said, base: Channel, cited_as: str | int, path: Path, text: str) -> None:
        channel = self._channels.growing(base)
        self._texts[cited_as] = channel
        if base[0] == "text":
            self._texts.setdefault("", channel)
            self._spoke = self._spoke or bool(text)
        if text:
            said.fragment(channel, path, text)

    def _close_plan(self, said: Said) -> None:
        said.closes += self._channels.close(_PLAN)

    # citations, ends

    def _citation(self, said: Said, root: Mapping[str, Json], message: Mapping[str, Json], index: int) -> None:
        """A citation's offsets count the characters of a text: with that text edited, it does not follow."""
        told = message["citations"]
        parts = Parts()
        every = [((*_CITATIONS, i), item) for i, item in enumerate(told)] if isinstance(told, list) else []
        for path, citation in every or [(_CITATIONS, told)]:
            read_citation(parts, citation, path, "assistant")
            channel = self._texts.get(cited(table(citation)), self._texts.get(""))
            if channel is not None:
                self._citations[index] = channel
                said.when_edited.append((channel, _LEAVES_OUT))
        self._channels.once(parts.out, said)
        self._beside(said, root, message, "citations")

    def _end(self, said: Said, root: Mapping[str, Json], kind: str, index: int) -> None:
        if kind == "citation-end":
            if (channel := self._citations.pop(index, None)) is not None:
                said.when_edited.append((channel, _LEAVES_OUT))
        elif kind == "tool-call-end":
            if (call := self._calls.close(said, index)) is not None:
                said.entries.append(((), call))
        else:
            for of in ("text", "reasoning"):
                said.closes += self._channels.close((of, index))
        self._beside(said, root)

    def _over(self, said: Said, root: Mapping[str, Json]) -> None:
        delta = table(root.get("delta"))
        said.stop = word(delta.get("finish_reason"))
        said.usage = read_usage(delta.get("usage"))
        said.calls += self._calls.made
        said.closes += self._channels.close_all()
        said.end = True
        self._beside(said, root)


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
