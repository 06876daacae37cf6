"""What one process remembers of tool servers: where they take messages, their names, and which calls they were sent.

Memory only, bounded; nothing here decides. A conversation is named by `tool_exchange`: a session's id, or the address
that messages are posted to.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

MOST: Final = 10_000
"""Addresses, names, and calls that are remembered; the oldest go first."""

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all remembered calls together: arguments may be large."""

LONGEST_NAME: Final = 256
"""Characters of a name that a server may give itself; a longer one is none."""


class Conversation(NamedTuple):
    """One agent's exchange of messages with a server; ids count in it."""

    agent: str
    host: str
    name: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call whose answer may come down another connection."""

    name: str
    arguments: Mapping[str, Any]
    size: int = 0
    """Bytes it is remembered at."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The pseudonyms of the request that made it: its answer may have them."""
    beside: bool = False
    """No tool, as in `codecs.ToolCall`."""
    notice: str | None = None
    """It was withheld from the server: what is said instead of the answer."""


class ToolServers:
    """Addresses, names and calls."""

    def __init__(self) -> None:
        self._endpoints: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._names: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._calls: OrderedDict[tuple[Conversation, str], Called] = OrderedDict()
        self._bytes = 0

    def learn(self, host: str, path: str) -> None:
        """A server said that messages for it are posted to this path (MCP's HTTP+SSE, `event: endpoint`)."""
        self._endpoints[host, path] = None
        _bound(self._endpoints)

    def is_endpoint(self, host: str, path: str) -> bool:
        """Whether a server asked for messages at this path."""
        return (host, path) in self._endpoints

    def named(self, host: str, conversation: str, name: str) -> None:
        """A server said its name, in a conversation or for an address of it."""
        if name and len(name) <= LONGEST_NAME:
            self._names[host, conversation] = name
            self._names.move_to_end((host, conversation))
            _bound(self._names)

    def name(self, host: str, conversation: str) -> str | None:
        """The server's own name; one that it gave for an address counts below that address too."""
        return next((self._names[host, place] for place in _above(conversation) if (host, place) in self._names), None)

    def called(self, conversation: Conversation, call_id: str, call: Called) -> None:
        """A server was sent a call."""
        self.answered(conversation, call_id)
        self._calls[conversation, call_id] = call
        self._bytes += call.size
        while len(self._calls) > MOST or self._bytes > MOST_BYTES:
            _, gone = self._calls.popitem(last=False)
            self._bytes -= gone.size

    def call(self, conversation: Conversation, call_id: str) -> Called | None:
        """The call that an answer of this id belongs to."""
        return self._calls.get((conversation, call_id))

    def answered(self, conversation: Conversation, call_id: str) -> None:
        """The answer came, and cannot come again."""
        gone = self._calls.pop((conversation, call_id), None)
        self._bytes -= gone.size if gone else 0


def _above(conversation: str) -> Iterator[str]:
    """A conversation; where it is an address, also that without its query, and every path above it."""
    yield conversation
    if not conversation.startswith("/"):
        return
    path = conversation.partition("?")[0]
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield "/"


def _bound[K, V](known: OrderedDict[K, V]) -> None:
    while len(known) > MOST:
        known.popitem(last=False)
