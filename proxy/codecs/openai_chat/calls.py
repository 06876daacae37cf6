"""The tool calls of one choice of a stream: which piece belongs to which, and what it adds. `writer` cuts them."""

from collections.abc import Mapping
from typing import Final

import orjson

from proxy.codecs import Channel, Json, OpenCall, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.walk import arguments, table, word

_CALL: Final = frozenset({"id", "type", "index"})
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
        self._by_index: dict[Json, int] = {}

    def piece(self, said: Said, piece: Mapping[str, Json], path: Path, *, after_text: bool) -> None:
        """A piece of `tool_calls`, at `path` in its event. `after_text`: the choice has spoken before."""
        member = "function" if table(piece.get("function")) else "custom"
        function = table(piece.get(member))
        self._function(said, piece, function, path, (*path, member), after_text)
        self._channels.rest(said, piece, path, _CALL | {member})

    def legacy(self, said: Said, function: Mapping[str, Json], path: Path, *, after_text: bool) -> None:
        """A piece of `function_call`, of which a choice has one."""
        self._function(said, {"index": -1}, function, path, path, after_text)

    def _function(
        self,
        said: Said,
        piece: Mapping[str, Json],
        function: Mapping[str, Json],
        path: Path,
        inner: Path,
        after_text: bool,
    ) -> None:
        name, call_id = word(function.get("name")) or "", word(piece.get("id")) or ""
        ordinal, begins = self._which(piece, name)
        channel = self._channels.growing(self.bases[ordinal])
        if begins or (name and self._names[ordinal] != name) or (call_id and not self._ids[ordinal]):
            self._ids[ordinal] = self._ids[ordinal] or call_id
            self._names[ordinal] += name if self._names[ordinal] != name else ""
            said.opens.append(OpenCall(channel, self._ids[ordinal], self._names[ordinal], after_text=after_text))
        said.entries.append((path, channel))
        for field in ("arguments", "input"):
            self._arguments(said, function.get(field), (*inner, field), channel, ordinal)
        self._channels.rest(said, function, inner, _FUNCTION)

    def _arguments(self, said: Said, value: Json, path: Path, channel: Channel, ordinal: int) -> None:
        if isinstance(value, str):
            if value:
                said.fragment(channel, path, value)
        elif value is not None:
            given = arguments(orjson.dumps(value).decode())
            said.opens.append(OpenCall(channel, self._ids[ordinal], self._names[ordinal], given))
            self._channels.given(said, value, path)

    def _which(self, piece: Mapping[str, Json], name: str) -> tuple[int, bool]:
        """Ordinal of the call a piece belongs to, and whether it begins with it.

        By `index`, not by id: later pieces may lack the id, or have it empty. A second name under another id begins a
        new call even at the same index (Gemini's compatible endpoint numbers every call 0).
        """
        index, call_id = piece.get("index"), word(piece.get("id")) or ""
        known = self._by_index.get(index) if isinstance(index, int) else self._unnumbered(call_id, name)
        if known is not None and not (name and call_id and self._ids[known] not in ("", call_id)):
            return known, False
        ordinal = len(self.bases)
        self.bases.append(("tool_call", self._choice, ordinal))
        self._ids.append(call_id)
        self._names.append("")
        if isinstance(index, int):
            self._by_index[index] = ordinal
        return ordinal, True

    def _unnumbered(self, call_id: str, name: str) -> int | None:
        if call_id and call_id in self._ids:
            return self._ids.index(call_id)
        return None if name or call_id or not self.bases else len(self.bases) - 1
