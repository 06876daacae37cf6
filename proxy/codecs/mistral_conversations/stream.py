"""Events of a stream. What a chunk of content says whole is read in `entries`; nothing is changed here."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, Kind, OpenCall, Path, Reading
from proxy.codecs.channels import Channels, Said
from proxy.codecs.mistral_conversations.document import read_usage
from proxy.codecs.mistral_conversations.entries import others, read_arguments, read_chunk
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, array, number, table, word

_CALL: Final = frozenset({"name", "arguments"})
_CONTENT: Final = frozenset({"content"})
_INFO: Final = frozenset({"name", "info"})


class Reader:
    """State of one stream: the open texts of each entry, and its calls. Entries follow each other."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._calls: list[Channel] = []
        self._open_call = ""
        """The id of the call whose pieces come now."""
        self._entry: int | None = None
        self._spoke = False

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said = Said()
        root = table(event)
        kind = root.get("type")
        if "output_index" in root:
            self._move(said, number(root["output_index"]))
        index = self._entry or 0
        if kind == "message.output.delta" and "content" in root:
            self._content(said, root["content"], index, number(root.get("content_index")))
            self._rest(said, root, _CONTENT)
        elif kind in ("function.call.delta", "tool.execution.started", "tool.execution.delta"):
            self._call(said, root, index, by_provider=kind != "function.call.delta")
        elif kind == "tool.execution.done":
            self._done(said, root, index)
        elif kind == "conversation.response.done":
            said.usage = read_usage(root.get("usage"))
            said.calls += self._calls
            said.closes += self._channels.close_all()
            said.end = True
            self._rest(said, root, frozenset())
        else:
            said.keeps = word(root.get("conversation_id"))
            self._rest(said, root, frozenset())
            if not isinstance(event, dict):
                self._channels.walked(said, event, ())
        said.model = word(root.get("model"))
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _move(self, said: Said, index: int) -> None:
        """The next entry begins: everything of the one before it is complete."""
        if self._entry is not None and index != self._entry:
            said.closes += self._channels.close_block(self._entry)
        self._entry = index

    def _rest(self, said: Said, members: Mapping[str, Json], skip: frozenset[str]) -> None:
        parts = Parts()
        others(parts, members, (), "other", skip)
        self._channels.once(parts.out, said)

    # texts

    def _content(self, said: Said, content: Json, index: int, within: int) -> None:
        path: Path = ("content",)
        if isinstance(content, str):
            self._grow(said, ("text", index, within), path, content)
        for position, chunk in enumerate(array(content)):
            self._chunk(said, chunk, index, within, (*path, position))
        if isinstance(content, dict):
            self._chunk(said, content, index, within, path)

    def _chunk(self, said: Said, chunk: Json, index: int, within: int, path: Path) -> None:
        members = table(chunk)
        text = members.get("text")
        if members.get("type") == "text" and isinstance(text, str):
            self._grow(said, ("text", index, within), (*path, "text"), text)
            self._channels.rest(said, members, path, frozenset({"text"}))
        elif members.get("type") == "thinking" and isinstance(members.get("thinking"), list):
            self._thinking(said, members, index, within, path)
        else:
            parts = Parts()
            read_chunk(parts, chunk, path, "assistant")
            self._channels.once(parts.out, said)

    def _thinking(self, said: Said, members: Mapping[str, Json], index: int, within: int, path: Path) -> None:
        """A signature that comes with the text seals it; one that comes after it goes, if the text was edited."""
        base: Channel = ("reasoning", index, within)
        grew = False
        for position, inner in enumerate(members["thinking"]):
            here = (*path, "thinking", position)
            text = table(inner).get("text")
            if isinstance(text, str):
                grew = grew or bool(text)
                self._grow(said, base, (*here, "text"), text)
                self._channels.rest(said, table(inner), here, frozenset({"text"}))
            else:
                self._channels.walked(said, inner, here, "reasoning")
        if members.get("signature") and grew:
            said.sealed.append(self._channels.growing(base))
        elif members.get("signature"):
            change: Change = Remove((*path, "signature"))
            said.when_edited.append((self._channels.growing(base), change))
        self._channels.rest(said, members, path, frozenset({"thinking"}))

    def _grow(self, said: Said, base: Channel, path: Path, text: str) -> None:
        if text:
            self._spoke = self._spoke or base[0] == "text"
            if base[0] == "text":
                said.closes += self._channels.close(("reasoning", *base[1:]))
            said.fragment(self._channels.growing(base), path, text)

    # calls

    def _call(self, said: Said, root: Mapping[str, Json], index: int, *, by_provider: bool) -> None:
        """A piece of a call. Every piece names it."""
        base: Channel = ("tool_call", index)
        call_id = word(root.get("tool_call_id")) or word(root.get("id")) or ""
        if call_id != self._open_call:
            said.closes += self._channels.close(base)
        begins = base not in self._channels.open_bases()
        channel = self._channels.growing(base)
        name, given = word(root.get("name")) or "", root.get("arguments")
        if begins or (given is not None and not isinstance(given, str)):
            whole = None if given is None or isinstance(given, str) else read_arguments(given)
            said.opens.append(OpenCall(channel, call_id, name, whole, self._spoke, by_provider))
        if begins:
            self._calls.append(channel)
            self._open_call = call_id
        said.entries.append(((), channel))
        if isinstance(given, str) and given:
            said.fragment(channel, ("arguments",), given)
        elif not isinstance(given, str):
            self._channels.given(said, given, ("arguments",))
        self._rest(said, root, _CALL if isinstance(root.get("name"), str) else _CALL - {"name"})

    def _done(self, said: Said, root: Mapping[str, Json], index: int) -> None:
        """A tool of the provider's has run; `info` is what came of it."""
        said.closes += self._channels.close(("tool_call", index))
        kind: Kind = "tool_result"
        parts = Parts()
        parts.walk_any(root.get("info"), ("info",), "tool", kind)
        self._channels.once(parts.out, said)
        self._rest(said, root, _INFO if isinstance(root.get("name"), str) else _INFO - {"name"})


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
