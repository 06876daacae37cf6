"""What only SQLite has: processes that share the file, kill -9, and files that are not a store."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.store import RESERVATION_TTL, Amounts, Exhausted, Granted, Ledger, LedgerKey, Limits, StoreError, open_store
from proxy.store.sqlite import SqliteStore
from tests.store.conftest import Clock

SPEND = """
import asyncio, sys
from pathlib import Path
from proxy.store import Amounts, Granted, Ledger, LedgerKey, Limits
from proxy.store.sqlite import SqliteStore

LEDGER = Ledger(LedgerKey("daily", "agent=a", "d"), 2e9, Limits(requests=100, tokens=10_000))

async def main(path, name, settle):
    store = await SqliteStore.open(Path(path), clock=lambda: 1_790_000_000.0)
    async def spend(number):
        answer = await store.reserve(f"{name}-{number}", [LEDGER], Amounts(1, 10), Amounts(1, 90))
        if not isinstance(answer, Granted):
            return 0
        if settle:
            await store.settle(answer, Amounts(1, 20))
        return 1
    print(sum(await asyncio.gather(*(spend(number) for number in range(80)))), flush=True)
    if not settle:
        sys.stdin.read()
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] == "settle"))
"""
DAILY = Ledger(LedgerKey("daily", "agent=a", "d"), 2e9, Limits(requests=100, tokens=10_000))


def spender(path: Path, name: str, what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SPEND, str(path), name, what]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_two_processes_never_overspend_together(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with spender(path, "one", "settle") as one, spender(path, "two", "settle") as two:
        outputs = await asyncio.gather(*(asyncio.to_thread(process.communicate) for process in (one, two)))
    assert sum(int(out) for out, _ in outputs) == 100
    store = await SqliteStore.open(path, clock=Clock())
    (standing,) = await store.read()
    assert standing[3:] == (Amounts(100, 2000), Amounts())
    await store.close()


async def test_what_a_killed_process_held_stays_held_until_it_expires(tmp_path: Path) -> None:
    path, clock = tmp_path / "m.db", Clock()
    with spender(path, "dead", "hold") as process:
        assert process.stdout is not None
        assert int(await asyncio.to_thread(process.stdout.readline)) == 80
        os.kill(process.pid, signal.SIGKILL)
    store = await SqliteStore.open(path, clock=clock)
    (standing,) = await store.read()
    assert standing.held.requests == 80
    assert isinstance(await store.reserve("r1", [DAILY], Amounts(21), Amounts(21)), Exhausted)
    clock.now += RESERVATION_TTL
    assert isinstance(await store.reserve("r2", [DAILY], Amounts(100), Amounts(100)), Granted)
    await store.close()


async def test_the_event_loop_goes_on_while_another_process_has_the_lock(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "m.db", clock=Clock())
    other = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(store.reserve("r1", [DAILY], Amounts(1), Amounts(1)))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(await waiting, Granted)
    await store.close()


async def test_a_waiter_that_left_does_no_harm(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "m.db", clock=Clock())
    left = asyncio.ensure_future(store.reserve("r1", [DAILY], Amounts(1), Amounts(1)))
    await asyncio.sleep(0)
    left.cancel()
    (standing,) = await store.read()
    assert standing.held == Amounts(1)
    await store.close()


async def test_an_operation_that_fails_takes_nothing_down(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "m.db", clock=Clock())
    with pytest.raises(StoreError, match=r"m\.db: UNIQUE constraint failed"):
        await store.reserve("r1", [DAILY, DAILY], Amounts(1), Amounts(1))
    assert await store.read() == []
    assert isinstance(await store.reserve("r1", [DAILY], Amounts(1), Amounts(1)), Granted)
    await store.close()


async def test_closing_finishes_what_was_asked_and_refuses_what_comes_after(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "m.db", clock=Clock())
    asked = [asyncio.ensure_future(store.reserve(f"r{n}", [DAILY], Amounts(1), Amounts(1))) for n in range(5)]
    await asyncio.sleep(0)
    await store.close()
    assert all(isinstance(answer, Granted) for answer in await asyncio.gather(*asked))
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.read()


async def test_the_default_store_is_in_the_state_directory(tmp_path: Path) -> None:
    for url, path in (
        (None, tmp_path / "state" / "midstream.db"),
        (f"sqlite://{tmp_path}/other.db", tmp_path / "other.db"),
    ):
        store = await open_store(url, tmp_path / "state")
        assert path.exists()
        await store.close()


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to look like one " * 50)
    with pytest.raises(StoreError, match=r"text\.db: file is not a database"):
        await SqliteStore.open(tmp_path / "text.db")
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match=r"newer\.db: schema version 99, this midstream reads 1"):
        await SqliteStore.open(tmp_path / "newer.db")
    (tmp_path / "folder").write_text("")
    with pytest.raises(StoreError, match=r"File exists|Not a directory"):
        await SqliteStore.open(tmp_path / "folder" / "m.db")
