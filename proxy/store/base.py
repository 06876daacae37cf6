"""What a store promises: amounts, ledgers, reservations, and the `Store` protocol.

Data and the rule of reservation live here. Knowing SQLite or Redis belongs to `sqlite` and `redis`; knowing policies,
agents and prices to `effects.budget`.

The rule of reservation, for each ledger and measure (requests, tokens, nano-USD):

    available = limit - used - held
    denied where  floor > available                      (floor: what the request certainly spends, its input)
    held          floor + min(ceiling - floor, (available - floor) // SHARE)

The ceiling is the worst case, all the output the request may ask for. It is held in full while it is less than one
SHARE-th of what is left, so a hard limit is not overspent by concurrency; nearer to the limit a request takes at most
that share beyond its input, so one large `max_tokens` neither denies itself nor starves its neighbours, and because
each takes a share of what the others left, only a few can be under way at the end. A settlement books what was really
spent, even beyond the limit: then nothing more is granted. At every grant used + held <= limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

RESERVATION_TTL = 15 * 60.0
"""Seconds after which a reservation nobody settled is taken to be a dead worker's, and given back."""

SHARE = 8
"""A request may hold one SHARE-th of what is left beyond its certain spending."""

MAX_AMOUNT = 2**53 - 1
"""Largest amount that Lua's doubles count exactly; in nano-USD nine million dollars."""


class StoreError(Exception):
    """The store cannot answer: it is unreachable, misnamed or broken. The message carries no password."""


class Amounts(NamedTuple):
    """What is spent or held. All are integers, 0 … MAX_AMOUNT."""

    requests: int = 0
    tokens: int = 0
    nano_usd: int = 0


class Limits(NamedTuple):
    """Upper bounds in the same measures; None where a measure is not limited."""

    requests: int | None = None
    tokens: int | None = None
    nano_usd: int | None = None


class LedgerKey(NamedTuple):
    """Names one ledger: a budget, whose it is, and in which window."""

    budget: str
    subject: str
    """Who spends, as a URL-encoded form: `agent=builder&model=gpt-5`. In Redis this is the hash slot's tag."""
    window: str
    """Start of the calendar window: `2026-11-21`, `2026-11-21T07:05`. Never contains `|`."""


class Ledger(NamedTuple):
    """A ledger as a reservation names it."""

    key: LedgerKey
    resets_at: float
    """Unix time at which the window ends; the ledger is forgotten then."""
    limits: Limits
    hard: bool = True
    """False: counted and reported, never a reason to deny (`exceeded: warn`)."""


class Standing(NamedTuple):
    """What a ledger says at one moment."""

    key: LedgerKey
    resets_at: float
    limits: Limits
    used: Amounts
    held: Amounts


@dataclass(frozen=True, slots=True)
class Granted:
    """A reservation that was made. It is the handle for settling and releasing."""

    id: str
    subjects: tuple[str, ...]
    standings: tuple[Standing, ...]
    """Every ledger right after the reservation, in the order asked."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A reservation that was refused; nothing is held. Names the first ledger, in the order asked, that is too full."""

    ledger: LedgerKey
    measure: str
    """`requests`, `tokens` or `nano_usd`."""
    limit: int
    used: int
    held: int
    """What other requests hold just now."""
    resets_at: float


class Closing(StrEnum):
    """What settling or releasing found. Anything but DONE changed nothing."""

    DONE = "done"
    SETTLED = "settled"
    """It was settled before."""
    RELEASED = "released"
    """It was released before."""
    EXPIRED = "expired"
    """It outlived its time to live and was given back."""
    UNKNOWN = "unknown"
    """There is no such reservation, or it was closed so long ago that it is forgotten."""


class Store(Protocol):
    """Budgets of one deployment. Every method raises `StoreError` where the store cannot answer."""

    async def reserve(
        self, reservation: str, ledgers: Sequence[Ledger], floor: Amounts, ceiling: Amounts
    ) -> Granted | Exhausted:
        """Hold amounts between `floor` and `ceiling` in all ledgers or in none (the rule is the module's docstring).

        Asking again with the id of an open reservation returns it and holds nothing more, so a lost answer may be
        asked for again. The id of a closed reservation is refused with `StoreError`.
        """
        ...

    async def settle(self, granted: Granted, actual: Amounts) -> Closing:
        """Give back what was held and book what was spent. Takes effect once."""
        ...

    async def release(self, granted: Granted) -> Closing:
        """Give back what was held; nothing was spent. Takes effect once."""
        ...

    async def read(self) -> Sequence[Standing]:
        """Every ledger whose window has not ended, in the order of their keys."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of connections and files."""
        ...
