"""Budgets: windows, denials, settlement by what was reported, and a store that fails."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.effects import prices
from proxy.effects.accounts import window_at
from proxy.effects.budget import (
    UNBOUNDED_OUTPUT,
    Budgets,
    BudgetUnavailable,
    Denial,
    Grant,
    Row,
    estimate_tokens,
    report,
)
from proxy.events import Usage
from proxy.store import RESERVATION_TTL, Amounts, Closing, Limits, Store
from proxy.store.sqlite import SqliteStore


class Clock:
    def __init__(self) -> None:
        self.now = at("2026-11-21T12:00:30")

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Budget:
    """A policy's budget, as `accounts.BudgetLike` asks for it."""

    id: str = "daily"
    per: tuple[str, ...] = ("agent",)
    window: str = "day"
    limit: dict[str, float] = field(default_factory=dict)
    exceeded: str = "deny"


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    opened = await SqliteStore.open(tmp_path / "m.db", clock=clock)
    yield opened
    await opened.close()


async def granted(budgets: Budgets, agent: str = "a", size: int = 100, most: int | None = 50) -> Grant:
    answer = await budgets.reserve(agent, "openai", "gpt-4o", size, most)
    assert isinstance(answer, Grant), answer
    return answer


async def denied(budgets: Budgets, agent: str = "a", size: int = 100, most: int | None = 50) -> Denial:
    answer = await budgets.reserve(agent, "openai", "gpt-4o", size, most)
    assert isinstance(answer, Denial), answer
    return answer


async def row(budgets: Budgets) -> Row:
    (only,) = await budgets.report()
    return only


async def test_reserved_then_settled_by_the_report(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"usd": 25, "tokens": 2_000_000, "requests": 5000})], store, clock)
    grant = await granted(budgets)
    held = Amounts(1, 150, 100 * 2500 + 50 * 10_000)
    limit = Limits(5000, 2_000_000, 25 * 10**9)
    ends = at("2026-11-22T00:00:00")
    assert await row(budgets) == Row("daily", "a", None, "2026-11-21", ends, Amounts(), held, limit)
    usage = Usage(input=120, output=20, cache_read=100)
    assert await budgets.settle(grant, usage) is Closing.DONE
    assert await budgets.settle(grant, usage) is Closing.SETTLED
    spent = Amounts(1, 140, prices.cost("openai", "gpt-4o", usage))
    assert await report(store) == [Row("daily", "a", None, "2026-11-21", ends, spent, Amounts(), limit)]


async def test_released_when_nothing_was_spent(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"requests": 1})], store, clock)
    assert await budgets.release(await granted(budgets)) is Closing.DONE
    await granted(budgets)


async def test_a_spent_budget_denies_with_the_status_that_stops(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"usd": 0.001})], store, clock)
    await budgets.settle(await granted(budgets), Usage(input=400, output=0))
    denial = await denied(budgets)
    assert (denial.budget_id, denial.status, denial.retry_after_seconds) == ("daily", 400, None)
    assert denial.message == (
        "Budget daily (agent a, 2026-11-21) has no room for this request: 0.0010 of 0.0010 USD used,"
        " 0.0000 held by requests under way. It resets at 2026-11-22 00:00 UTC."
    )


async def test_a_window_that_ends_within_a_minute_is_worth_waiting_for(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(window="minute", limit={"requests": 1})], store, clock)
    await granted(budgets)
    assert (await denied(budgets))[2:] == (30, 429)
    clock.now += 30
    await granted(budgets)


async def test_the_end_of_a_day_is_worth_waiting_for(store: Store, clock: Clock) -> None:
    clock.now = at("2026-11-21T23:59:59.500")
    budgets = Budgets([Budget(limit={"requests": 0})], store, clock)
    assert (await denied(budgets))[2:] == (1, 429)


async def test_agents_pay_apart_and_everyone_pays_together(store: Store, clock: Clock) -> None:
    apart = Budget(limit={"requests": 1})
    together = Budget(id="all", per=(), window="month", limit={"requests": 2})
    budgets = Budgets([apart, together], store, clock)
    await granted(budgets, agent="a")
    await granted(budgets, agent="b|{}=&")
    assert "agent a," in (await denied(budgets, agent="a")).message
    assert "everyone, 2026-11" in (await denied(budgets, agent="c")).message
    assert [(r.budget, r.agent, r.window) for r in await budgets.report()] == [
        ("all", None, "2026-11"),
        ("daily", "a", "2026-11-21"),
        ("daily", "b|{}=&", "2026-11-21"),
    ]


async def test_a_composite_budget_is_per_agent_and_model(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(per=("agent", "model"), limit={"requests": 1})], store, clock)
    await granted(budgets)
    assert isinstance(await budgets.reserve("a", "openai", "o3", 1, 1), Grant)
    assert isinstance(await budgets.reserve("a", "openai", None, 1, 1), Grant)
    assert "(agent a, model gpt-4o," in (await denied(budgets)).message
    assert {r.model for r in await budgets.report()} == {"", "gpt-4o", "o3"}


