"""A multipart body as a tree. Where its parts stand is `scan`'s, changing them `edit`'s.

`Form({"parts": [{"name", "filename", "type", "headers", and one of "text", "json", "lines", "sealed"}]})`: `json` is a
content that is a JSON object or array; `lines` one whose lines are JSON (batches, fine-tuning), other lines strings;
`sealed` the length of one that is no text. Bodies that are JSON themselves are read as such: some paths take either.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from proxy.codecs import AmbiguousError, DecodeError, Json, Path, trees
from proxy.codecs.multipart.scan import Section, sections

type Span = tuple[int, int]

_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*")
_PARAMETER: Final = re.compile(
    rb'[ \t]*;[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^\s;"]+))'
)
_DISPOSITION: Final = re.compile(rb"(?:form-data|attachment|inline|file)[ \t]*", re.IGNORECASE)
_PLAIN: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})

SDP: Final = "application/sdp"
"""A session description (RFC 8866): machines' words."""


class Form(dict[str, Json]):
    """A multipart body, told from a JSON object that looks the same."""


class Part(NamedTuple):
    """One part, and where what it says stands."""

    members: dict[str, Json]
    spans: dict[Path, Span]
    """By path inside the part; JSON documents as a whole."""
    length: Span | None
    """The digits of a `Content-Length` of its own."""


def parse(raw: bytes) -> Json:
    """The form in `raw`, or the JSON document. DecodeError for anything else."""
    if is_json(raw):
        return trees.parse(raw)
    return Form(parts=[read_part(raw, section).members for section in sections(raw)])


def parse_upload(raw: bytes) -> Json:
    """As `parse`; what is neither is a file by itself, of one part without a name."""
    if is_json(raw) or is_form(raw):
        return parse(raw)
    read = read_part(raw, _whole(raw))
    kind = {"type": SDP} if raw.startswith(b"v=0") else {}
    return Form(parts=[kind | read.members])


def sections_of(raw: bytes) -> list[Section]:
    """Where the parts of an upload stand."""
    return sections(raw) if is_form(raw) else [_whole(raw)]


def _whole(raw: bytes) -> Section:
    return Section((), 0, len(raw))


def is_form(raw: bytes) -> bool:
    """Whether it begins as a multipart body does."""
    return raw.startswith(b"--")


def is_json(raw: bytes) -> bool:
    """Whether it begins as a JSON object or array does."""
    return raw[:64].removeprefix(trees.BOM).lstrip(b" \t\r\n").startswith((b"{", b"["))


def read_part(raw: bytes, section: Section) -> Part:
    """What one part says."""
    read = Part({}, {}, None)
    others: list[str] = []
    for start, end in section.headers:
        read = _header(raw, start, end, read, section.end - section.start, others)
    if others:
        read.members["headers"] = others
    read.members.update(_content(raw[section.start : section.end], section.start, read.spans))
    return read


def _header(raw: bytes, start: int, end: int, read: Part, size: int, others: list[str]) -> Part:
    match = _HEADER.match(raw, start, end)
    name, inner = (match[1].lower(), match.end()) if match else (b"", start)
    value = raw[inner:end].strip()
    if name == b"content-disposition":
        _disposition(raw, inner, end, read, others)
    elif name == b"content-type":
        _member(raw, "type", (inner, end), read)
    elif name == b"content-length" and value == b"%d" % size:
        return read._replace(length=(inner, end))
    elif name == b"content-transfer-encoding" and value.lower() not in _PLAIN:
        raise DecodeError(f"a part in a transfer encoding, at byte {start}")  # RFC 7578 §4.7: deprecated
    else:
        _other(raw, (start, end), read, others)
    return read


def _member(raw: bytes, name: str, span: Span, read: Part) -> None:
    if name in read.members:
        raise AmbiguousError(f"a part with two of a header, at byte {span[0]}")
    read.members[name], read.spans[name,] = _text(raw, span), span


def _other(raw: bytes, span: Span, read: Part, others: list[str]) -> None:
    read.spans["headers", len(others)] = span
    others.append(_text(raw, span))


def _disposition(raw: bytes, start: int, end: int, read: Part, others: list[str]) -> None:
    """The parameters of a `Content-Disposition`: names under their own, others as if they were headers."""
    kind = _DISPOSITION.match(raw, start, end)
    if kind is None:
        raise DecodeError(f"not a Content-Disposition, at byte {start}")
    position = kind.end()
    while position < end:
        parameter = _PARAMETER.match(raw, position, end)
        if parameter is None:
            if raw[position:end].strip(b" \t;"):
                raise DecodeError(f"not a Content-Disposition, at byte {position}")
            return
        name = parameter[1].lower()
        if name in (b"name", b"filename"):
            _member(raw, name.decode(), parameter.span(2 if parameter[2] is not None else 3), read)
        else:
            _other(raw, (parameter.start(1), parameter.end()), read, others)
        position = parameter.end()


def _text(raw: bytes, span: Span) -> str:
    try:
        return raw[span[0] : span[1]].decode()
    except UnicodeDecodeError:
        raise DecodeError(f"a header that is not UTF-8, at byte {span[0]}") from None


def _content(content: bytes, start: int, spans: dict[Path, Span]) -> Mapping[str, Json]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return {"sealed": len(content)}
    if "\0" in text:
        return {"sealed": len(content)}
    if is_json(content):
        documents = _documents(content, start, spans)
        if documents is not None:
            return documents
    spans["text",] = (start, start + len(content))
    return {"text": text}


def _documents(content: bytes, start: int, spans: dict[Path, Span]) -> Mapping[str, Json] | None:
    """A content that is JSON, or whose lines are; None for any other."""
    document = document_of(content)
    if document is not None:
        spans["json",] = (start, start + len(content))
        return {"json": document}
    lines: list[Json] = []
    for begin, end in _lines(content):
        document = document_of(content[begin:end])
        if document is None and not lines:
            return None
        spans["lines", len(lines)] = (start + begin, start + end)
        lines.append(content[begin:end].decode() if document is None else document)
    return {"lines": lines}


def document_of(raw: bytes) -> Json | None:
    """A JSON object or array; None for anything else."""
    try:
        document = trees.parse(raw)
    except AmbiguousError:
        raise
    except DecodeError:
        return None
    return document if isinstance(document, dict | list) else None


def _lines(content: bytes) -> Iterator[Span]:
    """Lines that are not blank, without their ends."""
    begin = 0
    while begin < len(content):
        end = content.find(b"\n", begin)
        end = len(content) if end < 0 else end
        if content[begin:end].strip():
            yield begin, end
        begin = end + 1
