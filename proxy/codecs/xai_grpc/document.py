"""Requests and whole answers: messages, calls and results of the Chat service."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Kind, Path, Request, Response, ToolCall, ToolResult
from proxy.codecs.history import History
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, arguments, array, number, table, word
from proxy.codecs.xai_grpc.messages import CLIENT_SIDE, MCP, ROLES, STOPS
from proxy.events import Usage

_REQUEST: Final = frozenset({"messages", "tools", "previous_response_id"})


def read_request(document: Json, *, stream: bool = False, compacts: bool = False) -> Request:
    """A GetCompletionsRequest; a CompactContextRequest, which has messages too; or the mere id of an answer."""
    root = table(document)
    messages = [_named(table(message)) for message in array(root.get("messages"))]
    history = History(messages)
    _tools(history.parts, root)
    history.parts.walk(root.get("previous_response_id"), ("previous_response_id",), "other", "text", sealed=True)
    history.parts.members(root, (), "other", "text", _REQUEST)
    history.read(_Conversation().message)
    return Request(
        model=word(root.get("model")),
        stream=stream,
        parts=history.parts.out,
        results=history.results,
        tools=[name for name in map(_tool_name, array(root.get("tools"))) if name],
        calls=history.calls,
        max_output=number(root.get("max_tokens")) or None,
        turn=history.turn,
        follows=word(root.get("previous_response_id")) or word(root.get("id")) or None,
        compacts=compacts,
    )


def _named(message: Mapping[str, Json]) -> dict[str, Json]:
    return {**message, "role": ROLES.get(number(message.get("role")), "other")}


def _tool_name(tool: Json) -> str | None:
    return word(table(table(tool).get("function")).get("name"))


def _tools(parts: Parts, root: Mapping[str, Json]) -> None:
    for index, tool in enumerate(array(root.get("tools"))):
        path: Path = ("tools", index)
        function = table(tool).get("function")
        if isinstance(function, dict) and isinstance(function.get("parameters"), str):
            inner = (*path, "function")
            schema = function["parameters"]
            parts.add((*inner, "parameters"), schema, "system", "tool_definition", json=True)
            parts.members(function, inner, "system", "tool_definition", frozenset({"parameters"}))
            parts.members(tool, path, "system", "tool_definition", frozenset({"function"}))
        else:
            parts.walk(tool, path, "system", "tool_definition")


class _Conversation:
    """Reads messages in order: most results name no call, and belong to the oldest that has none yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}

    def message(self, history: History, message: Json, path: Path) -> None:
        """One message of the history."""
        parts, role = history.parts, message["role"]
        begin = len(parts.out)
        calls = read_message(parts, message, path, role)
        if role != "tool":
            for call in calls:
                history.called(call)
                if not call.by_provider:
                    self._waiting[call.call_id] = None
            return
        named = word(message.get("tool_call_id")) or next((call.call_id for call in calls), None)
        call_id = named or next(iter(self._waiting), "")
        self._waiting.pop(call_id, None)
        mine = tuple(i for i in range(begin, len(parts.out)) if parts.out[i].kind == "tool_result")
        name = history.name_of(call_id, word(message.get("name")) or "")
        history.results.append(ToolResult(call_id, name, (*path, "content"), mine, new=parts.new))


def read_message(parts: Parts, message: Mapping[str, Json], path: Path, role: str) -> list[ToolCall]:
    """The parts of one message, of a request or an answer alike; its calls."""
    kind: Kind = "tool_result" if role == "tool" else "text"
    calls: list[ToolCall] = []
    for name, value in message.items():
        here = (*path, name)
        if name == "content":
            parts.walk(value, here, role, kind)
        elif name == "reasoning_content":
            parts.walk(value, here, role, "reasoning")
        elif name == "tool_calls":
            calls += [read_call(parts, table(call), (*here, index)) for index, call in enumerate(array(value))]
        elif name != "role":
            parts.members({name: value}, path, "other", "text", frozenset())
    return calls