async def test_a_warning_budget_lets_pass_and_says_so(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"requests": 1}, exceeded="warn")], store, clock)
    assert (await granted(budgets)).warnings == ()
    assert (await granted(budgets)).warnings == ("daily",)


async def test_a_stream_that_broke_off_is_settled_by_what_was_seen(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"tokens": 1000})], store, clock)
    await budgets.settle(await granted(budgets), None, output_chars=41)
    assert (await row(budgets)).used.tokens == 100 + 11
    start_only = Usage(input=200, output=1)
    await budgets.settle(await granted(budgets), start_only, output_chars=400, complete=False)
    assert (await row(budgets)).used.tokens == 111 + 300
    await budgets.settle(await granted(budgets), start_only, output_chars=400)
    assert (await row(budgets)).used.tokens == 411 + 201


async def test_a_large_worst_case_does_not_starve_an_agent(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"tokens": 100_000})], store, clock)
    for _ in range(20):
        await granted(budgets, size=1000, most=64_000)
    assert (await row(budgets)).reserved.tokens <= 100_000


async def test_a_request_without_a_bound_is_held_at_a_worst_case(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"tokens": 10**7})], store, clock)
    await granted(budgets, most=None)
    assert (await row(budgets)).reserved.tokens == 100 + UNBOUNDED_OUTPUT


async def test_concurrent_requests_cannot_pass_a_budget(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"requests": 10, "usd": 1.0})], store, clock)
    answers = await asyncio.gather(*(budgets.reserve("a", "openai", "gpt-4o", 10, 10) for _ in range(50)))
    assert sum(isinstance(answer, Grant) for answer in answers) == 10


async def test_an_unknown_model_is_no_bypass(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"usd": 0.01})], store, clock)
    answer = await budgets.reserve("a", "openai", "gpt-new", 100, 50)
    assert isinstance(answer, Denial)


async def test_an_answer_that_outlives_its_reservation_is_booked_once(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"tokens": 1000})], store, clock)
    grant = await granted(budgets)
    clock.now += RESERVATION_TTL + 1
    assert await budgets.settle(grant, Usage(input=100, output=950)) is Closing.EXPIRED
    assert (await row(budgets))[5:7] == (Amounts(1, 1050), Amounts())
    assert (await denied(budgets)).status == 400


async def test_without_budgets_the_store_is_not_asked(store: Store, clock: Clock) -> None:
    await store.close()
    budgets = Budgets([], store, clock)
    grant = await granted(budgets)
    assert len(budgets) == 0
    assert await budgets.settle(grant, None) is Closing.DONE
    assert await budgets.release(grant) is Closing.DONE


async def test_a_store_that_fails_is_said_so(store: Store, clock: Clock) -> None:
    budgets = Budgets([Budget(limit={"requests": 1})], store, clock)
    grant = await granted(budgets)
    await store.close()
    with pytest.raises(BudgetUnavailable, match="closed"):
        await denied(budgets)
    with pytest.raises(BudgetUnavailable):
        await budgets.settle(grant, None)
    with pytest.raises(BudgetUnavailable):
        await budgets.release(grant)
    with pytest.raises(BudgetUnavailable):
        await budgets.report()


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(window="fortnight"), "unknown budget window: fortnight"),
        (Budget(per=("tool",)), "budget daily: cannot count tool"),
        (Budget(limit={"tool_calls": 3}), "budget daily: cannot count tool_calls"),
        (Budget(limit={"usd": 10**8}), "budget daily: a limit lies outside"),
        (Budget(limit={"tokens": -1}), "budget daily: a limit lies outside"),
    ],
)
async def test_what_cannot_be_carried_out_is_refused(store: Store, budget: Budget, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budgets([budget], store)


@pytest.mark.parametrize(
    ("kind", "name", "ends"),
    [
        ("minute", "2026-12-31T23:59", "2027-01-01T00:00:00"),
        ("hour", "2026-12-31T23", "2027-01-01T00:00:00"),
        ("day", "2026-12-31", "2027-01-01T00:00:00"),
        ("month", "2026-12", "2027-01-01T00:00:00"),
    ],
)
def test_windows_are_those_of_the_utc_calendar(kind: str, name: str, ends: str) -> None:
    assert window_at(kind, at("2026-12-31T23:59:59.999")) == (name, at(ends))


@given(now=st.floats(0, 4e9), kind=st.sampled_from(["minute", "hour", "day", "month"]))
def test_windows_follow_one_another_without_gap(now: float, kind: str) -> None:
    window = window_at(kind, now)
    assert now < window.ends_at
    following = window_at(kind, window.ends_at)
    assert following.name > window.name
    assert window_at(kind, window.ends_at - 1e-3).name == window.name


def test_estimates_are_rounded_up() -> None:
    assert [estimate_tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
