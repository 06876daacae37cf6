"""The parts and calls of one content block, of a request, a whole response or a stream alike."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, ToolCall
from proxy.codecs.walk import Parts, table, word

_REASONING: Final = frozenset({"thinking", "redacted_thinking"})
_TEXT: Final = frozenset({"text", "document", "search_result", "mid_conv_system", "compaction"})
CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_BLOCK_CALL: Final = frozenset({"name", "input"})


def read_block(parts: Parts, block: Json, path: Path, role: str) -> ToolCall | None:
    """The parts of one content block; the call, if it is one that the client carries out."""
    members = table(block)
    kind = word(members.get("type")) or ""
    if kind in CALLS:
        return _tool_use(parts, members, path, kind)
    if kind in _REASONING:
        parts.walk(block, path, role, "reasoning")
    elif kind.endswith("tool_result"):
        parts.walk(block, path, "tool", "tool_result")
    elif kind in _TEXT:
        parts.walk(block, path, role, "text")
    elif kind == "image":
        parts.walk(block, path, role, "media")
    else:
        parts.walk(block, path, "other", "text")
    return None


def _tool_use(parts: Parts, members: Mapping[str, Json], path: Path, kind: str) -> ToolCall | None:
    begin = len(parts.out)
    name, given = members.get("name"), members.get("input")
    if isinstance(name, str):
        parts.add((*path, "name"), name, "assistant", "tool_call", sealed=True)
    else:
        parts.walk(name, (*path, "name"), "other", "text")
    parts.walk_any(given, (*path, "input"), "assistant", "tool_call")
    parts.members(members, path, "assistant", "tool_call", _BLOCK_CALL)
    if kind != "tool_use":
        return None  # the provider carries it out itself: it has happened when the client reads of it
    mine = tuple(range(begin, len(parts.out)))
    return ToolCall(word(members.get("id")) or "", word(name) or "", arguments(given), path, mine)


def arguments(given: Json) -> Mapping[str, Json]:
    """A call's `input` as arguments, whatever came in its place."""
    if isinstance(given, dict):
        return given
    return {} if given is None else {"input": given}
