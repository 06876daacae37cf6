"""Cutting tool calls out of streams and whole responses: a message item with a notice in the place of each.

The message stands at the call's `output_index`, so that a reasoning item before it still has an item that follows
(developers.openai.com, "Reasoning models": "keep reasoning items in context"); what a next request must leave out
because of it is `mend`'s.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.openai_responses.calls import item_type
from proxy.codecs.splicing import Change, Remove, Replace, splice
from proxy.codecs.walk import array, table, word

OURS: Final = "msg_midstream_"
"""How ids of midstream's own messages begin. OpenAI takes only ids that begin with `msg`, up to 64 characters."""


def message_item(identity: str, text: str | None) -> dict[str, Json]:
    """An assistant's message: as it begins (None), or with its text."""
    content = [] if text is None else [piece(text)]
    status = "in_progress" if text is None else "completed"
    return {"id": identity, "type": "message", "status": status, "role": "assistant", "content": content}


def piece(text: str) -> dict[str, Json]:
    """A piece of content that says `text`."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def message_events(identity: str, text: str, index: int) -> list[dict[str, Json]]:
    """A whole message at `output_index`, event by event, as clients assemble it."""
    of_item: dict[str, Json] = {"output_index": index}
    of_part: dict[str, Json] = {"item_id": identity, "output_index": index, "content_index": 0}
    return [
        {"type": "response.output_item.added"} | of_item | {"item": message_item(identity, None)},
        {"type": "response.content_part.added"} | of_part | {"part": piece("")},
        {"type": "response.output_text.delta"} | of_part | {"delta": text, "logprobs": []},
        {"type": "response.output_text.done"} | of_part | {"text": text, "logprobs": []},
        {"type": "response.content_part.done"} | of_part | {"part": piece(text)},
        {"type": "response.output_item.done"} | of_item | {"item": message_item(identity, text)},
    ]


class _Said(NamedTuple):
    """What stands in the place of a cut call."""

    identity: str
    text: str

    def item(self) -> bytes:
        """As the complete message."""
        return orjson.dumps(message_item(self.identity, self.text))


class _Lane:
    """What was cut out of one answer."""

    def __init__(self) -> None:
        self.said: dict[Channel, _Said] = {}
        """By the first channel of the call."""
        self.shift = 0
        """How far numbers are ahead of the provider's."""

    def notice(
        self, calls: Sequence[Channel], item: Mapping[str, Json], reading: Reading, cuts: Mapping[Channel, str]
    ) -> _Said:
        """What stands in the place of the item that is these calls."""
        said = self.said.get(calls[0])
        if said is None:
            after = any(opened.after_text for opened in reading.opens if opened.channel in calls)
            text = next(cuts[call] for call in calls if call in cuts)
            text = _paragraph(text, after=after or bool(self.said))
            said = self.said[calls[0]] = _Said(identity(item, str(calls[0])), text)
        return said


class Writer:
    """Cuts calls out of one stream, and keeps `sequence_number` without gaps."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        root = table(document)
        name = word(root.get("stream_id")) or ""
        if root.get("type") == "response.created":
            self._lanes.pop(name, None)
        lane = self._lanes.setdefault(name, _Lane())
        cut = _cut(reading, cuts)
        alone = next((path for path in cut if len(path) < 2), None)
        if alone is not None:
            known = cut[alone][0] in lane.said
            said = lane.notice(cut[alone], table(_at(root, alone)), reading, cuts)
            return _left_out(lane) if known else _message(event, root, said, lane)
        changes: list[Change] = []
        for path, calls in cut.items():
            changes.append(Replace(path, lane.notice(calls, table(_at(root, path)), reading, cuts).item()))
        number = root.get("sequence_number")
        if isinstance(number, int) and lane.shift:
            changes.append(Replace(("sequence_number",), b"%d" % (number + lane.shift)))
        return [Event(event.name, splice(event.data, changes))] if changes else None


def _left_out(lane: _Lane) -> list[Event]:
    lane.shift -= 1
    return []


def _message(event: Frame, root: Mapping[str, Json], said: _Said, lane: _Lane) -> list[Event]:
    """The first event that speaks of a cut call becomes the whole message."""
    index, number = root.get("output_index"), root.get("sequence_number")
    made = message_events(said.identity, said.text, index if isinstance(index, int) else 0)
    for offset, of_message in enumerate(made):
        if isinstance(number, int):
            of_message["sequence_number"] = number + lane.shift + offset
        if "stream_id" in root:
            of_message["stream_id"] = root["stream_id"]
    lane.shift += len(made) - 1
    return [Event(event.name and str(each["type"]), orjson.dumps(each)) for each in made]


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def _cut(reading: Reading, cuts: Mapping[Channel, str]) -> dict[Path, list[Channel]]:
    """The elements of an event that are denied calls, each with all calls that were ever read of it."""
    owners: dict[Path, list[Channel]] = {}
    for path, channel in reading.entries:
        owners.setdefault(path, []).append(channel)
    return {path: calls for path, calls in owners.items() if any(call in cuts for call in calls)}


def _at(document: Json, path: Path) -> Json:
    for step in path:
        document = document[step]
    return document


def identity(item: Mapping[str, Json], otherwise: str) -> str:
    """The id of the message in the place of a call: the same in a stream and in a whole answer."""
    seed = word(item.get("call_id")) or word(item.get("id")) or otherwise
    return OURS + blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _paragraph(text: str, *, after: bool) -> str:
    """Clients join the texts of an answer without a break."""
    return ("\n\n" if after else "") + text


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Put a message item with the notice in the place of each call; reasoning that led to nothing else goes with it."""
    output = array(table(document).get("output"))
    notices = {int(str(response.calls[index].path[1])): text for index, text in cuts.items()}
    changes: list[Change] = []
    after = False
    for position, item in enumerate(output):
        members = table(item)
        if position in notices:
            said = _Said(identity(members, str(position)), _paragraph(notices[position], after=after))
            changes.append(Replace(("output", position), said.item()))
        after = after or position in notices or item_type(members) == "message"
    return [*changes, *(Remove(("output", position)) for position in _orphans(output, notices))]


def _orphans(output: Sequence[Json], cut: Mapping[int, str]) -> list[int]:
    """Reasoning items that no item of the model's follows but calls that are cut."""
    orphans: list[int] = []
    pending: list[int] = []
    follows = kept = False
    for position, item in enumerate([*output, {"type": "reasoning"}]):
        if item_type(table(item)) != "reasoning":
            follows, kept = True, kept or position not in cut
        elif follows:
            orphans += [] if kept else pending
            pending, follows, kept = [position], False, False
        else:
            pending.append(position)
    return orphans
