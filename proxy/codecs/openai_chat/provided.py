"""Tools that the provider ran itself (Groq's `executed_tools`): in a message, and in the deltas of a stream."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, OpenCall, Path, ToolCall, ToolResult
from proxy.codecs.channels import Channels, Said
from proxy.codecs.walk import Parts, arguments, number, word

_CALL: Final = frozenset({"name", "arguments"})


def read_executed(parts: Parts, item: Mapping[str, Json], path: Path) -> ToolCall:
    """One element: the call, and with it what came out. It has no id but its index."""
    begin = len(parts.out)
    name, given = word(item.get("name")), item.get("arguments")
    if name is not None:
        parts.add((*path, "name"), name, "assistant", "tool_call", sealed=True)
    else:
        parts.walk(item.get("name"), (*path, "name"), "assistant", "tool_call")
    if isinstance(given, str):
        parts.add((*path, "arguments"), given, "assistant", "tool_call", json=True)
    else:
        parts.walk_any(given, (*path, "arguments"), "assistant", "tool_call")
    parts.members(item, path, "tool", "tool_result", _CALL)
    call_id = word(item.get("id")) or f"executed_{number(item.get('index'))}"
    known = arguments(given) if isinstance(given, str) else given if isinstance(given, dict) else {}
    mine = tuple(range(begin, len(parts.out)))
    return ToolCall(call_id, name or word(item.get("type")) or "", known, path, mine, by_provider=True)


def result_of(parts: Parts, call: ToolCall) -> ToolResult | None:
    """What came out of a call, if anything has yet."""
    mine = tuple(part for part in call.parts if parts.out[part].kind == "tool_result" and not parts.out[part].sealed)
    return ToolResult(call.call_id, call.name, (*call.path, "output"), mine) if mine else None


class Executed:
    """Those of one choice of a stream: told when they begin, and once more with what came out."""

    def __init__(self, channels: Channels, choice: int) -> None:
        self._channels = channels
        self._choice = choice
        self._told: set[str] = set()

    def read(self, said: Said, item: Mapping[str, Json], path: Path) -> None:
        """One element of `delta.executed_tools`."""
        parts = Parts()
        call = read_executed(parts, item, path)
        if call.call_id not in self._told:
            self._told.add(call.call_id)
            self._open(said, call, path)
        first = len(said.fragments)
        self._channels.once(parts.out, said)
        result = result_of(parts, call)
        if result is not None:
            said.results.append(result._replace(parts=tuple(first + part for part in result.parts)))

    def _open(self, said: Said, call: ToolCall, path: Path) -> None:
        channel: Channel = ("tool_call", self._choice, "executed", call.call_id)
        said.opens.append(OpenCall(channel, call.call_id, call.name, call.arguments, by_provider=True))
        said.entries.append((path, channel))
        said.closes.append(channel)
