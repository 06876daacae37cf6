"""Chunks of a stream. What a choice's delta says is read in `choice`; nothing is changed here."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Fragment, Json, Path, Reading
from proxy.codecs.channels import Channels, Said
from proxy.codecs.openai_chat.choice import Choice
from proxy.codecs.openai_chat.document import read_usage
from proxy.codecs.trees import strings
from proxy.codecs.walk import LONGEST_WORD, table, word

_CHUNK: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "x_groq", "p"}) | frozenset(
    {"system_fingerprint", "service_tier", "obfuscation"}
)
_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "logprobs", "message", "native_finish_reason"})
_CHOICE_TEXT: Final = _CHOICE | {"text"}
_FLOWING: Final = frozenset({"index", "delta", "finish_reason", "logprobs"})
_CONTENT: Final = ("choices", 0, "delta", "content")

_CONTAINERS: Final = (dict, list)
_READ: Final[Mapping[str, type]] = {"choices": list, "usage": dict, "x_groq": dict}
_NUMBERS: Final = frozenset({"index", "created"})
_PADDING: Final = frozenset({"obfuscation", "p"})
_ELSEWHERE: Final = frozenset({"delta", "finish_reason", "logprobs", "message"})


def _known(members: Mapping[str, Json], known: frozenset[str]) -> frozenset[str]:
    """Those of `known` that are what they should be, and hold no texts where numbers are expected."""
    odd = [name for name, value in members.items() if name in known and _is_odd(name, value)]
    return known - frozenset(odd) if odd else known


def _is_odd(name: str, value: Json) -> bool:
    if type(value) not in _CONTAINERS:
        long = isinstance(value, str) and len(value) > LONGEST_WORD and name not in _PADDING
        return long or (isinstance(value, str) and (name in _READ or name in _NUMBERS))
    if name in _ELSEWHERE:
        return False
    if type(value) is not _READ.get(name):
        return True
    return name != "choices" and next(strings(value), None) is not None


class Reader:
    """State of one stream: its open texts, and each of its choices."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._choices: dict[int, Choice] = {}
        self._flowing: tuple[Json, Channel] | None = None
        """The choice whose content came last, and nothing else since."""

    def read(self, event: Json) -> Reading:
        """What one chunk says."""
        return self._flow(event) or self._read(event)

    def _flow(self, event: Json) -> Reading | None:
        """The short way for the chunk that comes most: one more piece of the content that came before."""
        if self._flowing is None or type(event) is not dict or not event.keys() <= _CHUNK or event.get("usage"):
            return None
        choices = event.get("choices")
        if type(choices) is not list or len(choices) != 1 or type(choices[0]) is not dict or "x_groq" in event:
            return None
        choice = choices[0]
        delta = choice.get("delta")
        if type(delta) is not dict or len(delta) != 1 or not choice.keys() <= _FLOWING:
            return None
        text = delta.get("content")
        if type(text) is not str or not text or choice.get("index") != self._flowing[0]:
            return None
        if choice.get("finish_reason") is not None or choice.get("logprobs") is not None:
            return None
        for value in event.values():
            if type(value) in _CONTAINERS and value is not choices:
                return None
        return Reading((Fragment(self._flowing[1], _CONTENT, text),), model=word(event.get("model")))

    def _read(self, event: Json) -> Reading:
        self._flowing = None
        said = Said()
        root = table(event)
        choices = root.get("choices")
        if isinstance(choices, list):
            for position, choice in enumerate(choices):
                self._choice(said, choice, position)
        self._channels.rest(said, root, (), _known(root, _CHUNK))
        if not isinstance(event, dict):
            self._channels.walked(said, event, ())
        said.model = word(root.get("model"))
        if root.get("usage") or "x_groq" in root:
            said.usage = read_usage(root)
            said.only_usage = choices == [] and root.keys() <= _CHUNK
        self._remember(said, choices)
        return said.reading()

    def _remember(self, said: Said, choices: Json) -> None:
        if len(said.fragments) == 1 and said.fragments[0].path == _CONTENT and not said.closes:
            index = table(choices[0]).get("index")
            if isinstance(index, int):
                self._flowing = (index, said.fragments[0].channel)

    def finish(self) -> Reading:
        """The end of the stream closes what no finish reason closed."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _choice(self, said: Said, choice: Json, position: int) -> None:
        members = table(choice)
        path: Path = ("choices", position)
        state = self._state(members, position)
        delta = members.get("delta")
        if isinstance(delta, dict):
            state.delta(said, delta, (*path, "delta"))
        elif delta is not None:
            self._channels.walked(said, delta, (*path, "delta"))
        state.copies(said, members, path)
        known = _CHOICE_TEXT if isinstance(members.get("text"), str) else _CHOICE
        self._channels.rest(said, members, path, _known(members, known))
        if not members:
            self._channels.walked(said, choice, path)
        if used := members.get("usage"):  # Moonshot
            said.usage = read_usage({"usage": used})
        reason = members.get("finish_reason")
        if reason is not None and reason != "":  # Snowflake's way to say that there is none
            state.finished(said, reason, path)

    def _state(self, members: Mapping[str, Json], position: int) -> Choice:
        index = members.get("index")
        number = index if isinstance(index, int) else position
        if number not in self._choices:
            self._choices[number] = Choice(self._channels, number)
        return self._choices[number]


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
