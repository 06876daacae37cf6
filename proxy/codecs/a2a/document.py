"""What client and agent say to each other: the parts, calls and results of each message.

A document of the REST binding is what JSON-RPC has in `params` or `result`, without the envelope; it is read alike.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from proxy.codecs import Json, Request, Response, ToolCall, ToolResult
from proxy.codecs.jsonrpc import Message, asked, messages, spoken
from proxy.codecs.vocabulary import Vocabulary
from proxy.codecs.walk import Parts, array, table, word

NAMES: Final = Vocabulary(
    ids=frozenset(
        [
            "id",
            "messageId",
            "taskId",
            "contextId",
            "artifactId",
            "referenceTaskIds",
            "pushNotificationConfigId",
            "pageToken",
            "nextPageToken",
            # Of a signed agent card (RFC 7515).
            "protected",
            "signature",
        ]
    ),
    words=frozenset(
        [
            "jsonrpc",
            "method",
            "kind",
            "type",
            "role",
            "state",
            "mimeType",
            "mediaType",
            "timestamp",
            "protocolVersion",
            "protocolBinding",
            "preferredTransport",
            "transport",
        ]
    ),
    media={"bytes": frozenset(), "raw": frozenset(), "fileWithBytes": frozenset()},
    free=frozenset({"data", "metadata"}),
    defines=frozenset({"skills"}),
    named=frozenset(),
    keyed=frozenset(),
    known=frozenset(),
)


def read_request(document: Json) -> Request:
    """Whatever a client sends. Each message that says something is a call of its method."""
    parts = Parts()
    makes: list[ToolCall] = []
    for message in messages(document):
        mine = spoken(parts, message, "user", "text", NAMES)
        if mine:
            makes.append(ToolCall(message.call_id, *_asked(message), message.path, mine))
    return Request(model=None, stream=False, parts=parts.out, makes=makes, calls=asked(document, _asked))


def _asked(message: Message) -> tuple[str, Mapping[str, Json]]:
    return message.method or ("answer" if message.payload else _REST), message.arguments


_REST: Final = "message"
"""Over REST the method stands in the path; what says something to an agent there is a message."""


def read_response(document: Json) -> Response:
    """Whatever an agent sends: messages, tasks, updates of them, its card. Each that says something is a result."""
    parts = Parts()
    results: list[ToolResult] = []
    for message in messages(document):
        mine = spoken(parts, message, "tool", "tool_result", NAMES)
        if mine:
            payload = message.payload
            content = message.path if payload is None else (*message.path, payload)
            results.append(
                ToolResult(message.call_id, message.method or "", content, mine, is_error=payload == "error")
            )
    return Response(model=None, parts=parts.out, results=results)


def agent_of(document: Json) -> str | None:
    """The agent's name, where the document is its card."""
    card = _card(document)
    return word(card.get("name")) if "skills" in card else None


def endpoints_of(document: Json) -> Iterator[str]:
    """The URLs at which an agent is reached, as its card says."""
    card = _card(document)
    places = [card, *array(card.get("additionalInterfaces")), *array(card.get("supportedInterfaces"))]
    return (url for place in places if (url := word(table(place).get("url"))) is not None)


def _card(document: Json) -> Mapping[str, Json]:
    card = table(document)
    return table(card.get("result")) or card
