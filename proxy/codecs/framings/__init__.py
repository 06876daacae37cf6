"""Framings: how a stream of documents is cut into single ones on the wire. One module each; none knows a format.

Every byte of a stream is in exactly one frame's `raw`, so that writing the frames in order gives the stream back. What
a document says is the codecs' business.
"""

from typing import NamedTuple, Protocol


class Frame(NamedTuple):
    """One document of a stream with its framing, or what stands between documents (comments, blank lines, brackets)."""

    raw: bytes
    """Its bytes on the wire, framing included."""
    name: str | None
    """The framing's own name for it: SSE's `event:`, an AWS event stream's `:event-type`."""
    data: bytes
    """The document; b"" where there is none."""
    is_comment: bool = False
    """Nothing that a reader of the framing would hand on."""


class Event(NamedTuple):
    """A document that midstream says itself, before it is framed."""

    name: str | None
    data: bytes


class Framing(Protocol):
    """One direction of one stream: cuts it into frames, and writes frames that were changed. Fed and asked in order."""

    @property
    def pending(self) -> int:
        """Bytes of the frame that is not complete yet."""
        ...

    @property
    def keepalive(self) -> bytes:
        """What may be sent between frames and every reader skips; b"" where the framing has no such thing."""
        ...

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. DecodeError for what cannot be this framing (corrupt lengths, sums)."""
        ...

    def finish(self) -> list[Frame]:
        """What is left at the end of the stream, as frames. DecodeError where the rest cannot be scanned."""
        ...

    def is_end(self, frame: Frame) -> bool:
        """Whether it only says that the stream ends, and is no document (`[DONE]`)."""
        ...

    def is_whole(self, frame: Frame) -> bool:
        """Whether its own end was there, so that readers take it for a document."""
        ...

    def outside(self, frame: Frame) -> bytes:
        """What in its raw bytes besides the document could hold a text; b"" for plain framing."""
        ...

    def unchanged(self, frame: Frame) -> bytes:
        """The frame as it came."""
        ...

    def with_data(self, frame: Frame, data: bytes) -> bytes:
        """The frame with another document; everything else of it stays, lengths and sums are made right."""
        ...

    def encode(self, event: Event) -> bytes:
        """A new frame."""
        ...

    def dropped(self, frame: Frame) -> bytes:
        """What stays of a frame that is left out: b"" for most framings."""
        ...
