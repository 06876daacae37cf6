"""Messages that are documents by themselves (WebSocket, RFC 6455 §5.6): a framing without any bytes of its own."""

from typing import Final

from proxy.codecs.framings import Event, Frame


class Messages:
    """One direction of one connection. `feed` takes one whole message each time."""

    pending: Final = 0
    keepalive: Final = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The message as a frame."""
        return [Frame(data, None, data, is_comment=not data)]

    def finish(self) -> list[Frame]:
        """Nothing is ever left over."""
        return []

    def is_end(self, frame: Frame) -> bool:
        """No message only ends a stream."""
        return False

    def is_whole(self, frame: Frame) -> bool:
        """Every message is."""
        return True

    def outside(self, frame: Frame) -> bytes:
        """A message is all document."""
        return b""

    def unchanged(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return frame.raw

    def with_data(self, frame: Frame, data: bytes) -> bytes:
        """See `Framing`."""
        return data

    def encode(self, event: Event) -> bytes:
        """See `Framing`."""
        return event.data

    def dropped(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return b""
