"""What the HTTP layer asks the addon, and what the addon tells it by `flow.metadata`: names and data only."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import commands

from proxy.hold import Hold

GUARD = "midstream.guard"
"""flow.metadata: the `StreamGuard` of a streamed response."""
MAX_BODY = "midstream.max_body"
"""flow.metadata: the most bytes of request body that are buffered."""
MAX_RESPONSE = "midstream.max_response"
"""flow.metadata: the most bytes of response body that are buffered."""

SOCKET = "midstream.socket"
"""flow.metadata: what reads the messages of an upgraded flow; without it they pass unread."""

type Commands[T] = Generator[commands.Command, Any, T]


@dataclass
class MidstreamHoldHook(commands.StartHook):  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    """A stream waits for its guard's decision."""

    hold: Hold


@dataclass
class BodyTooLargeHook(commands.StartHook):  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    """A request body exceeds `MAX_BODY`; the addon may set flow.response. Upstream was not dialled."""

    flow: http.HTTPFlow


@dataclass
class ResponseTooLargeHook(commands.StartHook):  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    """A buffered response body exceeds `MAX_RESPONSE`; the addon may set flow.response."""

    flow: http.HTTPFlow


@dataclass
class UpstreamFailedHook(commands.StartHook):  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    """Upstream could not be reached or understood (`flow.error` says why); the addon may set flow.response."""

    flow: http.HTTPFlow


@dataclass(frozen=True)
class GuardFailure:
    """What the addon's `midstream_guard_failed` is told: the flow, already aborted, and what was raised."""

    flow: http.HTTPFlow
    exc: BaseException


@dataclass
class MidstreamGuardFailedHook(commands.StartHook):  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    """A guard or a stream callable failed; the flow was aborted."""

    failure: GuardFailure


@dataclass
class SocketMessage:
    """One whole WebSocket message, held until the addon has said what becomes of it."""

    flow: http.HTTPFlow
    content: bytes
    from_client: bool
    onward: Sequence[bytes] | None = None
    """What goes on in its place; None after the hook: nobody decided, and the connection is cut off."""
    back: Sequence[bytes] = ()
    """What its sender gets instead."""
    close: bool = False
    """End the connection after that."""
    closing: bool = False
    """No message came: the server closes the connection, and what was held of it may leave."""


@dataclass
class MidstreamSocketHook(commands.StartHook):  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    """A WebSocket message came, and waits."""

    message: SocketMessage


@dataclass
class MidstreamSocketEndHook(commands.StartHook):  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    """An upgraded connection is over."""

    flow: http.HTTPFlow
