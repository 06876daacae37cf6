"""One scan, whole or in pieces: prefilter, segments, windows. `Detectors` and `TextStream` are its two faces.

No rule data and no policy lives here.
"""

from bisect import bisect_left
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

from proxy.decision import Finding
from proxy.detectors.matcher import Matcher
from proxy.detectors.segment import around, cuts
from proxy.detectors.windows import Ruled, Window, clean, look


class Scanner:
    """The compiled rules of classes secret, pii and pseudonym. Immutable after construction."""

    def __init__(self, ruled: Sequence[Ruled], cache_dir: Path | None) -> None:
        self._ruled = tuple(ruled)
        patterns = [(rule.pattern, rule.ignore_case) for _, rule in ruled]
        self._matcher = Matcher(patterns, cache_dir) if patterns else None
        self._wanted: dict[frozenset[str], frozenset[int]] = {}

    def wanted(self, classes: frozenset[str]) -> frozenset[int]:
        """Indexes of the rules of these classes, remembered: few sets of classes ever occur."""
        if (found := self._wanted.get(classes)) is None:
            found = frozenset(i for i, (cls, _) in enumerate(self._ruled) if cls in classes)
            self._wanted[classes] = found
        return found

    def whole(self, text: str, classes: frozenset[str]) -> tuple[Finding, ...]:
        """All findings of a complete text. A text without a hit is not even cut."""
        text = clean(text)
        hits = self._hits(text, self.wanted(classes))
        if not hits:
            return ()
        if "-----BEGIN" in text:
            return tuple(self._walk(text, 0, cuts(text, 0, True), hits, False, 0)[0])
        return tuple(self._nearby(text, sorted(hits, key=itemgetter(1))))

    def decided(
        self, text: str, start: int, ends: list[int], wanted: frozenset[int], pem_open: bool, offset: int
    ) -> tuple[list[Finding], bool]:
        """Findings in the segments of `text[start:]` that end at `ends`, absolute by `offset`; is a key still open?"""
        hits = self._hits(text[: ends[-1]], wanted)
        if not hits and not pem_open:
            return [], False
        return self._walk(text, start, ends, hits, pem_open, offset)

    def _hits(self, text: str, wanted: frozenset[int]) -> list[tuple[int, int]]:
        if self._matcher is None:
            return []
        return [hit for hit in self._matcher.hits(text) if hit[0] in wanted]

    def _nearby(self, text: str, hits: list[tuple[int, int]]) -> list[Finding]:
        """Findings of a whole text without a PEM header: only the segments that hits end in are looked for."""
        marked: dict[tuple[int, int], set[int]] = {}
        segment = (0, 0)
        for rule, end in hits:
            if end > segment[1]:
                segment = around(text, end, segment[1])
            marked.setdefault(segment, set()).add(rule)
        found: list[Finding] = []
        for (start, end), some in marked.items():
            ruled = [self._ruled[rule] for rule in sorted(some)]
            found += look(Window.of(text, start, end), ruled, False)[0]
        return found

    def _walk(
        self, text: str, start: int, ends: list[int], hits: list[tuple[int, int]], pem_open: bool, offset: int
    ) -> tuple[list[Finding], bool]:
        marked: dict[int, set[int]] = {}
        for rule, end in hits:
            if end > start:
                marked.setdefault(bisect_left(ends, end), set()).add(rule)
        found: list[Finding] = []
        for index, end in enumerate(ends):
            if pem_open or index in marked:
                window = Window.of(text, ends[index - 1] if index else start, end, offset)
                ruled = [self._ruled[rule] for rule in sorted(marked.get(index, ()))]
                some, pem_open = look(window, ruled, pem_open)
                found += some
        return found, pem_open
