"""Cutting tool calls out of streams and whole responses: a content block with a notice in the place of each."""

from collections.abc import Mapping, Sequence

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Append, Change, Remove, Replace, TextChange, splice
from proxy.codecs.walk import number, table
from proxy.decision import TextEdit


class Writer:
    """Cuts calls out of one stream. Blocks and calls that follow are numbered on without a gap, as clients expect."""

    def __init__(self) -> None:
        self._noticed: set[Channel] = set()
        self._earlier: dict[Channel, int] = {}
        """How many calls were cut before this one began."""
        self._moved: dict[int, int] = {}
        """By a content block's own index: how many blocks were put before it."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        kind = str(table(document).get("type"))
        if reading.entries:
            return self._calls(event, document, reading, cuts)
        changes: list[Change] = []
        if kind.startswith("content-"):
            changes += self._renumbered_block(document, kind)
        elif kind == "citation-start":
            changes += self._renumbered_citation(document)
        elif kind == "message-end" and reading.calls and all(call in cuts for call in reading.calls):
            changes += _stopped(table(document["delta"]), ("delta",))
        return [Event(event.name, splice(event.data, changes))] if changes else None

    def _calls(self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> list[Event] | None:
        changes: list[Change] = []
        events: list[Event] = []
        for path, channel in reading.entries:
            if channel not in cuts:
                continue
            if channel not in self._noticed:
                events += self._notice(event, reading, channel, cuts[channel])
            changes.append(Remove(path))
        kept = [channel for _, channel in reading.entries if channel not in cuts]
        if not kept:
            return events
        if below := self._below(document, kept[0]):
            changes.append(Replace(("index",), b"%d" % max(0, number(document.get("index")) - below)))
        return [*events, Event(event.name, splice(event.data, changes))] if changes else None

    def _below(self, document: Json, channel: Channel) -> int:
        begins = document.get("type") == "tool-call-start"
        return self._earlier.setdefault(channel, len(self._noticed) if begins else 0)

    def _notice(self, event: Frame, reading: Reading, channel: Channel, notice: str) -> list[Event]:
        after = self._noticed or any(opened.after_text for opened in reading.opens if opened.channel == channel)
        index = number(channel[2]) + len(self._noticed)
        self._noticed.add(channel)
        return block(index, ("\n\n" if after else "") + notice, named=event.name is not None)

    def _renumbered_block(self, document: Json, kind: str) -> list[Change]:
        index = number(document.get("index"))
        if kind == "content-start":
            self._moved[index] = len(self._noticed)
        moved = self._moved.get(index, 0)
        return [Replace(("index",), b"%d" % (index + moved))] if moved else []

    def _renumbered_citation(self, document: Json) -> list[Change]:
        citation = table(table(table(document.get("delta")).get("message")).get("citations"))
        index = number(citation.get("content_index"))
        moved = self._moved.get(index, 0)
        if not moved or "content_index" not in citation:
            return []
        return [Replace(("delta", "message", "citations", "content_index"), b"%d" % (index + moved))]


def block(index: int, text: str, *, named: bool) -> list[Event]:
    """A whole content block that says `text`, as the events of a stream."""
    events: Sequence[dict[str, Json]] = (
        {
            "type": "content-start",
            "index": index,
            "delta": {"message": {"content": {"type": "text", "text": ""}}},
        },
        {"type": "content-delta", "index": index, "delta": {"message": {"content": {"text": text}}}},
        {"type": "content-end", "index": index},
    )
    return [Event(event["type"] if named else None, orjson.dumps(event)) for event in events]


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def text_block(text: str) -> bytes:
    """A content block that says `text`."""
    return orjson.dumps({"type": "text", "text": text})


def _stopped(members: Mapping[str, Json], path: Path) -> list[Change]:
    return [Replace((*path, "finish_reason"), b'"COMPLETE"')] if members.get("finish_reason") == "TOOL_CALL" else []


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Take calls out, and say the notices in content blocks; with no call left the turn is complete."""
    if not cuts:
        return []
    everything = len(cuts) == len(response.calls)
    path: Path = ("message", "content")
    changes: list[Change] = [Remove(response.calls[index].path) for index in cuts]
    if everything:
        changes = [Remove(("message", "tool_calls")), *_stopped(table(document), ())]
    notices = [notice for _, notice in sorted(cuts.items())]
    content = document["message"].get("content")
    if isinstance(content, str):  # edited in place, as other edits of it are made beside this one
        said = "\n\n".join([content, *notices] if content else notices)[len(content) :]
        return [*changes, TextChange(path, [TextEdit(len(content), len(content), said)])]
    blocks = [text_block(notice) for notice in notices]
    if isinstance(content, list):
        return [*changes, *(Append(path, each) for each in blocks)]
    return [*changes, Replace(path, b"[" + b",".join(blocks) + b"]")]
