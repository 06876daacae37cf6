"""Events of the streams of agents, knowledge bases and flows, told by their members.

A chunk's text stands under `bytes`, decoded by the framing. Traces tell prompts, reasons and what Bedrock's own tools
did, as texts; only `returnControl` holds calls, and the client carries them out. Nothing is changed here.
"""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, Kind, OpenCall, Path, Reading
from proxy.codecs.bedrock_agent.document import sealed_ids, spans
from proxy.codecs.bedrock_converse.document import read_usage
from proxy.codecs.channels import Channels, Said
from proxy.codecs.framings.event_chunks import PADDING
from proxy.codecs.splicing import Remove
from proxy.codecs.walk import Parts, array, table, word
from proxy.events import Usage

INPUTS: Final = "invocationInputs"
_TEXT: Final[Channel] = ("text", 0)
_KINDS: Final[Mapping[str, Kind]] = {
    "rationale": "reasoning",
    "reasoningContent": "reasoning",
    "observation": "tool_result",
    "invocationInput": "tool_call",
}
"""What the members of a trace are, wherever they stand in it."""


class Reader:
    """State of one stream: the answer so far, and the tokens that its steps have used."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._used = Usage()
        self._spoke = False
        self._returns = 0

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said, root = Said(), table(event)
        skip = set[str]()
        for name in ("bytes", "text"):  # an agent's chunk, a knowledge base's piece of output
            if isinstance(root.get(name), str):
                skip.add(name)
                self._grow(said, (name,), root[name])
        if isinstance(root.get("trace"), dict):
            skip.add("trace")
            self._trace(said, root["trace"])
        if isinstance(root.get(INPUTS), list):
            skip.add(INPUTS)
            self._returned(said, root)
        if isinstance(root.get("files"), list):
            skip.add("files")
            for index, file in enumerate(root["files"]):
                self._file(said, file, ("files", index))
        if _is_padding(root.get("p")):
            skip.add("p")
        self._rest(said, event, frozenset(skip))
        self._cited(said, root)
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _grow(self, said: Said, path: Path, text: str) -> None:
        self._spoke = self._spoke or bool(text)
        channel = self._channels.growing(_TEXT)
        if text:
            said.fragment(channel, path, text)

    def _rest(self, said: Said, event: Json, skip: frozenset[str]) -> None:
        parts = Parts()
        if isinstance(event, dict):
            parts.members(event, (), "other", "text", skip)
        else:
            parts.walk_any(event, (), "other", "text")
        self._channels.once(sealed_ids(parts), said)

    def _cited(self, said: Said, root: Mapping[str, Json]) -> None:
        attribution = table(root.get("attribution"))
        for span in spans(attribution.get("citations"), ("attribution", "citations")):
            said.when_edited.append((self._channels.growing(_TEXT), Remove(span)))

    def _file(self, said: Said, file: Json, path: Path) -> None:
        """A file that the agent wrote: its bytes are base64."""
        parts, members = Parts(), table(file)
        content = members.get("bytes")
        if isinstance(content, str):
            parts.add((*path, "bytes"), content, "assistant", "media", sealed=True)
        parts.members(members, path, "assistant", "text", frozenset({"bytes"} if isinstance(content, str) else ()))
        if not members:
            parts.walk(file, path, "assistant", "text")
        self._channels.once(parts.out, said)

    # traces

    def _trace(self, said: Said, trace: Mapping[str, Json]) -> None:
        parts = Parts()
        _traced(parts, trace, ("trace",), "text")
        self._channels.once(sealed_ids(parts), said)
        for step in map(table, trace.values()):
            said.model = word(table(step.get("modelInvocationInput")).get("foundationModel")) or said.model
            used = read_usage(table(table(step.get("modelInvocationOutput")).get("metadata")).get("usage"))
            if used is not None:
                self._used = Usage(input=self._used.input + used.input, output=self._used.output + used.output)
                said.usage = self._used

    # calls

    def _returned(self, said: Said, root: Mapping[str, Json]) -> None:
        call_id = word(root.get("invocationId")) or ""
        self._returns += 1
        for index, item in enumerate(root[INPUTS]):
            path: Path = (INPUTS, index)
            name, arguments = _call(table(item))
            channel: Channel = ("tool_call", self._returns, index)
            parts = Parts()
            parts.walk(item, path, "assistant", "tool_call")
            if arguments is not None:
                said.opens.append(OpenCall(channel, call_id, name, arguments, self._spoke))
                said.entries.append((path, channel))
                said.calls.append(channel)
                said.closes.append(channel)
            self._channels.once(sealed_ids(parts), said)


def _call(item: Mapping[str, Json]) -> tuple[str, Mapping[str, Json] | None]:
    """Name and arguments of what the client is asked to carry out; None where it is asked for nothing known."""
    called = item.get("functionInvocationInput", item.get("apiInvocationInput"))
    if not isinstance(called, dict):
        return "", None
    given = [*array(called.get("parameters"))]
    for content in table(table(called.get("requestBody")).get("content")).values():
        given += array(table(content).get("properties"))
    arguments = {str(table(one).get("name")): table(one).get("value") for one in given}
    return word(called.get("function")) or word(called.get("apiPath")) or "", arguments


def _traced(parts: Parts, value: Json, path: Path, kind: Kind) -> None:
    """A trace's texts, by what they are. Whole prompts and answers stand in it as JSON in strings."""
    if isinstance(value, dict) and kind == "text":
        for name, item in value.items():
            if isinstance(item, dict):
                parts.members({name: None}, path, "other", "text", frozenset())  # a name that is more than a word
            _traced(parts, item, (*path, name), _KINDS.get(name, "text"))
    else:
        begin = len(parts.out)
        holder, last = path[:-1], path[-1]
        parts.members({str(last): value}, holder, "other", kind, frozenset())
        for index in range(begin, len(parts.out)):
            part = parts.out[index]
            if part.text.startswith(("{", "[")) and part.kind == "text":
                # A channel of calls that none opened is scanned as JSON, and decides nothing.
                parts.out[index] = part._replace(kind="tool_call")


def _is_padding(value: Json) -> bool:
    return isinstance(value, str) and PADDING.startswith(value)


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
