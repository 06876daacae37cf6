"""The parts and calls of one message, of a request, a whole response or a chunk alike. Streams' pieces are `calls`'."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Kind, Path, ToolCall
from proxy.codecs.openai_chat.provided import read_executed
from proxy.codecs.walk import Parts, arguments, array, table, word

_ROLES: Final = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
RESULT_ROLES: Final = frozenset({"tool", "function"})
REASONING: Final = frozenset({"reasoning_content", "reasoning", "reasoning_details", "thinking"})
_MESSAGE: Final = frozenset({"tool_calls", "function_call"})


def read_message(parts: Parts, message: Json, path: Path) -> list[ToolCall]:
    """The parts of one message, of a request or a response alike; its calls."""
    members = table(message)
    if not members:
        parts.walk(message, path, "other", "text")
        return []
    spoken = word(members.get("role"))
    role = "tool" if spoken in RESULT_ROLES else _ROLES.get(spoken or "", "other")
    kind: Kind = "tool_result" if role == "tool" else "text"
    found: list[ToolCall] = []
    for name, value in members.items():
        if name in _MESSAGE:
            continue
        if name in ("content", "refusal"):
            _content(parts, value, (*path, name), role, kind)
        elif name in REASONING:
            parts.walk(value, (*path, name), role, "reasoning")
        elif name == "audio":
            parts.walk(value, (*path, name), role, kind)
        elif name == "executed_tools" and isinstance(value, list):
            found += _executed(parts, value, (*path, name))
        else:
            parts.members({name: value}, path, "other", "text", frozenset())
    return found + _calls(parts, members, path)


def _executed(parts: Parts, value: Sequence[Json], path: Path) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for index, item in enumerate(value):
        if isinstance(item, dict):
            calls.append(read_executed(parts, item, (*path, index)))
        else:
            parts.walk(item, (*path, index), "other", "text")
    return calls


_KNOWN_PARTS: Final = frozenset(
    [
        "text",
        "refusal",
        "image_url",
        "input_audio",
        "file",
        "video_url",
        "file_url",
        "document_url",
        "input_text",
        "output_text",
    ]
)


def _content(parts: Parts, value: Json, path: Path, role: str, kind: Kind) -> None:
    if not isinstance(value, list):
        parts.walk(value, path, role, kind)
        return
    for index, item in enumerate(value):
        kind_of_part = word(table(item).get("type"))
        if kind_of_part in _KNOWN_PARTS or kind == "tool_result" or isinstance(item, str):
            parts.walk(item, (*path, index), role, kind)
        elif kind_of_part == "thinking":  # Mistral
            parts.walk(item, (*path, index), role, "reasoning")
        else:
            parts.walk(item, (*path, index), "other", "text")


def _calls(parts: Parts, members: Mapping[str, Json], path: Path) -> list[ToolCall]:
    found: list[ToolCall] = []
    calls = members.get("tool_calls")
    if isinstance(calls, list):
        for index, call in enumerate(calls):
            found += _call(parts, call, (*path, "tool_calls", index))
    elif isinstance(calls, dict):
        found += _call(parts, calls, (*path, "tool_calls"))
    else:
        parts.walk(calls, (*path, "tool_calls"), "other", "text")
    legacy = members.get("function_call")
    if isinstance(legacy, dict):
        begin = len(parts.out)
        name, text = _function(parts, legacy, (*path, "function_call"), "arguments")
        mine = tuple(range(begin, len(parts.out)))
        if name or text:  # Snowflake sends an empty one beside every answer
            found.append(ToolCall("", name, arguments(text), (*path, "function_call"), mine))
    else:
        parts.walk(legacy, (*path, "function_call"), "other", "text")
    return found


def _call(parts: Parts, call: Json, path: Path) -> list[ToolCall]:
    members = table(call)
    begin = len(parts.out)
    parts.members(members, path, "assistant", "tool_call", frozenset({"function", "custom"}))
    name = ""
    given: Mapping[str, Json] = {}
    for member, field in (("function", "arguments"), ("custom", "input")):
        inner = members.get(member)
        if isinstance(inner, dict):
            name, text = _function(parts, inner, (*path, member), field)
            given = arguments(text) if member == "function" or not text else {"input": text}
        else:
            parts.walk(inner, (*path, member), "other", "text")
    if not members:
        parts.walk(call, path, "other", "text")
        return []
    mine = tuple(range(begin, len(parts.out)))
    return [ToolCall(word(members.get("id")) or "", name, given, path, mine)]


def _function(parts: Parts, function: Mapping[str, Json], path: Path, field: str) -> tuple[str, str]:
    """Name and argument text; an object in the place of the text (some vendors) is read as its JSON."""
    name, given = word(function.get("name")) or "", function.get(field)
    for member, value in function.items():
        here = (*path, member)
        if member == "name" and isinstance(value, str):
            parts.add(here, value, "assistant", "tool_call", sealed=True)
        elif member == field and isinstance(value, str):
            parts.add(here, value, "assistant", "tool_call", json=field == "arguments")
        else:
            parts.walk_any(value, here, "assistant", "tool_call")
    if isinstance(given, str):
        return name, given
    return name, orjson.dumps(given).decode() if given is not None else ""


def with_offsets(annotations: Json) -> list[int]:
    """Indexes of annotations that say where in the text they belong (`url_citation.start_index`)."""
    return [
        index
        for index, item in enumerate(array(annotations))
        if any("start_index" in table(value) for value in (item, *table(item).values()))
    ]
