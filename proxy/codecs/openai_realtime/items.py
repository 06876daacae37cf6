"""Items of a Realtime conversation, the same in both directions: messages, calls, results, MCP.

Source: OpenAI OpenAPI 2.3.0, `RealtimeConversationItem`; Azure Voice Live and xAI add members, not types. Which message
carries an item, and when, is `document`'s and `stream`'s.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.codecs import Json, Kind, Path, ToolCall, ToolResult
from proxy.codecs.walk import Parts, arguments, array, table, word

_ROLES: Final = {"system": "system", "user": "user", "assistant": "assistant"}
_CALLS: Final = frozenset({"function_call", "mcp_call"})
_OUTCOME: Final = frozenset({"output", "error"})
_CALL: Final = frozenset({"name", "arguments"}) | _OUTCOME


class Item(NamedTuple):
    """What an item is besides its parts. At most one of both."""

    call: ToolCall | None = None
    result: ToolResult | None = None


def read_item(parts: Parts, item: Json, path: Path) -> Item:
    """One item at `path`; its parts go to `parts`."""
    members = table(item)
    kind = word(members.get("type"))
    if kind in _CALLS:
        return Item(call=_call(parts, members, path))
    if kind == "function_call_output":
        return Item(result=_result(parts, members, path))
    if kind == "message" or (kind is None and "content" in members):
        _message(parts, members, path)
    elif kind == "mcp_list_tools":
        parts.walk(members, path, "system", "tool_definition")
    elif kind == "mcp_approval_request":
        _asked(parts, members, path)
    else:
        parts.walk(item, path, "other", "text")
    return Item()


def _message(parts: Parts, members: Mapping[str, Json], path: Path) -> None:
    role = _ROLES.get(word(members.get("role")) or "", "other")
    content = members.get("content")
    parts.members(members, path, "other", "text", frozenset({"content"}))
    if not isinstance(content, list):
        parts.walk(content, (*path, "content"), role, "text")
    for index, part in enumerate(array(content)):
        read_content(parts, part, (*path, "content", index), role)


def read_content(parts: Parts, part: Json, path: Path, role: str) -> None:
    """A content part: text, a transcript, sound as base64."""
    members = table(part)
    sound = word(members.get("audio"))
    if sound:
        parts.add((*path, "audio"), sound, role, "media", sealed=True)
        parts.members(members, path, role, "text", frozenset({"audio"}))
    else:
        parts.walk(part, path, role, "text")


def _call(parts: Parts, members: Mapping[str, Json], path: Path) -> ToolCall:
    begin = len(parts.out)
    name, given = word(members.get("name")) or "", members.get("arguments")
    parts.members(members, path, "other", "text", _CALL)
    for member in ("name", "arguments"):
        value = members.get(member)
        if isinstance(value, str):
            told = member == "arguments"
            parts.add((*path, member), value, "assistant", "tool_call", sealed=not told, json=told)
        else:
            parts.walk_any(value, (*path, member), "assistant", "tool_call")
    mine = tuple(range(begin, len(parts.out)))
    for member in sorted(_OUTCOME & members.keys()):  # mcp_call holds its result
        _outcome(parts, members, member, path)
    by_provider = members.get("type") == "mcp_call"
    call_id = word(members.get("call_id")) or (word(members.get("id")) if by_provider else None) or ""
    told_arguments = arguments(given) if isinstance(given, str) else table(given)
    server = word(members.get("server_label"))
    return ToolCall(call_id, name, told_arguments, path, mine, by_provider=by_provider, server=server)


def _result(parts: Parts, members: Mapping[str, Json], path: Path) -> ToolResult:
    begin = len(parts.out)
    _outcome(parts, members, "output", path)
    mine = tuple(range(begin, len(parts.out)))
    parts.members(members, path, "other", "text", frozenset({"output"}))
    call_id = word(members.get("call_id")) or ""
    return ToolResult(call_id, word(members.get("name")) or "", (*path, "output"), mine, new=parts.new)


def _outcome(parts: Parts, members: Mapping[str, Json], name: str, path: Path) -> None:
    value = members.get(name)
    kind: Kind = "tool_result"
    if isinstance(value, str):
        parts.add((*path, name), value, "tool", kind)
    else:
        parts.walk_any(value, (*path, name), "tool", kind)


def _asked(parts: Parts, members: Mapping[str, Json], path: Path) -> None:
    """A call that waits for the client's approval; the provider carries it out."""
    parts.members(members, path, "other", "text", frozenset({"name", "arguments"}))
    for name in ("name", "arguments"):
        value = members.get(name)
        if isinstance(value, str):
            parts.add((*path, name), value, "assistant", "tool_call", sealed=name == "name", json=name == "arguments")
        else:
            parts.walk_any(value, (*path, name), "assistant", "tool_call")
