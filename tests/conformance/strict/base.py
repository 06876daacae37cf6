"""What the strict providers and their hand-written clients share: a script, calls, refusals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import orjson

from proxy.codecs.framings.sse import DONE
from tests.codecs import streams

type Json = dict[str, Any]

MODEL = "model-1"
WEATHER = "get_weather"
MAIL = "send_mail"
LIST = "list_files"
TOOLS = (WEATHER, MAIL, LIST)


class Call(NamedTuple):
    """A tool call, as a model makes it or a client hears it."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """What the model does in one answer."""

    says: str = ""
    thinks: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()


class RefusedError(Exception):
    """The provider answers 400, with this reason."""


def require(holds: bool, reason: str) -> None:
    """Refuse where it does not hold."""
    if not holds:
        raise RefusedError(reason)


@dataclass
class Made:
    """What a provider has made so far, so that it knows its own when that comes back."""

    signed: dict[str, Any] = field(default_factory=dict)
    """By signature, what was signed."""
    ids: set[str] = field(default_factory=set)
    count: int = 0

    def id(self, form: str) -> str:
        """A fresh id; `form` has a place for a number."""
        self.count += 1
        made = form.format(self.count)
        self.ids.add(made)
        return made

    def sign(self, what: Any) -> str:
        """A signature over something. A key-shaped run stands in it."""
        self.count += 1
        signature = f"EqQBCkYIBxgCKkBsk-proj{self.count}AKIAIOSFODNN7EXAMPLE{self.count:04}=="
        self.signed[signature] = what
        return signature


class Provider(Protocol):
    """Refuses what the real one refuses, and answers from a script."""

    def ask(self, request: Json) -> None:
        """Take a request in. RefusedError where the real provider answers 400."""
        ...

    def answer(self, turn: Turn, *, streamed: bool) -> bytes:
        """The answer to the request asked last."""
        ...


class Client(Protocol):
    """Keeps a conversation as its SDK does, from the bytes alone."""

    def say(self, text: str) -> None:
        """The user speaks."""
        ...

    def request(self, *, streamed: bool) -> Json:
        """The next request."""
        ...

    def hear(self, answer: bytes, *, streamed: bool) -> list[Call]:
        """Take an answer in: the calls it makes."""
        ...

    def give(self, call: Call, text: str) -> None:
        """What a call came to."""
        ...


def schema(name: str) -> Json:
    """The parameters of a tool."""
    return {"type": "object", "properties": {"what": {"type": "string", "description": f"of {name}"}}}


def documents(stream: bytes) -> list[Any]:
    """The documents of server-sent events, as a client reads them."""
    return [orjson.loads(event.data) for event in streams.events(stream) if event.data and event.data != DONE]


def pieces(text: str, size: int = 7) -> list[str]:
    """A text in pieces, as a stream brings it."""
    return [text[at : at + size] for at in range(0, len(text), size)]
