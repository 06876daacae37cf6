"""What every codec yields: data types only. What a codec offers is `codec.Codec`.

A codec is one wire format in one module or package of pure functions; a framing (`framings`) another; a provider is a
row of `providers.yaml`. Nothing here or beside it knows mitmproxy, policies or detectors, and nothing rebuilds JSON:
codecs name places (paths) in what `trees` parsed, `spans` finds them in the raw bytes, `splicing` changes them there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from proxy.events import Usage

if TYPE_CHECKING:  # it imports its data types from here
    from proxy.codecs.splicing import Change


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


type Transport = Literal["model", "mcp", "http"]


class ToolCall(NamedTuple):
    """A tool call: in a whole response, in the history, or one that a request makes itself (MCP).

    `path` is the element that is cut out of a response when the call is denied.
    """

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    path: Path
    parts: tuple[int, ...]
    """Indexes into the document's parts."""
    by_provider: bool = False
    """The provider carries it out itself (server tools): it cannot be cut out, only the whole answer denied."""
    server: str | None = None
    """Where the tool lives, if the format says so (MCP servers that a provider calls)."""
    beside: bool = False
    """No call of a tool, but another message to its server that carries text (`prompts/get`), under its method's name:
    it is decided only where something is found in it."""
    form: str = ""
    """What the format calls such a call, where that decides what its result looks like."""


class ToolResult(NamedTuple):
    """A tool's result, in a model request or in an MCP answer. `content` is where a notice goes when it is denied."""

    call_id: str
    name: str
    content: Path
    parts: tuple[int, ...]
    """Indexes into the document's parts."""
    is_error: bool = False
    new: bool = True
    server: str | None = None


class Owed(NamedTuple):
    """A call that was cut out of an answer kept by its provider, where it still waits for a result."""

    call_id: str
    name: str
    form: str
    """As in `ToolCall`."""
    notice: str


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
    makes: Sequence[ToolCall] = ()
    """Tool calls that this request itself is (MCP `tools/call`), in order."""
    follows: str | None = None
    """Names the answer, conversation or session kept by the server that this request goes on with."""
    compacts: bool = False
    """It asks for the conversation to be summed up."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole model response, read."""

    model: str | None
    parts: Sequence[Part]
    calls: Sequence[ToolCall] = ()
    stop_reason: str | None = None
    usage: Usage | None = None
    results: Sequence[ToolResult] = ()
    """Results of tools that came down: those of a tool server, and of tools that the provider ran itself."""
    keeps: str | None = None
    """The name under which the server keeps this answer, for a later request to follow."""
    when_edited: Sequence[tuple[int, "Change"]] = ()
    """Copies of a part's text that are no parts themselves (log-probabilities by token), and offsets into it: (index of
    the part, what is changed when that part is edited)."""


type Channel = tuple[str | int, ...]
"""Names one growing text of a stream: ("text", 0), ("tool_call", 0, 1), ("reasoning", 0) …; the first word is a Kind.

A tool_call channel that no OpenCall opened is text to scan as a whole, and nothing that is decided."""


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
    by_provider: bool = False
    """As in `ToolCall`."""
    server: str | None = None
    form: str = ""
    """As in `ToolCall`."""


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
    when_edited: Sequence[tuple[Channel, "Change"]] = ()
    """Copies of a channel's text that are no fragments (log-probabilities, cumulative messages), and offsets into it.
    Once the channel was edited, in this event or any before it, the change is made before the event leaves;
    `Remove(())` leaves the whole event out."""
    repeats: Sequence[Fragment] = ()
    """Copies of a whole channel's text in a later event (`.done`, the finished item, the finished response): edited as
    the channel was. A copy that is not what the channel said is a text of its own."""
    results: Sequence[ToolResult] = ()
    """Results of tools that the provider ran itself, complete in this event. `parts` are indexes into `fragments`, each
    of which is a channel of its own that closes here."""
    keeps: str | None = None
    """As in `Response`."""
    so_far: Sequence[Fragment] = ()
    """Pieces of formats whose every event says all of a growing text so far: it begins with what came before."""
