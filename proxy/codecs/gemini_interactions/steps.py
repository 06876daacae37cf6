"""One step of an interaction (wire-formats §4.1), or one content of it, of a request, an answer or a stream alike."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.codecs import Json, Path, ToolCall, ToolResult
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, array, table, word

_ROLES: Final = {"user_input": "user", "model_output": "assistant"}
_MEDIA: Final = frozenset({"image", "audio", "video", "document", "file"})
_CALL: Final = frozenset({"name", "arguments"})


class Step(NamedTuple):
    """What a step is, beside its texts."""

    call: ToolCall | None = None
    result: ToolResult | None = None
    outcome: ToolResult | None = None
    """What one of Google's own tools, or a tool server, gave back."""
    copies: tuple[tuple[int, Change], ...] = ()
    """As `Response.when_edited`."""


def is_call(kind: str) -> bool:
    """Whether a step of this type is a tool call; all but `function_call` are Google's own to carry out."""
    return kind.endswith("_call")


def is_step(item: Mapping[str, Json]) -> bool:
    """Whether an element of the input is a step, and no content of one."""
    kind = word(item.get("type")) or ""
    return kind.endswith(("_input", "_output", "_call", "_result")) or kind == "thought"


def is_answer(step: Json) -> bool:
    """Whether the model, or one of Google's own tools, said it."""
    kind = word(table(step).get("type")) or ""
    return kind in ("model_output", "thought") or is_call(kind) or (is_result(kind) and kind != "function_result")


def is_result(kind: str) -> bool:
    """Whether a step of this type is what a tool gave back."""
    return kind.endswith("_result")


def read_step(parts: Parts, step: Json, path: Path) -> Step:
    """The texts of one step."""
    members = table(step)
    kind = word(members.get("type")) or ""
    if kind in _ROLES:
        return Step(copies=_contents(parts, members, path, _ROLES[kind]))
    if kind == "thought":
        _thought(parts, members, path)
    elif is_call(kind):
        return Step(call=_call(parts, members, path, kind))
    elif is_result(kind):
        result = _result(parts, members, path, kind)
        return Step(result=result) if kind == "function_result" else Step(outcome=result)
    else:
        parts.walk(step, path, "other", "text")
    return Step()


def _contents(parts: Parts, members: Mapping[str, Json], path: Path, role: str) -> tuple[tuple[int, Change], ...]:
    content = members.get("content")
    copies: list[tuple[int, Change]] = []
    for index, item in enumerate(array(content)):
        copies += read_content(parts, item, (*path, "content", index), role)
    skip = frozenset({"content"}) if isinstance(content, list) else frozenset()
    parts.members(members, path, role, "text", skip)
    return tuple(copies)


def read_content(parts: Parts, content: Json, path: Path, role: str) -> list[tuple[int, Change]]:
    """A text with its annotations, which count its bytes and so go when it changes; or media."""
    members = table(content)
    kind = members.get("type")
    data = members.get("data")
    if not members:
        parts.walk(content, path, role, "text")
    elif isinstance(kind, str) and kind in _MEDIA:
        if isinstance(data, str):
            parts.add((*path, "data"), data, role, "media", sealed=True)
        parts.members(members, path, role, "media", frozenset({"data"}) if isinstance(data, str) else frozenset())
    else:
        at = len(parts.out)
        said = isinstance(members.get("text"), str)
        if said:
            parts.add((*path, "text"), members["text"], role, "text")
        parts.members(members, path, role, "text", frozenset({"text"}) if said else frozenset())
        if said and "annotations" in members:
            return [(at, Remove((*path, "annotations")))]
    return []


def _thought(parts: Parts, members: Mapping[str, Json], path: Path) -> None:
    """The signature is over the whole thought, so its summary is never edited."""
    for name, value in members.items():
        if name == "summary":
            begin = len(parts.out)
            parts.walk(value, (*path, name), "assistant", "reasoning")
            parts.out[begin:] = [part._replace(sealed=True) for part in parts.out[begin:]]
        else:
            parts.members({name: value}, path, "assistant", "reasoning", frozenset())


def _call(parts: Parts, members: Mapping[str, Json], path: Path, kind: str) -> ToolCall:
    begin = len(parts.out)
    name, given = members.get("name"), members.get("arguments")
    if isinstance(name, str):
        parts.add((*path, "name"), name, "assistant", "tool_call", sealed=True)
    else:
        parts.walk(name, (*path, "name"), "assistant", "tool_call")
    parts.walk_any(given, (*path, "arguments"), "assistant", "tool_call")
    parts.members(members, path, "assistant", "tool_call", _CALL)
    mine = tuple(range(begin, len(parts.out)))
    by_provider = kind != "function_call"
    called = word(name) or (kind.removesuffix("_call") if by_provider else "")
    server = word(members.get("server_name"))
    return ToolCall(word(members.get("id")) or "", called, as_arguments(given), path, mine, by_provider, server)


def as_arguments(given: Json) -> Mapping[str, Json]:
    """A call's `arguments` as such, whatever came in their place."""
    if isinstance(given, dict):
        return given
    return {} if given is None else {"input": given}


def _result(parts: Parts, members: Mapping[str, Json], path: Path, kind: str) -> ToolResult:
    begin = len(parts.out)
    name = members.get("name")
    if isinstance(name, str):
        parts.add((*path, "name"), name, "tool", "tool_result", sealed=True)
    for index, item in enumerate(array(members.get("result"))):
        _result_content(parts, item, (*path, "result", index))
    if not isinstance(members.get("result"), list):
        parts.walk_any(members.get("result"), (*path, "result"), "tool", "tool_result")
    skip = frozenset({"result", "name"}) if isinstance(name, str) else frozenset({"result"})
    parts.members(members, path, "tool", "tool_result", skip)
    mine = tuple(range(begin, len(parts.out)))
    error = members.get("is_error") is True
    call_id = word(members.get("call_id")) or ""
    called = word(name) or (kind.removesuffix("_result") if kind != "function_result" else "")
    server = word(members.get("server_name"))
    return ToolResult(call_id, called, (*path, "result"), mine, error, parts.new, server)


def _result_content(parts: Parts, item: Json, path: Path) -> None:
    """An element of a result: contents are the format's own, anything else the tool's."""
    kind = table(item).get("type")
    if isinstance(kind, str) and (kind == "text" or kind in _MEDIA):
        begin = len(parts.out)
        read_content(parts, item, path, "tool")
        parts.out[begin:] = [p._replace(kind="tool_result") if p.kind == "text" else p for p in parts.out[begin:]]
    else:
        parts.walk_any(item, path, "tool", "tool_result")
