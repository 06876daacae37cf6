"""Requests and whole responses. What a content block says is read in `blocks`."""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.codecs import Json, Path, Request, Response, ToolCall, ToolResult
from proxy.codecs.bedrock_converse.blocks import read_block
from proxy.codecs.history import History
from proxy.codecs.walk import Parts, array, table, word
from proxy.events import Usage

_ROLES: Final = frozenset({"user", "assistant", "system"})
_REQUEST: Final = frozenset({"system", "toolConfig", "messages", "outputConfig"})
_ARBITRARY: Final = frozenset({"additionalModelRequestFields", "promptVariables", "requestMetadata"})
"""Members whose own members belong to the user or the model, not to the format."""

OWN_FIELDS: Final = "additionalModelResponseFields"
_SCHEMA: Final[Path] = ("outputConfig", "textFormat", "structure", "jsonSchema", "schema")


def read_request(document: Json) -> Request:
    """A `POST /model/{id}/converse` body, of InvokeModel for Amazon Nova too."""
    root = table(document)
    history = History(root.get("messages"))
    parts = history.parts
    _system(parts, root.get("system"))
    parts.walk(root.get("toolConfig"), ("toolConfig",), "system", "tool_definition")
    _output(parts, root.get("outputConfig"))
    for name in _ARBITRARY & root.keys():
        parts.walk_any(root[name], (name,), "other", "text")
    parts.members(root, (), "other", "text", _REQUEST | _ARBITRARY)
    history.read(_message)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("modelId")),
        stream=False,  # the path says so
        parts=parts.out,
        results=history.results,
        tools=_tool_names(root),
        calls=history.calls,
        max_output=_bound(table(root.get("inferenceConfig"))),
        turn=history.turn,
    )


def _system(parts: Parts, system: Json) -> None:
    if isinstance(system, list):
        for index, block in enumerate(system):
            read_block(parts, block, ("system", index), "system")
    else:
        parts.walk(system, ("system",), "system", "text")


def _output(parts: Parts, output: Json) -> None:
    """The schema of a structured answer is JSON in a string."""
    begin = len(parts.out)
    parts.walk(output, ("outputConfig",), "system", "text")
    for index in range(begin, len(parts.out)):
        if parts.out[index].path == _SCHEMA:
            parts.out[index] = parts.out[index]._replace(json=True)


def _tool_names(root: Mapping[str, Json]) -> list[str]:
    tools = map(table, array(table(root.get("toolConfig")).get("tools")))
    names = (table(tool.get("toolSpec") or tool.get("systemTool")).get("name") for tool in tools)
    return [name for name in names if isinstance(name, str)]


def _bound(config: Mapping[str, Json]) -> int | None:
    return count(config.get("maxTokens")) or count(config.get("max_new_tokens")) or None


def _message(history: History, message: Json, path: Path) -> None:
    parts, members = history.parts, table(message)
    role = str(members.get("role"))
    role = role if role in _ROLES else "other"
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
    begin = len(history.parts.out)
    call = read_block(history.parts, block, path, role)
    if call is not None:
        history.called(call)
    if role == "assistant":  # the result of one of Bedrock's own tools, decided when it came down
        return
    mine = tuple(range(begin, len(history.parts.out)))
    history.results += _result(block, path, history.name_of, mine, new=history.parts.new)


def _result(
    block: Json, path: Path, name_of: Callable[[str], str], parts: tuple[int, ...], *, new: bool
) -> list[ToolResult]:
    """What a block says as a tool's result."""
    result = table(table(block).get("toolResult"))
    if "content" not in result:
        return []
    call_id = word(result.get("toolUseId")) or ""
    error, place = result.get("status") == "error", (*path, "toolResult", "content")
    return [ToolResult(call_id, name_of(call_id), place, parts, is_error=error, new=new)]


def read_response(document: Json) -> Response:
    """A Converse response, or an error."""
    root = table(document)
    parts = Parts()
    calls, results = _answer(parts, root)
    parts.walk_any(root.get(OWN_FIELDS), (OWN_FIELDS,), "other", "text")
    parts.members(root, (), "other", "text", frozenset({"output", OWN_FIELDS}))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Response(None, parts.out, calls, word(root.get("stopReason")), read_usage(root.get("usage")), results)


def _answer(parts: Parts, root: Mapping[str, Json]) -> tuple[list[ToolCall], list[ToolResult]]:
    output = root.get("output")
    message = table(output).get("message")
    content = table(message).get("content")
    if not isinstance(content, list):
        parts.walk(output, ("output",), "assistant", "text")
        return [], []
    here: Path = ("output", "message")
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    names: dict[str, str] = {}
    for index, block in enumerate(content):
        path: Path = (*here, "content", index)
        begin = len(parts.out)
        call = read_block(parts, block, path, "assistant")
        if call is not None:
            calls.append(call)
            names[call.call_id] = call.name
        mine = tuple(range(begin, len(parts.out)))
        results += _result(block, path, lambda call_id: names.get(call_id, ""), mine, new=True)
    parts.members(table(message), here, "other", "text", frozenset({"content"}))
    parts.members(table(output), ("output",), "other", "text", frozenset({"message"}))
    return calls, results


def read_usage(used: Json) -> Usage | None:
    """The token counts of a `usage` object, Nova's names included. `inputTokens` are those that no cache held."""
    if not isinstance(used, dict) or not used:
        return None
    read = count(used.get("cacheReadInputTokens")) or count(used.get("cacheReadInputTokenCount"))
    written = count(used.get("cacheWriteInputTokens")) or count(used.get("cacheWriteInputTokenCount"))
    return Usage(
        input=count(used.get("inputTokens")) + read + written,
        output=count(used.get("outputTokens")),
        cache_read=read,
        cache_write=written,
    )


def count(value: Json) -> int:
    """A count of tokens, which some models write as 28.0: 0 for anything that is none."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15 else 0
