"""Requests and whole responses. What an entry says is read in `entries`."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Request, Response, ToolCall, ToolResult
from proxy.codecs.mistral_conversations.entries import SPOKEN, others, read_entry
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

_REQUEST: Final = frozenset({"inputs", "instructions", "tools"})


def read_request(document: Json) -> Request:
    """A `POST /v1/conversations` body, or one that appends to a conversation or restarts it."""
    root = table(document)
    inputs = root.get("inputs")
    spoken = [index for index, entry in enumerate(array(inputs)[:-1]) if word(table(entry).get("type")) in SPOKEN]
    parts = Parts()
    parts.new = not spoken
    parts.walk(root.get("instructions"), ("instructions",), "system", "text")
    parts.walk(root.get("tools"), ("tools",), "system", "tool_definition")
    others(parts, root, (), "other", _REQUEST)
    calls, results = _inputs(parts, inputs, spoken[-1] if spoken else -1)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        results=results,
        tools=_tool_names(root),
        calls=calls,
        max_output=number(table(root.get("completion_args")).get("max_tokens")) or None,
        turn=len(spoken),
        follows=word(root.get("conversation_id")),
    )


def _tool_names(root: Mapping[str, Json]) -> list[str]:
    """Functions by their names; tools of the provider's by their type."""
    tools = [table(tool) for tool in array(root.get("tools"))]
    names = [table(tool.get("function")).get("name") or tool.get("type") for tool in tools]
    return [name for name in names if isinstance(name, str)]


def _inputs(
    parts: Parts, inputs: Json, boundary: int
) -> tuple[dict[str, tuple[str, Mapping[str, Json]]], list[ToolResult]]:
    """Up to `boundary`, where the model spoke last, everything was told before."""
    calls: dict[str, tuple[str, Mapping[str, Json]]] = {}
    results: list[ToolResult] = []
    for index, entry in enumerate(array(inputs)):
        parts.new = index > boundary
        path: Path = ("inputs", index)
        read = read_entry(parts, entry, path)
        if read.call is not None:
            calls[read.call.call_id] = (read.call.name, read.call.arguments)
        if read.result is not None:
            call_id = word(entry.get("tool_call_id")) or ""
            name = calls[call_id][0] if call_id in calls else ""
            results.append(ToolResult(call_id, name, (*path, "result"), read.result, new=parts.new))
    parts.new = True
    if not isinstance(inputs, list):
        parts.walk(inputs, ("inputs",), "user", "text")
    return calls, results


def read_response(document: Json) -> Response:
    """A `conversation.response`, or an error."""
    root = table(document)
    parts = Parts()
    calls: list[ToolCall] = []
    models = [table(entry).get("model") for entry in array(root.get("outputs"))]
    for index, entry in enumerate(array(root.get("outputs"))):
        read = read_entry(parts, entry, ("outputs", index))
        calls += [read.call] if read.call is not None else []
    skip = frozenset({"outputs"}) if isinstance(root.get("outputs"), list) else frozenset[str]()
    others(parts, root, (), "other", skip)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    model = next((name for name in models if isinstance(name, str)), None)
    usage = read_usage(root.get("usage"))
    return Response(model, parts.out, calls, None, usage, keeps=word(root.get("conversation_id")))


def read_usage(used: Json) -> Usage | None:
    """The token counts. What the provider's own tools put in is counted apart, and goes in all the same."""
    if not isinstance(used, dict):
        return None
    return Usage(
        input=number(used.get("prompt_tokens")) + number(used.get("connector_tokens")),
        output=number(used.get("completion_tokens")),
    )
