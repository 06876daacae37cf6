"""The exact half of a scan: rules over windows. One window is one segment and a fixed stretch of text before it.

A finding depends on nothing but its window (and on whether a private key is still open before it), never on how
segments were batched: that is what makes every chunking find alike. No Hyperscan and no state lives here.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from proxy.decision import Finding
from proxy.detectors.rules import Rule
from proxy.detectors.segment import PEM_END

CONTEXT = 96
"""Characters before a segment that a rule may see: the keyword before its value."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_OURS = re.compile(r"\[REDACTED[^\]\s]{0,80}\]|PII\\?_[a-z_\\]{1,40}_[a-z2-7]{10}", re.IGNORECASE)


def clean(text: str) -> str:
    """The text with lone surrogates (JSON can carry them, UTF-8 cannot) replaced one for one, so offsets stay."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


class Window(NamedTuple):
    """`text[start:]` is the segment, what comes before is its context; `offset` is where `text` begins in the whole."""

    text: str
    start: int
    offset: int

    @classmethod
    def of(cls, text: str, start: int, end: int, offset: int = 0) -> "Window":
        """The window of segment [start, end) of a text that itself begins at `offset` of the whole."""
        begin = max(0, start - CONTEXT)
        return cls(text[begin:end], start - begin, offset + begin)


class Ruled(NamedTuple):
    """A rule and the class it belongs to."""

    cls: str
    rule: Rule


def look(window: Window, rules: Iterable[Ruled], pem_open: bool) -> tuple[list[Finding], bool]:
    """Findings in one segment, sorted, absolute; and whether a private key is still open at its end."""
    found: list[Finding] = []
    if pem_open:
        pem_open = _still_open(window, found)
    for cls, rule in rules:
        for match in rule.exact.finditer(window.text, 0 if rule.context else window.start):
            start, end = match.span(rule.group)
            if end <= window.start or start == end:
                continue
            if rule.extend == "pem":
                end, pem_open = _pem_end(window.text, end)
            score = rule.score(match.group(rule.group))
            if score is not None and not (cls != "pseudonym" and _touches_ours(window.text, start, end)):
                begin = max(start, window.start)
                found.append(Finding(cls, rule.kind, rule.id, window.offset + begin, window.offset + end, score))
    return _longest(found), pem_open


def _pem_end(text: str, start: int) -> tuple[int, bool]:
    """Where a private key ends: after its END, or with the segment and still open."""
    end = PEM_END.search(text, start)
    return (end.end(), False) if end else (len(text), True)


def _still_open(window: Window, found: list[Finding]) -> bool:
    """A block longer than its cap: all of the segment is key, up to the END."""
    end, pem_open = _pem_end(window.text, window.start)
    found.append(Finding("secret", "private_key", "private-key", window.offset + window.start, window.offset + end))
    return pem_open


def _touches_ours(text: str, start: int, end: int) -> bool:
    """Whether the span overlaps a placeholder or a redaction mark of ours."""
    return any(mark.start() < end and start < mark.end() for mark in _OURS.finditer(text))


def _longest(found: Sequence[Finding]) -> list[Finding]:
    """Of findings of one class that overlap the longest stays (the surer, then the first, among equals); sorted."""
    if len(found) < 2:
        return list(found)
    kept: list[Finding] = []
    for one in sorted(found, key=lambda f: (f.start - f.end, -f.score, f.start, f.rule)):
        if all(one.cls != other.cls or one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda f: (f.start, f.end, f.cls))
