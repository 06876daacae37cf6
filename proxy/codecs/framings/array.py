"""One JSON array that is delivered element by element (Gemini's `streamGenerateContent` without `alt=sse`).

Framing only: which bytes are an element, and that the array stays one whatever elements leave, change or come in. What
an element says is the codecs' business. No byte is looked at twice, however the array is cut into pieces.
"""

import re
from typing import Final

from proxy.codecs import DecodeError
from proxy.codecs.framings import Event, Frame
from proxy.codecs.trees import BOM, MAX_DEPTH

MAX_ELEMENT: Final = 16 * 1024 * 1024
"""Bytes an element may have, unless the caller says otherwise."""

_BLANK: Final = b" \t\r\n"
_SPACE = re.compile(rb"[ \t\r\n]*+")
# What ends a run of an element's bytes, inside of a string and outside; all before it is passed in one step.
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_OUTSIDE = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_SCALAR = re.compile(rb'[^ \t\r\n,\[\]{}"]*+')
_LEAD = re.compile(rb"([ \t\r\n]*+)(,?)([ \t\r\n]*+)")

# What may come next (RFC 8259 §5).
_OPENING, _FIRST, _ELEMENT, _INSIDE, _AFTER, _CLOSED = range(6)


class Array:
    """The framing of one stream. DecodeError past `max_element` pending bytes, and for what is no array.

    Asked for bytes in the order of the frames, it knows what has left: of the elements that do, each but the first has
    a comma before it.
    """

    keepalive: Final = b"\n"
    """White space, which may stand before and after any of the array's own tokens (RFC 8259 §2)."""

    def __init__(self, max_element: int = MAX_ELEMENT) -> None:
        self._max_element = max_element
        self._buffer = bytearray()
        self._at = 0
        """How much of the buffer was looked at."""
        self._start = 0
        """Where in the buffer the element begins that is being read."""
        self._expects = _OPENING
        self._depth = 0
        self._in_string = False
        self._in_scalar = False
        self._ended = False
        self._opened = False
        """The opening bracket has left."""
        self._written = 0
        """Elements that have left."""

    @property
    def pending(self) -> int:
        """Bytes of the element that is not complete yet, and of the white space before it."""
        return len(self._buffer)

    # reading

    def feed(self, data: bytes) -> list[Frame]:
        """The brackets and elements that `data` completes."""
        self._buffer += data
        frames: list[Frame] = []
        while self._step(frames):
            pass
        if len(self._buffer) > self._max_element or any(len(frame.raw) > self._max_element for frame in frames):
            raise DecodeError(f"an element of more than {self._max_element} bytes")
        return frames

    def finish(self) -> list[Frame]:
        """What follows the array: white space at most."""
        self._ended = True
        if self._expects != _CLOSED:
            raise DecodeError("an array that never closes")
        return [self._comment()] if self._buffer else []

    def _step(self, frames: list[Frame]) -> bool:
        """Read on; False where more bytes are needed."""
        if self._expects == _INSIDE:
            return self._inside(frames)
        if self._expects == _OPENING and self._waits_for_bom():
            return False
        self._at = _end(_SPACE, self._buffer, self._at)
        if self._at == len(self._buffer):
            return False
        return self._token(frames, self._buffer[self._at])

    def _waits_for_bom(self) -> bool:
        """A byte order mark may come first (RFC 8259 §8.1)."""
        if not self._at and self._buffer.startswith(BOM):
            self._at = len(BOM)
        return not self._at and BOM.startswith(self._buffer)

    def _token(self, frames: list[Frame], byte: int) -> bool:
        """One of the array's own tokens, or the first byte of an element."""
        expects = self._expects
        if expects == _OPENING and byte == 0x5B:
            return self._bracket(frames, _FIRST)
        if expects in (_FIRST, _AFTER) and byte == 0x5D:
            return self._bracket(frames, _CLOSED)
        if expects == _AFTER and byte == 0x2C:
            self._expects = _ELEMENT
            self._at += 1
        elif expects in (_FIRST, _ELEMENT) and byte not in b",]}":
            self._begin(byte)
        else:
            raise DecodeError("not a JSON array of documents")
        return True

    def _bracket(self, frames: list[Frame], expects: int) -> bool:
        self._expects = expects
        self._at += 1
        frames.append(self._comment(self._at))
        return True

    def _begin(self, byte: int) -> None:
        self._expects = _INSIDE
        self._start = self._at
        self._in_string = byte == 0x22
        self._in_scalar = byte not in b'"[{'
        self._at += 1 if self._in_string else 0

    def _inside(self, frames: list[Frame]) -> bool:
        """Read on in an element."""
        run = _SCALAR if self._in_scalar else _IN_STRING if self._in_string else _OUTSIDE
        self._at = _end(run, self._buffer, self._at)
        if self._at == len(self._buffer) or (self._in_string and self._buffer[self._at] != 0x22):
            return False  # the piece ends here, or with the first half of an escape
        if self._in_scalar:
            self._complete(frames)
            return True
        self._mark(self._buffer[self._at])
        self._at += 1
        if not self._depth and not self._in_string:
            self._complete(frames)
        return True

    def _mark(self, byte: int) -> None:
        """A quotation mark or a bracket."""
        if byte == 0x22:
            self._in_string = not self._in_string
            return
        self._depth += 1 if byte in b"[{" else -1
        if self._depth > MAX_DEPTH:
            raise DecodeError(f"nested deeper than {MAX_DEPTH} levels")

    def _complete(self, frames: list[Frame]) -> None:
        raw = bytes(self._buffer[: self._at])
        frames.append(Frame(raw, None, raw[self._start :]))
        self._shift(self._at)
        self._expects = _AFTER

    def _comment(self, upto: int | None = None) -> Frame:
        """A bracket with the white space before it, or the white space at the end."""
        raw = bytes(self._buffer[:upto])
        self._shift(len(raw))
        return Frame(raw, None, b"", is_comment=True)

    def _shift(self, length: int) -> None:
        del self._buffer[:length]  # moves the beginning, not the bytes
        self._at = self._start = 0

    def is_end(self, frame: Frame) -> bool:
        """No element only says that the stream ends."""
        return False

    def is_whole(self, frame: Frame) -> bool:
        """An element is one only when it is complete."""
        return True

    def outside(self, frame: Frame) -> bytes:
        """Before an element stand a comma and white space, nothing else."""
        return b""

    # writing

    def unchanged(self, frame: Frame) -> bytes:
        """The element, with a comma before it only where another has left."""
        if frame.is_comment:
            self._opened |= frame.raw.endswith(b"[")
            return frame.raw
        return self._joined(frame.raw[: len(frame.raw) - len(frame.data)], frame.data)

    def with_data(self, frame: Frame, data: bytes) -> bytes:
        """See `unchanged`."""
        return self._joined(frame.raw[: len(frame.raw) - len(frame.data)], data)

    def encode(self, event: Event) -> bytes:
        """A new element.

        Where nothing of the array has left and nothing more will come, the element is the whole answer: the brackets
        come with it.
        """
        if self._opened:
            return self._joined(b"\n", event.data)
        self._opened = True
        element = self._joined(b"", event.data)
        return b"[" + element + (b"]" if self._ended else b"")

    def dropped(self, frame: Frame) -> bytes:
        """Its comma goes with it."""
        return b""

    def _joined(self, lead: bytes, data: bytes) -> bytes:
        before, comma, after = _LEAD.match(lead).groups()  # type: ignore[union-attr]  # matches anything
        needed = b"," if self._written else b""
        self._written += 1
        if comma != needed:
            lead = before + needed + after if comma else needed + before + after
        return lead + data


def _end(run: re.Pattern[bytes], buffer: bytearray, position: int) -> int:
    match = run.match(buffer, position)
    return match.end() if match else position
