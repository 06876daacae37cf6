"""The parts, calls and results of one entry, of a request or a whole response alike."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from proxy.codecs import Json, Kind, Path, ToolCall
from proxy.codecs.walk import Parts, arguments, table, word

SPOKEN: Final = frozenset({"message.output", "function.call", "tool.execution", "agent.handoff"})
"""Entries that the model made."""

_IDS: Final = frozenset(
    {"agent_id", "previous_agent_id", "next_agent_id", "library_id", "document_id", "from_entry_id"}
)
_CALL: Final = frozenset({"name", "arguments", "info"})
_TEXTS: Final = frozenset({"text", "image_url", "document_url", "tool_file", "file", "input_audio"})


class Entry(NamedTuple):
    """What was read of one entry."""

    call: ToolCall | None = None
    result: tuple[int, ...] | None = None
    """Parts of a tool's result."""


def read_entry(parts: Parts, entry: Json, path: Path) -> Entry:
    """The parts of one entry; the call or the result that it is."""
    members = table(entry)
    kind = members.get("type", "message.input")
    begin = len(parts.out)
    if not members:
        parts.walk(entry, path, "other", "text")
    elif kind in ("function.call", "tool.execution"):
        return Entry(_call(parts, members, path, by_provider=kind == "tool.execution"))
    elif kind == "function.result":
        parts.walk(members.get("result"), (*path, "result"), "tool", "tool_result")
        mine = tuple(range(begin, len(parts.out)))
        others(parts, members, path, "tool", frozenset({"result"}))
        return Entry(result=mine)
    elif kind in ("message.input", "message.output"):
        role = "assistant" if kind == "message.output" or members.get("role") == "assistant" else "user"
        role = "system" if members.get("role") == "system" else role
        read_content(parts, members.get("content"), (*path, "content"), role)
        others(parts, members, path, "other", frozenset({"content"}))
    else:
        others(parts, members, path, "other", frozenset())
    return Entry()


def others(parts: Parts, members: Mapping[str, Json], path: Path, role: str, skip: frozenset[str]) -> None:
    """Every other member; ids are never edited."""
    ids = frozenset(name for name in _IDS & members.keys() if isinstance(members[name], str)) - skip
    for name in sorted(ids):
        parts.add((*path, name), members[name], role, "text", sealed=True)
    parts.members(members, path, role, "text", skip | ids)


def read_content(parts: Parts, content: Json, path: Path, role: str) -> None:
    """A message's content: a text, or chunks of one."""
    if not isinstance(content, list):
        parts.walk(content, path, role, "text")
        return
    for index, chunk in enumerate(content):
        read_chunk(parts, chunk, (*path, index), role)


def read_chunk(parts: Parts, chunk: Json, path: Path, role: str) -> None:
    """A chunk: text, thinking, media, a reference to what a tool found."""
    kind = word(table(chunk).get("type"))
    if kind == "thinking":
        parts.walk(chunk, path, role, "reasoning")
    elif kind in _TEXTS or isinstance(chunk, str):
        parts.walk(chunk, path, role, "text")
    elif kind in ("tool_reference", "reference"):  # what a search found, no words of the model's
        parts.walk(chunk, path, "tool", "text")
    else:
        parts.walk(chunk, path, "other", "text")


def _call(parts: Parts, members: Mapping[str, Json], path: Path, *, by_provider: bool) -> ToolCall:
    begin = len(parts.out)
    name, given = members.get("name"), members.get("arguments")
    if isinstance(name, str):
        parts.add((*path, "name"), name, "assistant", "tool_call", sealed=True)
    else:
        parts.walk(name, (*path, "name"), "other", "text")
    if isinstance(given, str):
        parts.add((*path, "arguments"), given, "assistant", "tool_call", json=True)
    else:
        parts.walk_any(given, (*path, "arguments"), "assistant", "tool_call")
    mine = tuple(range(begin, len(parts.out)))
    kind: Kind = "tool_result" if by_provider else "text"
    parts.walk_any(members.get("info"), (*path, "info"), "tool", kind)
    others(parts, members, path, "other", _CALL)
    call_id = word(members.get("tool_call_id")) or word(members.get("id")) or ""
    return ToolCall(call_id, word(name) or "", read_arguments(given), path, mine, by_provider)


def read_arguments(given: Json) -> Mapping[str, Json]:
    """A call's arguments: a JSON text, or an object."""
    if given is None:
        return {}
    return arguments(given if isinstance(given, str) else orjson.dumps(given).decode())
