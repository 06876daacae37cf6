"""What client and server say to each other: the parts, calls and results of each message."""

from collections.abc import Mapping
from typing import Final, TypeGuard

from proxy.codecs import Json, Kind, Request, Response, ToolCall, ToolResult
from proxy.codecs.jsonrpc import Message, asked, messages, spoken
from proxy.codecs.vocabulary import Vocabulary
from proxy.codecs.walk import Parts, table, word

TOOLS_CALL: Final = "tools/call"

NAMES: Final = Vocabulary(
    ids=frozenset(
        [
            "id",
            "toolUseId",
            "taskId",
            "requestId",
            "elicitationId",
            "progressToken",
            "cursor",
            "nextCursor",
            "requestState",
            "io.modelcontextprotocol/subscriptionId",
        ]
    ),
    words=frozenset(
        [
            "jsonrpc",
            "method",
            "type",
            "role",
            "model",
            "mimeType",
            "protocolVersion",
            "io.modelcontextprotocol/protocolVersion",
            "io.modelcontextprotocol/logLevel",
            "level",
            "mode",
            "action",
            "status",
            "stopReason",
            "includeContext",
            "resultType",
            "cacheScope",
            "taskSupport",
            "theme",
            "lastModified",
            "createdAt",
            "lastUpdatedAt",
        ]
    ),
    # A blob may be base64 of a text: it is sealed all the same, as an edit would have to be encoded again.
    media={"data": frozenset({"image", "audio"}), "blob": frozenset(), "src": frozenset()},
    free=frozenset(
        [
            "arguments",
            "input",
            "data",
            "structuredContent",
            "metadata",
            "inputSchema",
            "outputSchema",
            "requestedSchema",
            "experimental",
            "extensions",
        ]
    ),
    defines=frozenset({"tools"}),
    named=frozenset({"params", "tools"}),
    keyed=frozenset({"inputRequests", "inputResponses"}),
    known=frozenset(
        "io.modelcontextprotocol/" + name
        for name in [
            "protocolVersion",
            "clientInfo",
            "clientCapabilities",
            "logLevel",
            "serverInfo",
            "subscriptionId",
            "related-task",
            "model-immediate-response",
        ]
    ),
)


def read_request(document: Json) -> Request:
    """Whatever a client sends: requests, notifications, answers to the server's requests, batches of them.

    Each message that says something is a call: a `tools/call` of its tool, others of their method.
    """
    parts = Parts()
    makes: list[ToolCall] = []
    for message in messages(document):
        calls = message.method == TOOLS_CALL
        role, kind = _ROLES[calls]
        mine = spoken(parts, message, role, kind, NAMES)
        if mine or calls:
            name, arguments = _asked(message)
            makes.append(ToolCall(message.call_id, name, arguments, message.path, mine, beside=not calls))
    return Request(model=None, stream=False, parts=parts.out, makes=makes, calls=asked(document, _asked))


_ROLES: Final[Mapping[bool, tuple[str, Kind]]] = {True: ("assistant", "tool_call"), False: ("user", "text")}


def _asked(message: Message) -> tuple[str, Mapping[str, Json]]:
    """The tool and arguments of a call; of another message its method and what it says."""
    if message.method != TOOLS_CALL:
        return _method(message), message.arguments
    given = message.params.get("arguments")
    arguments = given if isinstance(given, dict) else {} if given is None else {"input": given}
    return word(message.params.get("name")) or "", arguments


def _method(message: Message) -> str:
    """The method of a message; of an answer, that of the server's request as far as the answer's shape shows it."""
    if message.method is not None:
        return message.method
    result = table(message.members.get("result"))
    return next((method for member, method in _ANSWERED.items() if member in result), "answer")


_ANSWERED: Final = {"action": "elicitation/create", "roots": "roots/list", "model": "sampling/createMessage"}


def read_response(document: Json) -> Response:
    """Whatever a server sends: answers, requests, notifications. Each message that says something is a result.

    All of it is untrusted output on its way to an agent, the descriptions of tools and the requests for a sample too.
    """
    parts = Parts()
    results: list[ToolResult] = []
    for message in messages(document):
        mine = spoken(parts, message, "tool", "tool_result", NAMES)
        if mine or is_tool_result(message.members.get("result")):
            results.append(_result(message, mine))
    return Response(model=None, parts=parts.out, results=results)


def _result(message: Message, mine: tuple[int, ...]) -> ToolResult:
    payload = message.payload
    content = message.path if payload is None else (*message.path, payload)
    failed = payload == "error" or table(message.members.get("result")).get("isError") is True
    # Ids are per direction: a server's request must not be taken for the answer to the client's of the same id.
    return ToolResult(message.call_id, message.method or "", content, mine, is_error=failed)


def is_tool_result(result: Json) -> TypeGuard[dict[str, Json]]:
    """Whether this is the result of a `tools/call`: no other answer has these members."""
    return isinstance(result, dict) and ("structuredContent" in result or isinstance(result.get("content"), list))


def server_of(document: Json) -> str | None:
    """The server's own name, where an answer tells it: `initialize`, and since 2026-07-28 in any result's `_meta`."""
    for message in messages(document):
        result = table(message.members.get("result"))
        told = result.get("serverInfo") or table(result.get("_meta")).get("io.modelcontextprotocol/serverInfo")
        if name := word(table(told).get("name")):
            return name
    return None
