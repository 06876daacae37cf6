"""What both stores promise (`proxy.store.base`), tried on each: SQLite, Valkey, Valkey in cluster mode."""

import asyncio

import pytest

from proxy.store import Amounts, Closing, Exhausted, Granted, Ledger, LedgerKey, Limits, Store, StoreError
from proxy.store.base import MAX_AMOUNT, RESERVATION_TTL, SHARE, Standing
from tests.store.conftest import Clock, OpenStore

DAY_END = 1_790_050_000.0


def ledger(limits: Limits, budget: str = "daily", subject: str = "agent=a", hard: bool = True) -> Ledger:
    return Ledger(LedgerKey(budget, subject, "2026-09-21"), DAY_END, limits, hard)


async def granted(store: Store, name: str, *ledgers: Ledger, floor: Amounts, ceiling: Amounts | None = None) -> Granted:
    answer = await store.reserve(name, ledgers, floor, ceiling or floor)
    assert isinstance(answer, Granted)
    return answer


async def only(store: Store) -> Standing:
    (standing,) = await store.read()
    return standing


async def test_a_reservation_is_held_then_settled_by_what_was_spent(store: Store) -> None:
    daily = ledger(Limits(tokens=1000, nano_usd=10**15))
    grant = await granted(store, "r1", daily, floor=Amounts(1, 100, 10**14 + 1))
    expected = Standing(daily.key, DAY_END, daily.limits, Amounts(), Amounts(1, 100, 10**14 + 1))
    assert grant.standings == (expected,)
    assert await store.read() == [expected]
    assert await store.settle(grant, Amounts(1, 70, 10**14 - 1)) is Closing.DONE
    assert await only(store) == expected._replace(used=Amounts(1, 70, 10**14 - 1), held=Amounts())


async def test_what_does_not_fit_is_refused_and_holds_nothing(store: Store) -> None:
    daily = ledger(Limits(tokens=100))
    await granted(store, "r1", daily, floor=Amounts(1, 60))
    refused = await store.reserve("r2", [daily], Amounts(1, 41), Amounts(1, 41))
    assert refused == Exhausted(daily.key, "tokens", 100, 0, 60, DAY_END)
    assert (await only(store)).held == Amounts(1, 60)
    await granted(store, "r3", daily, floor=Amounts(1, 40))


async def test_all_ledgers_or_none(store: Store) -> None:
    roomy = ledger(Limits(tokens=1000), subject="agent=a")
    narrow = ledger(Limits(tokens=10), budget="by-model", subject="model=m")
    refused = await store.reserve("r1", [roomy, narrow], Amounts(1, 11), Amounts(1, 11))
    assert isinstance(refused, Exhausted)
    assert refused.ledger == narrow.key
    assert all(standing.held == Amounts() for standing in await store.read())
    grant = await granted(store, "r2", roomy, narrow, floor=Amounts(1, 10))
    assert [standing.key for standing in grant.standings] == [roomy.key, narrow.key]
    assert await store.settle(grant, Amounts(1, 9)) is Closing.DONE
    assert [standing.used for standing in await store.read()] == [Amounts(1, 9)] * 2


async def test_two_ledgers_of_one_subject_are_one_decision(store: Store) -> None:
    hourly, daily = (ledger(Limits(requests=n), budget=b) for n, b in ((1, "hourly"), (5, "daily")))
    await granted(store, "r1", daily, hourly, floor=Amounts(1))
    refused = await store.reserve("r2", [daily, hourly], Amounts(1), Amounts(1))
    assert isinstance(refused, Exhausted)
    assert (refused.ledger, refused.measure) == (hourly.key, "requests")
    assert [standing.held.requests for standing in await store.read()] == [1, 1]


async def test_the_worst_case_takes_a_share_of_what_is_left(store: Store) -> None:
    daily = ledger(Limits(tokens=1000))
    grant = await granted(store, "r1", daily, floor=Amounts(1, 200), ceiling=Amounts(1, 64_200))
    assert grant.standings[0].held.tokens == 200 + 800 // SHARE
    far = ledger(Limits(tokens=1_000_000), subject="agent=b")
    grant = await granted(store, "r2", far, floor=Amounts(1, 200), ceiling=Amounts(1, 64_200))
    assert grant.standings[0].held.tokens == 64_200


async def test_a_soft_ledger_counts_and_never_refuses(store: Store) -> None:
    soft = ledger(Limits(requests=1), hard=False)
    for name in ("r1", "r2"):
        grant = await granted(store, name, soft, floor=Amounts(1, 5))
    assert grant.standings[0].held == Amounts(2, 10)


async def test_a_settlement_beyond_the_limit_is_booked_and_ends_it(store: Store) -> None:
    daily = ledger(Limits(tokens=100))
    grant = await granted(store, "r1", daily, floor=Amounts(1, 10))
    await store.settle(grant, Amounts(1, 150))
    assert (await only(store)).used.tokens == 150
    assert isinstance(await store.reserve("r2", [daily], Amounts(1, 0), Amounts(1, 0)), Exhausted)


