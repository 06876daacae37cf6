"""Chunks of a stream: each is an answer that adds to those before. What a candidate says is read in `candidate`."""

from collections.abc import Mapping

from proxy.codecs import Channel, Fragment, Json, Path, Reading
from proxy.codecs.channels import Channels, Said
from proxy.codecs.gemini.answer import blocked, read_usage
from proxy.codecs.gemini.candidate import Candidate
from proxy.codecs.gemini.flow import TEXT, flowing_text
from proxy.codecs.gemini.names import camel
from proxy.codecs.walk import table, word


class Reader:
    """State of one stream: its open texts, and each of its candidates."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._candidates: dict[int, Candidate] = {}
        self._flowing: Channel | None = None
        """The only candidate's text, if it came last and nothing else since."""

    def read(self, event: Json) -> Reading:
        """What one chunk says."""
        if self._flowing is not None and (text := flowing_text(event)) is not None:
            used = event.get("usageMetadata")
            return Reading(
                (Fragment(self._flowing, TEXT, text),), model=word(event.get("modelVersion")), usage=read_usage(used)
            )
        reading = self._read(event)
        fragments = reading.fragments
        flows = len(fragments) == 1 and fragments[0].path == TEXT and not reading.closes
        self._flowing = fragments[0].channel if flows and fragments[0].channel[:2] == ("text", 0) else None
        return reading

    def _read(self, event: Json) -> Reading:
        said = Said()
        if isinstance(event, dict):
            self._members(said, event, ())
        elif isinstance(event, list):  # an error, of endpoints that wrap it in an array
            for index, inner in enumerate(event):
                self._members(said, table(inner), (index,))
                if not isinstance(inner, dict):
                    self._channels.walked(said, inner, (index,))
        else:
            self._channels.walked(said, event, ())
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what no finish reason closed."""
        said = Said()
        for candidate in self._candidates.values():
            candidate.finish(said)
        return Reading(opens=said.opens, closes=[*said.closes, *self._channels.close_all()], end=True)

    def _members(self, said: Said, members: Mapping[str, Json], path: Path) -> None:
        rest: dict[str, Json] = {}
        for name, value in members.items():
            if name == "candidates" and isinstance(value, list):
                for index, candidate in enumerate(value):
                    self._candidate(said, candidate, (*path, name, index), index)
            elif name == "response" and isinstance(value, dict):  # Code Assist
                self._members(said, value, (*path, name))
            else:
                rest[name] = value
                self._envelope(said, camel(name), value)
        said.stop = said.stop or blocked(members)
        self._channels.rest(said, rest, path, frozenset())

    def _envelope(self, said: Said, name: str, value: Json) -> None:
        if name == "modelVersion":
            said.model = word(value)
        elif name == "usageMetadata":
            said.usage = read_usage(value)  # counts are cumulative, and the last chunk has all

    def _candidate(self, said: Said, candidate: Json, path: Path, position: int) -> None:
        members = table(candidate)
        if not members:
            self._channels.walked(said, candidate, path)
            return
        index = members.get("index")
        number = index if isinstance(index, int) else position
        if number not in self._candidates:
            self._candidates[number] = Candidate(self._channels, number)
        self._candidates[number].read(said, members, path)


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
