"""What midstream says itself in this protocol: notices in the place of results, answers to calls that are denied."""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.codecs import Json, Request, ToolCall, ToolResult
from proxy.codecs.jsonrpc import Message, answers, at, deny, error, only
from proxy.codecs.mcp.document import TOOLS_CALL, is_tool_result
from proxy.codecs.splicing import Change, Replace
from proxy.codecs.vocabulary import WORD
from proxy.codecs.walk import table, word

VERSION: Final = "io.modelcontextprotocol/protocolVersion"
"""In `_meta` of every request since 2026-07-28; such clients expect a `resultType`."""


def _told(notice: str, modern: bool) -> dict[str, Json]:
    """A tool's result that the model can read (schema, CallToolResult)."""
    result = {"content": [{"type": "text", "text": notice}], "isError": True}
    return {"resultType": "complete"} | result if modern else result


def answer_calls(document: Json, request: Request, notices: Mapping[int, str]) -> bytes:
    """The JSON answer to a POST of which calls are denied; of a batch nothing is carried out."""
    return answers(document, {request.makes[index].path: notice for index, notice in notices.items()}, _answer)


def _answer(message: Message, notice: str) -> dict[str, Json]:
    if message.method != TOOLS_CALL:
        return {"error": error(notice)}
    return {"result": _told(notice, VERSION in table(message.params.get("_meta")))}


def withhold(document: Json, request: Request, notices: Mapping[int, str]) -> list[Change]:
    """Take from a POST what is denied in it, where its answer comes on another connection (HTTP+SSE, 2024-11-05).

    Each denied request becomes one for a method that no server has: the server itself answers it with an error.
    """
    changes: list[Change] = []
    for index in notices:
        message = at(document, request.makes[index].path)
        if message.payload is None:
            changes.append(Replace(message.path, b'{"jsonrpc":"2.0","method":"%s"}' % _NOWHERE.encode()))
        elif message.method is None:
            changes += deny(message, notices[index])
        else:
            changes += only(message, (), "method", _NOWHERE)
    return changes


def waits(document: Json, call: ToolCall) -> bool:
    """Whether the sender of a message waits for an answer."""
    return at(document, call.path).is_request


def told(document: Json, result: ToolResult, notice: str, of_tool: bool) -> list[Change]:
    """A notice in the place of the server's answer to what was withheld from it. `of_tool`: a tool was called."""
    message = at(document, result.content[:1] if isinstance(document, list) else ())
    return only(message, (), "result", _told(notice, modern=False)) if of_tool else deny(message, notice)


_STREAM: Final = "io.modelcontextprotocol/subscriptionId"

_NOWHERE: Final = "midstream/denied"


def deny_result(document: Json, result: ToolResult, notice: str) -> list[Change]:
    """A notice in the place of all that a message says. It stays valid, and answers keep their ids.

    A tool's result becomes one that the model can read, any other answer an error. A server's request cannot be refused
    to the server from here: it is put to the client with the notice for its text.
    """
    message = at(document, result.content[:1] if isinstance(document, list) else ())
    if message.method is not None:
        if WORD.fullmatch(message.method) is None:
            return only(message, (), "method", _NOWHERE)
        return only(message, ("method",), "params", _asked(message, notice))
    said = message.members.get("result")
    if is_tool_result(said):
        return only(message, (), "result", _told(notice, "resultType" in said))
    return deny(message, notice)


def _asked(message: Message, notice: str) -> dict[str, Json]:
    """The params of a server's request or notification that says only the notice."""
    say = _SAYS.get(message.method or "")
    told: dict[str, Json] = say(message.params, notice) if say else {}
    # Without it a client cannot tell which stream of changes a notification belongs to (2026-07-28).
    stream = table(message.params.get("_meta")).get(_STREAM)
    return told | {"_meta": {_STREAM: stream}} if isinstance(stream, str | int) else told


def _sampling(params: Mapping[str, Json], notice: str) -> dict[str, Json]:
    limit = params.get("maxTokens")
    content = {"type": "text", "text": notice}
    return {
        "messages": [{"role": "user", "content": content}],
        "maxTokens": limit if isinstance(limit, int) else 1,
    }


def _form(params: Mapping[str, Json], notice: str) -> dict[str, Json]:
    return {"message": notice, "requestedSchema": {"type": "object", "properties": {}}}


def _log(params: Mapping[str, Json], notice: str) -> dict[str, Json]:
    level = word(params.get("level"))
    return {"level": level if level in _LEVELS else "warning", "data": notice}


def _with(name: str, *kept: str) -> Callable[[Mapping[str, Json], str], dict[str, Json]]:
    """The notice as `name`, beside ids and numbers."""

    def said(params: Mapping[str, Json], notice: str) -> dict[str, Json]:
        return {other: params[other] for other in kept if isinstance(params.get(other), str | int | float)} | {
            name: notice
        }

    return said


_LEVELS: Final = frozenset({"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"})

_SAYS: Final[Mapping[str, Callable[[Mapping[str, Json], str], dict[str, Json]]]] = {
    "sampling/createMessage": _sampling,
    "elicitation/create": _form,
    "notifications/message": _log,
    "notifications/progress": _with("message", "progressToken", "progress", "total"),
    "notifications/cancelled": _with("reason", "requestId"),
    "notifications/tasks/status": _with("statusMessage", "taskId", "status", "createdAt", "lastUpdatedAt", "ttl"),
    "notifications/resources/updated": lambda params, notice: {"uri": "midstream:denied"},
    "notifications/subscriptions/acknowledged": lambda params, notice: {"notifications": {}},
}
