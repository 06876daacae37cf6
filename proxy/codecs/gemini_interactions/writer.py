"""Cutting function calls out of streams and whole answers: a step of the model's output with a notice for each."""

from collections.abc import Mapping

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Replace, splice
from proxy.codecs.walk import table


def output_step(text: str) -> bytes:
    """A step that says `text`."""
    return orjson.dumps({"type": "model_output", "content": [{"type": "text", "text": text}]})


class Writer:
    """Cuts calls out of one stream: a cut step becomes one of the model's output at the same index."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        cut = {path: channel for path, channel in reading.entries if channel in cuts}
        kind = table(document).get("event_type")
        if kind == "step.delta" and cut:
            return []
        if kind == "step.start" and cut:
            return _spoken(event, document, _notice(cut[("step",)], reading, cuts))
        changes: list[Change] = [Replace(path, output_step(cuts[channel])) for path, channel in cut.items() if path]
        if reading.calls and all(call in cuts for call in reading.calls):
            changes += [*_ended(document, ()), *_ended(table(document).get("interaction"), ("interaction",))]
        return [Event(event.name, splice(event.data, changes))] if changes else None


def _notice(channel: Channel, reading: Reading, cuts: Mapping[Channel, str]) -> str:
    after = any(opened.after_text for opened in reading.opens if opened.channel == channel)
    return ("\n\n" if after else "") + cuts[channel]


def _spoken(event: Frame, document: Json, notice: str) -> list[Event]:
    """The step's start without anything in it, and the notice as its only delta."""
    start = splice(event.data, [Replace(("step",), b'{"type":"model_output"}')])
    delta = {"index": document.get("index", 0), "delta": {"text": notice, "type": "text"}, "event_type": "step.delta"}
    return [Event(event.name, start), Event("step.delta", orjson.dumps(delta))]


def _ended(members: Json, path: Path) -> list[Change]:
    """An interaction that waits for no result is complete."""
    waits = table(members).get("status") == "requires_action"
    return [Replace((*path, "status"), b'"completed"')] if waits else []


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Put a step with the notice in the place of each call; with no call left nothing is waited for."""
    changes: list[Change] = [Replace(response.calls[index].path, output_step(notice)) for index, notice in cuts.items()]
    if all(index in cuts for index, call in enumerate(response.calls) if not call.by_provider):
        changes += _ended(document, ())
    return changes
