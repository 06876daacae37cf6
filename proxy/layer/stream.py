"""One HTTP exchange on its way: bodies bounded, a response through its guard, waits kept alive.

How an exchange ends is in `ends`.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from mitmproxy import http
from mitmproxy.net.http.http1 import expected_http_body_size
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import SendHttp
from mitmproxy.proxy.layers.http import _events as he
from mitmproxy.proxy.layers.http import _hooks as hh
from mitmproxy.proxy.layers.http._http2 import Http2Connection

from proxy.hold import Hold, Limits, StreamGuard
from proxy.layer.ends import EndingStream, plain
from proxy.layer.hooks import (
    GUARD,
    MAX_BODY,
    MAX_RESPONSE,
    BodyTooLargeHook,
    Commands,
    MidstreamHoldHook,
    ResponseTooLargeHook,
)
from proxy.layer.websocket import GuardedWebsocket


class GuardedStream(EndingStream):
    """One HTTP exchange."""

    limits = Limits()
    _hold: Hold | None = None
    _queued = 0
    """Bytes that arrived while a hook was awaited."""
    _unread = 0
    """Bytes an HTTP/2 client has not let us send, at most."""

    # -- events in ----------------------------------------------------------------------------------------------------

    def handle_event(self, event: events.Event) -> Commands[None]:
        """As mitmproxy's; while the stream waits, what queues up is bounded and a client that leaves is noticed."""
        if self._paused is not None:
            if isinstance(event, he.RequestData | he.ResponseData):
                self._queued += len(event.data)
                if self._queued > self.limits.max_held:
                    self._overflow()
                    return _nothing()
            elif isinstance(event, he.RequestProtocolError | he.ResponseProtocolError) and self._hold is not None:
                self._hold.cut()
        elif self._queued:
            self._queued = 0
        return super().handle_event(event)

    def _overflow(self) -> None:
        """More arrived during a wait than may be kept: drop it, and end the flow as soon as it wakes."""
        self._overflowed = True
        if self._hold is not None:
            self._hold.cut()

    def _handle_event(self, event: events.Event) -> Commands[None]:
        if isinstance(event, events.Wakeup):
            return self._abort_client("the refused request body did not end")
        return super()._handle_event(event)  # type: ignore[no-any-return]  # mitmproxy's decorator is untyped

    # -- the request --------------------------------------------------------------------------------------------------

    def state_wait_for_request_headers(self, event: he.RequestHeaders) -> Commands[None]:
        """As mitmproxy's; after the hook, a declared body over the limit is refused before anything of it is read."""

        def after_hook() -> Commands[bool]:
            if self.flow.error is None and self.flow.response is not None:
                self.flow.request.stream = False  # mitmproxy cannot stream a request that is already answered
            too_large = not event.end_stream and self._exceeds(MAX_BODY, _declared(self.flow.request))
            if too_large and self.flow.error is None and self.flow.response is None:
                yield from self._refuse_body()
                return True
            return False

        return _after(super().state_wait_for_request_headers(event), hh.HttpRequestHeadersHook, after_hook)

    def state_consume_request_body(self, event: events.Event) -> Commands[None]:
        """As mitmproxy's; a body that grows past the limit is refused."""
        arrived = len(event.data) if isinstance(event, he.RequestData) else 0
        if arrived and self._exceeds(MAX_BODY, len(self.request_body_buf) + arrived):
            return self._refuse_body()
        return super().state_consume_request_body(event)  # type: ignore[no-any-return]  # mitmproxy is untyped

    def state_stream_request_body(self, event: he.HttpEvent) -> Commands[None]:
        """As mitmproxy's, but a failing stream callable or a kill ends the flow instead of a chunk."""
        try:
            if isinstance(event, he.RequestData):
                yield from self._send_up(_transformed(self.flow.request.stream, event.data))
            elif isinstance(event, he.RequestTrailers):
                self.flow.request.trailers = event.trailers
            else:
                yield from self._end_request_stream(event)
        except Exception as exc:
            yield from self._fail(exc)

    def _send_up(self, chunks: Iterable[bytes]) -> Commands[None]:
        for chunk in chunks:
            if (yield from self.check_killed(True)):
                return
            if chunk:  # an empty chunk would end a chunked body (RFC 9112 §7.1)
                yield SendHttp(he.RequestData(self.stream_id, chunk), self.context.server)

    def _end_request_stream(self, event: he.HttpEvent) -> Commands[None]:
        if callable(self.flow.request.stream):
            yield from self._send_up(_transformed(self.flow.request.stream, b""))
        self.flow.request.timestamp_end = time.time()
        self.client_state = self.state_done
        yield hh.HttpRequestHook(self.flow)
        if self.server_state == self.state_errored or (yield from self.check_killed(True)):
            return
        if self.flow.request.trailers:
            yield SendHttp(he.RequestTrailers(self.stream_id, self.flow.request.trailers), self.context.server)
        yield SendHttp(event, self.context.server)
        if self.server_state == self.state_done:
            yield from self.flow_done()

    def _refuse_body(self) -> Commands[None]:
        self.request_body_buf.clear()  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        self.client_state = self.state_errored
        yield BodyTooLargeHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        if self.flow.response is None:
            self.flow.response = plain(413, "the request body is larger than this proxy reads")
        yield from self._answer(uploading=True)

    # -- what follows an upgrade --------------------------------------------------------------------------------------

    def flow_done(self) -> Commands[None]:
        """As mitmproxy's; an upgrade to WebSocket goes to a layer whose messages wait."""
        if self.flow.websocket is None or self.flow.response is None or self.flow.response.status_code != 101:
            yield from super().flow_done()
            return
        self.child_layer = GuardedWebsocket(self.context, self.flow)
        self._handle_event = self.passthrough  # type: ignore[method-assign]  # as mitmproxy does
        yield from self.child_layer.handle_event(events.Start())
        yield SendHttp(he.ResponseEndOfMessage(self.stream_id), self.context.client)

    # -- the response -------------------------------------------------------------------------------------------------

    def state_wait_for_response_headers(self, event: he.ResponseHeaders) -> Commands[None]:
        """As mitmproxy's; a response that the hook replaced is sent as it is, and one that is too large is refused."""

        def after_hook() -> Commands[bool]:
            if self.flow.error is not None:
                return False
            if self.flow.response is not event.response:
                # mitmproxy would put upstream's body into it
                yield from self._abort_upstream("replaced")
                yield from self._answer(uploading=self.client_state != self.state_done)
                return True
            streams = event.end_stream or event.response.stream
            if not streams and self._exceeds(MAX_RESPONSE, _declared(self.flow.request, event.response)):
                yield from self._refuse_response()
                return True
            return False

        return _after(super().state_wait_for_response_headers(event), hh.HttpResponseHeadersHook, after_hook)

    def state_consume_response_body(self, event: events.Event) -> Commands[None]:
        """As mitmproxy's; a body that grows past the limit is refused."""
        arrived = len(event.data) if isinstance(event, he.ResponseData) else 0
        if arrived and self._exceeds(MAX_RESPONSE, len(self.response_body_buf) + arrived):
            return self._refuse_response()
        return super().state_consume_response_body(event)  # type: ignore[no-any-return]  # mitmproxy is untyped

    def state_stream_response_body(self, event: events.Event) -> Commands[None]:
        """Through the guard, or the flow's stream callable. Whatever either raises aborts the flow on both sides."""
        try:
            if isinstance(event, he.ResponseTrailers):
                assert self.flow.response
                self.flow.response.trailers = event.trailers  # sent after the response hook saw them
                return
            data = event.data if isinstance(event, he.ResponseData) else None
            if (yield from self._stream(data)) and data is None:
                yield from self.send_response(already_streamed=True)
        except Exception as exc:
            yield from self._fail(exc)

    def _stream(self, data: bytes | None) -> Commands[bool]:
        """Send what may leave of a chunk (None: of the end); False where the flow was ended."""
        assert self.flow.response
        guard: StreamGuard | None = self.flow.metadata.get(GUARD)
        if guard is not None:
            yield from self._release(guard.finish() if data is None else guard.feed(data))
            if guard.waiting and not (yield from self._wait(guard)):
                return False
            self._overflowed = self._overflowed or guard.held > self.limits.max_held
        elif data is not None or callable(self.flow.response.stream):
            for chunk in _transformed(self.flow.response.stream, data or b""):
                if self._killed():
                    break
                yield from self._release(chunk)
        return not (yield from self.check_killed(True))

    def _release(self, data: bytes) -> Commands[None]:
        if data:  # an empty chunk would end a chunked body (RFC 9112 §7.1)
            yield SendHttp(he.ResponseData(self.stream_id, data), self.context.client)
            self._note_unread(len(data))

    def _wait(self, guard: StreamGuard) -> Commands[bool]:
        """Wait for the guard's decisions, with keepalives; False where the flow was ended meanwhile."""
        while guard.waiting:
            self._hold = hold = Hold(guard, self.limits.keepalive_interval)
            while not hold.done:
                yield MidstreamHoldHook(hold)
                if (yield from self._cut_short()):
                    hold.cut()
                    self._hold = None
                    return False
                if not hold.done:
                    yield from self._release(guard.keepalive())
            self._hold = None
            hold.result()
            yield from self._release(guard.resume())
        return True

    def _cut_short(self) -> Commands[bool]:
        failed = any(isinstance(event, he.ResponseProtocolError) for event in self._paused_event_queue)
        if failed and not self._killed() and not self._overflowed:
            yield from self.abort("upstream failed in the middle of its response", error_hook=True)
            return True
        return (yield from self.check_killed(True))

    def _note_unread(self, size: int) -> None:
        """Bound what an HTTP/2 client with a closed window lets pile up. (An HTTP/1 client slows upstream down.)"""
        connection = self._http.connections[self.context.client]
        if not isinstance(connection, Http2Connection):
            return
        unread = connection.h2_conn.stream_buffers.get(self.stream_id)
        self._unread = self._unread + size if unread else 0
        if self._unread > self.limits.max_held:  # an upper bound so far: count exactly, seldom
            self._unread = sum(len(piece.data) for piece in unread or ())
            self._overflowed = self._overflowed or self._unread > self.limits.max_held

    def _refuse_response(self) -> Commands[None]:
        self.response_body_buf.clear()  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        self.server_state = self.state_errored
        yield from self._abort_upstream("response too large")
        self.flow.response = None
        yield ResponseTooLargeHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        if self.flow.response is None:
            self.flow.response = plain(502, "the response body is larger than this proxy reads")
        yield from self._answer(uploading=self.client_state != self.state_done)

    def _exceeds(self, key: str, size: int) -> bool:
        limit = self.flow.metadata.get(key)
        return limit is not None and size > limit


def _after[T: commands.Command](
    steps: Commands[None], kind: type[T], check: Callable[[], Commands[bool]]
) -> Commands[None]:
    """Relay `steps`; once a command of this kind has completed, stop if `check` says so."""
    reply: Any = None
    while True:
        try:
            command = steps.send(reply)
        except StopIteration:
            return
        reply = yield command
        if isinstance(command, kind) and (yield from check()):
            return


def _nothing() -> Commands[None]:
    yield from ()


def _transformed(stream: Any, data: bytes) -> Iterable[bytes]:
    """What a message's `stream` (True or a callable, as mitmproxy defines it) makes of a chunk."""
    if not callable(stream):
        return (data,)
    chunks = stream(data)
    return (chunks,) if isinstance(chunks, bytes) else chunks


def _declared(request: http.Request, response: http.Response | None = None) -> int:
    """The body's size as its headers declare it; 0 where they do not. Malformed ones are refused elsewhere."""
    try:
        return max(expected_http_body_size(request, response) or 0, 0)
    except ValueError:
        return 0
