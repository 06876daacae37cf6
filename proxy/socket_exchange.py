"""One inspected WebSocket connection: messages in, messages out, each answer an exchange of its own.

Sans-io but for the budget, which is awaited. A client's message that begins an answer begins an exchange; what the
server sends is the stream of the one under way. Frames and the connection are `layer`'s, meaning is the codec's.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from proxy.bodies import Refusal
from proxy.codecs import DecodeError
from proxy.codecs.framings.messages import Messages
from proxy.exchange import Exchange
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
    def failed_open(self, error: BaseException) -> None: ...
    def end(self, status: int | None) -> None: ...


class Turn[B: Bookkeeping]:
    """One answer of the connection: its exchange, its bookkeeping, the guard of what comes down."""

    def __init__(self, exchange: Exchange, session: B) -> None:
        self.exchange = exchange
        self.session = session
        self.guard = Guard(exchange, Messages())
        self.begun = False
        """The client asked for it (and did not merely say something beside)."""
        self.refusal: Sequence[bytes] | None = None
        """What the client is told instead, when its turn comes."""
        self.broken = False
        """Its guard failed, and the policy lets the rest pass."""
        self.unreleased: deque[bytes] = deque()
        """Messages that have not left yet, for that case; their size."""
        self.size = 0


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
        self._over = 0
        """Answers that are complete, while a text beside them still grows."""
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
            return Passed(back=self.told(429, "[midstream] Too many answers are asked for at once."))
        outcome = turn.exchange.on_request(message)
        if outcome.refusal is None and turn.begun and turn.session.budgeted:
            denied = await turn.session.reserve(len(message))
            if denied is not None:
                refusal = turn.exchange.refuse(denied.status, denied.message, denied.headers)
                return self._refused(turn, refusal)
        self._values = {**self._values, **turn.exchange.judge.pseudonyms.values}
        self._now.exchange.judge.pseudonyms.adopt(self._values)
        if outcome.refusal is not None:
            return self._refused(turn, outcome.refusal)
        return Passed((message if outcome.body is None else outcome.body,))

    def _of(self, message: bytes) -> Turn[B] | None:
        """The answer that a message belongs to; a fresh one where it asks for one. None: too many are asked for."""
        if not self._begins(message):
            return self._waiting[-1] if self._waiting else self._now
        if self._now.broken:  # nobody could read where it ended
            self._ended()
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

    def _refused(self, turn: Turn[B], refusal: Refusal) -> Passed:
        """An answer that is refused is over before it began. The client is told in the order it asked."""
        told = self.told(refusal.status, refusal.message)
        if not turn.begun:
            return Passed(back=told)
        turn.session.refused(refusal)
        turn.session.end(refusal.status)
        if turn is not self._now:
            turn.refusal = told
            return Passed()
        self._next()
        return Passed(back=told)

    def told(self, status: int, message: str) -> Sequence[bytes]:
        """The messages that tell the client of a denial."""
        tell = self._now.exchange.codec.socket_refusal
        return tell(status, message) if tell is not None else ()

    # from the server

    def down(self, message: bytes) -> Passed:
        """A whole message of the server's: those that may leave now. StreamRefusedError ends the connection."""
        turn = self._now
        if turn.broken:
            return Passed((message,))
        turn.unreleased.append(message)
        turn.size += len(message)
        return Passed(self._openly(turn, lambda: self._pump(turn, message)))

    def finish(self) -> Passed:
        """The server has nothing more to say: what was held back of it is complete."""
        turn = self._now
        return Passed(self._openly(turn, turn.guard.end) if turn.guard.held and not turn.broken else ())

    def _openly(self, turn: Turn[B], step: Callable[[], Sequence[bytes]]) -> Sequence[bytes]:
        """What a step lets out; where it fails and the policy is open, everything that has not left yet."""
        try:
            out = step()
        except StreamRefusedError:
            raise
        except Exception as error:
            if not self.failure_open:
                raise
            turn.broken = True
            turn.session.failed_open(error)
            out, turn.unreleased = turn.unreleased, deque()
            return tuple(out)
        while turn.size > turn.guard.held:
            turn.size -= len(turn.unreleased.popleft())
        return out

    def _pump(self, turn: Turn[B], message: bytes) -> Sequence[bytes]:
        guard = turn.guard
        out = guard.pump(self._frames.feed(message))
        if guard.held > turn.exchange.policy.limits.held:
            raise StreamRefusedError("more than limits.held of the policy would have to be held back")
        if guard.ended:
            guard.ended = False
            self._over += 1
        if self._over and not guard.grows:
            out += guard.end()
            for _ in range(self._over):
                out += self._ended()
            self._over = 0
        return out

    def _ended(self) -> Sequence[bytes]:
        """The answer under way is complete. What the client is told of those behind it that were refused."""
        self._now.session.end(200)
        return self._next()

    def _next(self) -> Sequence[bytes]:
        told: list[bytes] = []
        while self._waiting:
            self._now = self._waiting.popleft()
            if self._now.refusal is None:
                return told
            told += self._now.refusal
        self._now = self._turn()
        return told

    def close(self) -> None:
        """The connection is over: what was under way broke off."""
        for number, turn in enumerate((self._now, *self._waiting)):
            if turn.begun:
                turn.session.end(200 if number < self._over else None)
