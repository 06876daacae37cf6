"""The function calls of one candidate of a stream: whole ones, and those whose arguments arrive piece by piece.

Google's wire has no end of such a call but its last piece, which says nothing or lacks `willContinue`. A piece names
no call, so there is one open at a time.
"""

from collections.abc import Mapping

from proxy.codecs import Channel, Fragment, Json, OpenCall, Path, ToolCall, ToolResult
from proxy.codecs.channels import Channels, Said
from proxy.codecs.gemini.calls import Ids, Unanswered
from proxy.codecs.gemini.names import camel, member
from proxy.codecs.gemini.partial import Arguments
from proxy.codecs.gemini.parts import as_arguments
from proxy.codecs.trees import LONG
from proxy.codecs.walk import Parts, table, word


class _Open:
    """A call whose arguments are still arriving."""

    def __init__(self, base: Channel, channel: Channel, call_id: str, name: str, after_text: bool) -> None:
        self.base = base
        self.channel = channel
        self.call_id = call_id
        self.name = name
        self.after_text = after_text
        self.given: dict[str, Json] = {}
        self.pieces = Arguments()
        self.strings: dict[str, Channel] = {}
        """The base of the channel of each string, by its path in the arguments."""
        self.arguments: dict[str, Json] = {}
        """Filled when the call is complete. Every string of it refers to this, so that it is judged with all others."""

    def opened(self) -> OpenCall:
        """The call as far as it is known."""
        return OpenCall(self.channel, self.call_id, self.name, self.arguments, self.after_text)


class StreamedCalls:
    """The calls of one candidate."""

    def __init__(self, channels: Channels, candidate: int) -> None:
        self._channels = channels
        self._candidate = candidate
        self._ids = Ids()
        self._ran = Unanswered()
        self._open: _Open | None = None
        self._count = 0
        self.channels: list[Channel] = []
        """Every call that a client carries out, in order."""

    def call(self, said: Said, call: Mapping[str, Json], path: Path, element: Path, *, after_text: bool) -> None:
        """A `functionCall` at `path`, in the part (Live: the array's element) at `element`."""
        continues = member(call, "willContinue") is True
        partial = member(call, "partialArgs")
        if self._open is not None and (call.get("name") or call.get("id")):
            self.end(said)
        if self._open is None:
            if not (continues or isinstance(partial, list)):
                self._whole(said, call, path, element, after_text=after_text)
                return
            self._begin(call, after_text=after_text)
        assert self._open is not None
        self._piece(said, self._open, call, path, element)
        if not continues:
            self.end(said)

    def by_provider(self, said: Said, call: ToolCall) -> None:
        """A call that Google has carried out already; its strings are told beside."""
        base = self._next()
        channel = self._channels.growing(base)
        call_id = call.call_id or self._ids.of(call.name, call.arguments)
        said.opens.append(OpenCall(channel, call_id, call.name, call.arguments, by_provider=True))
        said.entries.append((call.path, channel))
        said.closes += self._channels.close(base)
        self._ran.called(call.name, call_id)

    def outcome(self, result: ToolResult) -> ToolResult:
        """What such a call gave back: of which of them."""
        return result._replace(call_id=self._ran.answered(result.name, result.call_id))

    def end(self, said: Said) -> None:
        """The open call is complete, if there is one."""
        call, self._open = self._open, None
        if call is None:
            return
        call.arguments.update(call.pieces.value(call.given))
        call.call_id = call.call_id or self._ids.of(call.name, call.arguments)
        said.opens.append(call.opened())
        for base in call.strings.values():
            said.closes += self._channels.close(base)
        said.closes += self._channels.close(call.base)

    def _next(self) -> Channel:
        self._count += 1
        return ("tool_call", self._candidate, self._count - 1)

    def _whole(self, said: Said, call: Mapping[str, Json], path: Path, element: Path, *, after_text: bool) -> None:
        name, call_id = word(call.get("name")) or "", word(call.get("id")) or ""
        if not (name or call_id or call.get("args")):
            self._channels.rest(said, call, path, frozenset())  # the empty end of a call that was complete
            return
        base = self._next()
        channel = self._channels.growing(base)
        arguments = as_arguments(call.get("args"))
        call_id = call_id or self._ids.of(name, arguments)
        said.opens.append(OpenCall(channel, call_id, name, arguments, after_text))
        said.entries.append((element, channel))
        self.channels.append(channel)
        self._members(said, None, call, path)
        said.closes += self._channels.close(base)

    def _begin(self, call: Mapping[str, Json], *, after_text: bool) -> None:
        base = self._next()
        channel = self._channels.growing(base)
        self.channels.append(channel)
        self._open = _Open(base, channel, word(call.get("id")) or "", word(call.get("name")) or "", after_text)

    def _piece(self, said: Said, of: _Open, call: Mapping[str, Json], path: Path, element: Path) -> None:
        said.opens.append(of.opened())
        said.entries.append((element, of.channel))
        of.given |= as_arguments(call.get("args"))
        self._members(said, of, call, path)

    def _members(self, said: Said, of: _Open | None, call: Mapping[str, Json], path: Path) -> None:
        """The texts of a call but its name and id."""
        skip = {name for name in ("id", "name") if isinstance(call.get(name), str)}
        for name, value in call.items():
            if name == "args":
                self._channels.given(said, value, (*path, name))
            elif of is not None and camel(name) == "partialArgs" and isinstance(value, list):
                for index, piece in enumerate(value):
                    self._argument(said, of, piece, (*path, name, index))
            else:
                continue
            skip.add(name)
        self._channels.rest(said, call, path, frozenset(skip))

    def _argument(self, said: Said, of: _Open, piece: Json, path: Path) -> None:
        members = table(piece)
        if not members:
            self._channels.walked(said, piece, path, "tool_call")
            return
        of.pieces.add(members)
        where = word(member(members, "jsonPath")) or "$"
        parts = Parts()
        for name, value in members.items():
            here = (*path, name)
            if camel(name) == "stringValue" and isinstance(value, str):
                base = of.strings.setdefault(where, (*of.base, len(of.strings)))
                if value:
                    said.fragments.append(Fragment(self._channels.growing(base), here, value))
            elif camel(name) == "numberValue" and isinstance(value, int) and abs(value) >= LONG:
                # An edit makes it a string, which no client takes for a number: better no call than that number.
                parts.add(here, str(value), "other", "tool_call")
            else:
                parts.members({name: value}, path, "other", "tool_call", frozenset())
        self._channels.once(parts.out, said)
