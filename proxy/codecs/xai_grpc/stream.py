"""Chunks of a stream (GetChatCompletionChunk): texts grow by their output's index, calls come whole."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, OpenCall, Path, Reading, ToolResult
from proxy.codecs.channels import Channels, Said
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.codecs.xai_grpc.document import read_call, read_usage, repetitions
from proxy.codecs.xai_grpc.messages import DONE, ROLES, STOPS

_CHUNK: Final = frozenset({"outputs", "usage"})
_OUTPUT: Final = frozenset({"delta", "finish_reason", "index", "logprobs"})
_DELTA: Final = frozenset({"content", "reasoning_content", "role", "tool_calls"})


class Reader:
    """State of one stream: each output's role, open texts and calls."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._roles: dict[int, str] = {}
        self._spoke: set[int] = set()
        self._calls: dict[int, list[Channel]] = {}
        self._numbers = 0

    def read(self, event: Json) -> Reading:
        """What one chunk says."""
        said, root = Said(), table(event)
        for position, output in enumerate(array(root.get("outputs"))):
            self._output(said, table(output), ("outputs", position))
        self._channels.rest(said, root, (), _CHUNK)
        said.model = word(root.get("model"))
        said.usage = read_usage(root.get("usage"))
        said.keeps = word(root.get("id"))
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what no finish reason closed."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _output(self, said: Said, output: Mapping[str, Json], path: Path) -> None:
        index, delta, here = number(output.get("index")), table(output.get("delta")), (*path, "delta")
        role = self._roles[index] = ROLES.get(number(delta.get("role")), self._roles.get(index, "assistant"))
        self._grow(said, delta, "reasoning_content", ("reasoning", index), here)
        text: Channel = ("tool_result" if role == "tool" else "text", index)
        if delta.get("content"):
            said.closes += self._channels.close(("reasoning", index))
            self._spoke.add(index)
        if role == "tool" and any(table(call).get("status") in DONE for call in array(delta.get("tool_calls"))):
            self._result(said, delta, here)
        else:
            self._grow(said, delta, "content", text, here)
        if delta.get("tool_calls") and role != "tool":
            said.closes += [*self._channels.close(("reasoning", index)), *self._channels.close(text)]
        for number_, call in enumerate(array(delta.get("tool_calls"))):
            self._call(said, table(call), (*here, "tool_calls", number_), index, role)
        self._channels.rest(said, delta, here, _DELTA)
        self._copies(said, output, delta, path, text)
        self._channels.rest(said, output, path, _OUTPUT)
        if reason := STOPS.get(number(output.get("finish_reason"))):
            said.stop = reason
            said.calls += self._calls.get(index, [])
            said.closes += self._channels.close_block(index)

    def _result(self, said: Said, delta: Mapping[str, Json], path: Path) -> None:
        """What a tool of xAI's returned: whole, beside its call."""
        first = len(said.fragments)
        self._channels.walked(said, delta.get("content"), (*path, "content"), "tool_result")
        call = next(iter(array(delta.get("tool_calls"))), None)
        read = read_call(Parts(), table(call), ())
        mine = tuple(range(first, len(said.fragments)))
        said.results.append(ToolResult(read.call_id, read.name, (*path, "content"), mine, server=read.server))

    def _grow(self, said: Said, delta: Mapping[str, Json], name: str, base: Channel, path: Path) -> None:
        text = delta.get(name)
        if isinstance(text, str) and text:
            said.fragment(self._channels.growing(base), (*path, name), text)

    def _copies(
        self, said: Said, output: Mapping[str, Json], delta: Mapping[str, Json], path: Path, text: Channel
    ) -> None:
        """Tokens again, and offsets into all of the text so far: they go where it was edited."""
        copies = repetitions(output, delta, path, (*path, "delta"))
        if copies:
            channel = self._channels.growing(text)
            said.when_edited += [(channel, change) for change in copies]

    def _call(self, said: Said, call: Mapping[str, Json], path: Path, index: int, role: str) -> None:
        parts = Parts()
        read = read_call(parts, call, path)
        if role == "tool":  # the call once more, beside its result
            self._channels.once(parts.out, said)
            return
        self._numbers += 1
        channel: Channel = ("tool_call", index, self._numbers)
        spoken = index in self._spoke
        said.opens.append(OpenCall(channel, read.call_id, read.name, None, spoken, read.by_provider, read.server))
        said.entries.append((path, channel))
        function = (*path, "function")
        for part in parts.out:
            if part.path == (*function, "arguments") and part.text:
                said.fragment(channel, part.path, part.text)
        self._channels.once([part for part in parts.out if part.path[:-1] != function], said)
        said.closes.append(channel)
        if not read.by_provider:
            self._calls.setdefault(index, []).append(channel)


def stream_reader() -> Reader:
    """A reader for one answer."""
    return Reader()
