"""Which ledger a request is counted in: a policy's budgets compiled, and the calendar windows (UTC).

Pure functions and data. Reserving and settling are `budget`'s, what a ledger promises is `store.base`'s.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode

from proxy.effects import prices
from proxy.store.base import MAX_AMOUNT, Ledger, LedgerKey, Limits

EVERYONE: Final = "all"
"""Subject of a budget that is per nobody."""
_PER: Final = ("agent", "model")
_MEASURES: Final = ("requests", "tokens", "usd")


class BudgetLike(Protocol):
    """What a policy says of one budget."""

    @property
    def id(self) -> str: ...
    @property
    def per(self) -> Sequence[str]:
        """`agent`, `model`: whose spending is counted apart. Empty: everyone's together."""
        ...

    @property
    def window(self) -> str:
        """minute | hour | day | month"""
        ...

    @property
    def limit(self) -> Mapping[str, float]:
        """`usd` (a float), `tokens`, `requests`; what is not named is not limited."""
        ...

    @property
    def exceeded(self) -> str:
        """deny | warn"""
        ...


class Window(NamedTuple):
    """One calendar window: its start as text, and the Unix time of its end."""

    name: str
    ends_at: float


def window_at(kind: str, now: float) -> Window:
    """The UTC calendar window (minute, hour, day, month) that `now` (Unix seconds) falls in."""
    moment = datetime.fromtimestamp(now, UTC).replace(second=0, microsecond=0)
    match kind:
        case "minute":
            return Window(moment.strftime("%Y-%m-%dT%H:%M"), (moment + timedelta(minutes=1)).timestamp())
        case "hour":
            start = moment.replace(minute=0)
            return Window(start.strftime("%Y-%m-%dT%H"), (start + timedelta(hours=1)).timestamp())
        case "day":
            start = moment.replace(hour=0, minute=0)
            return Window(start.strftime("%Y-%m-%d"), (start + timedelta(days=1)).timestamp())
        case "month":
            start = moment.replace(day=1, hour=0, minute=0)
            return Window(start.strftime("%Y-%m"), (start + timedelta(days=32)).replace(day=1).timestamp())
        case _:
            raise ValueError(f"unknown budget window: {kind}")


class Plan(NamedTuple):
    """One budget, compiled: what stays the same for every request."""

    budget: BudgetLike
    limits: Limits
    hard: bool

    @classmethod
    def of(cls, budget: BudgetLike) -> "Plan":
        window_at(budget.window, 0)  # an unknown window is found out now
        unknown = [name for name in budget.per if name not in _PER] + [m for m in budget.limit if m not in _MEASURES]
        if unknown:
            raise ValueError(f"budget {budget.id}: cannot count {', '.join(unknown)}")
        return cls(budget, _limits(budget), budget.exceeded != "warn")

    def ledger(self, agent_id: str, model: str | None, now: float) -> Ledger:
        """The ledger that a request of this agent for this model is counted in."""
        names = {"agent": agent_id, "model": model or ""}
        subject = urlencode([(kind, names[kind]) for kind in self.budget.per]) or EVERYONE
        window = window_at(self.budget.window, now)
        return Ledger(LedgerKey(self.budget.id, subject, window.name), window.ends_at, self.limits, self.hard)


def _limits(budget: BudgetLike) -> Limits:
    requests, tokens, usd = (budget.limit.get(measure) for measure in _MEASURES)
    limits = Limits(
        None if requests is None else int(requests),
        None if tokens is None else int(tokens),
        None if usd is None else round(usd * prices.NANO),
    )
    if any(limit is not None and not 0 <= limit <= MAX_AMOUNT for limit in limits):
        raise ValueError(f"budget {budget.id}: a limit lies outside 0 … {MAX_AMOUNT} (nine million USD)")
    return limits


def names_in(subject: str) -> dict[str, str]:
    """The names a ledger's subject was made of: {"agent": …, "model": …}, as far as the budget is per them."""
    return {} if subject == EVERYONE else dict(parse_qsl(subject, keep_blank_values=True))
