"""Cutting calls out of a connection: the item of a call becomes a message that says the notice, in every copy of it.

The item keeps its id and place, so that what the server later says of it (`previous_item_id`) still fits. Its
arguments' events become those of a text part.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Channel, Json, Path, Reading
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Replace, splice
from proxy.codecs.walk import table, word

_IDS: Final = ("response_id", "item_id", "output_index")


class Writer:
    """Cuts calls out of one connection, message by message."""

    def __init__(self) -> None:
        self._beta = False

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> Sequence[Event] | None:
        """See `StreamWriter`."""
        # The beta's conversation has items `created`; since then they are `added` and `done`, and texts `output_text`.
        self._beta |= table(document).get("type") == "conversation.item.created"
        changes: list[Change] = []
        for path, channel in reading.entries:
            if channel in cuts and not path:
                return self._instead(event, document, cuts[channel])
            if channel in cuts:
                changes.append(Replace(path, self._item(_at(document, path), cuts[channel])))
        return [Event(event.name, splice(event.data, changes))] if changes else None

    def _instead(self, event: Frame, document: Json, notice: str) -> Sequence[Event]:
        """A text part in the place of a call's arguments, told when they were complete."""
        members = table(document)
        kind = word(members.get("type")) or ""
        if kind.endswith(".delta"):
            return []
        told = "response.text" if self._beta else "response.output_text"
        steps: tuple[tuple[str, dict[str, Json]], ...] = (
            ("response.content_part.added", {"part": {"type": "text", "text": ""}}),
            (f"{told}.delta", {"delta": notice}),
            (f"{told}.done", {"text": notice}),
            ("response.content_part.done", {"part": {"type": "text", "text": notice}}),
        )
        ids = {name: members[name] for name in _IDS if name in members}
        first = word(members.get("event_id")) or "event_midstream"
        return [
            Event(
                event.name, orjson.dumps({"type": name, "event_id": f"{first}_{i}", **ids, "content_index": 0, **more})
            )
            for i, (name, more) in enumerate(steps)
        ]

    def _item(self, item: Json, notice: str) -> bytes:
        members = table(item)
        content = {"type": "text" if self._beta else "output_text", "text": notice}
        kept = {name: members[name] for name in ("id", "object", "status") if name in members}
        told = [] if members.get("status") == "in_progress" else [content]
        return orjson.dumps(kept | {"type": "message", "role": "assistant", "content": told})


def _at(document: Json, path: Path) -> Json:
    for step in path:
        document = document[step]
    return document


def stream_writer() -> Writer:
    """A writer for one connection."""
    return Writer()
