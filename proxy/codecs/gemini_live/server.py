"""What the server sends: pieces of an answer, transcripts, calls. What a part says is read as in streams of chunks."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Reading, Response
from proxy.codecs.channels import Channels, Said
from proxy.codecs.gemini.answer import Answer, read_usage
from proxy.codecs.gemini.candidate import Candidate
from proxy.codecs.gemini.names import camel, member
from proxy.codecs.walk import table, word

_TRANSCRIPTS: Final = {
    "inputTranscription": "heard",
    "interimInputTranscription": "interim",
    "outputTranscription": "spoken",
}


class Reader:
    """State of one answer."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._candidate = Candidate(self._channels, 0)

    def read(self, event: Json) -> Reading:
        """What one message says."""
        said = Said()
        rest: dict[str, Json] = {}
        for name, value in table(event).items():
            known = camel(name)
            if known == "serverContent" and isinstance(value, dict):
                self._content(said, value, (name,))
            elif known == "toolCall" and isinstance(value, dict):
                self._calls(said, value, (name,))
            else:
                rest[name] = value
                self._envelope(said, known, value)
        self._channels.rest(said, rest, (), frozenset())
        if not isinstance(event, dict):
            self._channels.walked(said, event, ())
        return said.reading()

    def finish(self) -> Reading:
        """The end of the connection closes what is open."""
        said = Said()
        self._candidate.finish(said)
        return Reading(opens=said.opens, closes=[*said.closes, *self._channels.close_all()], end=True)

    def _envelope(self, said: Said, name: str, value: Json) -> None:
        if name == "usageMetadata":
            said.usage = read_usage(value)
        elif name == "sessionResumptionUpdate":
            said.keeps = word(member(table(value), "newHandle"))

    def _content(self, said: Said, members: Mapping[str, Json], path: Path) -> None:
        rest: dict[str, Json] = {}
        for name, value in members.items():
            known = camel(name)
            if known == "modelTurn" and isinstance(value, dict):
                self._candidate.content(said, value, (*path, name))
            elif known in _TRANSCRIPTS and isinstance(value, dict):
                self._transcript(said, value, (*path, name), _TRANSCRIPTS[known])
            else:
                rest[name] = value
        self._candidate.copies(said, members, path)
        self._channels.rest(said, rest, path, frozenset())
        over = [name for name in ("turnComplete", "interrupted") if member(members, name) is True]
        if over or member(members, "generationComplete") is True:
            self._candidate.finish(said)
        if over:
            said.stop = over[0]
            said.closes += self._channels.close_all()
            said.end = over[0] == "turnComplete"

    def _transcript(self, said: Said, members: Mapping[str, Json], path: Path, which: str) -> None:
        """What was said aloud, as text; it grows beside the audio."""
        text = members.get("text")
        base = ("text", which)
        if isinstance(text, str) and text:
            said.fragment(self._channels.growing(base), (*path, "text"), text)
        self._channels.rest(said, members, path, frozenset({"text"}) if isinstance(text, str) else frozenset())
        if members.get("finished") is True:
            said.closes += self._channels.close(base)

    def _calls(self, said: Said, members: Mapping[str, Json], path: Path) -> None:
        for name, value in members.items():
            here = (*path, name)
            if camel(name) == "functionCalls" and isinstance(value, list):
                for index, call in enumerate(value):
                    if isinstance(call, dict):
                        place = (*here, index)
                        self._candidate.calls.call(said, call, place, place, after_text=False)
                    else:
                        self._channels.walked(said, call, (*here, index))
            else:
                self._channels.rest(said, {name: value}, path, frozenset())


def stream_reader() -> Reader:
    """A reader for one answer."""
    return Reader()


def read_response(document: Json) -> Response:
    """A message by itself: where none grows over several."""
    answer = Answer()
    answer.read(document, ())
    return Response(None, answer.parts.out, usage=answer.usage)
