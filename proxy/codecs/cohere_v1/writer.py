"""Cutting tool calls out of streams and whole responses: the text says a notice in the place of each."""

from collections.abc import Mapping, Sequence

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response, ToolResult
from proxy.codecs.cohere_v1.answer import read_answer
from proxy.codecs.cohere_v1.calls import output
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Remove, Replace, TextChange, splice
from proxy.codecs.walk import Parts, array, table
from proxy.decision import TextEdit


class Writer:
    """Cuts calls out of one stream, from each of the events that tell them."""

    def __init__(self) -> None:
        self._notices: dict[Channel, str] = {}
        """What was said so far, in order."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        kind = table(document).get("event_type")
        cut = [(path, channel) for path, channel in reading.entries if channel in cuts]
        if kind == "tool-calls-chunk":
            return self._chunk(event, document) if cut else None
        if not cut and not (reading.end and self._notices):
            return None
        events = self._say(event, reading, cut, cuts)
        changes: list[Change] = [Remove(path) for path, _ in cut]
        if reading.end:
            changes += _said(document["response"], ("response",), "".join(self._notices.values()))
        elif len(cut) == len(reading.entries):
            return events
        return [*events, Event(event.name, splice(event.data, changes))]

    def _chunk(self, event: Frame, document: Json) -> list[Event]:
        """The call's piece goes; what the plan says beside it stays."""
        return [_generation(event, text) for text in _plans(document) if text]

    def _say(
        self, event: Frame, reading: Reading, cut: Sequence[tuple[Path, Channel]], cuts: Mapping[Channel, str]
    ) -> list[Event]:
        """The notices that were not said yet, as a piece of the text."""
        after = {opened.channel for opened in reading.opens if opened.after_text}
        fresh: list[str] = []
        for _, channel in cut:
            if channel not in self._notices:
                notice = ("\n\n" if channel in after or self._notices else "") + cuts[channel]
                self._notices[channel] = notice
                fresh.append(notice)
        return [_generation(event, "".join(fresh))] if fresh else []


def _plans(document: Json) -> list[str]:
    texts = [document.get("text"), table(document.get("tool_call_delta")).get("text")]
    return [text for text in texts if isinstance(text, str)]


def _generation(event: Frame, text: str) -> Event:
    data = {"is_finished": False, "event_type": "text-generation", "text": text}
    return Event("text-generation" if event.name is not None else None, orjson.dumps(data))


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def _said(answer: Json, path: Path, notice: str) -> list[Change]:
    """An answer's text, and its copy in the history, say the notice at their end."""
    changes = _extended(answer.get("text"), (*path, "text"), notice)
    history = array(answer.get("chat_history"))
    if history and isinstance(history[-1], dict):
        last = (*path, "chat_history", len(history) - 1, "message")
        changes += _extended(history[-1].get("message"), last, notice)
    return changes


def _extended(text: Json, path: Path, notice: str) -> list[Change]:
    if isinstance(text, str):
        notice = notice if text else notice.lstrip("\n")
        return [TextChange(path, [TextEdit(len(text), len(text), notice)])]
    return [Replace(path, orjson.dumps(notice.lstrip("\n")))]


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Take calls out, of the history too, which the client may send back; the text says the notices."""
    if not cuts:
        return []
    told = read_answer(Parts(), document, ())
    changes: list[Change] = [
        Remove(calls[i].path) for calls in (told.calls, told.copies) for i in cuts if i < len(calls)
    ]
    notices = "\n\n".join(notice for _, notice in sorted(cuts.items()))
    return changes + _said(document, (), "\n\n" + notices)


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """A result's outputs are a list of objects."""
    return [Replace(result.content, output(text))]
