"""Cutting tool calls out of streams and whole responses: a text block with a notice in the place of each."""

from collections.abc import Mapping

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.bedrock_converse.stream import WRAPPERS
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Replace, splice
from proxy.codecs.walk import table


class Writer:
    """Cuts calls out of one stream: a cut block becomes a text block at the same index, which needs no start."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        cut = [(path, channel) for path, channel in reading.entries if channel in cuts]
        for path, channel in cut:
            if path[-2:] == ("start", "toolUse"):
                return [_spoken(event, document, path[:-2], _notice(channel, reading, cuts))]
            if path[-2:] == ("delta", "toolUse"):
                return []
        if reading.calls and all(call in cuts for call in reading.calls):
            changes = [change for path in _places(document) for change in _stopped(document, path)]
            return [Event(event.name, splice(event.data, changes))] if changes else None
        return None


def _notice(channel: Channel, reading: Reading, cuts: Mapping[Channel, str]) -> str:
    after = any(opened.after_text for opened in reading.opens if opened.channel == channel)
    return ("\n\n" if after else "") + cuts[channel]


def _spoken(event: Frame, document: Json, path: Path, notice: str) -> Event:
    """The block's text, in the place of its start; wrapped where the start was."""
    start = document[path[0]] if path else document
    delta = {"contentBlockIndex": start.get("contentBlockIndex", 0), "delta": {"text": notice}}
    if path:
        return Event(event.name, orjson.dumps({"contentBlockDelta": delta}))
    return Event("contentBlockDelta", orjson.dumps(delta))


def _places(document: Json) -> list[Path]:
    wrapped: list[Path] = [(name,) for name in document if name in WRAPPERS]
    return wrapped or [()]


def _stopped(document: Json, path: Path) -> list[Change]:
    members = table(document[path[0]] if path else document)
    return [Replace((*path, "stopReason"), b'"end_turn"')] if members.get("stopReason") == "tool_use" else []


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def text_block(text: str) -> bytes:
    """A content block that says `text`."""
    return orjson.dumps({"text": text})


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Put a text block with the notice in the place of each call; with none left for the client, the turn ends."""
    changes: list[Change] = [Replace(response.calls[index].path, text_block(notice)) for index, notice in cuts.items()]
    mine = [index for index, call in enumerate(response.calls) if not call.by_provider]
    if cuts and all(index in cuts for index in mine):
        changes += _stopped(document, ())
    return changes
