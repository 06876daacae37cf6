"""One candidate of a stream: the texts that its chunks let grow, and what repeats them. Calls are `streamed_calls`'."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.gemini.answer import copies_of, stopped
from proxy.codecs.gemini.names import camel, spelling
from proxy.codecs.gemini.parts import held, read_part
from proxy.codecs.gemini.streamed_calls import StreamedCalls
from proxy.codecs.walk import Parts, table

_TEXT: Final = frozenset({"text"})
"""Whether it is a thought is no string; where it is one, it is read like any."""


class Candidate:
    """State of one candidate: its calls, and which kinds of text it has begun and ended."""

    def __init__(self, channels: Channels, number: int) -> None:
        self._channels = channels
        self._number = number
        self.calls = StreamedCalls(channels, number)
        self._texts: dict[Channel, None] = {}
        """Every channel of the answer's own text, which copies repeat."""
        self._spoke: set[str] = set()
        self._over: set[str] = set()

    def read(self, said: Said, members: Mapping[str, Json], path: Path) -> None:
        """What one chunk, its candidate at `path`, adds."""
        content = members.get("content")
        if isinstance(content, dict):
            self.content(said, content, (*path, "content"))
        elif content is not None:
            self._channels.walked(said, content, (*path, "content"))
        self.copies(said, members, path)
        skip = {"content", spelling(members, "logprobsResult")} if self._texts else {"content"}
        self._channels.rest(said, members, path, frozenset(skip))
        reason = stopped(members)
        if reason is not None:
            said.stop = reason
            self.finish(said)

    def finish(self, said: Said) -> None:
        """Nothing of it may follow."""
        self.calls.end(said)
        said.calls += self.calls.channels
        for base in self._channels.open_bases():
            if base[1] == self._number:
                said.closes += self._channels.close(base)

    def copies(self, said: Said, members: Mapping[str, Json], path: Path) -> None:
        """What repeats the answer's text."""
        changes = copies_of(members, path)
        said.when_edited += [(channel, change) for channel in self._texts for change in changes]

    def content(self, said: Said, content: Mapping[str, Json], path: Path) -> None:
        """A content: more parts."""
        for here, part in held(content, path):
            self._part(said, part, here)
        skip = frozenset({"parts"}) if isinstance(content.get("parts"), dict | list) else frozenset()
        self._channels.rest(said, content, path, skip)

    def _part(self, said: Said, part: Json, path: Path) -> None:
        members = table(part)
        text = members.get("text")
        if isinstance(text, str):
            self._grow(said, text, (*path, "text"), "reasoning" if members.get("thought") is True else "text")
            if members.keys() <= _TEXT:
                return
        left: dict[str, Json] = {}
        for name, value in members.items():
            if camel(name) == "functionCall" and isinstance(value, dict):
                self._ended(said, "text")
                self.calls.call(said, value, (*path, name), path, after_text="text" in self._spoke)
            elif name != "text" or not isinstance(value, str):
                left[name] = value
        if left or not members:
            self._whole(said, left or part, path)

    def _whole(self, said: Said, part: Json, path: Path) -> None:
        """What is complete in its chunk."""
        parts = Parts()
        read = read_part(parts, part, path, "assistant")
        for call in read.calls:
            self.calls.by_provider(said, call)
        begin = len(said.fragments)
        self._channels.once(parts.out, said)
        for result in read.outcomes:
            mine = tuple(begin + index for index in result.parts)
            said.results.append(self.calls.outcome(result)._replace(parts=mine))

    def _grow(self, said: Said, text: str, path: Path, kind: str) -> None:
        if kind == "text":
            self._ended(said, "reasoning")
        if not text:
            return  # the last chunk's empty text, there for its signature
        self._spoke.add(kind)
        channel = self._channels.growing((kind, self._number))
        if kind == "text":
            self._texts[channel] = None
        else:
            said.sealed.append(channel)
        said.fragment(channel, path, text)

    def _ended(self, said: Said, kind: str) -> None:
        """Thoughts are over when the answer begins, text when a call does: their last word need not wait.

        Only the first time: where they are interleaved, the rest of each stays one text.
        """
        if kind in self._over or kind not in self._spoke:
            return
        self._over.add(kind)
        for ended in ("reasoning", "text") if kind == "text" else ("reasoning",):
            said.closes += self._channels.close((ended, self._number))
