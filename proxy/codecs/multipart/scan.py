"""Where the parts of a multipart body stand: one pass over the bytes. What a part says is `form`'s.

RFC 2046 §5.1.1, as RFC 7578 uses it for forms. The boundary is the body's first line: codecs see no headers. Whatever
another reader takes for the boundary, the same bytes are scanned; what they could take for another part is refused.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from proxy.codecs import AmbiguousError, DecodeError

_LONGEST_BOUNDARY: Final = 200
"""RFC 2046 §5.1.1 allows 70 characters; some clients make longer ones."""

_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=?-]+")


class Section(NamedTuple):
    """One part: byte offsets of its headers, each line by itself, and of its content."""

    headers: tuple[tuple[int, int], ...]
    start: int
    end: int


def sections(raw: bytes) -> list[Section]:
    """The parts of a body. DecodeError where it is no multipart body, AmbiguousError where readers differ."""
    return list(_sections(raw))


def _sections(raw: bytes) -> Iterator[Section]:
    newline, boundary, position = _first_line(raw)
    delimiter = newline + b"--" + boundary
    while True:
        headers, start = _headers(raw, position, newline)
        # An empty part may lack the line end of its own: the one before the delimiter is then that of the headers.
        end = raw.find(delimiter, start - len(newline))
        if end < 0:
            raise DecodeError(f"a part that never ends, at byte {start}")
        yield Section(headers, min(start, end), end)
        position = end + len(delimiter)
        if raw.startswith(b"--", position):
            if raw[position + 2 :].strip(b"\r\n"):
                raise DecodeError(f"bytes after the last part, at byte {position + 2}")
            return
        position = _line_end(raw, position)


def _first_line(raw: bytes) -> tuple[bytes, bytes, int]:
    """The line ending, the boundary, and where the first part begins."""
    end = raw.find(b"\n", 0, _LONGEST_BOUNDARY + 4)
    if not raw.startswith(b"--") or end < 0:
        raise DecodeError("not a multipart body")
    newline = b"\r\n" if raw[end - 1 : end] == b"\r" else b"\n"
    boundary = raw[2:end].rstrip(b"\r").rstrip(b" \t")
    if not _BOUNDARY.fullmatch(boundary):
        raise DecodeError("not a multipart boundary")
    return newline, boundary, end + 1


def _line_end(raw: bytes, position: int) -> int:
    """The line after a delimiter, of which only white space may be left (§5.1.1, transport padding)."""
    end = raw.find(b"\n", position)
    if end < 0 or raw[position:end].strip(b" \t\r"):
        raise AmbiguousError(f"a line that only begins like the boundary, at byte {position}")
    return end + 1


def _headers(raw: bytes, position: int, newline: bytes) -> tuple[tuple[tuple[int, int], ...], int]:
    """The lines up to the blank one, and where the content begins."""
    lines: list[tuple[int, int]] = []
    while not raw.startswith(newline, position):
        end = raw.find(newline, position)
        if end < 0 or raw.startswith(b"--", position):
            raise DecodeError(f"a part without a blank line after its headers, at byte {position}")
        lines.append((position, end))
        position = end + len(newline)
    return tuple(lines), position + len(newline)
