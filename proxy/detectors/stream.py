"""A text that comes in pieces: the same findings as of the whole, as soon as each is decided.

Holds only the undecided end of the text and the context before it. No rules live here.
"""

from proxy.decision import Finding
from proxy.detectors.scanner import Scanner
from proxy.detectors.segment import SPACE, cuts
from proxy.detectors.windows import CONTEXT, clean

_SHORT = 512
"""No segment without white space is decided below this many characters (see segment.py, soft cut)."""


class TextStream:
    """One growing text. Feed it in order, then finish it once; offsets are characters from its beginning."""

    def __init__(self, scanner: Scanner, classes: frozenset[str]) -> None:
        self._scanner = scanner
        self._wanted = scanner.wanted(classes)
        self._text = ""
        self._start = 0
        self._offset = 0
        self._spaced = False
        self._next_try = 0
        self._pem_open = False

    @property
    def decided(self) -> int:
        """Everything before this offset may leave; what follows waits."""
        return self._offset + self._start

    @property
    def pending(self) -> str:
        """The text that is not yet decided. For the tests of what is held back, and for nothing that logs."""
        return self._text[self._start :]

    def feed(self, text: str) -> tuple[int, list[Finding]]:
        """Add `text`; the offset up to which everything is now decided, and the findings decided just now."""
        text = clean(text)
        self._text += text
        self._spaced = self._spaced or SPACE.search(text) is not None
        held = len(self._text) - self._start
        if held < self._next_try or not (self._spaced or held >= _SHORT):
            return self.decided, []
        return self._cut(final=False)

    def finish(self) -> tuple[int, list[Finding]]:
        """The text is complete: decide the rest."""
        return self._cut(final=True)

    def _cut(self, *, final: bool) -> tuple[int, list[Finding]]:
        ends = cuts(self._text, self._start, final)
        if not ends:
            self._wait()
            return self.decided, []
        found, self._pem_open = self._scanner.decided(
            self._text, self._start, ends, self._wanted, self._pem_open, self._offset
        )
        self._forget(ends[-1])
        return self.decided, found

    def _wait(self) -> None:
        """Look at a long pending text again when it has grown by an eighth: linear work for any size of pieces."""
        held = len(self._text) - self._start
        self._next_try = held + held // 8 if held > _SHORT // 2 else 0

    def _forget(self, cut: int) -> None:
        begin = max(0, cut - CONTEXT)
        self._text, self._start, self._offset = self._text[begin:], cut - begin, self._offset + begin
        self._spaced = SPACE.search(self._text, self._start) is not None
        self._next_try = 0
