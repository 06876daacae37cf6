"""Cutting tool calls out of streams and whole responses: a text block with a notice in the place of each."""

from collections.abc import Mapping

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Replace, splice
from proxy.codecs.walk import table


class Writer:
    """Cuts calls out of one stream: a cut block becomes a text block at the same index."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        cut = [(path, channel) for path, channel in reading.entries if channel in cuts]
        kind = table(document).get("type")
        if kind == "content_block_delta" and cut:
            return []
        if kind == "content_block_start" and cut:
            return _spoken(event, document, _notice(cut[0][1], reading, cuts))
        changes: list[Change] = []
        if kind == "message_start":
            changes += [Replace(path, text_block(_notice(channel, reading, cuts))) for path, channel in cut]
        place = {"message_start": "message", "message_delta": "delta"}.get(str(kind))
        if place and reading.calls and all(call in cuts for call in reading.calls):
            changes += _stopped(document[place], (place,))
        return [Event(event.name, splice(event.data, changes))] if changes else None


def _notice(channel: Channel, reading: Reading, cuts: Mapping[Channel, str]) -> str:
    after = any(opened.after_text for opened in reading.opens if opened.channel == channel)
    return ("\n\n" if after else "") + cuts[channel]


def _spoken(event: Frame, document: Json, notice: str) -> list[Event]:
    """The block's start with an empty text, and its text as a delta: readers take a start's own text for nothing."""
    start = splice(event.data, [Replace(("content_block",), text_block(""))])
    delta = {"type": "content_block_delta", "index": document.get("index", 0)}
    delta["delta"] = {"type": "text_delta", "text": notice}
    return [Event(event.name, start), Event("content_block_delta", orjson.dumps(delta))]


def text_block(text: str) -> bytes:
    """A content block that says `text`."""
    return orjson.dumps({"type": "text", "text": text})


def _stopped(members: Json, path: Path) -> list[Change]:
    return [Replace((*path, "stop_reason"), b'"end_turn"')] if members.get("stop_reason") == "tool_use" else []


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Put a text block with the notice in the place of each call; with no call left the turn ends."""
    changes: list[Change] = [Replace(response.calls[index].path, text_block(notice)) for index, notice in cuts.items()]
    if cuts and all(index in cuts or call.by_provider for index, call in enumerate(response.calls)):
        changes += _stopped(table(document), ())
    return changes
