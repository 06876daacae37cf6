"""The HTTP stream that can wait, be bounded, and be cut off.

A subclass of mitmproxy's `HttpStream`: a guarded response body passes through a sans-io guard; where the guard needs a
decision that must be awaited, the stream yields a blocking hook, sends keepalives, and other flows go on. Bodies that
are too large get the addon's answer. Whatever ends badly ends as an abort (TCP reset or RST_STREAM), never as a clean
end of body, and with nothing that was held. What is decided, and what a refusal says, does not live here (`addon`).
"""

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from mitmproxy import flow as mitmflow
from mitmproxy import http
from mitmproxy.net.http.http1 import expected_http_body_size
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events
from mitmproxy.proxy import layer as layers
from mitmproxy.proxy.layers.http import DropStream, HttpLayer, HttpStream, SendHttp
from mitmproxy.proxy.layers.http import _events as he
from mitmproxy.proxy.layers.http import _hooks as hh
from mitmproxy.proxy.layers.http._http2 import Http2Connection
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer

from proxy.connection import AbortConnection
from proxy.dispatch import where
from proxy.hold import Hold, Limits, StreamGuard

logger = logging.getLogger(__name__)

GUARD = "midstream.guard"
"""flow.metadata: the `StreamGuard` of a streamed response."""
MAX_BODY = "midstream.max_body"
"""flow.metadata: the most bytes of request body that are buffered."""
MAX_RESPONSE = "midstream.max_response"
"""flow.metadata: the most bytes of response body that are buffered."""

LINGER = 30.0
"""Seconds a refused upload may still be read and discarded, so that its refusal is not lost (RFC 9112 §9.6)."""

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


class GuardedStream(HttpStream):
    """One HTTP exchange."""

    limits = Limits()
    _hold: Hold | None = None
    _queued = 0
    """Bytes that arrived while a hook was awaited."""
    _unread = 0
    """Bytes an HTTP/2 client has not let us send, at most."""
    _overflowed = False

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
            self.flow.response = _plain(413, "the request body is larger than this proxy reads")
        yield from self._answer(uploading=True)

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
            self.flow.response = _plain(502, "the response body is larger than this proxy reads")
        yield from self._answer(uploading=self.client_state != self.state_done)

    # -- answers and ends ---------------------------------------------------------------------------------------------

    def _answer(self, *, uploading: bool, response_hook: bool = True) -> Commands[None]:
        """Send flow.response whole and end the exchange. A running upload is read and discarded for a while."""
        assert self.flow.response
        if uploading and not self._client_speaks_h2:
            self.flow.response.headers["connection"] = "close"
        self.client_state = self.state_done
        if response_hook:
            yield from self.send_response()
        else:
            content = self.flow.response.raw_content
            yield SendHttp(he.ResponseHeaders(self.stream_id, self.flow.response, not content), self.context.client)
            if content:
                yield SendHttp(he.ResponseData(self.stream_id, content), self.context.client)
            yield from self.flow_done()
        self.client_state = self.server_state = self.state_errored
        if uploading:
            yield commands.RequestWakeup(LINGER)

    def check_invalid(self, request: bool) -> Commands[bool]:
        """As mitmproxy's for requests. Of an invalid response nothing is told: its headers are upstream's bytes."""
        if request:
            return (yield from super().check_invalid(True))
        assert self.flow.response
        try:
            if self.context.options.validate_inbound_headers:
                validate_headers(self.flow.response)
        except ValueError:
            yield from self._upstream_failed("upstream sent invalid response headers")
            return True
        return False

    def handle_protocol_error(self, event: he.RequestProtocolError | he.ResponseProtocolError) -> Commands[None]:
        """As mitmproxy's for clients. An upstream error aborts a begun response, else is answered without its bytes."""
        over = self.client_state == self.state_errored or self.server_state in (self.state_done, self.state_errored)
        if isinstance(event, he.RequestProtocolError) or over or event.code.http_status_code() is None:
            yield from super().handle_protocol_error(event)
        elif self.server_state == self.state_stream_response_body:
            yield from self.abort("upstream failed in the middle of its response", error_hook=True)
        elif event.code is he.ErrorCode.CONNECT_FAILED:
            yield from self._upstream_failed(event.message)
        else:
            # mitmproxy's message may quote what upstream sent, which nobody scanned
            yield from self._upstream_failed("upstream failed before its response was complete")

    def _upstream_failed(self, reason: str) -> Commands[None]:
        self.server_state = self.state_errored
        yield from self._abort_upstream(reason)
        self.response_body_buf.clear()  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        self.flow.response = None
        self.flow.error = mitmflow.Error(reason)
        yield hh.HttpErrorHook(self.flow)
        yield UpstreamFailedHook(self.flow)
        if (yield from self.check_killed(False)):
            return
        if self.flow.response is None:
            self.flow.response = _plain(502, reason)
        yield from self._answer(uploading=self.client_state != self.state_done, response_hook=False)

    def check_killed(self, emit_error_hook: bool) -> Commands[bool]:
        """End the flow where it was killed, its client left, or more piled up than may be kept. True where it ended."""
        if self._overflowed:
            reason = "more bytes were held back than allowed"
        elif self._killed():
            reason = mitmflow.Error.KILLED_MESSAGE
        else:
            left = [event for event in self._paused_event_queue if isinstance(event, he.RequestProtocolError)]
            if not left:
                return False
            reason = left[0].message
        yield from self.abort(reason, error_hook=emit_error_hook)
        return True

    def _killed(self) -> bool:
        return self.flow.error is not None and self.flow.error.msg == mitmflow.Error.KILLED_MESSAGE

    def _fail(self, exc: Exception) -> Commands[None]:
        """A guard or stream callable failed: nothing more of this flow is delivered, and the addon is told."""
        logger.error("a stream failed with %s: flow aborted", where(exc))
        yield from self.abort("midstream: the response could not be checked", error_hook=True)
        yield MidstreamGuardFailedHook(GuardFailure(self.flow, exc))

    def abort(self, reason: str, *, error_hook: bool) -> Commands[None]:
        """Cut both sides off, so that neither takes it for an end; then tell the addon through `error`."""
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        self.flow.error = self.flow.error or mitmflow.Error(reason)
        yield from self._abort_client(reason)
        yield from self._abort_upstream(reason)
        if error_hook:
            yield hh.HttpErrorHook(self.flow)
        yield DropStream(self.stream_id)

    def _abort_client(self, reason: str) -> Commands[None]:
        if self._client_speaks_h2:
            yield SendHttp(he.ResponseProtocolError(self.stream_id, reason, he.ErrorCode.KILL), self.context.client)
        else:
            yield AbortConnection(self.context.client)

    def _abort_upstream(self, reason: str) -> Commands[None]:
        if self.context.server in self._http.connections:
            yield SendHttp(he.RequestProtocolError(self.stream_id, reason, he.ErrorCode.KILL), self.context.server)

    @property
    def _http(self) -> HttpLayer:
        parent = self.context.layers[self.context.layers.index(self) - 1]
        assert isinstance(parent, HttpLayer)
        return parent

    @property
    def _client_speaks_h2(self) -> bool:
        return isinstance(self._http.connections[self.context.client], Http2Connection)

    def _exceeds(self, key: str, size: int) -> bool:
        limit = self.flow.metadata.get(key)
        return limit is not None and size > limit


