"""How a stream ends: with an answer of ours, or cut off on both sides, never half and clean.

What passes before the end does not live here (`stream`).
"""

import logging
from typing import Final

from mitmproxy import flow as mitmflow
from mitmproxy import http
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import DropStream, HttpLayer, HttpStream, SendHttp
from mitmproxy.proxy.layers.http import _events as he
from mitmproxy.proxy.layers.http import _hooks as hh
from mitmproxy.proxy.layers.http._http2 import Http2Connection

from proxy.connection import AbortConnection
from proxy.dispatch import where
from proxy.layer.hooks import Commands, GuardFailure, MidstreamGuardFailedHook, UpstreamFailedHook

logger = logging.getLogger(__name__)

LINGER: Final = 30.0
"""Seconds a refused upload may still be read and discarded, so that its refusal is not lost (RFC 9112 §9.6)."""


class EndingStream(HttpStream):
    """An HTTP exchange that can be answered, refused and aborted at any point."""

    _overflowed = False
    """More piled up than may be kept."""

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
            self.flow.response = plain(502, reason)
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


def plain(status: int, reason: str) -> http.Response:
    """The answer where the addon gives none in the provider's shape."""
    return http.Response.make(status, f"midstream: {reason}\n", {"content-type": "text/plain; charset=utf-8"})
