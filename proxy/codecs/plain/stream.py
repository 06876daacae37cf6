"""Streams of the formats that `table` reads: a text or a few that grow, everything else complete in its event."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from proxy.codecs import Channel, Fragment, Json, Path, Reading
from proxy.codecs.channels import Channels, Said
from proxy.codecs.plain.table import Table, at, read_usage, tell_answer
from proxy.codecs.splicing import Remove
from proxy.codecs.walk import Parts, array, table, word
from proxy.events import Usage

EACH: Final = -1
"""In a path: every element of an array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Where the pieces of a growing text stand in events, and what tells its end."""

    pieces: Path
    whole: Path = ()
    """Where a last event says all of it again."""
    ends: str | None = None
    """The `type` of that event; None for any."""
    stops: Path = ()
    """Why the text ended: a word that is none of `_RUNNING`."""
    copies: tuple[str, ...] = ()
    """Members of events that say their text again in pieces (log-probabilities)."""


_RUNNING: Final = frozenset({"", "not_finished", "NOT_FINISHED"})


class _Place(NamedTuple):
    path: Path
    text: str
    channel: Channel


class Reader:
    """State of one stream."""

    def __init__(self, of: Table, growth: Growth) -> None:
        self._of = of
        self._growth = growth
        self._channels = Channels()
        self._told: dict[Channel, Channel] = {}
        self._usage = Usage()

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said, root = Said(), table(event)
        skip: set[Path] = set()
        for path, text, base in _places(event, self._growth.pieces):
            self._told[base] = self._channels.growing(base)
            said.fragment(self._told[base], path, text)
            skip.add(path)
        if self._growth.ends in (None, root.get("type")):
            for place in _places(event, self._growth.whole):
                self._whole(said, place)
                skip.add(place.path)
        for name in self._growth.copies:
            if root.get(name) is not None and (said.fragments or said.repeats):
                channel = (said.fragments or said.repeats)[0].channel
                said.when_edited.append((channel, Remove((name,))))
                skip.add((name,))
        for _, stop, base in _places(event, self._growth.stops):
            if stop not in _RUNNING:
                said.stop = stop
                said.closes += self._channels.close(base)
        parts = Parts()
        tell_answer(parts, self._of, event, frozenset(skip))
        self._channels.once(parts.out, said)
        said.model = word(root.get("model")) or word(root.get("model_id"))
        said.usage = self._counted(read_usage(root))
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _counted(self, used: Usage | None) -> Usage | None:
        """Some services count the input in the first event only, the output in each."""
        if used is not None:
            before = self._usage
            self._usage = Usage(input=max(before.input, used.input), output=max(before.output, used.output))
        return None if used is None else self._usage

    def _whole(self, said: Said, place: _Place) -> None:
        told = self._told.pop(place.channel, None)
        if told is not None:
            said.closes += self._channels.close(place.channel)
            said.repeats.append(Fragment(told, place.path, place.text))
        else:
            channel = self._channels.growing(place.channel)
            said.fragment(channel, place.path, place.text)
            said.closes += self._channels.close(place.channel)


def _places(event: Json, pattern: Path) -> Iterator[_Place]:
    """The strings at a pattern that are not empty, each with its channel."""
    if not pattern:
        return
    paths: list[Path] = [()]
    for step in pattern:
        if step == EACH:
            paths = [(*path, index) for path in paths for index in range(len(array(at(event, path))))]
        else:
            paths = [(*path, step) for path in paths]
    for path in paths:
        text = at(event, path)
        if isinstance(text, str) and text:
            yield _Place(path, text, ("text", *(step for step in path if isinstance(step, int)), "grown"))
