"""Cutting tool calls out of streams and whole responses: the message says a notice in the place of each."""

from collections.abc import Mapping, Sequence

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Remove, Replace, TextChange, splice
from proxy.decision import TextEdit


class Writer:
    """Cuts calls out of one stream. A call comes whole in one line."""

    def __init__(self) -> None:
        self._noticed = False

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        cut = [(path, channel) for path, channel in reading.entries if channel in cuts]
        if not cut:
            return None
        after = self._noticed or reading.opens[0].after_text
        self._noticed = True
        changes = _without(document["message"], [path for path, _ in cut])
        changes += say(document["message"], [cuts[channel] for _, channel in cut], after_text=after)
        return [Event(event.name, splice(event.data, changes))]


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def _without(message: Json, paths: Sequence[Path]) -> list[Change]:
    if len(paths) == len(message["tool_calls"]):
        return [Remove(("message", "tool_calls"))]
    return [Remove(path) for path in paths]


def say(message: Json, notices: Sequence[str], *, after_text: bool) -> list[Change]:
    """Have the message's content end with the notices."""
    path: Path = ("message", "content")
    content = message.get("content")
    text = ("\n\n" if after_text or content else "") + "\n\n".join(notices)
    if isinstance(content, str):
        return [TextChange(path, [TextEdit(len(content), len(content), text)])]
    return [Replace(path, orjson.dumps(text))]


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Take calls out. The reason for which the model stopped is the same with and without calls."""
    if not cuts:
        return []
    changes = _without(document["message"], [response.calls[index].path for index in cuts])
    return changes + say(document["message"], [notice for _, notice in sorted(cuts.items())], after_text=False)
