"""What every codec yields, and the shape of a codec: data types only.

A codec is one wire format in one module or package of pure functions; a framing (`sse`) another; a provider is a row of
`providers.yaml`. Nothing here or beside it knows mitmproxy, policies or detectors, and nothing rebuilds JSON: codecs
name places (paths) in what `trees` parsed, `spans` finds them in the raw bytes, `splicing` changes them there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from proxy.events import Usage

if TYPE_CHECKING:  # both import their data types from here
    from proxy.codecs.splicing import Change
    from proxy.codecs.sse import SseEvent

Name = Literal["openai_chat", "anthropic", "unrecognised"]
"""The codecs there are, as providers.yaml and events name them."""


class DecodeError(ValueError):
    """A body or stream that cannot be read as what it claims to be. Its message names a byte offset, never content."""


class AmbiguousError(DecodeError):
    """A document that readers read differently (a name given twice): what was scanned need not be what is used."""


Kind = Literal["text", "tool_call", "tool_result", "reasoning", "media", "tool_definition"]


class Key(NamedTuple):
    """In a path: the *name* of a member, not its value. `(…, "input", Key("sk-live-…"))` is a key that carries text."""

    name: str


type Path = tuple[str | int | Key, ...]
"""Where a value stands in a JSON document: member names and array indexes from the root."""

type Json = Any
"""A parsed JSON value, as orjson gives it."""


class Part(NamedTuple):
    """One string (or long number) of a document: where it stands, what it says, and what it is."""

    path: Path
    text: str
    role: str
    """system | user | assistant | tool | other"""
    kind: Kind
    sealed: bool = False
    """Signed, encrypted or opaque: forwarded byte for byte, never edited."""
    json: bool = False
    """The text is itself JSON (OpenAI's `function.arguments`)."""
    new: bool = True
    """After the last assistant turn, so not yet seen in an earlier request."""


class ToolCall(NamedTuple):
    """A call in a whole response. `path` is the element that is cut out when the call is denied."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    path: Path
    parts: tuple[int, ...]
    """Indexes into the response's parts."""


class ToolResult(NamedTuple):
    """A tool's result in a request. `content` is the value a notice replaces when the result is denied."""

    call_id: str
    name: str
    content: Path
    parts: tuple[int, ...]
    """Indexes into the request's parts."""
    is_error: bool = False
    new: bool = True


@dataclass(frozen=True, slots=True)
class Request:
    """A model request, read."""

    model: str | None
    stream: bool
    parts: Sequence[Part]
    results: Sequence[ToolResult] = ()
    tools: Sequence[str] = ()
    """Names of the offered tools."""
    calls: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Tool calls of the history by call id: name and arguments (a result names only the id)."""
    max_output: int | None = None
    """The request's own bound on output tokens."""
    session: str | None = None
    """The client's own session id, where the body carries one."""
    turn: int = 0
    """Number of assistant messages so far."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole model response, read."""

    model: str | None
    parts: Sequence[Part]
    calls: Sequence[ToolCall] = ()
    stop_reason: str | None = None
    usage: Usage | None = None
    drop_on_edit: Sequence[tuple[int, Path]] = ()
    """Copies of a part's text that are no parts themselves (log-probabilities by token): (index of the part, path of
    the copy). When the part is edited, the copy is removed."""


type Channel = tuple[str | int, ...]
"""Names one growing text of a stream: ("text", 0), ("tool_call", 0, 1), ("reasoning", 0) …; the first word is a Kind.

A tool_call channel that no OpenCall opened is a call the provider carries out itself: text to scan, nothing to cut."""


class Fragment(NamedTuple):
    """A piece of a channel's text carried by one stream event, and where in that event it stands."""

    channel: Channel
    path: Path
    text: str


class OpenCall(NamedTuple):
    """A tool call that begins in this event; its arguments arrive as fragments of `channel`.

    A later event may open the same channel again, when it completes the id or the name: the last one counts.
    """

    channel: Channel
    call_id: str
    name: str
    arguments: Mapping[str, Any] | None = None
    """Where the opening event already carries the arguments as an object (their strings are one-shot channels)."""
    after_text: bool = False
    """Text of the same message came before the call, so a notice in its place needs a paragraph break."""


class Reading(NamedTuple):
    """What one stream event says."""

    fragments: Sequence[Fragment] = ()
    opens: Sequence[OpenCall] = ()
    closes: Sequence[Channel] = ()
    """Channels that are complete after this event."""
    sealed: Sequence[Channel] = ()
    """Channels whose text must not be edited (signed reasoning)."""
    model: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    end: bool = False
    """The message is complete; nothing of it may follow."""
    entries: Sequence[tuple[Path, Channel]] = ()
    """The element of this event that belongs to a tool call, for each call the event speaks of."""
    calls: Sequence[Channel] = ()
    """With a stop reason: every tool call of the message (of the choice) so far, in order."""
    only_usage: bool = False
    """The event carries token counts and nothing else: it can be left out where the client did not ask for it."""
    drop_on_edit: Sequence[tuple[Channel, Path]] = ()
    """Copies of a channel's text that are no fragments (log-probabilities, cumulative messages). Once the channel was
    edited, in this event or any before it, the value at the path is removed before the event leaves."""


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

    def rewrite(self, event: "SseEvent", document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> bytes | None:
        """The bytes that leave instead of `event`; b"" drops it, None leaves it as it is.

        `document` is `event.data` parsed. `cuts` maps each call that is denied to the notice that takes its place.
        """
        ...


class Codec(Protocol):
    """The functions a codec module offers (modules satisfy this protocol)."""

    NAME: str

    def read_request(self, document: Json) -> Request: ...
    def read_response(self, document: Json) -> Response: ...
    def stream_reader(self) -> StreamReader: ...
    def stream_writer(self) -> StreamWriter: ...
    def refusal(self, status: int, message: str) -> bytes:
        """A denial as the provider's own error JSON."""
        ...

    def cut_calls(self, document: Json, response: Response, cuts: Mapping[int, str]) -> "list[Change]":
        """Take calls (indexes into `response.calls`) out of a whole response, a notice in the place of each."""
        ...

    def inject(self, document: Json, text: str) -> "list[Change]":
        """Add `text` at the end of the last user turn. ValueError where the request has no messages."""
        ...

    def ask_usage(self, document: Json) -> "list[Change]":
        """Make a streamed answer end with its token counts, where the format leaves that to the request."""
        ...

    def message(self, model: str | None, text: str) -> bytes:
        """A whole response that says only `text` and ends the turn."""
        ...

    def message_stream(self, model: str | None, text: str) -> bytes:
        """The same as a complete event stream."""
        ...
