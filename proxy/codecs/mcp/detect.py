"""Recognising the protocol by a request's line, headers and body, as it is spoken at any host; its sessions.

Headers come with names in lower case. Nothing here decides what becomes of a request.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, unquote

from proxy.codecs import Json, jsonrpc

_OWN: Final = ("mcp-protocol-version", "mcp-session-id", "mcp-method")
"""Headers of Streamable HTTP: 2025-06-18 and later name the version, stateful servers the session, 2026-07-28 the
method."""

_ENDPOINT: Final = re.compile(r"/mcp(?:/|$)")
_STREAM: Final = re.compile(r"/sse/?$")
_POSTED: Final = re.compile(r"/messages?/?$")
_SESSION: Final = ("session_id", "sessionId", "sessionid")


def session(headers: Mapping[str, str]) -> str | None:
    """The session's id, where the server gave one (2025-03-26 to 2025-11-25). Of two, servers read the first."""
    return headers.get("mcp-session-id", "").partition(",")[0].strip() or None


def is_mcp(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether a request speaks MCP: by its own headers, by what it accepts, or by the usual paths."""
    if method not in ("POST", "GET", "DELETE"):
        return False
    if is_marked(headers):
        return True
    plain = _plain(path)
    if method == "GET":
        return _accepts(headers, "text/event-stream") and bool(_ENDPOINT.search(plain) or _STREAM.search(plain))
    if method != "POST" or not _is_json(headers):
        return False
    return _accepts_both(headers) or bool(_ENDPOINT.search(plain)) or is_legacy(method, path, headers)


def is_marked(headers: Mapping[str, str]) -> bool:
    """Whether its own headers say so, and not only what it accepts or a usual path, which others may have too."""
    return any(name in headers for name in _OWN)


def is_legacy(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether it is a message of HTTP+SSE (2024-11-05), answered on the open stream and not by this response.

    The TypeScript SDK names the version in it too, but not what Streamable HTTP must accept.
    """
    if method != "POST" or not _POSTED.search(_plain(path)) or (is_marked(headers) and _is_streamable(headers)):
        return False
    query = parse_qs(path.partition("?")[2])
    return any(name in query for name in _SESSION)


def speaks(document: Json) -> bool:
    """Whether a body speaks MCP wherever it is sent: it asks for a method that only MCP has."""
    return jsonrpc.speaks(document, METHODS)


METHODS: Final = frozenset(
    [
        "initialize",
        "notifications/initialized",
        "server/discover",
        "subscriptions/listen",
        "tools/call",
        "tools/list",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "resources/templates/list",
        "completion/complete",
        "logging/setLevel",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
        "notifications/tasks/status",
        "tasks/result",
    ]
)
"""What clients ask for, but for what other protocols ask for too (`jsonrpc.shares`)."""


def _plain(path: str) -> str:
    return unquote(path.partition("?")[0]).lower()


def _accepts(headers: Mapping[str, str], kind: str) -> bool:
    return kind in headers.get("accept", "").lower()


def _is_streamable(headers: Mapping[str, str]) -> bool:
    return "mcp-session-id" in headers or "mcp-method" in headers or _accepts_both(headers)


def _accepts_both(headers: Mapping[str, str]) -> bool:
    return _accepts(headers, "application/json") and _accepts(headers, "text/event-stream")


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
