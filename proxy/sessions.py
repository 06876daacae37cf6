"""The sessions one process has seen: which are new, which run they are in, and which answers the provider keeps.

Memory only, bounded; ids and values of one process. What an event says of a session is `context`'s.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.codecs import Owed
from proxy.events import Agent, Flow
from proxy.tool_servers import ToolServers

MOST: Final = 10_000
"""Sessions, and as many kept answers, that are remembered; the one used longest ago goes first."""

IDLE_SECONDS: Final = 1800.0
"""A session that says nothing for so long has ended."""


@dataclass(slots=True)
class Seen:
    """One session."""

    agent: Agent
    flow: Flow
    """Its latest."""
    run: str = ""
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What a later request needs to know that goes on with an answer kept by the provider."""

    session: str
    run: str
    turn: int
    values: Mapping[str, str] = field(default_factory=dict)
    """The pseudonyms of the conversation so far: the provider's memory holds them."""
    calls: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    """The answer's calls by id, name and arguments: a later request brings only their results."""
    owed: Mapping[str, Owed] = field(default_factory=dict)
    """Those that were cut out, and wait for a result in the provider's memory."""


class Sessions:
    """Sessions by id, and the answers that requests may follow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.tool_servers = ToolServers()

    def note(self, agent: Agent, flow: Flow, session: str, run: str) -> tuple[bool, bool]:
        """A request of this session and run came: whether the session is new, and whether the run is."""
        seen = self._seen.get(session)
        begins = seen is None
        if seen is None:
            seen = self._seen[session] = Seen(agent, flow)
            _bound(self._seen)
        self._seen.move_to_end(session)
        fresh = seen.run != run
        seen.flow, seen.run, seen.last = flow, run, self._clock()
        return begins, fresh

    def end_idle(self, longer_than: float = IDLE_SECONDS) -> Iterator[tuple[str, Seen]]:
        """Forget sessions that have been silent for so many seconds, telling each with its id."""
        before = self._clock() - longer_than
        while self._seen:
            session, seen = next(iter(self._seen.items()))
            if seen.last > before:
                return
            del self._seen[session]
            yield session, seen

    # answers that the provider keeps

    def keep(self, agent: str, name: str, kept: Kept) -> None:
        """The provider keeps an answer under `name`."""
        self._kept[f"{agent}\0{name}"] = kept
        _bound(self._kept)

    def followed(self, agent: str, name: str | None) -> Kept | None:
        """What is known of the answer that a request of this agent goes on with."""
        return self._kept.get(f"{agent}\0{name}") if name else None


def _bound[K, V](known: OrderedDict[K, V]) -> None:
    while len(known) > MOST:
        known.popitem(last=False)
