"""Where values stand in the raw bytes of a document.

The exact way, by one pass of a tokenizer over the bytes, and only when something is edited or looked for: what nobody
asked for is skipped unparsed. Nothing is changed here (`splice`), and nothing here knows a provider's field.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from proxy.codecs import DecodeError, Key, Path
from proxy.codecs.trees import BOM

type Span = tuple[int, int]
"""Byte offsets [start, end)."""

# Possessive, so that neither a long string nor one that never ends costs more than one pass.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(rb"[ \t\n\r]*+(" + _STRING + rb'|[{}\[\],:]|[^ \t\n\r{}\[\],:"]++)', re.DOTALL)
_BRACKET = re.compile(_STRING + rb"|([\[{])|[\]}]", re.DOTALL)


@dataclass(slots=True)
class Wanted:
    """A place somebody asked for, and what was found there."""

    inner: dict[str | int | Key, "Wanted"] = field(default_factory=dict)
    span: Span | None = None
    children: list[Span] = field(default_factory=list)
    """Members (name included) or elements, in order."""
    order: dict[str | int, int] = field(default_factory=dict)
    """Which child a member name or index is."""

    def at(self, path: Path) -> "Wanted":
        """The place at `path`, which was among those asked for."""
        node = self
        for step in path:
            node = node.inner[step]
        return node

    def found(self, path: Path) -> Span:
        """The span of the place at `path`. LookupError where the document has none."""
        span = self.at(path).span
        if span is None:
            raise LookupError(f"no value at depth {len(path)} of the document")
        return span


def locate(raw: bytes, paths: Collection[Path]) -> dict[Path, Span]:
    """Byte spans of the values at `paths` (quotes included; for a `Key` at the end, of the member's name).

    `raw` is a document that `parse` accepted. LookupError for a path that is not in it.
    """
    root = survey(raw, paths)
    return {path: root.found(path) for path in paths}


def survey(raw: bytes, paths: Collection[Path]) -> Wanted:
    """What stands at `paths`; the same document as for `locate`."""
    root = _plant(paths)
    _value(raw, 3 if raw.startswith(BOM) else 0, root)
    return root


def _plant(paths: Collection[Path]) -> Wanted:
    root = Wanted()
    for path in paths:
        node = root
        for step in path:
            node = node.inner.setdefault(step, Wanted())
    return root


def _next(raw: bytes, position: int) -> tuple[int, int, int]:
    """Start, end and first byte of the next token."""
    match = _TOKEN.match(raw, position)
    if match is None:
        raise DecodeError(f"not JSON at byte {position}")
    start, end = match.span(1)
    return start, end, raw[start]


def _value(raw: bytes, position: int, node: Wanted | None) -> Span:
    start, end, first = _next(raw, position)
    if first in b"{[":
        if node is None:
            end = _skip(raw, start)
        else:
            end = _members(raw, end, node) if first == 0x7B else _elements(raw, end, node)
    if node is not None:
        node.span = (start, end)
    return start, end


def _skip(raw: bytes, start: int) -> int:
    depth = 0
    for match in _BRACKET.finditer(raw, start):
        if raw[match.start()] == 0x22:
            continue
        depth += 1 if match.group(1) else -1
        if not depth:
            return match.end()
    raise DecodeError(f"an array or object that never ends, at byte {start}")


def _members(raw: bytes, position: int, node: Wanted) -> int:
    while True:
        start, end, first = _next(raw, position)
        if first == 0x7D:
            return end
        if first == 0x2C:
            position = end
            continue
        name = json.loads(raw[start:end])
        key = node.inner.get(Key(name)) if node.inner else None
        if key is not None:
            key.span = (start, end)
        _, colon, _ = _next(raw, end)
        _, position = _value(raw, colon, node.inner.get(name))
        node.order[name] = len(node.children)
        node.children.append((start, position))


def _elements(raw: bytes, position: int, node: Wanted) -> int:
    while True:
        start, end, first = _next(raw, position)
        if first == 0x5D:
            return end
        if first == 0x2C:
            position = end
            continue
        index = len(node.children)
        span = _value(raw, start, node.inner.get(index))
        node.order[index] = index
        node.children.append(span)
        position = span[1]
