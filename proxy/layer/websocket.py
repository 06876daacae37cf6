"""WebSocket messages that wait for a decision, one by one: mitmproxy's layer with its relay replaced.

Frames, compression and the closing handshake are wsproto's (RFC 6455, RFC 7692). A message leaves whole and decided, or
the connection ends. What a message says is not known here (`addon`).
"""

import time
from typing import Any, Final

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.websocket import Fragmentizer, WebsocketConnection, WebsocketLayer
from wsproto import events as ws
from wsproto.connection import ConnectionState

from proxy.layer.hooks import (
    MAX_BODY,
    MAX_RESPONSE,
    SOCKET,
    Commands,
    MidstreamSocketEndHook,
    MidstreamSocketHook,
    SocketMessage,
)

TOO_BIG: Final = 1009
"""RFC 6455 §7.4.1."""
REFUSED: Final = 1008
"""Policy violation, as above."""
FAILED: Final = 1011
"""Internal error, as above."""


class GuardedWebsocket(WebsocketLayer):
    """One upgraded connection."""

    _handle_event = WebsocketLayer.start

    def relay_messages(self, event: events.Event) -> Commands[None]:
        """Frames in, decided messages out."""
        assert isinstance(event, events.DataReceived | events.ConnectionClosed)
        from_client = event.connection == self.context.client
        source, target = (self.client_ws, self.server_ws) if from_client else (self.server_ws, self.client_ws)
        source.receive_data(event.data if isinstance(event, events.DataReceived) else None)
        for arrived in source.events():
            if isinstance(arrived, ws.Message):
                yield from self._message(arrived, source, target, from_client)
            elif isinstance(arrived, ws.Ping | ws.Pong):
                yield target.send2(arrived)
            elif isinstance(arrived, ws.CloseConnection):
                yield from self._end(arrived, from_client)
            if self._handle_event == self.done:
                return

    def _message(
        self, part: ws.Message[Any], source: WebsocketConnection, target: WebsocketConnection, from_client: bool
    ) -> Commands[None]:
        """A frame of a message, or a piece of one; the last one makes it whole."""
        is_text = isinstance(part.data, str)
        source.frame_buf[-1] += part.data.encode() if isinstance(part.data, str) else bytes(part.data)
        limit = self.flow.metadata.get(MAX_BODY if from_client else MAX_RESPONSE)
        if limit is not None and sum(map(len, source.frame_buf)) > limit:
            yield from self._end(ws.CloseConnection(TOO_BIG, "message too big"), from_client=False)
        elif part.message_finished:
            frames, source.frame_buf = source.frame_buf, [b""]
            yield from self._whole(frames, is_text, source, target, from_client)
        elif part.frame_finished:
            source.frame_buf.append(b"")

    def _whole(
        self,
        frames: list[bytes],
        is_text: bool,
        source: WebsocketConnection,
        target: WebsocketConnection,
        from_client: bool,
    ) -> Commands[None]:
        content = b"".join(frames)
        if SOCKET not in self.flow.metadata:
            yield from _send(target, frames, content, is_text)
            return
        message = SocketMessage(self.flow, content, from_client)
        yield MidstreamSocketHook(message)
        for out in message.onward or ():
            yield from _send(target, frames, out, is_text)
        for out in message.back:
            yield from _send(source, [], out, is_text)
        if message.onward is None:
            yield from self._end(ws.CloseConnection(FAILED, "could not be decided"), from_client=False)
        elif message.close:
            yield from self._end(ws.CloseConnection(REFUSED, "refused by policy"), from_client=False)

    def _end(self, closing: ws.CloseConnection, from_client: bool) -> Commands[None]:
        assert self.flow.websocket
        data = self.flow.websocket
        data.timestamp_end, data.closed_by_client = time.time(), from_client
        data.close_code, data.close_reason = closing.code, closing.reason
        for side in (self.server_ws, self.client_ws):
            if side.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
                yield side.send2(closing)
            yield commands.CloseConnection(side.conn)
        self.flow.live = False
        self._handle_event = self.done
        yield MidstreamSocketEndHook(self.flow)


def _send(side: WebsocketConnection, frames: list[bytes], content: bytes, is_text: bool) -> Commands[None]:
    """One message, in the frames it came in where its length is the same."""
    if side.state is ConnectionState.OPEN:
        for part in Fragmentizer(frames, is_text)(content):
            yield side.send2(part)
