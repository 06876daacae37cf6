"""Requests and whole responses. What an answer says is read in `answer`, calls and results in `calls`."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Final

from proxy.codecs import Json, Path, Request, Response, ToolResult
from proxy.codecs.cohere_v1.answer import read_answer, read_usage
from proxy.codecs.cohere_v1.calls import read_calls, read_results
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, array, number, table, word

_ROLES: Final = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}
_REQUEST: Final = frozenset(
    {"message", "prompt", "preamble", "preamble_override", "chat_history", "tool_results", "tools", "documents"}
)
_ENTRY: Final = frozenset({"role", "message", "tool_calls", "tool_results"})


def read_request(document: Json) -> Request:
    """A `POST /v1/chat` or `/v1/generate` body."""
    root = table(document)
    parts = Parts()
    calls: dict[str, tuple[str, Mapping[str, Json]]] = {}
    history = array(root.get("chat_history"))
    spoken = [index for index, entry in enumerate(history) if _role(table(entry)) == "assistant"]
    parts.new = not spoken
    for name in ("preamble", "preamble_override"):
        parts.walk(root.get(name), (name,), "system", "text")
    parts.walk(root.get("tools"), ("tools",), "system", "tool_definition")
    parts.members(root, (), "other", "text", _REQUEST)
    results = _history(parts, root.get("chat_history"), calls, spoken[-1] if spoken else -1)
    parts.new = True
    parts.walk_any(root.get("documents"), ("documents",), "user", "text")
    for name in ("message", "prompt"):
        parts.walk(root.get(name), (name,), "user", "text")
    results += read_results(parts, root.get("tool_results"), ("tool_results",), calls)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    offered = [table(tool).get("name") for tool in array(root.get("tools"))]
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        results=results,
        tools=[name for name in offered if isinstance(name, str)],
        calls=calls,
        max_output=number(root.get("max_tokens")) or None,
        turn=len(spoken),
        follows=word(root.get("conversation_id")),
    )


def _history(
    parts: Parts, history: Json, calls: dict[str, tuple[str, Mapping[str, Json]]], boundary: int
) -> list[ToolResult]:
    """The results of earlier calls. Up to `boundary`, where the model spoke last, everything was told before."""
    results: list[ToolResult] = []
    for index, entry in enumerate(array(history)):
        parts.new = index > boundary
        results += _entry(parts, entry, ("chat_history", index), calls)
    if not isinstance(history, list):
        parts.walk(history, ("chat_history",), "other", "text")
    return results


def _role(entry: Mapping[str, Json]) -> str:
    return _ROLES.get((word(entry.get("role")) or "").upper(), "other")


def _entry(parts: Parts, entry: Json, path: Path, calls: dict[str, tuple[str, Mapping[str, Json]]]) -> list[ToolResult]:
    members = table(entry)
    if not members:
        parts.walk(entry, path, "other", "text")
        return []
    role = _role(members)
    parts.walk(members.get("message"), (*path, "message"), role, "tool_result" if role == "tool" else "text")
    read_calls(parts, members.get("tool_calls"), (*path, "tool_calls"))
    if not isinstance(members.get("role"), str):
        parts.walk(members.get("role"), (*path, "role"), "other", "text")
    elif role == "other":
        parts.add((*path, "role"), members["role"], "other", "text")
    parts.members(members, path, "other", "text", _ENTRY)
    return read_results(parts, members.get("tool_results"), (*path, "tool_results"), calls)


def read_response(document: Json) -> Response:
    """A whole answer of either endpoint, or an error."""
    root = table(document)
    parts = Parts()
    said = read_answer(parts, root, ())
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    copies: list[tuple[int, Change]] = []
    for index in said.texts:
        path = parts.out[index].path
        if path[0] == "generations":
            likelihoods = (*path[:-1], "token_likelihoods")
            if table(root["generations"][path[1]]).get("token_likelihoods") is not None:
                copies.append((index, Remove(likelihoods)))
        elif root.get("citations"):  # offsets into the text
            copies.append((index, Remove(("citations",))))
    both = zip_longest(said.calls, said.copies[: len(said.calls)])
    calls = [call._replace(parts=call.parts + (copy.parts if copy else ())) for call, copy in both]
    return Response(
        word(root.get("model")),
        parts.out,
        calls,
        word(root.get("finish_reason")) or _finish(root),
        read_usage(root),
        when_edited=copies,
        keeps=word(root.get("conversation_id")),
    )


def _finish(root: Mapping[str, Json]) -> str | None:
    return word(table(next(iter(array(root.get("generations"))), None)).get("finish_reason"))
