"""Turns ordered edits of findings into text edits of one text: what stands where a span was.

Pure functions over offsets; finding is the detectors' work, splicing into raw bytes the codecs'.
"""

from collections.abc import Sequence
from typing import Final

from proxy.decision import Edit, EditKind, Finding, TextEdit
from proxy.effects.pseudonymise import Pseudonyms

_PRECEDENCE: Final = {
    kind: rank
    for rank, kind in enumerate(
        (EditKind.PSEUDONYMISE, EditKind.REPLACE, EditKind.MASK, EditKind.STRIP, EditKind.REDACT)
    )
}
"""Which of two edits of overlapping findings wins: the one that tells less."""

_MASK_SHOWN: Final = 4
_MASK_MINIMUM: Final = 12
"""Shorter values are masked whole: four shown characters would be a good part of them."""


def replacement(text: str, finding: Finding, edit: Edit, pseudonyms: Pseudonyms) -> str:
    """What stands in place of `text[finding.start:finding.end]`."""
    found = text[finding.start : finding.end]
    match edit.kind:
        case EditKind.PSEUDONYMISE:
            return pseudonyms.placeholder(finding.kind, found)
        case EditKind.REPLACE:
            return edit.text
        case EditKind.MASK:
            return "****" + (found[-_MASK_SHOWN:] if len(found) >= _MASK_MINIMUM else "")
        case EditKind.STRIP:
            return f"[removed by midstream: {finding.kind}]"
        case _:
            return f"[REDACTED:{finding.kind}]"


def text_edits(text: str, ordered: Sequence[tuple[Finding, Edit]], pseudonyms: Pseudonyms) -> list[TextEdit]:
    """The edits of one text, sorted and disjoint. Overlapping findings become one edit of their union."""
    edits: list[TextEdit] = []
    for finding, edit in _merged(ordered):
        edits.append(TextEdit(finding.start, finding.end, replacement(text, finding, edit, pseudonyms)))
    return edits


def _merged(ordered: Sequence[tuple[Finding, Edit]]) -> list[tuple[Finding, Edit]]:
    merged: list[tuple[Finding, Edit]] = []
    for finding, edit in sorted(ordered, key=lambda pair: (pair[0].start, -pair[0].end)):
        if merged and finding.start < merged[-1][0].end:
            merged[-1] = _union(merged[-1], (finding, edit))
        else:
            merged.append((finding, edit))
    return merged


def _union(first: tuple[Finding, Edit], second: tuple[Finding, Edit]) -> tuple[Finding, Edit]:
    finding, edit = max(first, second, key=lambda pair: _PRECEDENCE[pair[1].kind])
    start, end = min(first[0].start, second[0].start), max(first[0].end, second[0].end)
    return finding._replace(start=start, end=end), edit


def disjoint(edits: Sequence[TextEdit]) -> list[TextEdit]:
    """Edits of several decisions on one text, sorted; where two overlap, the first one's text stands for both."""
    kept: list[TextEdit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if kept and edit.start < kept[-1].end:
            kept[-1] = kept[-1]._replace(end=max(kept[-1].end, edit.end))
        else:
            kept.append(edit)
    return kept


def apply(text: str, edits: Sequence[TextEdit]) -> str:
    """`text` with disjoint, sorted `edits` made."""
    pieces, at = [], 0
    for start, end, new in edits:
        pieces += [text[at:start], new]
        at = end
    pieces.append(text[at:])
    return "".join(pieces)


def difference(old: str, new: str) -> list[TextEdit]:
    """The one edit that turns `old` into `new`, as short as common ends allow; none where they are equal."""
    if old == new:
        return []
    limit = min(len(old), len(new))
    head = next((i for i in range(limit) if old[i] != new[i]), limit)
    tail = next((i for i in range(limit - head) if old[-1 - i] != new[-1 - i]), limit - head)
    return [TextEdit(head, len(old) - tail, new[head : len(new) - tail])]
