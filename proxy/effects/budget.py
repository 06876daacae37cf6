"""Budgets carried out: reserve before a model request, settle by what the provider reported, or release.

Estimates and the words of a denial live here; who pays in which window is `accounts`', atomicity and the rule of
reservation are the store's (`store.base`), prices are `prices`'. A store that cannot answer is `BudgetUnavailable`,
which the caller turns into a denial: budgets fail closed.
"""

import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from ulid import ULID

from proxy.effects import prices
from proxy.effects.accounts import BudgetLike, Plan, names_in
from proxy.events import Usage
from proxy.store.base import (
    MAX_AMOUNT,
    Amounts,
    Closing,
    Exhausted,
    Granted,
    Ledger,
    Limits,
    Standing,
    Store,
    StoreError,
)

BYTES_PER_TOKEN: Final = 4
"""For estimates: English prose is near it (OpenAI, "What are tokens"). An estimate only holds, a settlement counts."""
UNBOUNDED_OUTPUT: Final = 32_768
"""Worst case assumed for a request that sets no bound on its output."""
RETRY_SECONDS: Final = 60
"""A window that ends within this time is worth waiting for: 429 with Retry-After instead of a stopping 400."""

_logger = logging.getLogger(__name__)


class BudgetUnavailable(Exception):  # noqa: N818 - a state, as in "service unavailable"; the name is the contract's
    """The store could not say whether there is budget left, so there is none."""


class Denial(NamedTuple):
    """Why a request may not go up."""

    budget_id: str
    message: str
    retry_after_seconds: int | None
    status: int
    """429 with `retry_after_seconds`, or 400: the status that makes clients stop (clients-notes)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send one request. Settle or release it once; doing so again changes nothing."""

    provider: str | None
    model: str | None
    input_tokens: int
    """The estimate that was reserved by."""
    ledgers: tuple[Ledger, ...] = ()
    reservation: Granted | None = None
    """None where no budget applies."""
    warnings: tuple[str, ...] = ()
    """Ids of `exceeded: warn` budgets that this request goes beyond."""


class Row(NamedTuple):
    """One ledger as `midstream budgets` shows it."""

    budget: str
    agent: str | None
    model: str | None
    window: str
    resets_at: float
    used: Amounts
    reserved: Amounts
    limit: Limits