def read_call(parts: Parts, call: Mapping[str, Json], path: Path) -> ToolCall:
    """A ToolCall and its parts."""
    begin = len(parts.out)
    function, inner = table(call.get("function")), (*path, "function")
    name, given = word(function.get("name")) or "", word(function.get("arguments")) or ""
    if "name" in function:
        parts.add((*inner, "name"), name, "assistant", "tool_call", sealed=True)
    if "arguments" in function:
        parts.add((*inner, "arguments"), given, "assistant", "tool_call", json=True)
    parts.members(function, inner, "assistant", "tool_call", frozenset({"name", "arguments"}))
    parts.members(call, path, "assistant", "tool_call", frozenset({"function"}))
    server, tool = whose(call, name)
    mine = tuple(range(begin, len(parts.out)))
    by_provider = call.get("type") not in CLIENT_SIDE
    return ToolCall(word(call.get("id")) or "", tool, arguments(given), path, mine, by_provider, server)


def whose(call: Mapping[str, Json], name: str) -> tuple[str | None, str]:
    """The server of a call and its tool's name there."""
    if call.get("type") != MCP or "." not in name:
        return None, name
    server, _, tool = name.partition(".")
    return server, tool


def read_response(document: Json, base: Path = ()) -> Response:
    """A GetChatCompletionResponse; `base` is where in the document it stands."""
    root = table(document)
    parts = Parts()
    for step in base:
        parts.members(root, (), "other", "text", frozenset({str(step)}))
        root = table(root.get(str(step)))
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    copies: list[tuple[int, Change]] = []
    for index, output in enumerate(array(root.get("outputs"))):
        _output(parts, table(output), (*base, "outputs", index), calls, results, copies)
    parts.members(root, base, "other", "text", frozenset({"outputs"}))
    stops = [STOPS.get(number(table(output).get("finish_reason"))) for output in array(root.get("outputs"))]
    return Response(
        word(root.get("model")),
        parts.out,
        calls,
        next((stop for stop in reversed(stops) if stop), None),
        read_usage(root.get("usage")),
        results,
        keeps=word(root.get("id")) or None,
        when_edited=copies,
    )


_OUTPUT: Final = frozenset({"message", "logprobs"})


def _output(
    parts: Parts,
    output: Mapping[str, Json],
    path: Path,
    calls: list[ToolCall],
    results: list[ToolResult],
    copies: list[tuple[int, Change]],
) -> None:
    """One output: the model's, or (ROLE_TOOL) the result of a call that xAI carried out, with the call once more."""
    message, here = table(output.get("message")), (*path, "message")
    role = ROLES.get(number(message.get("role")), "assistant")
    begin = len(parts.out)
    said = read_message(parts, message, here, role)
    if role == "tool":
        mine = tuple(i for i in range(begin, len(parts.out)) if parts.out[i].kind == "tool_result")
        call = said[0] if said else None
        results.append(ToolResult(call.call_id if call else "", call.name if call else "", (*here, "content"), mine))
    else:
        calls += said
    spoken = [i for i in range(begin, len(parts.out)) if parts.out[i].path == (*here, "content")]
    copies += [(i, change) for i in spoken for change in repetitions(output, message, path, here)]
    parts.members(output, path, "other", "text", _OUTPUT if spoken else frozenset({"message"}))


def repetitions(output: Mapping[str, Json], message: Mapping[str, Json], path: Path, here: Path) -> list[Change]:
    """What repeats an output's text or counts in it: tokens, and the places of citations."""
    copies = [Remove((*path, "logprobs"))] if output.get("logprobs") else []
    return [*copies, Remove((*here, "citations"))] if message.get("citations") else [*copies]


def read_usage(used: Json) -> Usage | None:
    """Token counts. Reasoning is counted beside the completion, and in agentic answers the cache over all rounds."""
    if not isinstance(used, dict) or not used:
        return None
    given = number(used.get("prompt_tokens"))
    return Usage(
        input=given,
        output=number(used.get("completion_tokens")) + number(used.get("reasoning_tokens")),
        cache_read=min(given, number(used.get("cached_prompt_text_tokens"))),
    )
