"""The texts of one item of a stream: told once as they grow, and known again in every later copy (wire-formats §2.3).

A text is known by where it stands in its item, so that a delta, a finished text, a finished part, a finished item and a
finished response speak of the same one; never by an item's id, which some gateways change from event to event. Which
event says what is `stream`'s business, what a call is `item`'s.
"""

from dataclasses import dataclass, field
from typing import Final

from proxy.codecs import Channel, Fragment, Key, Kind, Part, Path
from proxy.codecs.channels import Channels, Said

GROWING: Final = frozenset({"text", "refusal", "arguments", "input", "code"})
"""Last words of the places whose text may grow: what an item carries of it when it is added is only its beginning."""


@dataclass(slots=True)
class Told:
    """One text so far."""

    base: Channel
    channel: Channel
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


class Texts:
    """The texts of one item, by where they stand in it."""

    def __init__(self, channels: Channels, name: Channel) -> None:
        """`name`: what channels of this item are called after their kind."""
        self._channels = channels
        self._name = name
        self._told: dict[Path, Told] = {}

    def base(self, kind: Kind, place: Path) -> Channel:
        """The name of the channel for a text of this kind at this place."""
        return (kind, *self._name, *(f"name {step.name}" if isinstance(step, Key) else step for step in place))

    def channel(self, place: Path) -> Channel | None:
        """The channel of the text at a place, if there was any."""
        told = self._told.get(place)
        return told.channel if told else None

    def known(self, place: Path) -> str | None:
        """The text at a place so far."""
        told = self._told.get(place)
        return told.text if told else None

    def pieces(self, place: Path) -> list[str]:
        """What the text at a place is made of; more may be added."""
        return self._told[place].pieces

    def close(self) -> list[Channel]:
        """Nothing of these texts may follow."""
        return [channel for told in self._told.values() for channel in self._channels.close(told.base)]

    def forget(self, place: Path) -> None:
        """What comes next at this place is another text."""
        self._told.pop(place, None)

    def grow(self, said: Said, base: Channel, place: Path, path: Path, text: str) -> Told:
        """One more piece of the text at `place`, carried at `path` by the event."""
        told = self._told.get(place)
        channel = self._channels.growing(told.base if told else base)
        if told is None or told.channel != channel:
            told = self._told[place] = Told(base, channel)
        told.pieces.append(text)
        said.fragment(channel, path, text)
        return told

    def tell(self, said: Said, part: Part, place: Path, *, begins: bool) -> None:
        """A part of an item as an event carries it; `begins`: the item is only being added."""
        if part.sealed:
            self._channels.once([part._replace(kind="text" if part.kind == "tool_call" else part.kind)], said)
        elif begins and place in self._told:
            self._channels.once([part], said)
        elif begins and place and place[-1] in GROWING:
            if part.text:
                self.grow(said, self.base(part.kind, place), place, part.path, part.text)
        else:
            self.whole(said, self.base(part.kind, place), place, part.path, part.text)

    def whole(self, said: Said, base: Channel, place: Path, path: Path, text: str) -> None:
        """The whole text of a place: new, a copy of what was told, or, where it differs, a text of its own."""
        told = self._told.get(place)
        if told is not None:
            said.closes += self._channels.close(told.base)
            if text and text == told.text:
                said.repeats.append(Fragment(told.channel, path, text))
                return
        if text:
            self.forget(place)
            told = self.grow(said, base, place, path, text)
            said.closes += self._channels.close(told.base)

    def wait(self, said: Said, base: Channel, place: Path, path: Path, text: str) -> None:
        """The whole of a text that is not closed yet, because nothing has told whose it is."""
        if place in self._told:
            self.beside(said, path, text)
        elif text:
            self.grow(said, base, place, path, text)

    def beside(self, said: Said, path: Path, text: str) -> None:
        """A text of its own."""
        if text:
            self._channels.once([Part(path, text, "assistant", "tool_call")], said)