def estimate_tokens(size: int) -> int:
    """Tokens in `size` bytes (or characters), rounded up."""
    return -(-size // BYTES_PER_TOKEN)


class Budgets:
    """The budgets of one policy revision over one store. `clock` gives Unix seconds."""

    def __init__(self, budgets: Sequence[BudgetLike], store: Store, clock: Callable[[], float] = time.time) -> None:
        """Raises ValueError for a budget that cannot be carried out: an unknown window, `per` or measure."""
        self._plans = tuple(Plan.of(budget) for budget in budgets)
        self._store = store
        self._clock = clock
        self._priced = any(plan.limits.nano_usd is not None for plan in self._plans)
        if self._priced:
            prices.warm()

    def __len__(self) -> int:
        return len(self._plans)

    async def reserve(
        self,
        agent_id: str,
        provider: str | None,
        model: str | None,
        input_tokens_estimate: int,
        max_output: int | None,
    ) -> Grant | Denial:
        """Hold the estimated spending of one model request in every budget, or say which one denies it.

        Raises BudgetUnavailable where the store cannot answer.
        """
        if not self._plans:
            return Grant(provider, model, input_tokens_estimate)
        now = self._clock()
        ledgers = tuple(plan.ledger(agent_id, model, now) for plan in self._plans)
        floor = self._amounts(provider, model, Usage(input=input_tokens_estimate))
        most = UNBOUNDED_OUTPUT if max_output is None else max(0, max_output)
        ceiling = self._amounts(provider, model, Usage(input=input_tokens_estimate, output=most))
        answer = await self._reserve(ledgers, floor, ceiling)
        if isinstance(answer, Exhausted):
            return _denial(answer, now)
        warnings = tuple(standing.key.budget for standing in answer.standings if _is_over(standing))
        return Grant(provider, model, input_tokens_estimate, ledgers, answer, warnings)

    async def settle(
        self, grant: Grant, usage: Usage | None, output_chars: int = 0, *, complete: bool = True
    ) -> Closing:
        """Book what was spent: `usage` as the provider reported it.

        None (a stream broke off before it came): the input estimate and `output_chars`, the characters of output seen.
        `complete` False: the report may be of the stream's start only (Anthropic's `message_start` counts one output
        token), so no less output is booked than was seen. Raises BudgetUnavailable where the store cannot answer.
        """
        if grant.reservation is None:
            return Closing.DONE
        seen = estimate_tokens(output_chars)
        if usage is None:
            usage = Usage(input=grant.input_tokens, output=seen)
        elif not complete:
            usage = usage.model_copy(update={"output": max(usage.output, seen)})
        actual = self._amounts(grant.provider, grant.model, usage)
        outcome = await self._answer(self._store.settle(grant.reservation, actual))
        if outcome is Closing.EXPIRED:
            await self._book_late(grant.ledgers, actual)
        return outcome

    async def release(self, grant: Grant) -> Closing:
        """Give a reservation back: nothing was spent. Raises BudgetUnavailable where the store cannot answer."""
        if grant.reservation is None:
            return Closing.DONE
        return await self._answer(self._store.release(grant.reservation))

    async def report(self) -> list[Row]:
        """Every ledger of a running window in the store, whichever policy made it."""
        return await report(self._store)

    def _amounts(self, provider: str | None, model: str | None, usage: Usage) -> Amounts:
        spent = prices.cost(provider, model, usage) if self._priced else 0
        return Amounts(1, min(usage.input + usage.output, MAX_AMOUNT), min(spent, MAX_AMOUNT))

    async def _reserve(self, ledgers: Sequence[Ledger], floor: Amounts, ceiling: Amounts) -> Granted | Exhausted:
        return await self._answer(self._store.reserve(str(ULID()), ledgers, floor, ceiling))

    async def _book_late(self, ledgers: Sequence[Ledger], actual: Amounts) -> None:
        """The answer outlived its reservation: what it cost is booked all the same, on ledgers still running."""
        now = self._clock()
        running = [ledger._replace(hard=False) for ledger in ledgers if ledger.resets_at > now]
        late = await self._reserve(running, actual, actual)
        assert isinstance(late, Granted)  # soft ledgers never refuse
        await self._answer(self._store.settle(late, actual))
        _logger.warning("a response outlived its budget reservation and was booked late")

    @staticmethod
    async def _answer[T](asked: Coroutine[object, object, T]) -> T:
        try:
            return await asked
        except StoreError as error:
            raise BudgetUnavailable(str(error)) from error


async def report(store: Store) -> list[Row]:
    """Every ledger of a running window. Raises BudgetUnavailable where the store cannot answer."""
    try:
        standings = await store.read()
    except StoreError as error:
        raise BudgetUnavailable(str(error)) from error
    return [_row(standing) for standing in standings]


def _is_over(standing: Standing) -> bool:
    rows = zip(standing.limits, standing.used, standing.held, strict=True)
    return any(limit is not None and used + held > limit for limit, used, held in rows)


def _denial(exhausted: Exhausted, now: float) -> Denial:
    wait = max(1, math.ceil(exhausted.resets_at - now))
    soon = wait <= RETRY_SECONDS
    return Denial(exhausted.ledger.budget, _words(exhausted), wait if soon else None, 429 if soon else 400)


def _words(exhausted: Exhausted) -> str:
    """For the person behind the agent: which budget, how much of it is gone, and when it is full again."""
    budget, subject, window = exhausted.ledger
    used, held, limit = (_shown(exhausted.measure, n) for n in (exhausted.used, exhausted.held, exhausted.limit))
    unit = "USD" if exhausted.measure == "nano_usd" else exhausted.measure
    whose = ", ".join(f"{kind} {name}" for kind, name in names_in(subject).items()) or "everyone"
    resets = datetime.fromtimestamp(exhausted.resets_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Budget {budget} ({whose}, {window}) has no room for this request: {used} of {limit} {unit} used,"
        f" {held} held by requests under way. It resets at {resets}."
    )


def _shown(measure: str, amount: int) -> str:
    return f"{amount / prices.NANO:,.4f}" if measure == "nano_usd" else f"{amount:,}"


def _row(standing: Standing) -> Row:
    names = names_in(standing.key.subject)
    key = standing.key
    return Row(
        key.budget,
        names.get("agent"),
        names.get("model"),
        key.window,
        standing.resets_at,
        standing.used,
        standing.held,
        standing.limits,
    )
