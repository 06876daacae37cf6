"""The texts and calls of a stream that tells them again and again: what grew, and what is a copy of it.

In deltas, when they are complete, in the item they belong to, in the finished answer: the first telling is the text,
the others its copies. Only what formats that tell so share lives here; which event tells what is the codecs' business.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.codecs import Channel, Fragment, Json, Key, OpenCall, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.walk import Parts, word


@dataclass(slots=True)
class _Call:
    """What is known of a call."""

    channel: Channel
    by_provider: bool
    call_id: str = ""
    name: str = ""
    server: str | None = None
    complete: bool = False


class Tellings:
    """State of one stream."""

    def __init__(self) -> None:
        self.channels = Channels()
        self._told: dict[Channel, Channel] = {}
        """By what it is of: the channel that says or said it."""
        self._calls: dict[Channel, _Call] = {}

    def grow(self, said: Said, base: Channel, path: Path, text: str) -> Channel:
        """A piece of a text, or of a call's arguments."""
        channel = self._told[base] = self.channels.growing(base)
        if text:
            said.fragment(channel, path, text)
        return channel

    def whole(self, said: Said, base: Channel, path: Path, text: str, *, sealed: bool = False) -> None:
        """All of a text: a copy of what grew, or, where nothing did, the text itself. It is complete either way."""
        told = self._told.get(base)
        if told is not None:
            said.closes += self.channels.close(base)
            said.repeats += [Fragment(told, path, text)] if text else []
        elif text:
            channel = self.grow(said, base, path, text)
            said.closes += self.channels.close(base)
            if sealed:
                said.sealed.append(channel)

    def parts(self, said: Said, parts: Parts, key: str, depth: int, inside: Path = ()) -> None:
        """Everything that an object `key` says, `depth` steps down in its event; `inside`: where in the object."""
        for part in parts.out:
            if part.path[depth:] == ("status",):  # changes from telling to telling
                self.channels.once([part], said)
                continue
            steps = [f"name {step.name}" if isinstance(step, Key) else step for step in (*inside, *part.path[depth:])]
            self.whole(said, (part.kind, key, *steps), part.path, part.text, sealed=part.sealed)

    def call(
        self, said: Said, base: Channel, path: Path, members: Mapping[str, Json], *, by_provider: bool = False
    ) -> None:
        """The element at `path` belongs to a call; `members` may tell its id and name."""
        known = self._calls.get(base)
        before = None if known is None else (known.call_id, known.name)
        if known is None:
            known = self._calls[base] = _Call(self.channels.growing(base), by_provider)
        known.call_id = known.call_id or word(members.get("call_id")) or (str(base[1]) if by_provider else "")
        known.name = known.name or word(members.get("name")) or ""
        known.server = known.server or word(members.get("server_label"))
        said.entries.append((path, known.channel))
        if before != (known.call_id, known.name) and not known.complete:
            opened = OpenCall(known.channel, known.call_id, known.name, by_provider=known.by_provider)
            said.opens.append(opened._replace(server=known.server))

    def arguments(self, said: Said, base: Channel, path: Path, text: str) -> None:
        """All arguments of a call that was told of."""
        known = self._calls[base]
        if self._told.get(base) is None and not known.complete:
            self.grow(said, base, path, text)
        else:
            said.repeats.append(Fragment(known.channel, path, text))
        self.complete(said, base)

    def complete(self, said: Said, base: Channel) -> None:
        """A call has all its arguments."""
        known = self._calls.get(base)
        if known is not None and not known.complete:
            known.complete = True
            said.closes += self.channels.close(base)

    def saying(self, base: Channel) -> Channel | None:
        """The channel that says or said a text."""
        return self._told.get(base)

    def called(self, base: Channel) -> Channel | None:
        """The channel of a call, if it was told of."""
        known = self._calls.get(base)
        return None if known is None else known.channel
