"""The parts and calls of one message, of a request or a whole response alike, and of its pieces in a stream."""

from collections.abc import Mapping
from typing import Final

import orjson

from proxy.codecs import Json, Kind, Path, ToolCall
from proxy.codecs.walk import Parts, arguments, array, table, word

_ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_READ: Final = frozenset({"role", "content", "tool_plan", "tool_calls", "citations"})


def read_message(parts: Parts, message: Json, path: Path) -> list[ToolCall]:
    """The parts of one message; its calls."""
    members = table(message)
    role = _ROLES.get(word(members.get("role")) or "", "other")
    if "role" in members and not isinstance(members["role"], str):
        parts.walk(members["role"], (*path, "role"), "other", "text")
    _content(parts, members.get("content"), (*path, "content"), role)
    parts.walk(members.get("tool_plan"), (*path, "tool_plan"), role, "reasoning")
    calls = _calls(parts, members.get("tool_calls"), (*path, "tool_calls"))
    read_citations(parts, members.get("citations"), (*path, "citations"), role)
    parts.members(members, path, "other", "text", _READ)
    if not members:
        parts.walk(message, path, "other", "text")
    return calls


def _content(parts: Parts, content: Json, path: Path, role: str) -> None:
    kind: Kind = "tool_result" if role == "tool" else "text"
    if not isinstance(content, list):
        parts.walk(content, path, role, kind)
        return
    for index, item in enumerate(content):
        here = (*path, index)
        of = table(item).get("type")
        if of == "thinking":
            parts.walk(item, here, role, "reasoning")
        elif isinstance(table(item).get("document"), dict):
            read_document(parts, item["document"], (*here, "document"), role, kind)
            parts.members(item, here, role, kind, frozenset({"document"}))
        elif of in ("text", "image_url") or kind == "tool_result" or isinstance(item, str):
            parts.walk(item, here, role, kind)
        else:
            parts.walk(item, here, "other", "text")


def read_document(parts: Parts, document: Mapping[str, Json], path: Path, role: str, kind: Kind) -> None:
    """A document: its `data` is an object of the user's own, or a string that may be the JSON of one."""
    data = document.get("data")
    if isinstance(data, str):
        parts.add((*path, "data"), data, role, kind, json=data.lstrip()[:1] == "{")
    else:
        parts.walk_any(data, (*path, "data"), role, kind)
    parts.members(document, path, role, kind, frozenset({"data"}))


def read_citations(parts: Parts, citations: Json, path: Path, role: str) -> None:
    """Citations repeat the text that they stand on, and documents and tool outputs as their sources."""
    if isinstance(citations, list):
        for index, citation in enumerate(citations):
            read_citation(parts, citation, (*path, index), role)
    else:
        parts.walk(citations, path, role, "text")


def read_citation(parts: Parts, citation: Json, path: Path, role: str) -> None:
    """One citation."""
    members = table(citation)
    if not members:
        parts.walk(citation, path, role, "text")
        return
    parts.members(members, path, role, "text", frozenset({"sources"}))
    sources = members.get("sources")
    if not isinstance(sources, list):
        parts.walk(sources, (*path, "sources"), role, "text")
    for index, source in enumerate(array(sources)):
        _source(parts, source, (*path, "sources", index))


_SOURCE: Final = frozenset({"document", "tool_output"})


def _source(parts: Parts, source: Json, path: Path) -> None:
    members = table(source)
    if not members:
        parts.walk(source, path, "other", "text")
        return
    parts.walk_any(members.get("document"), (*path, "document"), "other", "text")
    parts.walk_any(members.get("tool_output"), (*path, "tool_output"), "tool", "tool_result")
    parts.members(members, path, "other", "text", _SOURCE)


def _calls(parts: Parts, calls: Json, path: Path) -> list[ToolCall]:
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
        _function(parts, function, (*path, "function"))
    else:
        parts.walk(function, (*path, "function"), "other", "text")
    said = table(function)
    mine = tuple(range(begin, len(parts.out)))
    call_id, name = word(members.get("id")) or "", word(said.get("name")) or ""
    return [ToolCall(call_id, name, given(said.get("arguments")), path, mine)]


def _function(parts: Parts, function: Mapping[str, Json], path: Path) -> None:
    for member, value in function.items():
        here = (*path, member)
        if member == "name" and isinstance(value, str):
            parts.add(here, value, "assistant", "tool_call", sealed=True)
        elif isinstance(value, str):
            parts.add(here, value, "assistant", "tool_call", json=member == "arguments")
        else:
            parts.walk_any(value, here, "assistant", "tool_call")


def given(value: Json) -> Mapping[str, Json]:
    """A call's arguments: a JSON text; for a tool without parameters also `"null"`, `""` and null."""
    if value is None or (isinstance(value, str) and value.strip() in ("", "null")):
        return {}
    return arguments(value if isinstance(value, str) else orjson.dumps(value).decode())
