"""Server-sent events (WHATWG HTML §9.2): framing only. What an event says is the codecs' business.

Every byte of a stream is in exactly one event's `raw`, so that writing them in order gives the stream back.
"""

import re
from collections.abc import Iterator
from typing import Final

from proxy.codecs import DecodeError
from proxy.codecs.framings import Event, Frame

KEEPALIVE = b": keep-alive\n\n"
"""A comment: every reader skips it (§9.2.7 recommends one every 15 seconds or so)."""

DONE = b"[DONE]"
"""Data that ends an OpenAI-style stream. Not JSON."""

MAX_EVENT = 16 * 1024 * 1024
"""Bytes an event may have, unless the caller says otherwise."""

_BOM = b"\xef\xbb\xbf"


# The usual two forms in one match; everything else goes the exact way.
_PLAIN = re.compile(rb"(?:event: ?([^\r\n]*+)\n)?data: ?([^\r\n]*+)\n\n")
# Atomic: the LF of a CRLF is never taken for a second line end.
_BLANK = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
# Only these three end a line (§9.2.5); U+2028 and its kind are text, so never str.splitlines.
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Sse:
    """The framing of one stream. DecodeError past `max_event` pending bytes."""

    keepalive: Final = KEEPALIVE

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._max_event = max_event
        self._begun = False
        self._after_cr = False

    @property
    def pending(self) -> int:
        """Bytes of the event that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The events that `data` completes."""
        if not data:
            return []
        events: list[Frame] = []
        most = len(self._buffer) + len(data)
        if self._after_cr:
            data = self._late_line_feed(data, events)
        if self._buffer:
            self._extend(data, events)
        else:
            self._read(data, events)
        if most > self._max_event and self._exceeded(events):
            raise DecodeError(f"an event of more than {self._max_event} bytes")
        return events

    def _exceeded(self, events: list[Frame]) -> bool:
        return len(self._buffer) > self._max_event or any(len(event.raw) > self._max_event for event in events)

    def finish(self) -> list[Frame]:
        """What is left at the end of the stream, as an event: readers differ on whether it counts."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return [self._event(rest)] if rest else []

    def _late_line_feed(self, data: bytes, events: list[Frame]) -> bytes:
        # An event ended with CR at the end of a piece and was not held back for the LF that may belong to it.
        self._after_cr = False
        if not data.startswith(b"\n"):
            return data
        events.append(Frame(b"\n", None, b"", is_comment=True))
        return data[1:]

    def _extend(self, data: bytes, events: list[Frame]) -> None:
        buffer = self._buffer
        buffer += data
        blank = _BLANK.search(buffer, self._searched)
        if blank is None:
            self._searched = max(0, len(buffer) - 3)
            return
        whole = bytes(buffer)
        buffer.clear()
        self._searched = 0
        self._read(whole, events)

    def _read(self, data: bytes, events: list[Frame]) -> None:
        plain, blank = _PLAIN.match, _BLANK.search
        position = 0
        while True:
            if match := plain(data, position):
                self._begun = True
                name, payload = match.groups()
                events.append(Frame(match.group(), name.decode(errors="replace") if name else None, payload))
            elif match := blank(data, position):
                events.append(self._event(data[position : match.end()]))
            else:
                break
            position = match.end()
        if position < len(data):
            self._buffer += data[position:]
            self._searched = max(0, len(self._buffer) - 3)
        else:
            self._after_cr = data.endswith(b"\r")

    def _event(self, raw: bytes) -> Frame:
        content = raw
        if not self._begun:
            self._begun = True
            content = raw.removeprefix(_BOM)
        name: str | None = None
        data: list[bytes] = []
        for field, value in _fields(content):
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value.decode(errors="replace")
        return Frame(raw, name, b"\n".join(data), is_comment=not data)

    def is_end(self, frame: Frame) -> bool:
        """See `Framing`."""
        return frame.data == DONE

    def is_whole(self, frame: Frame) -> bool:
        """See `Framing`."""
        return is_whole(frame)

    def outside(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return outside(frame)

    def unchanged(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return frame.raw

    def with_data(self, frame: Frame, data: bytes) -> bytes:
        """See `Framing`."""
        return with_data(frame, data)

    def encode(self, event: Event) -> bytes:
        """See `Framing`."""
        return encode(event.name, event.data)

    def dropped(self, frame: Frame) -> bytes:
        """See `Framing`."""
        return b""


def _fields(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in _LINE_END.split(content):
        field, _, value = line.partition(b":")
        yield field, value.removeprefix(b" ")


_NAME = re.compile(r"[a-z_.-]{1,64}")
_FRAMING = len(b"data: \n\n")
_NAMED = len(b"event: \n") + _FRAMING


def outside(event: Frame) -> bytes:
    """The lines of an event that are not its data: comments, ids, unknown fields. b"" for plain framing."""
    extra = len(event.raw) - len(event.data)
    if extra <= _FRAMING:
        return b""
    if event.name is not None and extra <= _NAMED + len(event.name) and _NAME.fullmatch(event.name):
        return b""
    return b"\n".join(line for line in _LINE_END.split(event.raw) if not line.startswith(b"data"))


def is_whole(event: Frame) -> bool:
    """Whether a blank line ends it: readers drop what the end of the stream cuts off (WHATWG HTML §9.2.6)."""
    return event.raw.endswith((b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"))


def encode(name: str | None, data: bytes) -> bytes:
    """A new event. `data` may have several lines."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"".join(b"data: " + line + b"\n" for line in _LINE_END.split(data)) + b"\n"


_DATA_LINE = re.compile(rb"(?:(?<=[\r\n])|\A)(?:\xef\xbb\xbf)?(data(?:: ?|(?=[\r\n]|\Z)))([^\r\n]*)(\r\n|\n|\r|\Z)")


def with_data(event: Frame, data: bytes) -> bytes:
    """The event's bytes with other data; other fields, line ends, and the blanks after the data (padding) stay.

    `data` is `event.data` as spliced: it has the same number of lines, or else is written as one line, its line ends
    (white space between JSON tokens) as spaces.
    """
    lines = list(_DATA_LINE.finditer(event.raw))
    fresh = _LINE_END.split(data)
    if len(fresh) != len(lines):
        fresh = [b" ".join(fresh)]
    pieces: list[bytes] = []
    done = 0
    for index, line in enumerate(lines):
        if index >= len(fresh):  # one line now: the others go
            pieces.append(event.raw[done : line.start(1)])
            done = line.end()
            continue
        text = line[2]
        padding = text[len(text.rstrip(b" \t")) :]
        lead = line[1] if b":" in line[1] or not fresh[index] else b"data: "
        pieces += (event.raw[done : line.start(1)], lead, fresh[index].rstrip(b" \t"), padding)
        done = line.end(2)
    pieces.append(event.raw[done:])
    return b"".join(pieces)
