"""Injected instructions in a tool's result: signals weighed passage by passage. The signals themselves are data.

A passage is a paragraph, or eight lines of one. Signals of different groups in one passage combine as
1 - Π(1 - weight); naming a tool that this very request offers adds to it, and text that no person can see is found by
itself. What is found goes from the first telling sentence to the end of its line, so that `strip` can take it out.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Final

from proxy.decision import Finding
from proxy.detectors.matcher import Matcher
from proxy.detectors.rules import Signal, signals
from proxy.detectors.windows import clean

_PASSAGE: Final = re.compile(r"[^\n]+(?:\n(?![ \t]*\n)[^\n]+){0,7}")
"""Up to eight lines without a blank one between them."""
_STOP: Final = re.compile(r"[.!?:][)\"']?[ \t]+|\n")
"""Where a sentence ends and another begins, a line end included."""
_LONGEST: Final = 1500
"""A passage of more characters is weighed in pieces of this length: minified pages have no lines."""
_INVISIBLE: Final = re.compile("[\U000e0020-\U000e007e]{4,}|[\u200b-\u200f\u2060-\u2064\ufeff]{6,}")
"""Tag characters and runs of zero-width ones: nobody sees them, models read them (Unicode §23.9)."""
_TOOL_WEIGHT: Final = 0.4
_INVISIBLE_SCORE: Final = 0.95
_SHORTEST_TOOL: Final = 4


class Injections:
    """The compiled signals. Immutable after construction."""

    def __init__(self, threshold: float, cache_dir: Path | None) -> None:
        self._threshold = threshold
        self._signals = signals()
        self._matcher = Matcher([(signal.pattern, True) for signal in self._signals], cache_dir, once=True)
        told = f"{threshold} " + " ".join(signal.model_dump_json() for signal in self._signals)
        self.revision = blake2b(told.encode(), digest_size=8).hexdigest()

    def scan(self, text: str, tool_names: Collection[str]) -> tuple[Finding, ...]:
        """Passages at or above the threshold, sorted."""
        text = clean(text)
        found = [
            Finding("injection", "hidden_text", "invisible-characters", *match.span(), _INVISIBLE_SCORE)
            for match in (() if text.isascii() else _INVISIBLE.finditer(text))
        ]
        wanted = {self._signals[index] for index, _ in self._matcher.hits(text)}
        if wanted:
            tools = _tools(tool_names)
            for start, end in _passages(text):
                found += self._weigh(text, start, end, wanted, tools)
        return tuple(sorted(found))

    def _weigh(
        self, text: str, start: int, end: int, wanted: set[Signal], tools: re.Pattern[str] | None
    ) -> list[Finding]:
        hits = [(signal, match) for signal in wanted if (match := signal.exact.search(text, start, end))]
        if not hits:
            return []
        named = tools is not None and tools.search(text, start, end) is not None
        score = _score((signal for signal, _ in hits), named=named)
        if score < self._threshold:
            return []
        first = min(match.start() for _, match in hits)
        last = max(match.end() for _, match in hits)
        strongest = max((signal for signal, _ in hits), key=lambda signal: (signal.weight, signal.id))
        found = _orders(text, start, end, first, last)
        return [Finding("injection", strongest.group, strongest.id, *found, score)]


def _score(hits: Iterable[Signal], *, named: bool) -> float:
    """How surely a passage with these signals gives orders; of each group the strongest counts."""
    heaviest: dict[str, float] = {}
    for signal in hits:
        heaviest[signal.group] = max(signal.weight, heaviest.get(signal.group, 0.0))
    rest = prod(1 - weight for weight in heaviest.values())
    return round(1 - rest * (1 - _TOOL_WEIGHT if named else 1), 4)


def _orders(text: str, start: int, end: int, first: int, last: int) -> tuple[int, int]:
    """From the sentence of the first signal to the end of the line of the last: an order goes on after its signal."""
    begin = start
    for stop in _STOP.finditer(text, start, first):
        begin = stop.end()
    line = text.find("\n", last, end)
    return begin, end if line < 0 else line


def _passages(text: str) -> Iterator[tuple[int, int]]:
    for match in _PASSAGE.finditer(text):
        start, end = match.span()
        while end - start > _LONGEST:
            cut = text.rfind(" ", start + 1, start + _LONGEST) + 1 or start + _LONGEST
            yield start, cut
            start = cut
        yield start, end


def _tools(names: Collection[str]) -> re.Pattern[str] | None:
    """The offered tools' names as whole words; very short ones say nothing."""
    telling = sorted(name for name in names if len(name) >= _SHORTEST_TOOL)
    if not telling:
        return None
    return re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, telling)) + r")(?![\w-])", re.IGNORECASE)
