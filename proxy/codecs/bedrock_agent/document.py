"""Requests and whole answers of agents, knowledge bases and flows: texts, and results that the client's tools gave."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Part, Path, Request, Response, ToolResult
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, array, table, word

_REQUEST: Final = frozenset({"inputText", "input", "inputs", "instruction", "actionGroups", "collaborators"})
_INPUTS: Final = ("inputText", "input", "inputs")
_STATES: Final = ("sessionState", "inlineSessionState")
_HISTORY: Final = "conversationHistory"
RESULTS: Final = "returnControlInvocationResults"
_FREE: Final = frozenset({"sessionAttributes", "promptSessionAttributes"})
_ROLES: Final = frozenset({"user", "assistant"})
IDS: Final = frozenset(
    [
        "invocationId",
        "sessionId",
        "traceId",
        "agentId",
        "agentAliasId",
        "memoryId",
        "knowledgeBaseId",
        "clientRequestId",
        "actionGroup",
        "function",
        "apiPath",
        "httpMethod",
        "eventTime",
        "startTime",
        "endTime",
    ]
)
"""Names that pair a call with its result, and times: never edited."""


def read_request(document: Json) -> Request:
    """InvokeAgent, InvokeInlineAgent, RetrieveAndGenerate, InvokeFlow."""
    root, parts = table(document), Parts()
    results: list[ToolResult] = []
    turns = [_state(parts, root.get(name), (name,), results) for name in _STATES]
    parts.walk(root.get("instruction"), ("instruction",), "system", "text")
    for name in ("actionGroups", "collaborators"):
        parts.walk(root.get(name), (name,), "system", "tool_definition")
    for name in _INPUTS:
        parts.walk_any(root.get(name), (name,), "user", "text")
    parts.members(root, (), "other", "text", _REQUEST | set(_STATES))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    parts.out = sealed_ids(parts)
    return Request(
        model=word(root.get("foundationModel")),
        stream="input" not in root,  # RetrieveAndGenerate has a path of its own for streams
        parts=parts.out,
        results=results,
        tools=_tool_names(root),
        turn=sum(turns),
    )


def _tool_names(root: Mapping[str, Json]) -> list[str]:
    groups = map(table, array(root.get("actionGroups")))
    functions = (table(item) for group in groups for item in array(table(group.get("functionSchema")).get("functions")))
    return [function["name"] for function in functions if isinstance(function.get("name"), str)]


def _state(parts: Parts, state: Json, path: Path, results: list[ToolResult]) -> int:
    """What a client keeps of a session. The number of assistant messages in it."""
    members = table(state)
    spoken = _history(parts, members.get(_HISTORY), (*path, _HISTORY))
    parts.new = True
    _results(parts, members, path, results)
    for name in sorted(_FREE & members.keys()):
        parts.walk_any(members[name], (*path, name), "other", "text")
    parts.members(members, path, "other", "text", _FREE | {_HISTORY, RESULTS})
    if not isinstance(state, dict):
        parts.walk(state, path, "other", "text")
    return spoken


def _history(parts: Parts, history: Json, path: Path) -> int:
    messages = table(history).get("messages")
    if not isinstance(messages, list):
        parts.walk(history, path, "other", "text")
        return 0
    roles = [table(message).get("role") for message in messages]
    last = max((index for index, role in enumerate(roles) if role == "assistant"), default=-1)
    for index, message in enumerate(messages):
        parts.new = index > last
        role = roles[index] if roles[index] in tuple(_ROLES) else "other"
        parts.walk(message, (*path, "messages", index), str(role), "text")
    parts.members(table(history), path, "other", "text", frozenset({"messages"}))
    return roles.count("assistant")


def _results(parts: Parts, state: Mapping[str, Json], path: Path, results: list[ToolResult]) -> None:
    given = state.get(RESULTS)
    if not isinstance(given, list):
        parts.walk(given, (*path, RESULTS), "tool", "tool_result")
        return
    for index, item in enumerate(given):
        here = (*path, RESULTS, index)
        begin = len(parts.out)
        parts.walk(item, here, "tool", "tool_result")
        mine = tuple(range(begin, len(parts.out)))
        for name in ("functionResult", "apiResult"):
            result = table(table(item).get(name))
            if isinstance(result.get("responseBody"), dict):
                call_id = word(state.get("invocationId")) or ""
                called = word(result.get("function")) or word(result.get("apiPath")) or ""
                error = result.get("responseState") == "FAILURE"
                results.append(ToolResult(call_id, called, (*here, name, "responseBody"), mine, is_error=error))


def read_response(document: Json) -> Response:
    """RetrieveAndGenerate's answer, or an error."""
    root, parts = table(document), Parts()
    output = root.get("output")
    text = table(output).get("text")
    copies: list[tuple[int, Change]] = []
    if isinstance(text, str):
        parts.add(("output", "text"), text, "assistant", "text")
        copies = [(0, Remove(span)) for span in spans(root.get("citations"), ("citations",))]
        parts.members(table(output), ("output",), "other", "text", frozenset({"text"}))
    else:
        parts.walk_any(output, ("output",), "assistant", "text")
    parts.members(root, (), "other", "text", frozenset({"output"}))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Response(None, sealed_ids(parts), when_edited=copies)


def spans(citations: Json, path: Path) -> list[Path]:
    """Where citations count the characters of the answer: with its text edited, the counts do not follow."""
    part = ("generatedResponsePart", "textResponsePart")
    found = []
    for index, citation in enumerate(array(citations)):
        if "span" in table(table(table(citation).get(part[0])).get(part[1])):
            found.append((*path, index, *part, "span"))
    return found


def sealed_ids(parts: Parts) -> list[Part]:
    """The parts, ids among them sealed. What users and models fill in freely has no ids."""
    return [part._replace(sealed=True) if _is_id(part.path) else part for part in parts.out]


def _is_id(path: Path) -> bool:
    return bool(path) and path[-1] in IDS and path[0] not in _INPUTS and _FREE.isdisjoint(path)
