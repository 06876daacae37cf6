"""Documents by the line (NDJSON, JSON lines): framing only. What a line says is the codecs' business.

Ollama and Cohere v1 stream so: one JSON document a line, ended by LF or CRLF. Readers differ on blank lines (Cohere's
SDK skips them, ollama-python fails on them), so none is ever written, and one that came is passed on as it came.
"""

import re
from typing import Final

import orjson

from proxy.codecs import DecodeError
from proxy.codecs.framings import Event, Frame

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes a line may have, unless the caller says otherwise."""

MAX_FIRST: Final = 1024 * 1024
"""Bytes within which a stream's first line has ended. What goes on longer is one document."""

_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"

# Only LF ends a line here; but readers built on Python's str.splitlines (httpx's iter_lines, and so ollama-python) also
# break at these, which in JSON can only stand inside a string.
_SEPARATOR: Final = re.compile(rb"\xe2\x80[\xa8\xa9]|\xc2\x85")
_ESCAPES: Final = {b"\xe2\x80\xa8": b"\\u2028", b"\xe2\x80\xa9": b"\\u2029", b"\xc2\x85": b"\\u0085"}


class Lines:
    """The framing of one stream. DecodeError past `max_line` pending bytes."""

    keepalive: Final = b" "
    """White space before the next line's document (RFC 8259 §2), which every JSON reader skips; a blank line is not."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._pieces: list[bytes] = []
        self._pending = 0
        self._max_line = max_line
        self._begun = False

    @staticmethod
    def fits(head: bytes) -> bool | None:
        """Whether a body that begins with `head` is framed so; None where more bytes must be seen.

        A document on a line of its own may still be all there is: only what follows it tells. One that is written
        over several lines has a first line that is no document.
        """
        first, ended, rest = head.removeprefix(_BOM).lstrip(_BLANK).partition(b"\n")
        if len(first) > MAX_FIRST or (not ended and first[:1] not in (b"", b"{")):
            return False
        if not ended:
            return None
        if not _is_object(first):
            return False
        following = rest.lstrip(_BLANK)
        return following[:1] == b"{" if following else None

    @property
    def pending(self) -> int:
        """Bytes of the line that is not complete yet."""
        return self._pending

    def feed(self, data: bytes) -> list[Frame]:
        """The lines that `data` completes."""
        *lines, rest = data.split(b"\n")
        frames: list[Frame] = []
        for line in lines:
            self._pieces.append(line + b"\n")
            frames.append(self._frame())
        if rest:
            self._pieces.append(rest)
            self._pending += len(rest)
        if self._pending > self._max_line or any(len(frame.raw) > self._max_line for frame in frames):
            raise DecodeError(f"a line of more than {self._max_line} bytes")
        return frames

    def finish(self) -> list[Frame]:
        """A last line that nothing ends: every reader takes it for one."""
        return [self._frame()] if self._pieces else []

    def _frame(self) -> Frame:
        raw = b"".join(self._pieces)
        self._pieces.clear()
        self._pending = 0
        content = raw
        if not self._begun and raw.strip(_BLANK):
            self._begun = True
            content = raw.removeprefix(_BOM)
        data = content.strip(_BLANK)
        return Frame(raw, None, data, is_comment=not data)

    def is_end(self, frame: Frame) -> bool:
        """No line only says that the stream ends."""
        return False

    def is_whole(self, frame: Frame) -> bool:
        """Readers need no line end to take a line for a document."""
        return True

    def outside(self, frame: Frame) -> bytes:
        """A line is all document."""
        return b""

    def unchanged(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return frame.raw

    def with_data(self, frame: Frame, data: bytes) -> bytes:
        """The line with another document; its end and the blanks around it stay."""
        start = frame.raw.index(frame.data)
        if not _SEPARATOR.search(frame.data):  # else its reader copes with them, and what was not edited stays
            data = _one_line(data)
        return frame.raw[:start] + data + frame.raw[start + len(frame.data) :]

    def encode(self, event: Event) -> bytes:
        """A new line."""
        return _one_line(event.data) + b"\n"

    def dropped(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return b""


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _one_line(data: bytes) -> bytes:
    """A document without anything that a reader could take for the end of its line."""
    return _SEPARATOR.sub(lambda match: _ESCAPES[match.group()], data)
