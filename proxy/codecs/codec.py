"""What a codec offers: the functions of one wire format, in one frozen record. Types and defaults only.

A format fills in what it has; what it lacks (calls that can be cut, a place for context) is said by the defaults here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import orjson

from proxy.codecs import Channel, Json, Owed, Reading, Request, Response, ToolCall, ToolResult
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Replace, splice
from proxy.codecs.trees import parse


class StreamReader(Protocol):
    """State of one response stream: which calls and blocks are open. One per response, fed in order."""

    def read(self, event: Json) -> Reading:
        """What one parsed event says. Unknown events yield all their strings as one-shot channels."""
        ...

    def finish(self) -> Reading:
        """What the end of the stream closes."""
        ...


class StreamWriter(Protocol):
    """Cuts tool calls out of one stream. One per response, given every event from the first cut on, in order."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> Sequence[Event] | None:
        """The events that leave instead of `event`; an empty sequence drops it, None leaves it as it is.

        `document` is `event.data` parsed. `cuts` maps each call that is denied to the notice that takes its place. The
        first of the new events takes over the framing of `event` where it has the same name.
        """
        ...


class Syntax(NamedTuple):
    """How a document's bytes are read into a tree of dicts, lists and scalars, and changed in place.

    Both raise as `trees.parse` and `splicing.splice` do; bytes outside of what a change names stay as they were.
    """

    parse: Callable[[bytes], Json]
    splice: Callable[[bytes, Sequence[Change]], bytes]


JSON = Syntax(parse, splice)


