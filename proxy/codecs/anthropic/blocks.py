"""The parts and calls of one content block, of a request, a whole response or a stream alike."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, ToolCall, ToolResult
from proxy.codecs.walk import Parts, table, word

_REASONING: Final = frozenset({"thinking", "redacted_thinking"})
_TEXT: Final = frozenset({"text", "document", "search_result", "compaction"})
CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
"""Calls. The client carries out the first kind, Anthropic the others before the client reads of them."""
_OFFERS: Final = frozenset({"tool_addition", "tool_removal"})
_BLOCK_CALL: Final = frozenset({"name", "input"})


def read_block(parts: Parts, block: Json, path: Path, role: str) -> ToolCall | ToolResult | None:
    """The parts of one content block; the call or the result, if it is one."""
    members = table(block)
    kind = word(members.get("type")) or ""
    if kind in CALLS:
        return _tool_use(parts, members, path, kind)
    if kind in _REASONING:
        parts.walk(block, path, role, "reasoning")
    elif kind.endswith("tool_result"):
        return _tool_result(parts, members, path)
    elif kind in _TEXT:
        parts.walk(block, path, role, "text")
    elif kind == "image":
        parts.walk(block, path, role, "media")
    elif kind == "mid_conv_system":
        parts.walk(block, path, "system", "text")
    elif kind in _OFFERS:
        parts.walk(block, path, "system", "tool_definition")
    else:
        parts.walk(block, path, "other", "text")
    return None


def _tool_use(parts: Parts, members: Mapping[str, Json], path: Path, kind: str) -> ToolCall:
    begin = len(parts.out)
    name, given = members.get("name"), members.get("input")
    if isinstance(name, str):
        parts.add((*path, "name"), name, "assistant", "tool_call", sealed=True)
    else:
        parts.walk(name, (*path, "name"), "other", "text")
    parts.walk_any(given, (*path, "input"), "assistant", "tool_call")
    parts.members(members, path, "assistant", "tool_call", _BLOCK_CALL)
    mine = tuple(range(begin, len(parts.out)))
    call_id, server = word(members.get("id")) or "", word(members.get("server_name"))
    return ToolCall(call_id, word(name) or "", arguments(given), path, mine, kind != "tool_use", server)


def _tool_result(parts: Parts, members: Mapping[str, Json], path: Path) -> ToolResult | None:
    """A result: the client's, or (`web_search_tool_result` and its kind) one that Anthropic put there itself."""
    begin = len(parts.out)
    parts.walk(members, path, "tool", "tool_result")
    if "content" not in members:
        return None
    failed = (word(table(members["content"]).get("type")) or "").endswith("_error")
    mine = tuple(range(begin, len(parts.out)))
    call_id = word(members.get("tool_use_id")) or ""
    return ToolResult(call_id, "", (*path, "content"), mine, is_error=failed or members.get("is_error") is True)


def arguments(given: Json) -> Mapping[str, Json]:
    """A call's `input` as arguments, whatever came in its place."""
    if isinstance(given, dict):
        return given
    return {} if given is None else {"input": given}
