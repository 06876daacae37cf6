"""WebSocket messages that wait for a decision, one by one: mitmproxy's layer with its relay replaced.

Frames, compression and the closing handshake are wsproto's (RFC 6455, RFC 7692). A message leaves whole and decided, or
the connection ends. What a message says is not known here (`addon`).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.websocket import WebsocketConnection, WebsocketLayer
from wsproto import events as ws
from wsproto.connection import ConnectionState

from proxy.connection import AbortConnection
from proxy.layer.hooks import (
    MAX_BODY,
    MAX_RESPONSE,
    SOCKET,
    Commands,
    MidstreamSocketEndHook,
    MidstreamSocketHook,
    SocketMessage,
)

ABNORMAL: Final = 1006
"""There was no closing frame (RFC 6455 §7.1.5)."""
TOO_BIG: Final = 1009
"""RFC 6455 §7.4.1."""
REFUSED: Final = 1008
"""Policy violation, as above."""
FAILED: Final = 1011
"""Internal error, as above."""


@dataclass
class _Coming:
    """A message of which more is to come."""

    data: bytearray = field(default_factory=bytearray)
    cuts: list[int] = field(default_factory=list)
    """Where its frames ended, all but the last."""


class GuardedWebsocket(WebsocketLayer):
    """One upgraded connection."""

    _handle_event = WebsocketLayer.start
    _coming: dict[bool, _Coming]
    """By side: from the client, or not."""

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
                if not from_client:
                    yield from self._rest(arrived)
                yield from self._end(arrived, from_client)
            if self._handle_event == self.done:
                return

    def _message(
        self, part: ws.Message[Any], source: WebsocketConnection, target: WebsocketConnection, from_client: bool
    ) -> Commands[None]:
        """A frame of a message, or a piece of one; the last one makes it whole."""
        if not hasattr(self, "_coming"):
            self._coming = {True: _Coming(), False: _Coming()}
        coming = self._coming[from_client]
        is_text = isinstance(part.data, str)
        coming.data += part.data.encode() if isinstance(part.data, str) else part.data
        limit = self.flow.metadata.get(MAX_BODY if from_client else MAX_RESPONSE)
        if limit is not None and len(coming.data) > limit:
            yield from self._end(ws.CloseConnection(TOO_BIG, "message too big"), from_client=False)
        elif part.message_finished:
            self._coming[from_client] = _Coming()
            yield from self._whole(coming, is_text, source, target, from_client)
        elif part.frame_finished:
            coming.cuts.append(len(coming.data))

    def _whole(
        self,
        came: _Coming,
        is_text: bool,
        source: WebsocketConnection,
        target: WebsocketConnection,
        from_client: bool,
    ) -> Commands[None]:
        content = bytes(came.data)
        if SOCKET not in self.flow.metadata:
            yield from _send(target, content, came.cuts, is_text)
            return
        message = SocketMessage(self.flow, content, from_client)
        yield MidstreamSocketHook(message)
        for out in message.onward or ():
            yield from _send(target, out, came.cuts if out == content else _cuts(out, came, is_text), is_text)
        for out in message.back:
            yield from _send(source, out, (), is_text)
        if message.onward is None:
            yield from self._end(ws.CloseConnection(FAILED, "could not be decided"), from_client=False)
        elif message.close:
            yield from self._end(ws.CloseConnection(REFUSED, "refused by policy"), from_client=False)

    def _rest(self, closing: ws.CloseConnection) -> Commands[None]:
        """The server has nothing more to say: what was held of it is complete, unless it was torn off."""
        if closing.code == ABNORMAL or SOCKET not in self.flow.metadata:
            return
        last = SocketMessage(self.flow, b"", from_client=False, closing=True)
        yield MidstreamSocketHook(last)
        for out in last.onward or ():
            yield from _send(self.client_ws, out, (), is_text=True)

    def _end(self, closing: ws.CloseConnection, from_client: bool) -> Commands[None]:
        assert self.flow.websocket
        data = self.flow.websocket
        data.timestamp_end, data.closed_by_client = time.time(), from_client
        data.close_code, data.close_reason = closing.code, closing.reason
        for side in (self.server_ws, self.client_ws):
            yield from _close(side, closing)
        self.flow.live = False
        self._handle_event = self.done
        yield MidstreamSocketEndHook(self.flow)


def _close(side: WebsocketConnection, closing: ws.CloseConnection) -> Commands[None]:
    if closing.code == ABNORMAL:
        # wsproto would make it a normal closure: what was torn off must not look complete.
        yield AbortConnection(side.conn)
        return
    if side.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
        yield side.send2(closing)
    yield commands.CloseConnection(side.conn)


def _send(side: WebsocketConnection, content: bytes, cuts: Sequence[int], is_text: bool) -> Commands[None]:
    """One message, in frames that end at `cuts`."""
    if side.state is not ConnectionState.OPEN:
        return
    ends = (*cuts, len(content))
    frames = bytearray()  # written as one: asyncio sums up what waits at every write
    for number, (start, end) in enumerate(pairwise((0, *ends)), 1):
        piece, last = content[start:end], number == len(ends)
        frames += side.send(
            ws.TextMessage(piece.decode(), message_finished=last)
            if is_text
            else ws.BytesMessage(piece, message_finished=last)
        )
    yield commands.SendData(side.conn, bytes(frames))


def _cuts(content: bytes, came: _Coming, is_text: bool) -> Sequence[int]:
    """Where to cut a changed message: into frames no larger than the largest it came in. One frame stays one."""
    if not came.cuts:
        return ()
    size = max(end - start for start, end in pairwise((0, *came.cuts, len(came.data))))
    return list(_evenly(content, max(size, 4), is_text))


def _evenly(content: bytes, size: int, is_text: bool) -> Iterator[int]:
    """Every `size` bytes, but not within a character (RFC 3629 §3: at most four bytes, 10xxxxxx but for the first)."""
    at = size
    while at < len(content):
        while is_text and content[at] & 0xC0 == 0x80:
            at -= 1
        yield at
        at += size
