"""Cutting tool calls out of streams and whole answers, with a notice in the place of each."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Remove, Replace, TextChange
from proxy.codecs.walk import array, number, table
from proxy.codecs.xai_grpc.messages import STOP, TOOL_CALLS, message
from proxy.decision import TextEdit

_CHUNK: Final = message("Chunk")


class Writer:
    """Cuts calls out of one stream, chunk by chunk."""

    def __init__(self) -> None:
        self._noticed: set[int] = set()

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> Sequence[Event] | None:
        """See `StreamWriter`."""
        changes: list[Change] = []
        notices: dict[Path, str] = {}
        spoken = {opened.channel: opened.after_text for opened in reading.opens}
        for path, channel in reading.entries:
            if channel in cuts:
                changes.append(Remove(path))
                index = number(channel[1])
                before = spoken[channel] or index in self._noticed
                self._noticed.add(index)
                notices[path[:3]] = notices.get(path[:3], "") + ("\n\n" if before else "") + cuts[channel]
        changes += [change for path, notice in notices.items() for change in say(_at(document, path), path, notice)]
        changes += _stopped(document, reading, cuts)
        return [Event(event.name, _CHUNK.splice(event.data, changes))] if changes else None


def stream_writer() -> Writer:
    """A writer for one answer."""
    return Writer()


def _at(document: Json, path: Path) -> Json:
    for step in path:
        document = document[step]
    return document


def say(members: Mapping[str, Json], path: Path, text: str) -> list[Change]:
    """Add text to the content of the message or delta `members`, which stands at `path`."""
    content, here = members.get("content"), (*path, "content")
    if isinstance(content, str) and content:
        return [TextChange(here, [TextEdit(len(content), len(content), "\n\n" + text.lstrip("\n"))])]
    return [Replace(here, orjson.dumps(text))]


def _stopped(document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> list[Change]:
    """`finish_reason` of every output that has no call left for the client."""
    changes: list[Change] = []
    for position, output in enumerate(array(table(document).get("outputs"))):
        members = table(output)
        mine = [call for call in reading.calls if call[1] == number(members.get("index"))]
        if members.get("finish_reason") == TOOL_CALLS and mine and all(call in cuts for call in mine):
            changes.append(Replace(("outputs", position, "finish_reason"), b"%d" % STOP))
    return changes


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Take calls out of a whole answer; each output says its notices, and stops where it has no call left."""
    notices: dict[Path, list[str]] = {}
    changes: list[Change] = []
    for index, text in cuts.items():
        path = response.calls[index].path
        changes.append(Remove(path))
        notices.setdefault(path[:-2], []).append(text)
    kept = {call.path[:-2] for index, call in enumerate(response.calls) if index not in cuts}
    for place, texts in notices.items():
        changes += say(_at(document, place), place, "\n\n".join(texts))
        output = place[:-1]
        if place not in kept and _at(document, output).get("finish_reason") == TOOL_CALLS:
            changes.append(Replace((*output, "finish_reason"), b"%d" % STOP))
    return changes
