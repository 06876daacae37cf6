"""One choice of a stream: the texts that its deltas let grow, vendors' shapes of them included.

A chunk's frame is read in `stream`, pieces of calls in `calls`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.codecs import Channel, Json, Kind, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.openai_chat.beside import Beside
from proxy.codecs.openai_chat.calls import Calls
from proxy.codecs.openai_chat.messages import REASONING
from proxy.codecs.openai_chat.provided import Executed
from proxy.codecs.splicing import Remove
from proxy.codecs.walk import LONGEST_WORD, array, table

_GROWING: Final[Mapping[str, Channel]] = {
    "content": ("text",),
    "reasoning_content": ("reasoning", "reasoning_content"),
    "reasoning": ("reasoning", "reasoning"),
}

_LISTS: Final = frozenset({"tool_calls", "executed_tools", "reasoning_details"})

_NOTHING: Final[tuple[Json, ...]] = (None, "", [])
"""Some vendors send every member of a delta every time. An empty `tool_calls` begins no call and ends no text."""


class Choice:
    """State of one choice: its calls, and which kinds of text it has begun and ended."""

    def __init__(self, channels: Channels, number: int) -> None:
        self._channels = channels
        self._number = number
        self._calls = Calls(channels, number)
        self._executed = Executed(channels, number)
        self._beside = Beside(channels, number, self._calls)
        self._spoke: set[str] = set()
        self._over: set[str] = set()

    @property
    def _spoken(self) -> bool:
        return "text" in self._spoke

    def delta(self, said: Said, delta: Mapping[str, Json], path: Path) -> None:
        """What one delta, at `path` in its chunk, adds."""
        for name, value in delta.items():
            if value in _NOTHING or (name == "role" and isinstance(value, str) and len(value) <= LONGEST_WORD):
                continue
            if name in _LISTS and isinstance(value, list):
                self._list(said, name, value, (*path, name))
            elif name == "tool_calls" and isinstance(value, dict):
                self._ended(said, "text")
                self._calls.piece(said, value, (*path, name), after_text=self._spoken)
            elif name == "annotations" and isinstance(value, list):
                self._beside.annotations(said, value, (*path, name))
            elif name == "function_call" and isinstance(value, dict):
                if not any(value.values()):
                    continue
                self._ended(said, "text")
                self._calls.legacy(said, value, (*path, name), after_text=self._spoken)
            elif isinstance(value, str):
                self._grow(said, name, value, path)
            else:
                self._structured(said, name, value, (*path, name))

    def _list(self, said: Said, name: str, value: Sequence[Json], path: Path) -> None:
        if name == "tool_calls":
            self._ended(said, "text")
        for index, item in enumerate(value):
            here = (*path, index)
            if not isinstance(item, dict):
                self._channels.walked(said, item, here)
            elif name == "tool_calls":
                self._calls.piece(said, item, here, after_text=self._spoken)
            elif name == "executed_tools":
                self._executed.read(said, item, here)
            else:
                self._detail(said, item, here)

    def copies(self, said: Said, members: Mapping[str, Json], path: Path) -> None:
        """What stands beside the delta and repeats it. `text`: Together's and TGI's copy of each piece."""
        if isinstance(text := members.get("text"), str) and text:
            self._fragment(said, ("text", self._number, "beside"), (*path, "text"), text)
        self._beside.copies(said, members, path, after_text=self._spoken)

    def finished(self, said: Said, reason: Json, path: Path) -> None:
        """The choice is complete; `reason` stands in the chunk's choice at `path`."""
        if isinstance(reason, str):
            said.stop = reason
        else:
            self._channels.walked(said, reason, (*path, "finish_reason"))
        said.calls += self._calls.bases
        self._calls.finished()
        for base in self._channels.open_bases():
            if base[1] == self._number:
                said.closes += self._channels.close(base)

    def _grow(self, said: Said, name: str, text: str, path: Path) -> None:
        kind, *rest = _GROWING.get(name, ("text", name))
        if name == "content":
            self._ended(said, "reasoning")
        self._spoke.add(str(kind))
        self._fragment(said, (kind, self._number, *rest), (*path, name), text)

    def _fragment(self, said: Said, base: Channel, path: Path, text: str) -> None:
        said.fragment(self._channels.growing(base), path, text)

    def _ended(self, said: Said, kind: str) -> None:
        """Reasoning is over when the answer begins, text when a call does: their last word need not wait.

        Only the first time: where a vendor interleaves them, the rest of each stays one text.
        """
        if kind in self._over:
            return
        kinds = ("reasoning",) if kind == "reasoning" else ("reasoning", "text")
        for base in self._channels.open_bases():
            if base[1] == self._number and base[0] in kinds:
                said.closes += self._channels.close(base)
        if kind in self._spoke:
            self._over.add(kind)

    def _structured(self, said: Said, name: str, value: Json, path: Path) -> None:
        if name == "content" and isinstance(value, list):
            for index, item in enumerate(value):
                self._chunk(said, item, (*path, index))
        elif name == "audio" and isinstance(value, dict) and isinstance(value.get("transcript"), str):
            self._fragment(said, ("text", self._number, "transcript"), (*path, "transcript"), value["transcript"])
            self._channels.rest(said, value, path, frozenset({"transcript"}))
        else:
            kind: Kind = "reasoning" if name in REASONING else "text"
            self._channels.walked(said, value, path, kind)

    def _chunk(self, said: Said, item: Json, path: Path) -> None:
        """A piece of array content (Mistral): text, or thinking that is itself a list of texts."""
        members = table(item)
        text = members.get("text")
        if members.get("type") == "text" and isinstance(text, str):
            self._ended(said, "reasoning")
            self._spoke.add("text")
            self._fragment(said, ("text", self._number), (*path, "text"), text)
            self._channels.rest(said, members, path, frozenset({"text"}))
        elif members.get("type") == "thinking":
            self._thinking(said, members, path)
        else:
            self._channels.walked(said, item, path)

    def _thinking(self, said: Said, members: Mapping[str, Json], path: Path) -> None:
        self._spoke.add("reasoning")
        for index, inner in enumerate(array(members.get("thinking"))):
            text = table(inner).get("text")
            if isinstance(text, str):
                here = (*path, "thinking", index)
                self._fragment(said, ("reasoning", self._number, "thinking"), (*here, "text"), text)
                self._channels.rest(said, inner, here, frozenset({"text"}))
            else:
                self._channels.walked(said, inner, (*path, "thinking", index), "reasoning")
        if members.get("signature"):
            self._signed(said, array(members.get("thinking")), path)
        skip = frozenset({"thinking"}) if isinstance(members.get("thinking"), list) else frozenset()
        self._channels.rest(said, members, path, skip)

    def _signed(self, said: Said, pieces: Sequence[Json], path: Path) -> None:
        """A signature that comes with the text seals it; one that comes after it goes, if the text was edited."""
        channel = self._channels.growing(("reasoning", self._number, "thinking"))
        if any(table(piece).get("text") for piece in pieces):
            said.sealed.append(channel)
        else:
            said.when_edited.append((channel, Remove((*path, "signature"))))

    def _detail(self, said: Said, members: Mapping[str, Json], path: Path) -> None:
        """OpenRouter's reasoning_details: the signature comes after the text, which is sealed from the start."""
        self._spoke.add("reasoning")
        index = members.get("index")
        grown = [name for name in ("text", "summary") if isinstance(members.get(name), str)]
        for name in grown:
            base: Channel = ("reasoning", self._number, name, index if isinstance(index, int) else 0)
            self._fragment(said, base, (*path, name), members[name])
            if name == "text":
                said.sealed.append(self._channels.growing(base))
        self._channels.rest(said, members, path, frozenset(grown))
