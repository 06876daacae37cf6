"""Recognising the protocol by a request's line, headers and body, as it is spoken at any host.

Headers come with names in lower case. Before version 1.0 nothing but the body shows it.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from proxy.codecs import Json, jsonrpc

_OWN: Final = (
    "a2a-version",
    "a2a-extensions",
    "x-a2a-protocol-version",
    "x-a2a-extensions",
    "x-a2a-notification-token",
)
_REST: Final = re.compile(r"/message:(?:send|stream)$|/tasks/[^/]+:(?:cancel|subscribe)$")
_CARD: Final = re.compile(r"/\.well-known/agent(?:-card)?\.json$")
_ENDPOINT: Final = re.compile(r"/a2a(?:/|$)")


def is_a2a(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether a request speaks A2A: by its own headers, by its type, or by the paths of its bindings."""
    if is_marked(method, path, headers):
        return True
    return method == "POST" and _type(headers) == "application/json" and _ENDPOINT.search(_plain(path)) is not None


def is_marked(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether its headers or a path of the protocol's own say so, and not only a usual path."""
    if any(name in headers for name in _OWN) or _type(headers) == "application/a2a+json":
        return method in ("POST", "GET", "DELETE")
    if method == "GET":
        return _CARD.search(_plain(path)) is not None
    return method == "POST" and _type(headers) == "application/json" and _REST.search(_plain(path)) is not None


def is_message(document: Json) -> bool:
    """Whether all of a document is messages: of JSON-RPC, or one of the REST binding, which has no envelope."""
    bare = isinstance(document, dict) and "jsonrpc" not in document and "method" not in document
    return bare or jsonrpc.is_spoken(document)


def speaks(document: Json) -> bool:
    """Whether a body speaks A2A wherever it is sent: it asks for a method that only A2A has."""
    return jsonrpc.speaks(document, METHODS)


METHODS: Final = frozenset(
    [
        "message/send",
        "message/stream",
        "tasks/send",
        "tasks/sendSubscribe",
        "tasks/resubscribe",
        "tasks/pushNotificationConfig/set",
        "tasks/pushNotificationConfig/get",
        "tasks/pushNotificationConfig/list",
        "tasks/pushNotificationConfig/delete",
        "tasks/pushNotification/set",
        "tasks/pushNotification/get",
        "agent/getAuthenticatedExtendedCard",
        "SendMessage",
        "SendStreamingMessage",
        "GetTask",
        "ListTasks",
        "CancelTask",
        "SubscribeToTask",
        "CreateTaskPushNotificationConfig",
        "GetTaskPushNotificationConfig",
        "ListTaskPushNotificationConfigs",
        "DeleteTaskPushNotificationConfig",
        "GetExtendedAgentCard",
    ]
)
"""Of all versions, but for what MCP has too (`jsonrpc.shares`)."""


def _plain(path: str) -> str:
    return unquote(path.partition("?")[0]).lower()


def _type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
