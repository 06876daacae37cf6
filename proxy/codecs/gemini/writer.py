"""Cutting function calls out of streams and whole answers: a text with a notice in the place of each.

Where the call that is cut carried the signature of its step, the call after it needs one: Gemini 3 refuses (400) a
history whose first call of a step has none. A signature belongs to its own part, so that call gets the one Google
documents for calls without any (ai.google.dev/gemini-api/docs/thought-signatures, FAQ).
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.gemini.names import camel
from proxy.codecs.gemini.parts import SIGNATURE, held, signature
from proxy.codecs.splicing import Change, Remove, Replace, splice
from proxy.codecs.walk import array, table

UNSIGNED: Final = "skip_thought_signature_validator"
"""The signature of a call that has none."""


class Entry(NamedTuple):
    """A call, or a piece of one, in a document."""

    path: Path
    """The part that holds it."""
    notice: str | None
    """What stands there instead; "" to leave the part out, None where the call stays."""
    begins: bool
    """The first piece of its call."""


class Signatures:
    """Which candidates have lost the signature of their first call."""

    def __init__(self) -> None:
        self._lost: set[Path] = set()

    def changes(self, document: Json, entries: Iterable[Entry], of: Mapping[Path, Path]) -> list[Change]:
        """Signatures for calls that stay behind one that is cut. `of`: the candidate that each path belongs to."""
        changes: list[Change] = []
        for entry in entries:
            signed = signature(table(at(document, entry.path)))
            candidate = of[entry.path]
            if entry.notice is not None:
                if signed:
                    self._lost.add(candidate)
            elif entry.begins and candidate in self._lost:
                self._lost.discard(candidate)
                if not signed:
                    changes.append(Replace((*entry.path, SIGNATURE), orjson.dumps(UNSIGNED)))
        return changes


def at(document: Json, path: Path) -> Json:
    """What stands at a path."""
    for step in path:
        document = document[step]
    return document


def text_part(text: str) -> bytes:
    """A part that says `text`."""
    return orjson.dumps({"text": text})


def cut(document: Json, entries: Iterable[Entry]) -> list[Change]:
    """Notices in the place of calls; of an array that is left without a part, nothing stays."""
    changes: list[Change] = []
    gone: dict[Path, list[Path]] = {}
    for entry in entries:
        if entry.notice:
            changes.append(Replace(entry.path, text_part(entry.notice)))
        elif entry.notice == "" and isinstance(entry.path[-1], int):
            gone.setdefault(entry.path[:-1], []).append(entry.path)
        elif entry.notice == "":
            changes.append(Remove(entry.path))
    for holder, paths in gone.items():
        whole = len(paths) == len(at(document, holder))
        changes += [Remove(holder)] if whole else [Remove(path) for path in paths]
    return changes


class Writer:
    """Cuts calls out of one stream, chunk by chunk."""

    def __init__(self) -> None:
        self._begun: dict[Channel, None] = {}
        self._noticed: set[Json] = set()
        self._signatures = Signatures()

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        entries: dict[Path, Entry] = {}
        of: dict[Path, Path] = {}
        afters = {opened.channel for opened in reading.opens if opened.after_text}
        theirs = {opened.channel for opened in reading.opens if opened.by_provider}
        for path, channel in reading.entries:
            if channel in theirs or path in entries:
                continue
            entries[path] = self._entry(path, channel, cuts, after=channel in afters)
            of[path] = (str(channel[1]),)
        changes = self._signatures.changes(document, entries.values(), of) + cut(document, entries.values())
        if not changes:
            return None
        if reading.stop_reason is None and all(e.notice == "" for e in entries.values()) and _nothing_else(document):
            return []
        return [Event(event.name, splice(event.data, changes))]

    def _entry(self, path: Path, channel: Channel, cuts: Mapping[Channel, str], *, after: bool) -> Entry:
        begins = channel not in self._begun
        self._begun[channel] = None
        if channel not in cuts:
            return Entry(path, None, begins)
        if not begins:
            return Entry(path, "", begins)
        after = after or channel[1] in self._noticed
        self._noticed.add(channel[1])
        return Entry(path, ("\n\n" if after else "") + cuts[channel], begins)


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


_ENVELOPE: Final = frozenset({"candidates", "usageMetadata", "modelVersion", "createTime", "responseId", "traceId"})


def _nothing_else(document: Json) -> bool:
    """Whether a chunk carries nothing but pieces of calls."""
    root = table(document)
    if isinstance(root.get("response"), dict):
        root = root["response"]
    candidates = [table(candidate) for candidate in array(root.get("candidates"))]
    parts = [part for c in candidates for _, part in held(table(c.get("content")), ())]
    return (
        all(camel(name) in _ENVELOPE for name in root)
        and all(candidate.keys() <= {"content", "index"} for candidate in candidates)
        and all({camel(name) for name in table(part)} <= {"functionCall", SIGNATURE} for part in parts)
    )


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Put a text with the notice in the place of each call. The turn's reason to stop is the same without any call."""
    entries: dict[Path, Entry] = {}
    of: dict[Path, Path] = {}
    noticed: set[Path] = set()
    for index, call in enumerate(response.calls):
        if call.by_provider:
            continue
        holder = call.path[:-1] if isinstance(call.path[-1], int) else call.path
        notice = cuts.get(index)
        if notice is not None and (holder in noticed or _spoke(document, call.path)):
            notice = "\n\n" + notice
        noticed |= {holder} if notice is not None else set()
        entries[call.path] = _joined(entries.get(call.path), Entry(call.path, notice, True))
        of[call.path] = holder
    return Signatures().changes(document, entries.values(), of) + cut(document, entries.values())


def _joined(one: Entry | None, other: Entry) -> Entry:
    """A part with two calls, one in each spelling, goes with either."""
    if one is None or one.notice is None:
        return other
    return one if other.notice is None else one._replace(notice=one.notice + other.notice)


def _spoke(document: Json, path: Path) -> bool:
    """Whether a text stands before a part."""
    before = at(document, path[:-1])[: path[-1]] if isinstance(path[-1], int) else []
    return any(table(part).get("text") and table(part).get("thought") is not True for part in before)
