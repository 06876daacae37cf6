"""Coalesced reading of chunked HTTP/1 bodies.

mitmproxy hands every chunk of a chunked body through all layers and writes each as a TLS record of its own. A burst of
server-sent events arrives as many chunks in one read: merged into one Data event, the bytes are the same and the cost
per event a sixth. Only framing lives here; nothing looks at content.
"""

from typing import Protocol

import h11
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy.layers.http import _http1


class BodyReader(Protocol):
    """What mitmproxy calls for the next piece of a body (h11's readers)."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None: ...

    def read_eof(self) -> h11.EndOfMessage: ...


class CoalescingReader:
    """Wraps a body reader: all pieces that are already in the buffer come out as one."""

    __slots__ = ("_next", "_reader")

    def __init__(self, reader: BodyReader) -> None:
        self._reader = reader
        self._next: h11.EndOfMessage | h11.ProtocolError | None = None

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        """The next event, or None when the buffer holds no more. Raises h11.ProtocolError on broken framing."""
        pieces: list[bytes] = []
        event = self._take(buf)
        while isinstance(event, h11.Data):
            pieces.append(event.data)
            event = self._take(buf)
        if pieces:
            self._next = event
            return h11.Data(data=b"".join(pieces))
        if isinstance(event, h11.ProtocolError):
            raise event
        return event

    def _take(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | h11.ProtocolError | None:
        if self._next is not None:
            event, self._next = self._next, None
            return event
        try:
            return self._reader(buf)
        except h11.ProtocolError as exc:
            return exc  # what came before it is delivered first, as without coalescing

    def read_eof(self) -> h11.EndOfMessage:
        """The connection ended. Raises h11.ProtocolError: a chunked body must end by its last chunk (RFC 9112 §8)."""
        return self._reader.read_eof()


def install() -> None:
    """Let mitmproxy read chunked bodies coalesced, in this process. May be called again.

    One of two module-level substitutions (see `worker`): `Http1Server` and `Http1Client` are made deep inside layers
    and take their reader from this function by its module-global name. Harmless to anyone else: same bytes.
    """
    original = _http1.make_body_reader
    if getattr(original, "coalesces", False):
        return

    def make_body_reader(expected_size: int | None) -> BodyReader:
        reader: BodyReader = original(expected_size)
        return CoalescingReader(reader) if expected_size is None else reader

    make_body_reader.coalesces = True  # type: ignore[attr-defined]  # marks the function for the check above
    _http1.make_body_reader = make_body_reader  # type: ignore[assignment]  # wider than mitmproxy's union of h11 readers
