"""Texts that grow over the events of a stream: what came, what is decided, and which edits fall on which event.

Offsets only; what is looked for and what is done about it is `guard`'s and `judge`'s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.codecs import OpenCall, Path
from proxy.decision import TextEdit
from proxy.detectors.stream import TextStream
from proxy.judge import Ordered

CALL: Final = "tool_call"
"""Channels of this kind are decided as a whole, when the call is complete."""


@dataclass(slots=True, eq=False)
class Growing:
    """One text of a stream, or one tool call's arguments. All offsets are characters from its beginning."""

    number: int
    kind: str
    scanner: TextStream | None
    """None where nothing is looked for: sealed texts, tool calls (scanned whole), policies without detectors."""
    call: OpenCall | None = None
    within: OpenCall | None = None
    """The call whose arguments, come whole, this is one string of."""
    pending: list[str] = field(default_factory=list)
    """Pieces that came since the last decision; for a tool call, all of them."""
    tail: str = ""
    """Text from `decided` on, as far as the scanner has it."""
    shown: list[str] = field(default_factory=list)
    """Everything, kept only where a rule reads the whole answer."""
    length: int = 0
    decided: int = 0
    closed: bool = False
    settled: bool = False
    """Of a tool call: it was decided."""
    ordered: list[Ordered] = field(default_factory=list)
    """Of a tool call: every edit ordered so far, of which `edits` are made."""
    edits: list[TextEdit] = field(default_factory=list)
    """Sorted and disjoint; those that have left are dropped."""
    made: list[TextEdit] = field(default_factory=list)
    """All of them, those that have left too; kept only with `kept`."""
    kept: list[str] | None = None
    """The whole text, where the format repeats it later."""
    edited: bool = False
    """Something of it left changed: copies of the text must not follow."""

    @property
    def has_edits(self) -> bool:
        """Whether any edit was ordered that may still have to be made."""
        return bool(self.edits or self.made)

    @property
    def ready(self) -> bool:
        """Everything that came so far is decided."""
        return self.settled if self.kind == CALL else self.decided >= self.length

    def grow(self, path: Path, text: str) -> "Stretch":
        """Add what one event carries at `path`."""
        start = self.length
        self.length = end = start + len(text)
        self.pending.append(text)
        if self.kept is not None:
            self.kept.append(text)
        return Stretch(self, path, start, end)

    def order(self, edits: Sequence[TextEdit]) -> None:
        """More edits, behind those there are."""
        self.edits += edits
        if self.kept is not None:
            self.made += edits

    def reorder(self, edits: Sequence[TextEdit]) -> None:
        """These edits instead of all there were. Nothing of the text has left yet."""
        self.edits = sorted(edits)
        self.made = list(self.edits) if self.kept is not None else []

    def take(self) -> str:
        """What came since the last call."""
        piece = "".join(self.pending)
        self.pending.clear()
        return piece


class Stretch(NamedTuple):
    """Characters [start, end) of a growing text, carried at `path` by one event."""

    growing: Growing
    path: Path
    start: int
    end: int

    @property
    def ready(self) -> bool:
        """Everything in it is decided."""
        return self.growing.settled if self.growing.kind == CALL else self.growing.decided >= self.end

    def edits(self) -> tuple[TextEdit, ...]:
        """The edits that fall on this stretch, in its own offsets. Ask once per stretch, in stream order.

        An edit over several stretches puts its text where it begins and only deletes in those that follow.
        """
        start, end, all_edits = self.start, self.end, self.growing.edits
        while all_edits and _left_behind(all_edits[0], start):
            all_edits.pop(0)
        local = []
        for edit in all_edits:
            if edit.start >= end and not self._ends_with(edit):
                break
            text = edit.text if edit.start >= start else ""
            local.append(TextEdit(max(edit.start, start) - start, min(edit.end, end) - start, text))
        self.growing.edited |= bool(local)
        return tuple(local)

    def _ends_with(self, edit: TextEdit) -> bool:
        """An insertion at the very end of the whole text belongs to the last stretch that carries any of it."""
        return edit.start == edit.end == self.end == self.growing.length and self.end > self.start


class Repeat(NamedTuple):
    """The whole of a text once more, carried at `path` by an event that came after the text was complete."""

    growing: Growing
    path: Path
    revise: Callable[[], Sequence[TextEdit]]

    @property
    def ready(self) -> bool:
        """The text is decided."""
        return self.growing.ready

    def edits(self) -> tuple[TextEdit, ...]:
        """The edits of the text, in this copy's offsets."""
        edits = tuple(self.revise())
        self.growing.edited |= bool(edits)
        return edits


type Piece = Stretch | Repeat


def _left_behind(edit: TextEdit, start: int) -> bool:
    return edit.end < start or (edit.end == start and edit.start < edit.end)
