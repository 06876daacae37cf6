"""Events of a stream. The answer that its last event repeats is read in `answer`; nothing is changed here."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Fragment, Json, OpenCall, Path, Reading, ToolCall
from proxy.codecs.channels import Channels, Said
from proxy.codecs.cohere_v1.answer import read_answer, read_usage
from proxy.codecs.cohere_v1.calls import parameters
from proxy.codecs.splicing import Remove
from proxy.codecs.walk import Parts, array, number, table, word

_GENERATION: Final = frozenset({"text"})
_CHUNK: Final = frozenset({"text", "tool_call_delta"})
_CALLS: Final = frozenset({"text", "tool_calls"})
_END: Final = frozenset({"response"})


class Reader:
    """State of one stream: its texts, and its calls, each told up to four times.

    A call grows in chunks, then comes whole, and once more in the answer at the end and in the history there. It stays
    open until then, so that it is decided once; each whole telling opens it again with the arguments it gives.
    """

    def __init__(self) -> None:
        self._channels = Channels()
        self._texts: dict[int, Channel] = {}
        """By generation; chat has one."""
        self._calls: dict[int, OpenCall] = {}
        self._spoke = False

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said = Said()
        root = table(event)
        kind = root.get("event_type", "stream-end" if "response" in root else "text-generation")
        if kind == "text-generation" and isinstance(root.get("text"), str):
            self._text(said, root["text"], ("text",), number(root.get("index")))
            self._channels.rest(said, root, (), _GENERATION)
        elif kind == "tool-calls-chunk":
            self._chunk(said, root)
        elif kind == "tool-calls-generation" and isinstance(root.get("tool_calls"), list):
            self._whole(said, root)
        elif kind == "stream-end" and isinstance(root.get("response"), dict):
            self._end(said, root, root["response"])
        elif kind == "citation-generation":
            self._citations(said, root)
        else:
            self._channels.walked(said, event, ())
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    # texts

    def _text(self, said: Said, text: str, path: Path, generation: int = 0) -> None:
        channel = self._texts[generation] = self._channels.growing(("text", generation))
        self._spoke = self._spoke or bool(text)
        if text:
            said.fragment(channel, path, text)

    def _citations(self, said: Said, root: Mapping[str, Json]) -> None:
        """Their offsets count the text's characters: with the text edited, they do not follow."""
        self._channels.walked(said, root, ())
        said.when_edited.append((self._texts.get(0, ("text", 0)), Remove(())))

    def _repeat(self, said: Said, text: str, path: Path, generation: int) -> None:
        channel = self._texts.get(generation)
        if channel is not None:
            said.repeats.append(Fragment(channel, path, text))
        else:
            self._channels.walked(said, text, path)

    # calls

    def _chunk(self, said: Said, root: Mapping[str, Json]) -> None:
        """A piece of a call, or of the plan that comes before the calls."""
        delta = root.get("tool_call_delta")
        for members, path in ((root, ("text",)), (table(delta), ("tool_call_delta", "text"))):
            if isinstance(members.get("text"), str):
                self._text(said, members["text"], path)
            else:
                self._channels.walked(said, members.get("text"), path)
        if isinstance(delta, dict):
            self._piece(said, delta)
        else:
            self._channels.walked(said, delta, ("tool_call_delta",))
        self._channels.rest(said, root, (), _CHUNK)

    def _piece(self, said: Said, delta: Mapping[str, Json]) -> None:
        given = delta.get("parameters")
        read = {"text"}
        if "name" in delta or given is not None:
            index = number(delta.get("index"))
            channel = self._channels.growing(("tool_call", index))
            if word(delta.get("name")):
                read.add("name")
            if index not in self._calls or word(delta.get("name")):
                self._open(said, index, word(delta.get("name")) or "", None)
            said.entries.append(((), channel))
            if isinstance(given, str):
                read.add("parameters")
                said.fragment(channel, ("tool_call_delta", "parameters"), given)
        self._channels.rest(said, delta, ("tool_call_delta",), frozenset(read))

    def _whole(self, said: Said, root: Mapping[str, Json]) -> None:
        for index, call in enumerate(root["tool_calls"]):
            self._told(said, index, table(call), ("tool_calls", index))
            if not isinstance(call, dict):
                self._channels.walked(said, call, ("tool_calls", index))
        if isinstance(root.get("text"), str):
            self._repeat(said, root["text"], ("text",), 0)
        else:
            self._channels.walked(said, root.get("text"), ("text",))
        self._channels.rest(said, root, (), _CALLS)

    def _told(self, said: Said, index: int, call: Mapping[str, Json], path: Path) -> None:
        """A call told whole."""
        given = call.get("parameters")
        self._open(said, index, word(call.get("name")) or "", parameters(given))
        said.entries.append((path, self._calls[index].channel))
        self._channels.given(said, given, (*path, "parameters"))
        read = {"name", "parameters"} if isinstance(call.get("name"), str) else {"parameters"}
        self._channels.rest(said, call, path, frozenset(read))

    def _open(self, said: Said, index: int, name: str, given: Mapping[str, Json] | None) -> None:
        before = self._calls.get(index)
        channel = self._channels.growing(("tool_call", index))
        if before is not None:
            opened = before._replace(name=name or before.name, arguments=given)
        else:
            opened = OpenCall(channel, "", name, given, self._spoke)
        self._calls[index] = opened
        said.opens.append(opened)

    # the end

    def _end(self, said: Said, root: Mapping[str, Json], answer: Mapping[str, Json]) -> None:
        """Everything once more. What the stream did not tell before is a text, or a call, of its own."""
        parts = Parts()
        told = read_answer(parts, answer, ("response",))
        for calls in (told.calls, told.copies):
            for index, call in enumerate(calls):
                self._again(said, index, call)
        texts = set(told.texts)
        for index, part in enumerate(parts.out):
            if index in texts:
                self._repeat(said, part.text, part.path, _generation(part.path, answer))
        rest = [part for index, part in enumerate(parts.out) if index not in texts]
        self._channels.once([part for part in rest if part.kind != "tool_call" or part.path[-1] != "name"], said)
        self._offsets(said, answer)
        said.stop = word(root.get("finish_reason")) or word(answer.get("finish_reason"))
        said.usage = read_usage(answer)
        said.keeps = word(answer.get("conversation_id"))
        said.calls += [self._calls[index].channel for index in sorted(self._calls)]
        said.closes += self._channels.close_all()
        said.end = True
        self._channels.rest(said, root, (), _END)

    def _again(self, said: Said, index: int, call: ToolCall) -> None:
        self._open(said, index, call.name, call.arguments)
        said.entries.append((call.path, self._calls[index].channel))

    def _offsets(self, said: Said, answer: Mapping[str, Json]) -> None:
        text = self._texts.get(0, ("text", 0))
        if answer.get("citations"):
            said.when_edited.append((text, Remove(("response", "citations"))))
        for index, generation in enumerate(array(answer.get("generations"))):
            if table(generation).get("token_likelihoods") is not None:
                path = ("response", "generations", index, "token_likelihoods")
                channel = self._texts.get(number(table(generation).get("index")), text)
                said.when_edited.append((channel, Remove(path)))


def _generation(path: Path, answer: Mapping[str, Json]) -> int:
    """Which of the generations a text at `path` of the answer is."""
    if path[1] != "generations" or not isinstance(path[2], int):
        return 0
    generation = table(answer["generations"][path[2]])
    return number(generation.get("index")) if "index" in generation else path[2]


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
