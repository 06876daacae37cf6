"""JSON-RPC 2.0 as MCP and A2A carry it: messages alone or in batches, their ids, and answers that midstream gives.

What a method's params or result mean is the codecs' business. https://www.jsonrpc.org/specification
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from proxy.codecs import Json, Kind, Path, Reading, Response
from proxy.codecs.channels import Channels, Said
from proxy.codecs.framings import Event
from proxy.codecs.splicing import Change, Remove, Replace
from proxy.codecs.vocabulary import Vocabulary, read
from proxy.codecs.walk import Parts, table, word

DENIED: Final = -32010
"""Our own error code, from the range left to implementations (§5.1). SDKs use -32000 and -32001 for lost connections
and timeouts, A2A -32001 to -32009; MCP leaves -32000 to -32019 free."""

_NOT_CARRIED_OUT: Final = "[midstream] Not carried out, because another message of the same batch was denied"


class Message(NamedTuple):
    """One message of a document."""

    path: Path
    value: Json

    @property
    def members(self) -> Mapping[str, Json]:
        """Its members; none where it is no object."""
        return table(self.value)

    @property
    def method(self) -> str | None:
        """What a request or a notification asks for; None for an answer."""
        return word(self.members.get("method"))

    @property
    def params(self) -> Mapping[str, Json]:
        """A request's params, if they are an object."""
        return table(self.members.get("params"))

    @property
    def call_id(self) -> str:
        """The id as JSON text (§4: `1` and `"1"` are two ids, `0` is one); "" for a message without."""
        found = self.members.get("id")
        return "" if found is None else dumps(found).decode()

    @property
    def is_request(self) -> bool:
        """Whether it waits for an answer."""
        return self.method is not None and self.members.get("id") is not None

    @property
    def payload(self) -> str | None:
        """The member that carries what it says; None for what is no message."""
        if self.method is not None:
            return "params"
        return next((name for name in ("result", "error") if name in self.members), None)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What it says, as a call's arguments."""
        said = self.value if self.payload is None else self.members.get(self.payload)
        if isinstance(said, dict):
            return said
        return {} if said is None else {"input": said}


def messages(document: Json) -> Iterator[Message]:
    """The messages of a document: one, or those of a batch (§6)."""
    if isinstance(document, list):
        for index, value in enumerate(document):
            yield Message((index,), value)
    else:
        yield Message((), document)


def at(document: Json, path: Path) -> Message:
    """The message at `path`."""
    return Message(path, document[path[0]] if path else document)


def is_spoken(document: Json) -> bool:
    """Whether all of a document is messages of this version."""
    return document != [] and all(
        message.members.get("jsonrpc") == "2.0" and message.payload is not None for message in messages(document)
    )


def speaks(document: Json, methods: frozenset[str]) -> bool:
    """Whether a document asks for one of `methods`, and so speaks their protocol, wherever it is sent to.

    Servers may be lenient: the version is not asked for, and one message of a batch is enough.
    """
    return any(message.method in methods for message in messages(document))


def shares(document: Json) -> bool:
    """Whether a document says what more than one protocol has: an answer, a ping, a question about a task."""
    return any(
        message.members.get("jsonrpc") == "2.0"
        and (message.method in _SHARED or (message.method is None and message.payload is not None))
        for message in messages(document)
    )


_SHARED: Final = frozenset({"ping", "tasks/get", "tasks/list", "tasks/cancel"})


def asked(document: Json, named: Callable[[Message], tuple[str, Mapping[str, Any]]]) -> dict[str, tuple[str, Any]]:
    """What each request of a document asks for, by its id: what `named` says of it."""
    return {message.call_id: named(message) for message in messages(document) if message.is_request}


def spoken(parts: Parts, message: Message, role: str, kind: Kind, names: Vocabulary) -> tuple[int, ...]:
    """Adds a message's parts; the indexes of those that say something: texts and media, no ids and words."""
    begin = len(parts.out)
    read(parts, message.value, message.path, role, kind, names)
    return tuple(
        index for index, part in enumerate(parts.out[begin:], begin) if not part.sealed or part.kind == "media"
    )


def dumps(value: Json) -> bytes:
    """JSON of any parsed value."""
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError):  # lone surrogates and integers beyond 64 bits
        return json.dumps(value).encode()


def error(message: str) -> dict[str, Json]:
    """An error object that says `message` (§5.1)."""
    return {"code": DENIED, "message": message}


def failure(message: str) -> dict[str, Json]:
    """An answer to no request in particular (§5: the id is null where it is not known)."""
    return {"jsonrpc": "2.0", "id": None, "error": error(message)}


def refusal(status: int, message: str) -> bytes:
    """A denial of a whole HTTP request: clients show the message, whatever the status."""
    return dumps(failure(message))


def says(model: str | None, text: str) -> bytes:
    """A whole answer that says only `text`."""
    return dumps(failure(text))


def says_in_stream(model: str | None, text: str) -> Sequence[Event]:
    """The same as a stream of one event."""
    return (Event("message", says(model, text)),)


def answers(document: Json, notices: Mapping[Path, str], say: Callable[[Message, str], dict[str, Json]]) -> bytes:
    """The answer to a POST of which messages are denied: nothing of it is carried out.

    `say` gives the result or the error that tells a notice to who made a request. Where none waits for an answer
    (notifications, answers to the server), an error without an id tells the first notice.
    """
    first = next(iter(notices.values()), "")
    others = f"{_NOT_CARRIED_OUT}: {first}"
    given = [
        {"jsonrpc": "2.0", "id": message.members["id"]} | say(message, notices.get(message.path, others))
        for message in messages(document)
        if message.is_request
    ]
    if not given:
        return dumps(failure(first))
    return dumps(given if isinstance(document, list) else given[0])


def only(message: Message, kept: Iterable[str], name: str, value: Json) -> list[Change]:
    """Leave of a message the members `kept`, as they are, and `name` with a new value."""
    stay = {"jsonrpc", "id", name, *kept}
    members = message.members
    changes: list[Change] = [Remove((*message.path, other)) for other in members if other not in stay]
    # Nor may a text stand where a version or an id should.
    if members.get("jsonrpc", "2.0") != "2.0":
        changes.append(Replace((*message.path, "jsonrpc"), b'"2.0"'))
    if isinstance(members.get("id"), dict | list):
        changes.append(Replace((*message.path, "id"), b"null"))
    return [*changes, Replace((*message.path, name), dumps(value))]


def deny(message: Message, notice: str) -> list[Change]:
    """An error in the place of an answer; of what is no message, an error in its own place."""
    if message.payload is None:
        return [Replace(message.path, dumps(failure(notice)))]
    return only(message, (), "error", error(notice))


class EachAlone:
    """The reader of streams in which every event is a message by itself."""

    def __init__(self, read_response: Callable[[Json], Response]) -> None:
        self._read_response = read_response
        self._channels = Channels()

    def read(self, event: Json) -> Reading:
        """All its texts, each complete."""
        said = Said()
        self._channels.once(self._read_response(event).parts, said)
        return said.reading()

    def finish(self) -> Reading:
        """Nothing is open."""
        return Reading(end=True)
