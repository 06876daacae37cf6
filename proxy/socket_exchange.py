"""One inspected WebSocket connection: messages in, messages out, each answer an exchange of its own.

Sans-io but for the budget, which is awaited. A client's message that begins an answer begins an exchange; what the
server sends is the stream of the one under way. Frames and the connection are `layer`'s, meaning is the codec's.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from proxy.codecs import DecodeError
from proxy.codecs.framings.messages import Messages
from proxy.exchange import Exchange, Refusal
from proxy.guard import Guard
from proxy.session import Unaffordable
from proxy.stream_judge import StreamRefusedError

MOST_WAITING: Final = 64
"""Answers that a client may have asked for before the first of them is complete."""


class Passed(NamedTuple):
    """What becomes of one message."""

    onward: Sequence[bytes] = ()
    back: Sequence[bytes] = ()
    close: bool = False


class Bookkeeping(Protocol):
    """What becomes of the books of one answer; `session.Session` for traffic."""

    @property
    def budgeted(self) -> bool: ...
    async def reserve(self, size: int) -> Unaffordable | None: ...
    def refused(self, refusal: Refusal) -> None: ...
    def end(self, status: int | None) -> None: ...


class Turn[B: Bookkeeping]:
    """One answer of the connection: its exchange, its bookkeeping, the guard of what comes down."""

    def __init__(self, exchange: Exchange, session: B) -> None:
        self.exchange = exchange
        self.session = session
        self.guard = Guard(exchange, Messages())
        self.begun = False
        """The client asked for it (and did not merely say something beside)."""


class SocketExchange[B: Bookkeeping]:
    """Everything that is said on one connection."""

    def __init__(self, begin: Callable[[], tuple[Exchange, B]], *, failure_open: bool) -> None:
        """`begin` makes the exchange, and its bookkeeping, of one more answer."""
        self._begin = begin
        self._frames = Messages()
        self._values: Mapping[str, str] = {}
        self.problems: list[str] = []
        """What could not be read so far."""
        self._waiting: deque[Turn[B]] = deque()
        self._now = self._turn()
        self.failure_open = failure_open

    def _turn(self) -> Turn[B]:
        turn = Turn(*self._begin())
        turn.exchange.judge.pseudonyms.adopt(self._values)
        turn.exchange.problems = self.problems
        return turn

    @property
    def now(self) -> Turn[B]:
        """The answer under way, or what is said before the first."""
        return self._now

    # from the client

    async def up(self, message: bytes) -> Passed:
        """A whole message of the client's."""
        turn = self._of(message)
        if turn is None:
            return self._refused(self._now.exchange.refuse(429, "[midstream] Too many answers are asked for at once."))
        outcome = turn.exchange.on_request(message)
        if outcome.refusal is None and turn.begun and turn.session.budgeted:
            denied = await turn.session.reserve(len(message))
            if denied is not None:
                refusal = turn.exchange.refuse(denied.status, denied.message, denied.headers)
                return self._end(turn, refusal)
        self._values = {**self._values, **turn.exchange.judge.pseudonyms.values}
        if outcome.refusal is not None:
            return self._end(turn, outcome.refusal)
        return Passed((message if outcome.body is None else outcome.body,))

    def _of(self, message: bytes) -> Turn[B] | None:
        """The answer that a message belongs to; a fresh one where it asks for one. None: too many are asked for."""
        if not self._begins(message):
            return self._waiting[-1] if self._waiting else self._now
        if self._now.begun:
            if len(self._waiting) >= MOST_WAITING:
                return None
            turn = self._turn()
            self._waiting.append(turn)
        else:
            turn = self._now
        turn.begun = True
        return turn

    def _begins(self, message: bytes) -> bool:
        codec = self._now.exchange.codec
        try:
            return codec.begins(codec.syntax.parse(message))
        except DecodeError:
            return False

    def _end(self, turn: Turn[B], refusal: Refusal) -> Passed:
        """An answer that is refused is over before it began."""
        if turn.begun:
            turn.session.refused(refusal)
            turn.session.end(refusal.status)
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._next()
        return self._refused(refusal)

    def _refused(self, refusal: Refusal) -> Passed:
        tell = self._now.exchange.codec.socket_refusal
        return Passed(back=tell(refusal.status, refusal.message) if tell is not None else ())

    # from the server

    def down(self, message: bytes) -> Passed:
        """A whole message of the server's: those that may leave now. StreamRefusedError ends the connection."""
        guard = self._now.guard
        out = guard.pump(self._frames.feed(message))
        if guard.held > self._now.exchange.policy.limits.held:
            raise StreamRefusedError("more than limits.held of the policy would have to be held back")
        if guard.ended:
            out += guard.end()
            self._now.session.end(200)
            self._next()
        return Passed(out)

    def _next(self) -> None:
        self._now = self._waiting.popleft() if self._waiting else self._turn()

    def close(self) -> None:
        """The connection is over: what was under way broke off."""
        for turn in (self._now, *self._waiting):
            if turn.begun:
                turn.session.end(None)
