"""One item of a stream: its texts, and the call that it is. Which event says what is `stream`'s business."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from proxy.codecs import Channel, Fragment, Json, Kind, OpenCall, Part, Path, ToolCall
from proxy.codecs.channels import Channels, Said
from proxy.codecs.openai_responses.calls import argument_members, item_type
from proxy.codecs.openai_responses.items import item_copies, read_item
from proxy.codecs.openai_responses.results import read_result
from proxy.codecs.openai_responses.texts import Texts
from proxy.codecs.splicing import Change
from proxy.codecs.walk import Parts, arguments, table

_TEXTUAL: Final = ("arguments", "input", "code")


class _Argued(NamedTuple):
    """A call's arguments as one text, as an event carries it."""

    place: Path
    path: Path
    text: str


class Item:
    """State of one item. What a later event says otherwise of a call that is complete, is another call.

    Clients differ in which copy of a call they act on: none may pass undecided.
    """

    def __init__(self, channels: Channels, name: Channel) -> None:
        """`name`: what channels of this item are called after their kind."""
        self._channels = channels
        self._base: Channel = ("tool_call", *name)
        self.texts = Texts(channels, name)
        self.kind = ""
        """The item's type, once an event has told it."""
        self.call: ToolCall | None = None
        """The call as it was told last."""
        self.calls: list[Channel] = []
        """Its channel, and those of what later events made of it."""
        self.after_text = False
        """Text of the same answer came before it."""
        self._given: dict[str, Any] = {}
        """Arguments that come as an object: filled until the call is complete."""
        self._complete = False
        self._resulted = False

    # texts that grow

    def grows(self, said: Said, kind: Kind, place: Path, path: Path, text: str) -> Channel:
        """A piece of a text. What grows inside of arguments that are an object belongs to the call as a whole."""
        if kind == "tool_call" and self._complete:
            self._begin_again(place)
        if kind == "tool_call" and self.call is not None and (len(place) > 1 or not self._is_open()):
            self._open(said, self.call, self._given if len(place) > 1 else None)
        told = self.texts.grow(said, self._channel(kind, place), place, path, text)
        self.touch(said, ())
        return told.channel

    def ends(self, said: Said, kind: Kind, place: Path, path: Path, text: str) -> None:
        """The whole of a text that grew, at its end."""
        if kind != "tool_call":
            self.texts.whole(said, self._channel(kind, place), place, path, text)
        elif self.call is None:
            self.texts.wait(said, self._channel(kind, place), place, path, text)
        elif len(place) == 1:
            self._argue(said, self.call, _Argued(place, path, text), begins=False)
            self.completes(said)
        else:
            self._ends_within(said, self.call, place, path, text)
        self.touch(said, ())

    def _ends_within(self, said: Said, call: ToolCall, place: Path, path: Path, text: str) -> None:
        """One string of arguments that are an object."""
        if not self._complete:
            _put(self._given, place[1:], text)
            self._open(said, call, self._given)
        self.texts.whole(said, self._channel("tool_call", place), place, path, text)

    def touch(self, said: Said, path: Path) -> None:
        """The element at `path` of the event belongs to this item, so to its calls."""
        said.entries += [(path, channel) for channel in self.calls]

    # the item as a whole

    def carry(self, said: Said, item: Json, path: Path, *, begins: bool) -> None:
        """The item as an event carries it at `path`; `begins`: it is only being added."""
        self.kind = item_type(table(item)) or self.kind
        parts = Parts()
        call = read_item(parts, item, path)
        argued = None if call is None else _argued(table(item), self.kind, path)
        if call is not None and argued is not None:
            self._argue(said, call, argued, begins=begins)
        elif call is not None and not (begins and call.by_provider):
            self._give(said, call, begins=begins)
        self.touch(said, path)
        first = len(said.fragments)
        for part in parts.out:
            if argued is None or part.path != argued.path:
                self.texts.tell(said, part, part.path[len(path) :], begins=begins)
        for at, change in item_copies(item, path):
            self.follows(said, at[len(path) :], change)
        if not begins:
            self._results(said, table(item), path, parts.out, first)
            self.completes(said)
            said.closes += self.close()

    def _results(self, said: Said, members: Mapping[str, Json], path: Path, parts: Sequence[Part], first: int) -> None:
        """The result of what the provider carried out, once. `first`: where the item's own texts begin."""
        result = None if self._resulted else read_result(members, path, parts, 0)
        if result is not None:
            self._resulted = True
            mine = {parts[index].path for index in result.parts}
            told = range(first, len(said.fragments))
            said.results.append(result._replace(parts=tuple(at for at in told if said.fragments[at].path in mine)))

    def close(self) -> list[Channel]:
        """Nothing of this item may follow."""
        return [*self._channels.close(self._base), *self.texts.close()]

    def follows(self, said: Said, place: Path, change: Change) -> None:
        """`change` is made where the text at `place` was edited."""
        channel = self.texts.channel(place)
        if channel is not None:
            said.when_edited.append((channel, change))

    def completes(self, said: Said) -> None:
        """Nothing more can come of the call, if the item is one."""
        if self.call is not None and not self._complete:
            self._complete = True
            said.closes += self._channels.close(self._base)

    # calls

    def _channel(self, kind: Kind, place: Path) -> Channel:
        """The name of the channel for a text: the call's own, where the text is all of its arguments."""
        return self._base if kind == "tool_call" and len(place) == 1 else self.texts.base(kind, place)

    def _is_open(self) -> bool:
        return bool(self.calls) and self._channels.growing(self._base) == self.calls[-1]

    def _begin_again(self, place: Path | None) -> None:
        self._complete = False
        self._given = {}
        if place is not None and len(place) == 1:
            self.texts.forget(place)

    def _argue(self, said: Said, call: ToolCall, argued: _Argued, *, begins: bool) -> None:
        """A call whose arguments are one text."""
        place, path, text = argued
        known = self.texts.known(place)
        same = known is None or known == text or _equal(known, text)
        if self._complete and (begins or (same and self.call is not None and self.call.name == call.name)):
            self._copy(said, path, text, beside=not same)
            return
        if self._complete or not (same or begins):
            self.completes(said)
            self._begin_again(place)
            known = None
        given = None if begins else _as_object(place, text)
        if self.call is None or known is None or self.call[:2] != call[:2] or given is not None:
            self._open(said, call, given)
        if known is None and text:
            self.texts.grow(said, self._base, place, path, text)
        else:
            self._copy(said, path, text, beside=begins)

    def _copy(self, said: Said, path: Path, text: str, *, beside: bool) -> None:
        """The arguments once more; `beside`: as a text of its own, because the call still grows."""
        if beside:
            self.texts.beside(said, path, text)
        elif text:
            said.repeats.append(Fragment(self.calls[-1], path, text))

    def _give(self, said: Said, call: ToolCall, *, begins: bool) -> None:
        """A call whose arguments are an object."""
        if self._complete:
            if begins or (self.call is not None and self.call[1:3] == call[1:3]):
                return
            self._begin_again(None)
        self._given.clear()
        # Lists are filled while they grow: not the document's own.
        self._given.update((name, list(v) if isinstance(v, list) else v) for name, v in call.arguments.items())
        self._open(said, call, self._given)

    def _open(self, said: Said, call: ToolCall, given: Mapping[str, Any] | None) -> None:
        channel = self._channels.growing(self._base)
        if channel not in self.calls[-1:]:
            self.calls.append(channel)
        self.call = call
        of_call = (self.after_text, call.by_provider, call.server, call.form)
        opened = OpenCall(channel, call.call_id, call.name, given, *of_call)
        said.opens.append(opened)


def _argued(members: Mapping[str, Json], kind: str, path: Path) -> _Argued | None:
    for name in argument_members(kind):
        if name in _TEXTUAL and isinstance(members.get(name), str):
            return _Argued((name,), (*path, name), members[name])
    return None


def _put(given: dict[str, Any], place: Path, text: str) -> None:
    """`text` where it stands in arguments that are an object: the next element of a list, or a member."""
    name = str(place[0])
    if len(place) == 1:
        given[name] = text
    elif isinstance(listed := given.setdefault(name, []), list):
        listed.append(text)


def _equal(one: str, other: str) -> bool:
    """Whether two texts say the same arguments."""
    first, second = arguments(one), arguments(other)
    return first == second and first.keys() != {"input"}


def _as_object(place: Path, text: str) -> Mapping[str, Any] | None:
    """Arguments by name, where readers would take the text itself for JSON or have no name for it."""
    if place == ("code",):
        return {"code": text}
    free = place == ("input",) and arguments(text) != ({"input": text} if text else {})
    return {"input": text} if free else None
