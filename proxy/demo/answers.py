"""What the stand-in provider saw and what it shall answer: data, and the scenario it plays when given none.

Nothing here knows sockets (`stand_in`) or how an answer is written in a provider's format (`formats`).
"""

import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import orjson

type Api = Literal["openai", "anthropic"]


@dataclass
class Received:
    """One request as the stand-in got it, and what became of its answer."""

    method: str
    path: str
    host: str
    headers: Sequence[tuple[str, str]]
    """In order, names in lower case."""
    body: bytes
    time: float = field(default_factory=time.time)
    sent: bytearray = field(default_factory=bytearray)
    """The body sent back so far."""
    status: int = 0
    """The status sent back; 0 until then."""
    outcome: Literal["", "complete", "cut", "client_gone"] = ""
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when nothing more will be sent; `outcome` says why. Not asyncio's: tests wait for it from other threads."""

    @cached_property
    def json(self) -> Any:
        """The parsed body.

        Raises:
            orjson.JSONDecodeError: it is not JSON.
        """
        return orjson.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text, for `in` assertions."""
        return self.body.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """The first header of that name (lower case)."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def api(self) -> Api:
        """Whose shapes to answer in: the path decides where it can, else the host."""
        if self.path.startswith("/v1/messages") or (self.header("anthropic-version") is not None):
            return "anthropic"
        return "anthropic" if "anthropic" in self.host else "openai"

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation; empty where the body has none."""
        return self.json.get("messages") or ()

    @property
    def tool_names(self) -> list[str]:
        """Names of the offered tools, in either format."""
        tools = self.json.get("tools") or ()
        return [(tool.get("function") or tool).get("name", "") for tool in tools]

    @property
    def has_tool_result(self) -> bool:
        """Whether the conversation already holds a tool's result."""
        return any(message.get("role") == "tool" or _holds_result(message) for message in self.messages)


def _holds_result(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(block.get("type") == "tool_result" for block in content)


@dataclass(frozen=True)
class Text:
    """Text of an answer; each piece becomes one delta of a stream, exactly as given."""

    pieces: tuple[str, ...]

    def __init__(self, *pieces: str) -> None:
        object.__setattr__(self, "pieces", pieces)

    def __str__(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Call:
    """A tool call; each fragment of its JSON arguments becomes one delta of a stream, exactly as given."""

    name: str
    fragments: tuple[str, ...]
    id: str = "call_1"

    @property
    def arguments(self) -> str:
        """The whole arguments, JSON text."""
        return "".join(self.fragments)


def call(name: str, arguments: Mapping[str, Any], *, pieces: int = 3, call_id: str = "call_1") -> Call:
    """A call whose arguments arrive in about `pieces` fragments of equal length."""
    return Call(name, tuple(cut(orjson.dumps(arguments).decode(), pieces)), call_id)


def cut(text: str, pieces: int) -> Iterator[str]:
    """`text` in at most `pieces` pieces of equal length (the last may be shorter)."""
    size = -(-len(text) // pieces) or 1
    return (text[at : at + size] for at in range(0, len(text), size))


@dataclass(frozen=True)
class Cut:
    """The provider breaks off after `after` chunks: with a well-formed end of body, or by resetting the connection."""

    after: int
    how: Literal["eof", "abort"] = "eof"


type Before = Callable[[int], Awaitable[None]]
"""Awaited before each chunk of a stream, with its index: paces it, or lets a test hold it back."""


@dataclass(frozen=True)
class Answer:
    """A model's answer, written in the format of the endpoint that was asked."""

    content: tuple[Text | Call, ...]
    input_tokens: int = 12
    """Everything that went in, the cached part included."""
    output_tokens: int = 7
    cached_tokens: int = 0
    before: Before | None = None
    cut: Cut | None = None
    chunk_size: int = 0
    """Cut the stream's bytes into chunks of this size, whatever its events; 0 writes event by event."""

    @property
    def text(self) -> str:
        """All text, joined."""
        return "".join(str(part) for part in self.content if isinstance(part, Text))

    @property
    def calls(self) -> list[Call]:
        """The tool calls, in order."""
        return [part for part in self.content if isinstance(part, Call)]


@dataclass(frozen=True)
class Failure:
    """An error in the provider's own shape."""

    status: int
    message: str = "The stand-in was told to fail."
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Raw:
    """Bytes sent as they are, chunk by chunk, in whatever shape."""

    chunks: tuple[bytes, ...]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    """Without a content-length the body is sent chunked."""
    before: Before | None = None
    cut: Cut | None = None


type Reply = Answer | Failure | Raw
type Scenario = Callable[[Received], Reply]


def says(*pieces: str, **options: Any) -> Answer:
    """An answer of text only."""
    return Answer((Text(*pieces),), **options)


TOOL_CALLS: Mapping[str, Mapping[str, Any]] = {
    "Bash": {"command": "echo TOOL_RAN_OK", "description": "Say that tools run"},
    "bash": {"command": "echo TOOL_RAN_OK"},
    "exec_command": {"cmd": "echo TOOL_RAN_OK"},
    "shell": {"command": ["bash", "-lc", "echo TOOL_RAN_OK"]},
    "run_shell_command": {"command": "echo TOOL_RAN_OK"},
    "get_weather": {"city": "Paris"},
}
"""What the default scenario calls, by the names coding agents give their shell; the first that is offered wins."""

FINAL_TEXT = "FINAL_TEXT_OK"


def default_scenario(request: Received) -> Reply:
    """Calls a shell-like tool once, where one is offered, then ends with a final text."""
    name = next((name for name in TOOL_CALLS if name in request.tool_names), None)
    if name is None or request.has_tool_result:
        return says(FINAL_TEXT[:6], FINAL_TEXT[6:])
    return Answer((Text("Let me ", "run it."), call(name, TOOL_CALLS[name])))
