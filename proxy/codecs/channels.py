"""A stream's growing texts in the making: which channels are open, and what one event says.

Only what all formats share lives here; what an event means is the codecs' business, what becomes of a text the guard's.
"""

from collections.abc import Mapping, Sequence

from proxy.codecs import Channel, Fragment, Json, Kind, OpenCall, Part, Path, Reading, ToolResult
from proxy.codecs.splicing import Change
from proxy.codecs.walk import Parts
from proxy.events import Usage


class Channels:
    """The growing texts of one stream: which are open, and names for those that last one event."""

    def __init__(self) -> None:
        self._open: dict[Channel, Channel] = {}
        self._used: dict[Channel, int] = {}
        self._once = 0

    def growing(self, base: Channel) -> Channel:
        """The open channel of that name; a fresh one where an earlier of that name was closed."""
        channel = self._open.get(base)
        if channel is None:
            times = self._used.get(base, 0)
            self._used[base] = times + 1
            channel = self._open[base] = (*base, "again", times) if times else base
        return channel

    def close(self, base: Channel) -> list[Channel]:
        """Closes one, if it is open."""
        channel = self._open.pop(base, None)
        return [] if channel is None else [channel]

    def close_block(self, index: int) -> list[Channel]:
        """Closes those whose second word is `index`."""
        return [channel for base in list(self._open) if base[1] == index for channel in self.close(base)]

    def open_bases(self) -> list[Channel]:
        """What is open now, oldest first."""
        return list(self._open)

    def close_all(self) -> list[Channel]:
        """Closes the rest."""
        channels = list(self._open.values())
        self._open.clear()
        return channels

    def rest(self, said: "Said", members: Mapping[str, Json], path: Path, skip: frozenset[str]) -> None:
        """Every member of an object but those that the codec reads itself, each complete in this event."""
        if members.keys() <= skip:
            return
        parts = Parts()
        parts.members(members, path, "other", "text", skip)
        self.once(parts.out, said)

    def walked(self, said: "Said", value: Json, path: Path, kind: Kind = "text") -> None:
        """Every string in a value of the format's own, complete in this event."""
        parts = Parts()
        parts.walk(value, path, "other", kind)
        self.once(parts.out, said)

    def given(self, said: "Said", value: Json, path: Path) -> None:
        """Every string, name and long integer of a call's arguments that came as a value, not as a growing text."""
        parts = Parts()
        parts.walk_any(value, path, "other", "tool_call")
        self.once(parts.out, said)

    def once(self, parts: Sequence[Part], said: "Said") -> None:
        """Parts that are complete in one event, as channels of their own."""
        for part in parts:
            self._once += 1
            channel: Channel = (part.kind, "once", self._once)
            said.fragments.append(Fragment(channel, part.path, part.text))
            said.closes.append(channel)
            if part.sealed:
                said.sealed.append(channel)


class Said:
    """A Reading in the making."""

    __slots__ = (
        "calls",
        "closes",
        "end",
        "entries",
        "fragments",
        "keeps",
        "model",
        "only_usage",
        "opens",
        "repeats",
        "results",
        "sealed",
        "stop",
        "usage",
        "when_edited",
    )

    def __init__(self) -> None:
        self.fragments: list[Fragment] = []
        self.opens: list[OpenCall] = []
        self.closes: list[Channel] = []
        self.sealed: list[Channel] = []
        self.entries: list[tuple[Path, Channel]] = []
        self.calls: list[Channel] = []
        self.when_edited: list[tuple[Channel, Change]] = []
        self.repeats: list[Fragment] = []
        self.keeps: str | None = None
        self.results: list[ToolResult] = []
        self.model: str | None = None
        self.stop: str | None = None
        self.usage: Usage | None = None
        self.end = False
        self.only_usage = False

    def fragment(self, channel: Channel, path: Path, text: str) -> None:
        """A piece of a growing text."""
        self.fragments.append(Fragment(channel, path, text))

    def reading(self) -> Reading:
        """The finished Reading."""
        return Reading(
            self.fragments,
            self.opens,
            self.closes,
            self.sealed,
            self.model,
            self.stop,
            self.usage,
            self.end,
            self.entries,
            self.calls,
            self.only_usage,
            self.when_edited,
            self.repeats,
            self.results,
            self.keeps,
        )
