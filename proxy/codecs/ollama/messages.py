"""The parts and calls of one message, of a request, a whole response or a line alike."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Kind, Path, ToolCall
from proxy.codecs.walk import Parts, table, word

_ROLES: Final = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_READ: Final = frozenset({"role", "content", "thinking", "images", "tool_calls", "tool_name"})


def read_message(parts: Parts, message: Json, path: Path) -> list[ToolCall]:
    """The parts of one message; its calls."""
    members = table(message)
    if not members:
        parts.walk(message, path, "other", "text")
        return []
    role = _ROLES.get(word(members.get("role")) or "", "other")
    if "role" in members and not isinstance(members["role"], str):
        parts.walk(members["role"], (*path, "role"), "other", "text")
    kind: Kind = "tool_result" if role == "tool" else "text"
    parts.walk(members.get("thinking"), (*path, "thinking"), role, "reasoning")
    parts.walk(members.get("content"), (*path, "content"), role, kind)
    read_images(parts, members.get("images"), (*path, "images"), role)
    name = members.get("tool_name")
    parts.walk(name, (*path, "tool_name"), role, kind, sealed=isinstance(name, str))
    parts.members(members, path, "other", "text", _READ)
    return read_calls(parts, members.get("tool_calls"), (*path, "tool_calls"))


def read_images(parts: Parts, images: Json, path: Path, role: str) -> None:
    """Images are base64 without further ado."""
    parts.walk(images, path, role, "media", sealed=isinstance(images, list) and all(map(_is_string, images)))


def _is_string(value: Json) -> bool:
    return isinstance(value, str)


def read_calls(parts: Parts, calls: Json, path: Path) -> list[ToolCall]:
    """The calls of a list at `path`. Older versions give them no ids."""
    if not isinstance(calls, list):
        parts.walk(calls, path, "other", "text")
        return []
    return [found for index, call in enumerate(calls) for found in _call(parts, call, (*path, index))]


def _call(parts: Parts, call: Json, path: Path) -> list[ToolCall]:
    members = table(call)
    if not members:
        parts.walk(call, path, "other", "text")
        return []
    begin = len(parts.out)
    function = members.get("function")
    parts.members(members, path, "assistant", "tool_call", frozenset({"function"}))
    if isinstance(function, dict):
        for member, value in function.items():
            here = (*path, "function", member)
            if member == "name" and isinstance(value, str):
                parts.add(here, value, "assistant", "tool_call", sealed=True)
            else:
                parts.walk_any(value, here, "assistant", "tool_call")
    else:
        parts.walk(function, (*path, "function"), "other", "text")
    mine = tuple(range(begin, len(parts.out)))
    said = table(function)
    call_id, name = word(members.get("id")) or "", word(said.get("name")) or ""
    return [ToolCall(call_id, name, arguments(said.get("arguments")), path, mine)]


def arguments(given: Json) -> Mapping[str, Json]:
    """A call's arguments, which are an object here, whatever came in its place."""
    if isinstance(given, dict):
        return given
    return {} if given is None else {"input": given}
