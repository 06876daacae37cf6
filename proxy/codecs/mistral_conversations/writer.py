"""Cutting function calls out of streams and whole responses: a message with a notice in the place of each."""

from collections.abc import Mapping

import orjson

from proxy.codecs import Channel, Json, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Replace
from proxy.codecs.walk import table


class Writer:
    """Cuts calls out of one stream: a cut entry becomes a message at the same index."""

    def __init__(self) -> None:
        self._noticed: set[Channel] = set()

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        cut = [channel for _, channel in reading.entries if channel in cuts]
        if not cut:
            return None
        if cut[0] in self._noticed:
            return []
        self._noticed.add(cut[0])
        members = {
            name: document[name] for name in ("created_at", "output_index", "model", "agent_id") if name in document
        }
        said = {"id": document.get("id", ""), "content_index": 0, "role": "assistant", "content": cuts[cut[0]]}
        name = "message.output.delta"
        return [Event(name if event.name is not None else None, orjson.dumps({"type": name} | members | said))]


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def entry(text: str, **members: Json) -> dict[str, Json]:
    """An entry that says `text`."""
    return {"object": "entry", "type": "message.output", **members, "role": "assistant", "content": text}


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Put a message with the notice in the place of each call."""
    changes: list[Change] = []
    for index, notice in cuts.items():
        path = response.calls[index].path
        call = table(document["outputs"][path[1]])
        kept = {name: call[name] for name in ("id", "created_at", "completed_at", "model", "agent_id") if name in call}
        changes.append(Replace(path, orjson.dumps(entry(notice, **kept))))
    return changes
