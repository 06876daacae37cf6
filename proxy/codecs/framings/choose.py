"""Which framing a body has: by its content type where that is certain, else by its first bytes, as content types lie.

Only the choice lives here; each framing is a module of its own.
"""

from collections.abc import Collection

from proxy.codecs.framings import Framing
from proxy.codecs.framings.array import Array
from proxy.codecs.framings.event_stream import CONTENT_TYPE, PRELUDE, EventStream, is_event_stream
from proxy.codecs.framings.grpc import Grpc
from proxy.codecs.framings.lines import Lines
from proxy.codecs.framings.sse import Sse

LINES = ("application/x-ndjson", "application/stream+json", "application/jsonl")
"""Of Ollama, of Cohere v1, and of who takes its file type for a media type."""

WHOLE = "whole"
"""The body is one document, no stream."""

GRPC_FLAGS = (b"\0", b"\1", b"\x80", b"\x81")
"""First bytes of gRPC frames, and of nothing else that is read here."""


def choose(content_type: str, head: bytes, framings: Collection[str]) -> Framing | str | None:
    """The framing of a body that begins with `head`; WHOLE for none, None where more bytes must be seen.

    `framings`: those that the format may have, see `Codec.framings`.
    """
    if content_type.lower().startswith(CONTENT_TYPE):
        return EventStream()
    if not framings:
        return WHOLE
    if "grpc" in framings and head[:1] in GRPC_FLAGS:
        return Grpc()
    if head[:1] == b"\0":
        return (EventStream() if is_event_stream(head) else Sse()) if len(head) >= PRELUDE else None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return None
    if start[:1] == b"[":
        return Array() if "array" in framings else WHOLE
    if start[:1] == b"{":
        return _lines(start, content_type) if "lines" in framings else WHOLE
    return Sse()


def _lines(start: bytes, content_type: str) -> Framing | str | None:
    """One document over several lines is a whole body in a format that otherwise sends a document a line.

    Where the content type says so, the first line does not wait for the second, nor ask what it is.
    """
    told = content_type.partition(";")[0].strip().lower() in LINES
    first, ended, _ = start.partition(b"\n") if told else (start, b"", b"")
    fits = Lines.fits(first + ended)
    if fits is None and not ended:
        return None
    return WHOLE if fits is False else Lines()
