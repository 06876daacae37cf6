"""The tool calls of one choice of a stream: which piece belongs to which, and what it adds. `writer` cuts them."""

from collections.abc import Mapping
from typing import Final

import orjson

from proxy.codecs import AmbiguousError, Channel, Json, OpenCall, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.walk import LONGEST_WORD, arguments, table, word

_FUNCTION: Final = frozenset({"name", "arguments", "input"})


class Calls:
    """The tool calls of one choice: which piece belongs to which."""

    def __init__(self, channels: Channels, choice: int) -> None:
        self._channels = channels
        self._choice = choice
        self.bases: list[Channel] = []
        """Every call so far, in order."""
        self._ids: list[str] = []
        self._names: list[str] = []
        self._given: list[list[str]] = []
        """Pieces of each call's arguments: a message beside the deltas may say them again."""
        self._by_index: dict[Json, int] = {}
        self._over: set[int] = set()
        """Calls that a finish reason ended."""

    def piece(
        self, said: Said, piece: Mapping[str, Json], path: Path, *, after_text: bool, fresh: bool = False
    ) -> None:
        """A piece of `tool_calls`, at `path` in its event. `after_text`: the choice has spoken before.

        `fresh`: it begins a call, whatever its index and id say.
        """
        member = _member(piece)
        function = table(piece.get(member))
        self._function(said, piece, function, path, (*path, member), after_text, fresh)
        self._channels.rest(said, piece, path, _plain(piece, member))

    def finished(self) -> None:
        """A finish reason ends all calls so far. Together begins another call after it."""
        self._over.update(range(len(self.bases)))

    def told(self) -> set[tuple[str, str]]:
        """Name and arguments of every call so far."""
        return {(name, "".join(given)) for name, given in zip(self._names, self._given, strict=True)}

    def whole(
        self, said: Said, call: Mapping[str, Json], path: Path, told: set[tuple[str, str]], *, after_text: bool
    ) -> bool:
        """A whole call in a message beside the deltas. Whether it is none of `told`: most only repeat theirs."""
        function = table(call.get(_member(call)))
        given = function.get("arguments", function.get("input", ""))
        if (word(function.get("name")) or "", _text(given)) in told:
            return False
        if (word(call.get("id")) or None) in self._ids:
            raise AmbiguousError("a tool call that is told twice and differs")
        self.piece(said, call, path, after_text=after_text, fresh=True)
        said.closes += self._channels.close(self.bases[-1])
        self._over.add(len(self.bases) - 1)
        return True

    def legacy(self, said: Said, function: Mapping[str, Json], path: Path, *, after_text: bool) -> None:
        """A piece of `function_call`, of which a choice has one."""
        self._function(said, {"index": -1}, function, path, path, after_text, False)

    def _function(
        self,
        said: Said,
        piece: Mapping[str, Json],
        function: Mapping[str, Json],
        path: Path,
        inner: Path,
        after_text: bool,
        fresh: bool,
    ) -> None:
        name, call_id = word(function.get("name")) or "", word(piece.get("id")) or ""
        ordinal, begins = self._which(piece, name, fresh)
        if name and self._names[ordinal] not in ("", name):
            # The last name counts for some clients, the first for others, and for those that join them neither.
            raise AmbiguousError("a tool call that is named twice")
        channel = self._channels.growing(self.bases[ordinal])
        if begins or (name and not self._names[ordinal]) or (call_id and not self._ids[ordinal]):
            self._ids[ordinal] = self._ids[ordinal] or call_id
            self._names[ordinal] = self._names[ordinal] or name
            said.opens.append(OpenCall(channel, self._ids[ordinal], self._names[ordinal], after_text=after_text))
        said.entries.append((path, channel))
        for field in ("arguments", "input"):
            self._arguments(said, function.get(field), (*inner, field), channel, ordinal)
        read = _FUNCTION if isinstance(function.get("name"), str | None) else _FUNCTION - {"name"}
        self._channels.rest(said, function, inner, read)

    def _arguments(self, said: Said, value: Json, path: Path, channel: Channel, ordinal: int) -> None:
        if isinstance(value, str):
            if value and ordinal in self._over:
                raise AmbiguousError("a tool call that goes on after its end")
            if value:
                self._given[ordinal].append(value)
                said.fragment(channel, path, value)
        elif value is not None:
            self._given[ordinal].append(_text(value))
            given = arguments(_text(value))
            said.opens.append(OpenCall(channel, self._ids[ordinal], self._names[ordinal], given))
            self._channels.given(said, value, path)

    def _which(self, piece: Mapping[str, Json], name: str, fresh: bool) -> tuple[int, bool]:
        """Ordinal of the call a piece belongs to, and whether it begins with it.

        By `index`, not by id: later pieces may lack the id, or have it empty. A second name under another id begins a
        new call even at the same index (Gemini's compatible endpoint numbers every call 0).
        """
        index, call_id = piece.get("index"), word(piece.get("id")) or ""
        known = self._by_index.get(index) if isinstance(index, int) else self._unnumbered(call_id, name)
        if not fresh and known is not None and not (name and call_id and self._ids[known] not in ("", call_id)):
            return known, False
        ordinal = len(self.bases)
        self.bases.append(("tool_call", self._choice, ordinal))
        self._ids.append(call_id)
        self._names.append("")
        self._given.append([])
        if isinstance(index, int) and not fresh:
            self._by_index[index] = ordinal
        return ordinal, True

    def _unnumbered(self, call_id: str, name: str) -> int | None:
        if call_id and call_id in self._ids:
            return self._ids.index(call_id)
        return None if name or call_id or not self.bases else len(self.bases) - 1


def _plain(piece: Mapping[str, Json], member: str) -> frozenset[str]:
    """Members of a piece that hold nothing but what `Calls` reads."""
    found = set() if isinstance(piece.get("index"), str | dict | list) else {"index"}
    if isinstance(piece.get(member), dict):
        found.add(member)
    for name in ("id", "type"):
        value = piece.get(name)
        if not isinstance(value, dict | list) and len(word(value) or "") <= LONGEST_WORD:
            found.add(name)
    return frozenset(found)


def _member(piece: Mapping[str, Json]) -> str:
    return "function" if table(piece.get("function")) else "custom"


def _text(given: Json) -> str:
    """Arguments as text; some vendors send the object itself."""
    return given if isinstance(given, str) else orjson.dumps(given).decode()
