"""Requests and whole responses. What a message says is read in `messages`."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Request, Response, ToolCall, ToolResult
from proxy.codecs.history import History
from proxy.codecs.openai_chat.messages import RESULT_ROLES, read_message, with_offsets
from proxy.codecs.openai_chat.provided import result_of
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

_REQUEST: Final = frozenset({"messages", "tools", "functions"})
_CHOICE: Final = frozenset({"message", "logprobs"})


def read_request(document: Json) -> Request:
    """A `POST /v1/chat/completions` body."""
    root = table(document)
    history = History(root.get("messages"))
    parts = history.parts
    parts.members(root, (), "other", "text", _REQUEST)
    for name in ("tools", "functions"):
        parts.walk(root.get(name), (name,), "system", "tool_definition")
    history.read(_request_message)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        results=history.results,
        tools=_tool_names(root),
        calls=history.calls,
        max_output=number(root.get("max_completion_tokens")) or number(root.get("max_tokens")) or None,
        turn=history.turn,
    )


def _tool_names(root: Mapping[str, Json]) -> list[str]:
    tools = [table(tool) for tool in array(root.get("tools"))]
    offered = [table(tool.get("function")) or table(tool.get("custom")) or tool for tool in tools]
    names = [tool.get("name") for tool in [*offered, *map(table, array(root.get("functions")))]]
    return [name for name in names if isinstance(name, str)]


def _request_message(history: History, message: Json, path: Path) -> None:
    parts, members = history.parts, table(message)
    begin = len(parts.out)
    for call in read_message(parts, message, path):
        history.called(call)
    if word(members.get("role")) in RESULT_ROLES and "content" in members:
        call_id = word(members.get("tool_call_id")) or ""
        name = history.name_of(call_id, word(members.get("name")) or "")
        mine = tuple(i for i in range(begin, len(parts.out)) if parts.out[i].kind == "tool_result")
        history.results.append(ToolResult(call_id, name, (*path, "content"), mine, new=parts.new))


def read_response(document: Json) -> Response:
    """A `chat.completion` object, or an error."""
    root = table(document)
    parts = Parts()
    calls: list[ToolCall] = []
    copies: list[tuple[int, Change]] = []
    stop: str | None = None
    for index, choice in enumerate(array(root.get("choices"))):
        path: Path = ("choices", index)
        begin = len(parts.out)
        members = table(choice)
        calls += read_message(parts, members.get("message"), (*path, "message"))
        mine = range(begin, len(parts.out)) if members.get("logprobs") is not None else ()
        copies += [(part, Remove((*path, "logprobs"))) for part in mine]
        copies += _offsets(parts, begin, members.get("message"), (*path, "message"))
        parts.members(members, path, "other", "text", _CHOICE if mine else _CHOICE - {"logprobs"})
        if not members:
            parts.walk(choice, path, "other", "text")
        stop = stop or word(members.get("finish_reason"))
    skip = frozenset({"choices"}) if isinstance(root.get("choices"), list) else frozenset()
    parts.members(root, (), "other", "text", skip)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    made = (result_of(parts, call) for call in calls if call.by_provider)
    results = [result for result in made if result is not None]
    return Response(word(root.get("model")), parts.out, calls, stop, read_usage(root), results, when_edited=copies)


def _offsets(parts: Parts, begin: int, message: Json, path: Path) -> list[tuple[int, Change]]:
    """Annotations that count in the message's text."""
    marked = with_offsets(table(message).get("annotations"))
    spoken = [i for i in range(begin, len(parts.out)) if parts.out[i].path[len(path) :][:1] == ("content",)]
    return [(i, Remove((*path, "annotations", index))) for i in spoken for index in marked]


def read_usage(root: Mapping[str, Json]) -> Usage | None:
    """The token counts of a response or chunk."""
    used = root.get("usage") or table(root.get("x_groq")).get("usage")
    if not isinstance(used, dict):
        return None
    details = table(used.get("prompt_tokens_details"))
    return Usage(
        input=number(used.get("prompt_tokens")),
        output=number(used.get("completion_tokens")),
        # DeepSeek, Moonshot and Mistral have names of their own for the cached part.
        cache_read=number(details.get("cached_tokens"))
        or number(used.get("prompt_cache_hit_tokens"))
        or number(used.get("cached_tokens"))
        or number(used.get("num_cached_tokens")),
        cache_write=number(details.get("cache_write_tokens")),
    )