class CutsNothing:
    """The writer of formats whose streams carry no calls that a client carries out."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> Sequence[Event] | None:
        """Leaves every event as it is."""
        return None


def _cut_nothing(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    if cuts:
        raise ValueError("this format has no tool calls")
    return []


def _no_place(document: Json, text: str) -> list[Change]:
    raise ValueError("a request of this format has no place for a text")


def _no_change(document: Json) -> list[Change]:
    return []


def _owes_nothing(document: Json, owed: Sequence[Owed]) -> list[Change]:
    return []


def _as_string(document: Json, result: ToolResult, text: str) -> list[Change]:
    return [Replace(result.content, orjson.dumps(text))]


def _says(model: str | None, text: str) -> bytes:
    return orjson.dumps({"message": text})


def _streams(model: str | None, text: str) -> Sequence[Event]:
    return (Event(None, _says(model, text)),)


def _never(document: Json) -> bool:
    return False


def problem(status: int, message: str) -> bytes:
    """A problem (RFC 9457), for formats without an error shape of their own."""
    return orjson.dumps({"type": "about:blank", "title": "refused by midstream", "status": status, "detail": message})


class Mirrors(NamedTuple):
    """Headers of a request that repeat what its body says."""

    said: Callable[[Mapping[str, str]], Mapping[str, str]]
    """What they say, by header."""
    mirrored: Callable[[Mapping[str, str], Json, Json], Mapping[str, str | None]]
    """(headers, body, body after an edit): the new values of those whose value was edited, None for one that goes."""
    encoded: Callable[[str], str]
    """A text as such a header may carry it."""


def _no_session(headers: Mapping[str, str]) -> str | None:
    return None


def _nowhere(document: Json) -> Iterable[str]:
    return ()


def _never_elsewhere(method: str, path: str, headers: Mapping[str, str]) -> bool:
    return False


class Withholding(NamedTuple):
    """How calls are denied whose answer comes on another connection, or for which nobody waits."""

    waits: Callable[[Json, ToolCall], bool]
    """Whether the sender of a message waits for an answer to it."""
    withhold: Callable[[Json, Request, Mapping[int, str]], list[Change]]
    """Takes denied calls (indexes) out of a request, so that the server answers them with an error under their ids."""
    told: Callable[[Json, ToolResult, str, bool], list[Change]]
    """(document, that answer, notice, whether a tool was called): puts the notice in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProtocol:
    """What formats have besides in which agents and tool servers send each other messages: whose they are."""

    is_message: Callable[[Json], bool]
    """Whether all of a document is messages of the protocol."""
    server_of: Callable[[Json], str | None]
    """The server's own name, where a document tells it."""
    endpoints_of: Callable[[Json], Iterable[str]] = _nowhere
    """The URLs at which that server is reached, where the document says so."""
    session: Callable[[Mapping[str, str]], str | None] = _no_session
    """The id of the session that a request or an answer belongs to, by its headers."""
    answered_elsewhere: Callable[[str, str, Mapping[str, str]], bool] = _never_elsewhere
    """(method, path with query, headers): whether a request is answered on another connection."""
    withholding: Withholding | None = None
    mirrors: Mirrors | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One wire format. All functions are pure; none knows hosts or paths (`providers.yaml` does)."""

    name: str
    """As providers.yaml and events name it."""
    read_request: Callable[[Json], Request]
    read_response: Callable[[Json], Response]
    stream_reader: Callable[[], StreamReader]
    stream_writer: Callable[[], StreamWriter] = CutsNothing
    refusal: Callable[[int, str], bytes] = problem
    """(HTTP status, message): a denial as the provider's own error document."""
    refusal_head: Callable[[int, str], Sequence[tuple[str, str]]] | None = None
    """(HTTP status, message): the headers that say a denial where the format puts it there, under status 200 (gRPC)."""
    cut_calls: Callable[[Json, Response, Mapping[int, str]], list[Change]] = _cut_nothing
    """Takes calls (indexes into `response.calls`) out of a whole response, a notice in the place of each."""
    deny_result: Callable[[Json, ToolResult, str], list[Change]] = _as_string
    """Puts a notice in the place of a tool result's content, in the shape the format has for it."""
    inject: Callable[[Json, str], list[Change]] = _no_place
    """Adds a text at the end of the last user turn. ValueError where the request has no place for it."""
    ask_usage: Callable[[Json], list[Change]] = _no_change
    """Makes a streamed answer end with its token counts, where the format leaves that to the request."""
    mend: Callable[[Json], list[Change]] = _no_change
    """Takes out of a request what its provider would refuse because a call was cut out of an earlier answer, or puts it
    elsewhere. The document is what is left of the request after every other change."""
    answer_kept: Callable[[Json, Sequence[Owed]], list[Change]] = _owes_nothing
    """Answers calls in the client's place that were cut out of the answer which a request goes on with: the provider
    keeps that answer whole, and waits for their results. The document is as for `mend`."""
    message: Callable[[str | None, str], bytes] = _says
    """(model, text): a whole response that says only `text` and ends the turn."""
    message_stream: Callable[[str | None, str], Sequence[Event]] = _streams
    """The same as the events of a complete stream."""
    kept_stream: Callable[[str | None, str, str], Sequence[Event]] | None = None
    """(model, text, name): the same in the place of an answer that the provider keeps under this name, for a later
    request to go on with."""
    answer_calls: Callable[[Json, Request, Mapping[int, str]], bytes] | None = None
    """For formats whose requests are tool calls (`Request.makes`): the answer to a request of which calls (indexes) are
    denied, each with its notice, in the shape that the caller's model can read. Status 200."""
    protocol: ToolProtocol | None = None
    """For formats whose messages go both ways between an agent and a tool server."""
    framings: tuple[Literal["sse", "lines", "array", "grpc"], ...] = ("sse",)
    """How streams of this format may be framed. AWS event streams are recognised in every format by their type."""
    syntax: Syntax = JSON
    answers: Syntax | None = None
    """How whole answers are written, where not as requests are: messages that do not say what they are (protobuf)."""
    events: Syntax | None = None
    """How the events of a stream are."""
    by_message: bool = False
    """Each event of a stream is a document by itself, read by `read_response` (JSON-RPC); nothing grows over them."""
    plain_events: frozenset[str] = frozenset()
    """Names of stream events whose data is a plain text by design, not a document."""
    is_model: bool = True
    """Requests ask a model: they are `pre_llm_request`, and spend from budgets."""
    begins: Callable[[Json], bool] = _never
    """WebSocket: whether this client message starts a new answer (`response.create`)."""
    socket_refusal: Callable[[int, str], Sequence[bytes]] | None = None
    """WebSocket: the messages that tell a client of a denial. None: the format does not travel over WebSocket."""
    repeats: bool = False
    """Streams repeat whole texts later (`Reading.repeats`), so that what a text said must be kept."""

    @property
    def of_answers(self) -> Syntax:
        """How whole answers are written."""
        return self.answers or self.syntax

    @property
    def of_events(self) -> Syntax:
        """How the events of a stream are written."""
        return self.events or self.syntax
