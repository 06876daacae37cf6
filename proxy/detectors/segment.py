r"""The content-defined segmenter: where a text may be cut so that every chunking cuts alike. Pure functions over str.

Nothing here knows rules or findings. The rule, read left to right from the last cut; nothing else is remembered:

1. *Normal cut*: after a run of white space (at most 64 characters of it count as one run).
2. *No cut* where both sides of the white space may be one value, at most 16 times in one segment:
   - one space between digit groups (a digit, bracket or dash on both sides): cards, phones, dates;
   - one space between the groups of an IBAN (`GB29 NWBK 6016`);
   - in a PEM header (`-----BEGIN RSA PRIVATE KEY-----`).
3. *PEM block*: no cut from a private key's header to its END, if what follows the header looks like a key (16 base64
   characters or a `Name:` header), at most 8 KB after the header. After it the segment ends at the next chance.
4. *Soft cut*: after 512 elements without a cut, also after a character that no value contains: quotes, commas,
   brackets, `;<>|`. An element is a run of up to 8 letters and digits, or one other character, so this begins at 0.5
   to 4 KB.
5. *Hard cut*: after 512 elements more, so at 8 KB at the latest (a PEM block or joined groups come on top), and before
   a PEM header in that stretch.

Whether a cut is made depends on the characters since the last cut, on the one before it, and on a bounded number that
follow. A cut at the very end of an unfinished text is never decided, and everything that could still turn out to be one
value reaches to the end of the known text, so it is undecided too. By induction every chunking of a text is cut alike,
and the end of a stream is the end of a text.
"""

import re
from typing import Final

SPACE: Final = re.compile(r"\s")
PEM_OPEN: Final = re.compile(r"-----BEGIN(?: [A-Z0-9]{1,16}){0,4} PRIVATE KEY(?: BLOCK)?-----")
PEM_END: Final = re.compile(r"-----END[A-Z0-9 ]{0,48}-----")

PEM_CAP: Final = 8192
_PEM_SIGHT = PEM_CAP + 64
"""A little more than the cap, so that an END that begins before it is known whole when the cap is reached."""

PEM_START: Final = PEM_OPEN.pattern + r"""(?:\s|\\[nrt]|["'+,]){0,64}"""
PEM_BODY: Final = r"(?:[A-Za-z0-9+/=]{16}|[A-Z][A-Za-z-]{2,20}:)"
_SOFT = r"\"'`,;<>()\[\]{}|"

# In verbose expressions a space is written [ ]. What can still become more reaches \Z, the end of the known text.
_PEM = rf"""
    {PEM_START.replace(" ", "[ ]")}+
    (?: {PEM_BODY} (?: (?s:.){{0,{PEM_CAP}}}? {PEM_END.pattern.replace(" ", "[ ]")}
                      | (?s:.){{0,{_PEM_SIGHT - 1}}}\Z
                      | (?s:.){{{_PEM_SIGHT}}} )
      | \\?\Z
      | [A-Za-z0-9+/=-]{{1,22}}\Z )
"""
_HEADER = rf"(?!{_PEM}) -----BEGIN (?:[ ][A-Z0-9]{{1,16}}){{0,6}}+ (?:[ ](?=[A-Z0-9]))?"
_IBAN = r"(?<![A-Za-z0-9]) [A-Z]{2}[0-9]{2} (?:[ ][A-Z0-9]{1,4}+(?![A-Za-z0-9])){1,8}+"
_DIGITS = r"(?<=[0-9)\-–]) [ \u00a0\u202f] (?=[0-9(\-–])"
_RUN = "[A-Za-z0-9]{1,8}+"
_OTHER = r"(?!-----BEGIN) [^\sA-Za-z0-9]"
_ELEMENT = rf"(?: (?!{_IBAN}) {_RUN} | {_OTHER} )"
_TAIL = rf"(?: {_RUN} | (?![{_SOFT}]) {_OTHER} ){{0,512}}+ [\s{_SOFT}]?"

_SEGMENT = re.compile(
    rf"""
    {_ELEMENT}{{0,512}}+
    (?: (?: {_DIGITS} | {_IBAN} | {_HEADER} ) {_ELEMENT}{{0,64}}+ ){{0,16}}+
    (?: {_PEM} {_TAIL} | \s{{1,64}}+ | {_TAIL} )
    """,
    re.VERBOSE,
)


def cuts(text: str, start: int, final: bool) -> list[int]:
    """Ends of the segments of `text[start:]` that are decided, as offsets in `text`, ascending.

    `start` is 0 or the previous cut; the characters before it may be missing but for one. With `final` the text is
    complete and its end is the last cut (unless `start` is already there).
    """
    ends = [found.end() for found in _SEGMENT.finditer(text, start)]
    # The empty match that finditer yields at the end of the text is no segment.
    while ends and (ends[-1] <= start or (len(ends) > 1 and ends[-1] == ends[-2])):
        ends.pop()
    if not final and ends and ends[-1] == len(text):
        ends.pop()
    return ends


def around(text: str, at: int, low: int) -> tuple[int, int]:
    """The segment [start, end) of a complete text with start < at <= end. `low` is 0 or any cut before `at`.

    Only for a text without a PEM header. There the end of white space that holds a line feed is always a cut (no rule
    joins over one), so segmenting may begin at the last such place instead of at the text's beginning.
    """
    start = at
    while (feed := text.rfind("\n", low, start - 1)) >= 0:
        start = feed + 1
        if not text[start].isspace():
            break
    else:
        start = low
    return next(found.span() for found in _SEGMENT.finditer(text, start) if found.end() >= at)
