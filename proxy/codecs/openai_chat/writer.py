"""Cutting tool calls out of streams and whole responses, with a notice in the place of each."""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, cast

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.openai_chat.signatures import Entry, Signatures
from proxy.codecs.splicing import Append, Change, Remove, Replace, TextChange, splice
from proxy.codecs.walk import array, number, table
from proxy.decision import TextEdit


class Writer:
    """Cuts calls out of one stream, chunk by chunk."""

    def __init__(self) -> None:
        self._noticed: set[Channel] = set()
        self._noticing: set[str | int] = set()
        """Choices that said a notice."""
        self._ordinals: dict[str | int, list[int]] = {}
        """Numbers of the calls that were cut, by choice, in order."""
        self._counted = 0
        self._begun: set[Channel] = set()
        self._signatures = Signatures()

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        changes: list[Change] = []
        cut = [(path, channel) for path, channel in reading.entries if channel in cuts]
        kept = [(path, channel) for path, channel in reading.entries if channel not in cuts]
        notices: dict[Path, str] = {}
        for path, channel in cut:
            delta = path[:3]
            if channel not in self._noticed:
                text = self._notice(channel, reading, cuts)
                notices[delta] = f"{notices[delta]}\n\n{text}" if delta in notices else text
        changes += self._signatures.changes([self._entry(document, entry, cuts) for entry in reading.entries])
        changes += _without([path for path, _ in cut], document)
        changes += [change for path, text in notices.items() for change in say(document, path, text)]
        self._count(cuts)
        changes += [change for path, channel in kept for change in self._renumbered(document, path, channel)]
        changes += _stopped(document, reading, cuts)
        changes += _copies(document, reading, cuts)
        if not changes:
            return None
        if cut and not kept and not notices and _nothing_else(document, reading):
            return []
        return [Event(event.name, splice(event.data, changes))]

    def _entry(self, document: Json, entry: tuple[Path, Channel], cuts: Mapping[Channel, str]) -> Entry:
        path, channel = entry
        begins = channel not in self._begun
        self._begun.add(channel)
        return Entry(path, channel[1], table(_at(document, path)), channel in cuts, begins)

    def _notice(self, channel: Channel, reading: Reading, cuts: Mapping[Channel, str]) -> str:
        after = any(opened.after_text for opened in reading.opens if opened.channel == channel)
        again = channel[1] in self._noticing
        self._noticed.add(channel)
        self._noticing.add(channel[1])
        return ("\n\n" if after or again else "") + cuts[channel]

    def _count(self, cuts: Mapping[Channel, str]) -> None:
        """Cuts only become more, and the new ones come last."""
        new = len(cuts) - self._counted
        for cut in islice(reversed(cast("dict[Channel, str]", cuts)), new):
            insort(self._ordinals.setdefault(cut[1], []), number(cut[2]))
        self._counted = len(cuts)

    def _renumbered(self, document: Json, path: Path, channel: Channel) -> list[Change]:
        """Close the gaps that cut calls leave in `index`: clients assemble by it."""
        index = table(_at(document, path)).get("index")
        if not isinstance(index, int):
            return []
        below = bisect_left(self._ordinals.get(channel[1], ()), number(channel[2]))
        return [Replace((*path, "index"), b"%d" % max(0, index - below))] if below else []


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def _at(document: Json, path: Path) -> Json:
    for step in path:
        document = document[step]
    return document


def _without(paths: Sequence[Path], document: Json) -> list[Change]:
    """Take calls out of their arrays, and arrays that are left empty out of their messages."""
    arrays: dict[Path, list[Path]] = {}
    changes: list[Change] = []
    for path in paths:
        if isinstance(path[-1], int):
            arrays.setdefault(path[:-1], []).append(path)
        else:
            changes.append(Remove(path))
    for holder, elements in arrays.items():
        empty = len(elements) == len(_at(document, holder))
        changes += [Remove(holder)] if empty else [Remove(path) for path in elements]
    return changes


def say(document: Json, path: Path, text: str) -> list[Change]:
    """Add text to the content of the message or delta at `path`."""
    message = _at(document, path)
    content = message.get("content")
    here = (*path, "content")
    if isinstance(content, str) and content:
        return [TextChange(here, [TextEdit(len(content), len(content), "\n\n" + text.lstrip("\n"))])]
    if isinstance(content, list):
        return [Append(here, orjson.dumps({"type": "text", "text": text}))]
    return [Replace(here, orjson.dumps(text))]


def _copies(document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> list[Change]:
    """Messages beside a delta that repeat a call that was cut."""
    changes: list[Change] = []
    own = {path[:3] for path, _ in reading.entries}
    for position, choice in enumerate(array(table(document).get("choices"))):
        members, path = table(choice), ("choices", position, "message")
        index = members.get("index")
        numbered = index if isinstance(index, int) else position
        if table(members.get("message")).get("tool_calls") and path not in own and any(c[1] == numbered for c in cuts):
            changes.append(Remove(path))
    return changes


def _stopped(document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> list[Change]:
    """`finish_reason` of every choice that has no call left."""
    changes: list[Change] = []
    for position, choice in enumerate(array(table(document).get("choices"))):
        members = table(choice)
        index = members.get("index")
        mine = [call for call in reading.calls if call[1] == (index if isinstance(index, int) else position)]
        if members.get("finish_reason") in ("tool_calls", "function_call") and mine and all(c in cuts for c in mine):
            changes.append(Replace(("choices", position, "finish_reason"), b'"stop"'))
    return changes


_EMPTY: Final[tuple[Json, ...]] = (None, "", [], {})


def _nothing_else(document: Json, reading: Reading) -> bool:
    """Whether a chunk carries nothing but pieces of calls."""
    if reading.stop_reason is not None or reading.usage is not None:
        return False
    deltas = [table(choice.get("delta")) for choice in document["choices"]]
    return all(
        value in _EMPTY for delta in deltas for name, value in delta.items() if name not in ("tool_calls", "role")
    ) and not any("role" in delta for delta in deltas)


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Take calls out of a whole response; each message says the notices, and stops where it has no call left."""
    paths = {index: response.calls[index].path for index in cuts}
    notices: dict[Path, list[str]] = {}
    for index, text in cuts.items():
        notices.setdefault(paths[index][:3], []).append(text)
    changes = _without(list(paths.values()), document)
    told = [
        Entry(call.path, str(call.path[:2]), table(_at(document, call.path)), i in cuts, True)
        for i, call in enumerate(response.calls)
        if not call.by_provider
    ]
    changes += Signatures().changes(told)
    left = {call.path[:3] for i, call in enumerate(response.calls) if i not in cuts and not call.by_provider}
    for message, texts in notices.items():
        changes += say(document, message, "\n\n".join(texts))
        reason = table(_at(document, message[:2])).get("finish_reason")
        if message not in left and reason in ("tool_calls", "function_call"):
            changes.append(Replace((*message[:2], "finish_reason"), b'"stop"'))
    return changes
