"""Requests and whole responses. What a content block says is read in `blocks`."""

from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from proxy.codecs import Json, Path, Request, Response, ToolCall, ToolResult
from proxy.codecs.anthropic.blocks import read_block
from proxy.codecs.history import History
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

_ROLES: Final = frozenset({"user", "assistant", "system"})
_REQUEST: Final = frozenset({"system", "tools", "messages"})


def read_request(document: Json) -> Request:
    """A `POST /v1/messages` body."""
    root = table(document)
    history = History(root.get("messages"))
    parts = history.parts
    parts.walk(root.get("system"), ("system",), "system", "text")
    parts.walk(root.get("tools"), ("tools",), "system", "tool_definition")
    parts.members(root, (), "other", "text", _REQUEST)
    history.read(_message)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        results=history.results,
        tools=[*filter(None, map(_tool_name, _offered(root)))],
        calls=history.calls,
        max_output=number(root.get("max_tokens")) or None,
        session=_session(root),
        turn=history.turn,
        compacts=_compacts(root),
    )


def _offered(root: Mapping[str, Json]) -> Iterator[Json]:
    """Tools of the request, and those that blocks of its messages add."""
    yield from array(root.get("tools"))
    for message in array(root.get("messages")):
        for block in array(table(message).get("content")):
            if table(block).get("type") == "tool_addition":
                yield table(block).get("tool")


def _tool_name(tool: Json) -> str | None:
    return word(table(tool).get("name")) or word(table(tool).get("tool_name"))


def _compacts(root: Mapping[str, Json]) -> bool:
    """Whether it lets the conversation be summed up on the way (context editing, `compact_20260112`)."""
    edits = map(table, array(table(root.get("context_management")).get("edits")))
    return any((word(edit.get("type")) or "").startswith("compact_") for edit in edits)


def _session(root: Mapping[str, Json]) -> str | None:
    """Claude Code puts it into `metadata.user_id`: a JSON string, formerly `user_…_session_<id>`."""
    user = table(root.get("metadata")).get("user_id")
    if not isinstance(user, str):
        return None
    try:
        session = table(orjson.loads(user)).get("session_id")
    except orjson.JSONDecodeError:
        _, mark, session = user.partition("_session_")
        return session if mark and session else None
    return word(session)


def _message(history: History, message: Json, path: Path) -> None:
    parts, members = history.parts, table(message)
    given = word(members.get("role"))
    role = given if given in _ROLES else "other"
    content = members.get("content")
    here: Path = (*path, "content")
    if isinstance(content, list):
        for index, block in enumerate(content):
            _request_block(history, block, (*here, index), role)
    else:
        parts.walk(content, here, role, "text")
    if members:
        parts.members(members, path, "other", "text", frozenset({"content"}))
    else:
        parts.walk(message, path, "other", "text")


def _request_block(history: History, block: Json, path: Path, role: str) -> None:
    read = read_block(history.parts, block, path, role)
    if isinstance(read, ToolCall):
        history.called(read)
    elif read is not None:
        history.results.append(read._replace(name=history.name_of(read.call_id), new=history.parts.new))


def read_response(document: Json) -> Response:
    """A message, or an error."""
    root = table(document)
    parts = Parts()
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    content = root.get("content")
    if isinstance(content, list):
        for index, block in enumerate(content):
            read = read_block(parts, block, ("content", index), "assistant")
            if isinstance(read, ToolCall):
                calls.append(read)
            elif read is not None:
                results.append(read)
    else:
        parts.walk(content, ("content",), "assistant", "text")
    parts.members(root, (), "other", "text", frozenset({"content"}))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    used, stop = read_usage(table(root.get("usage"))), word(root.get("stop_reason"))
    names = {call.call_id: call.name for call in calls}
    told = [result._replace(name=names.get(result.call_id, "")) for result in results]
    return Response(word(root.get("model")), parts.out, calls, stop, used, told)


def read_usage(used: Mapping[str, Json]) -> Usage | None:
    """The token counts of a `usage` object; None of an empty one."""
    if not used:
        return None
    read, written = number(used.get("cache_read_input_tokens")), number(used.get("cache_creation_input_tokens"))
    return Usage(
        input=number(used.get("input_tokens")) + read + written,
        output=number(used.get("output_tokens")),
        cache_read=read,
        cache_write=written,
    )
