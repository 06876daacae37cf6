"""Requests and whole responses. What a message says is read in `messages`."""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.codecs import Json, Part, Path, Request, Response, ToolResult
from proxy.codecs.cohere_v2.messages import read_document, read_message
from proxy.codecs.history import History
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

_REQUEST: Final = frozenset({"messages", "tools", "documents"})


def read_request(document: Json) -> Request:
    """A `POST /v2/chat` body."""
    root = table(document)
    history = History(root.get("messages"))
    parts = history.parts
    parts.members(root, (), "other", "text", _REQUEST)
    parts.walk(root.get("tools"), ("tools",), "system", "tool_definition")
    _documents(parts, root.get("documents"))
    history.read(_message)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    offered = [table(table(tool).get("function")).get("name") for tool in array(root.get("tools"))]
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        results=history.results,
        tools=[name for name in offered if isinstance(name, str)],
        calls=history.calls,
        max_output=number(root.get("max_tokens")) or None,
        turn=history.turn,
    )


def _documents(parts: Parts, documents: Json) -> None:
    if not isinstance(documents, list):
        parts.walk(documents, ("documents",), "user", "text")
    for index, item in enumerate(array(documents)):
        path: Path = ("documents", index)
        if isinstance(item, dict):
            read_document(parts, item, path, "user", "text")
        else:
            parts.walk(item, path, "user", "text")


def _message(history: History, message: Json, path: Path) -> None:
    parts, members = history.parts, table(message)
    begin = len(parts.out)
    for call in read_message(parts, message, path):
        history.called(call)
    if members.get("role") == "tool" and "content" in members:
        call_id = word(members.get("tool_call_id")) or ""
        mine = tuple(i for i in range(begin, len(parts.out)) if parts.out[i].kind == "tool_result")
        content = (*path, "content")
        history.results.append(ToolResult(call_id, history.name_of(call_id), content, mine, new=parts.new))


def read_response(document: Json) -> Response:
    """A whole answer, or an error: there `message` is a string."""
    root = table(document)
    parts = Parts()
    calls = read_message(parts, root.get("message"), ("message",))
    copies = _cited(parts.out, table(root.get("message")).get("citations"))
    skip = {"message"}
    if root.get("logprobs") is not None and parts.out:  # the text once more, token by token
        skip.add("logprobs")
        copies += [(index, Remove(("logprobs",))) for index in range(len(parts.out))]
    parts.members(root, (), "other", "text", frozenset(skip))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    usage = read_usage(root.get("usage"))
    return Response(None, parts.out, calls, word(root.get("finish_reason")), usage, when_edited=copies)


def _cited(parts: Sequence[Part], citations: Json) -> list[tuple[int, Change]]:
    """Each citation's offsets count the characters of one text: with that text edited, the citation goes."""
    texts: dict[str | int, list[int]] = {}
    for index, part in enumerate(parts):
        if part.path[1:2] == ("tool_plan",):
            texts.setdefault("PLAN", []).append(index)
        elif part.path[1:2] == ("content",):
            block = part.path[2] if len(part.path) > 2 and isinstance(part.path[2], int) else 0
            texts.setdefault(block, []).append(index)
            if part.kind == "text":
                texts.setdefault("", [index])
    copies: list[tuple[int, Change]] = []
    for index, citation in enumerate(array(citations)):
        path: Path = ("message", "citations", index)
        copies += [(part, Remove(path)) for part in texts.get(cited(table(citation)), ())]
    return copies


def cited(citation: Mapping[str, Json]) -> str | int:
    """What a citation stands on: "PLAN", the index of a content block, or "" where it does not say."""
    if citation.get("type") == "PLAN":
        return "PLAN"
    index = citation.get("content_index")
    return index if isinstance(index, int) and not isinstance(index, bool) else ""


def read_usage(used: Json) -> Usage | None:
    """The token counts: `tokens` are all that the model saw and said, `billed_units` those that are paid for."""
    if not isinstance(used, dict):
        return None
    counts = table(used.get("tokens")) or table(used.get("billed_units"))
    if not counts:
        return None
    return Usage(
        input=number(counts.get("input_tokens")),
        output=number(counts.get("output_tokens")),
        cache_read=number(used.get("cached_tokens")),
    )
