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
    if any(name in headers for name in _OWN) or _type(headers) == "application/a2a+json":
        return method in ("POST", "GET", "DELETE")
    plain = unquote(path.partition("?")[0]).lower()
    if method == "GET":
        return _CARD.search(plain) is not None
    spoken = _REST.search(plain) or _ENDPOINT.search(plain)
    return method == "POST" and _type(headers) == "application/json" and spoken is not None


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
"""Of all versions, but for `tasks/get`, `tasks/list` and `tasks/cancel`, which MCP 2025-11-25 has too."""


def _type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