class GuardedHttp(HttpLayer):
    """An HTTP connection whose streams are `GuardedStream`s."""

    limits: Limits

    def make_stream(self, stream_id: int) -> Commands[None]:
        """One stream more."""
        stream = self.streams[stream_id] = GuardedStream(self.context.fork(), stream_id)
        stream.limits = self.limits
        yield from self.event_to_child(stream, events.Start())

    def live(self) -> Iterator[http.HTTPFlow]:
        """Flows that are not finished; tunnels (CONNECT) are not counted, what runs in them is."""
        for stream in self.streams.values():
            flow = getattr(stream, "flow", None)
            if flow is not None and flow.live and flow.request.method != "CONNECT":
                yield flow


class Refused(layers.Layer):
    """A protocol that nobody here inspects: the connection is closed."""

    def _handle_event(self, event: events.Event) -> Commands[None]:
        if isinstance(event, events.Start):
            yield AbortConnection(self.context.client)


class Layers:
    """The addon that puts our layers in place of mitmproxy's, and awaits their holds. Goes after `NextLayer`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.open: WeakSet[GuardedHttp] = WeakSet()

    def next_layer(self, data: layers.NextLayer) -> None:
        """Swap HTTP layers in the chosen stack; anything but TLS and HTTP (raw TCP, DNS) is refused, not tunnelled."""
        layer: layers.Layer | None = data.layer
        while layer is not None and not isinstance(layer, layers.NextLayer):
            if isinstance(layer, HttpLayer):
                self._adopt(layer)
                return
            if not isinstance(layer, ClientTLSLayer | ServerTLSLayer):
                data.layer = Refused(data.context)
                return
            layer = layer.child_layer

    def _adopt(self, layer: HttpLayer) -> None:
        # mitmproxy's NextLayer constructs it by name; nothing of its state differs, only make_stream
        layer.__class__ = GuardedHttp
        assert isinstance(layer, GuardedHttp)
        layer.limits = self._limits
        self.open.add(layer)

    async def midstream_hold(self, hold: Hold) -> None:
        """Await a stream's decision."""
        await hold.wait()

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Keep the last message only: mitmproxy stores every one for as long as the connection lives."""
        assert flow.websocket is not None
        del flow.websocket.messages[:-1]


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


def _plain(status: int, reason: str) -> http.Response:
    """The answer where the addon gives none in the provider's shape."""
    return http.Response.make(status, f"midstream: {reason}\n", {"content-type": "text/plain; charset=utf-8"})