async def test_closing_takes_effect_once_and_says_so(store: Store) -> None:
    daily = ledger(Limits(tokens=100))
    settled = await granted(store, "r1", daily, floor=Amounts(1, 10))
    assert await store.settle(settled, Amounts(1, 7)) is Closing.DONE
    assert await store.settle(settled, Amounts(1, 7)) is Closing.SETTLED
    assert await store.release(settled) is Closing.SETTLED
    released = await granted(store, "r2", daily, floor=Amounts(1, 10))
    assert await store.release(released) is Closing.DONE
    assert await store.release(released) is Closing.RELEASED
    assert await store.settle(released, Amounts(1, 7)) is Closing.RELEASED
    assert (await only(store))[3:] == (Amounts(1, 7), Amounts())
    assert await store.settle(Granted("never", ("agent=a",), ()), Amounts(1)) is Closing.UNKNOWN


async def test_asking_again_for_an_open_reservation_holds_nothing_more(store: Store) -> None:
    daily = ledger(Limits(tokens=100))
    first = await granted(store, "r1", daily, floor=Amounts(1, 60))
    assert await granted(store, "r1", daily, floor=Amounts(1, 60)) == first
    await store.release(first)
    with pytest.raises(StoreError, match="r1 is already released"):
        await store.reserve("r1", [daily], Amounts(1), Amounts(1))


async def test_a_dead_workers_reservation_expires(store: Store, clock: Clock) -> None:
    daily = ledger(Limits(tokens=100))
    grant = await granted(store, "r1", daily, floor=Amounts(1, 100))
    clock.now += RESERVATION_TTL - 1
    assert isinstance(await store.reserve("r2", [daily], Amounts(1, 1), Amounts(1, 1)), Exhausted)
    clock.now += 1
    await granted(store, "r3", daily, floor=Amounts(1, 100))
    assert await store.settle(grant, Amounts(1, 5)) is Closing.EXPIRED
    assert await store.release(grant) is Closing.EXPIRED
    assert (await only(store))[3:] == (Amounts(), Amounts(1, 100))
    clock.now += RESERVATION_TTL
    assert await store.settle(grant, Amounts(1, 5)) is Closing.UNKNOWN


async def test_a_ledger_is_forgotten_when_its_window_ends(store: Store, clock: Clock) -> None:
    clock.now = DAY_END - 10
    daily = ledger(Limits(tokens=100))
    grant = await granted(store, "r1", daily, floor=Amounts(1, 100))
    clock.now = DAY_END
    assert await store.read() == []
    assert await store.settle(grant, Amounts(1, 50)) is Closing.DONE
    assert await store.read() == []


async def test_amounts_stay_exact_up_to_the_largest(store: Store) -> None:
    daily = ledger(Limits(nano_usd=MAX_AMOUNT))
    grant = await granted(store, "r1", daily, floor=Amounts(1, 0, MAX_AMOUNT - 1))
    await store.settle(grant, Amounts(1, 0, MAX_AMOUNT - 1))
    refused = await store.reserve("r2", [daily], Amounts(1, 0, 2), Amounts(1, 0, 2))
    assert isinstance(refused, Exhausted)
    assert (refused.limit, refused.used) == (MAX_AMOUNT, MAX_AMOUNT - 1)
    await granted(store, "r3", daily, floor=Amounts(1, 0, 1))


async def test_odd_names_stay_apart(store: Store) -> None:
    names = ("agent=%7D", "agent=a%7Bb", "agent=%E2%9F%AA", "all")
    ledgers = [ledger(Limits(requests=1), budget=f"b|{name}", subject=name) for name in names]
    await granted(store, "r1", *ledgers, floor=Amounts(1))
    assert {standing.key for standing in await store.read()} == {one.key for one in ledgers}


async def test_many_at_once_never_hold_more_than_the_limit(open_store: OpenStore) -> None:
    daily = ledger(Limits(requests=50, tokens=40_000))
    async with open_store() as one, open_store() as other:

        async def spend(number: int) -> int:
            store = (one, other)[number % 2]
            answer = await store.reserve(f"r{number}", [daily], Amounts(1, 100), Amounts(1, 900))
            if isinstance(answer, Exhausted):
                return 0
            assert answer.standings[0].held.tokens + answer.standings[0].used.tokens <= 40_000
            await store.settle(answer, Amounts(1, 150))
            return 1

        passed = sum(await asyncio.gather(*(spend(number) for number in range(120))))
        assert passed == 50
        assert (await only(one))[3:] == (Amounts(50, 7500), Amounts())


async def test_what_was_held_is_there_for_the_next_instance(open_store: OpenStore) -> None:
    daily = ledger(Limits(tokens=100))
    async with open_store() as store:
        grant = await granted(store, "r1", daily, floor=Amounts(1, 90))
    async with open_store() as store:
        assert (await only(store)).held == Amounts(1, 90)
        assert await store.settle(grant, Amounts(1, 80)) is Closing.DONE
