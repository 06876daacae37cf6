"""The store in one SQLite file, shared by the processes of one machine.

One thread owns the connection, so the event loop never waits for a disk; operations that wait together share one
`BEGIN IMMEDIATE` transaction and its fsync. WAL with synchronous=FULL: what was acknowledged survives a power cut
(https://sqlite.org/pragma.html#pragma_synchronous). Only the ledger's SQL lives here, no budget rules but `_fit`.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, Self

from proxy.store.base import (
    RESERVATION_TTL,
    SHARE,
    Amounts,
    Closing,
    Exhausted,
    Granted,
    Ledger,
    LedgerKey,
    Limits,
    Standing,
    StoreError,
)

SCHEMA_VERSION = 1
BUSY_SECONDS = 5.0
"""How long a transaction waits for another process's before the operation fails."""
_BATCH = 64

type _Operation = Callable[[sqlite3.Connection, float], Any]


class _Job(NamedTuple):
    operation: _Operation
    future: asyncio.Future[Any]


class SqliteStore:
    """`Store` over one SQLite file; open it with `await SqliteStore.open(path)`."""

    def __init__(self, path: Path, clock: Callable[[], float], ttl: float) -> None:
        self._path = path
        self._clock = clock
        self._ttl = ttl
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="midstream-store", daemon=True)
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *, clock: Callable[[], float] = time.time, ttl: float = RESERVATION_TTL) -> Self:
        """Open or create the file; raises StoreError where it cannot be read, written or understood.

        `clock` gives Unix seconds; `ttl` is the life of a reservation in seconds.
        """
        store = cls(path, clock, ttl)
        store._thread.start()
        try:
            await store._submit(_nothing)
        except StoreError:
            await store.close()
            raise
        return store

    async def reserve(
        self, reservation: str, ledgers: Sequence[Ledger], floor: Amounts, ceiling: Amounts
    ) -> Granted | Exhausted:
        """See `Store.reserve`."""

        def operation(db: sqlite3.Connection, now: float) -> Granted | Exhausted | Closing:
            return _reserve(db, now, self._ttl, reservation, ledgers, floor, ceiling)

        answer: Granted | Exhausted | Closing = await self._submit(operation)
        if isinstance(answer, Closing):
            raise StoreError(f"store {self._path}: reservation {reservation} is already {answer}")
        return answer

    async def settle(self, granted: Granted, actual: Amounts) -> Closing:
        """See `Store.settle`."""
        return await self._close_reservation(granted, Closing.SETTLED, actual)

    async def release(self, granted: Granted) -> Closing:
        """See `Store.release`."""
        return await self._close_reservation(granted, Closing.RELEASED, Amounts())

    async def read(self) -> Sequence[Standing]:
        """See `Store.read`."""
        standings: Sequence[Standing] = await self._submit(_read)
        return standings

    async def close(self) -> None:
        """See `Store.close`."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _close_reservation(self, granted: Granted, state: Closing, actual: Amounts) -> Closing:
        def operation(db: sqlite3.Connection, now: float) -> Closing:
            return _close(db, now, self._ttl, granted.id, state, actual)

        outcome: Closing = await self._submit(operation)
        return outcome

    def _submit(self, operation: _Operation) -> asyncio.Future[Any]:
        if self._closed or not self._thread.is_alive():
            raise StoreError(f"store {self._path}: closed")
        future = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(operation, future))
        return future

    # The thread

    def _run(self) -> None:
        try:
            db = _connect(self._path)
        except (OSError, sqlite3.Error, StoreError) as error:
            self._refuse_all(self._error(error))
            return
        try:
            while jobs := self._next_batch():
                self._perform(db, jobs)
        finally:
            db.close()

    def _refuse_all(self, error: StoreError) -> None:
        while (job := self._jobs.get()) is not None:
            _deliver([(job, error)])

    def _next_batch(self) -> list[_Job]:
        """Everything that waits, up to _BATCH, waiting for the first; empty when the store closes."""
        batch: list[_Job] = []
        try:
            while len(batch) < _BATCH:
                job = self._jobs.get(block=not batch)
                if job is None:
                    self._jobs.put(None)  # for the next call, once this batch is done
                    break
                batch.append(job)
        except queue.Empty:
            pass  # nothing more waits: the batch is what there is
        return batch

    def _perform(self, db: sqlite3.Connection, jobs: list[_Job]) -> None:
        """Run the jobs in one transaction; where it fails all of them fail, since none of it was committed."""
        try:
            with _transaction(db):
                now = self._clock()
                _sweep(db, now, self._ttl)
                answers: list[tuple[_Job, Any]] = [(job, job.operation(db, now)) for job in jobs]
        except Exception as error:
            # Any error, or the waiting requests would hang for ever and the thread die: each gets it and fails closed.
            _deliver([(job, self._error(error)) for job in jobs])
            return
        _deliver(answers)

    def _error(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        wrapped = StoreError(f"store {self._path}: {error}")
        wrapped.__cause__ = error
        return wrapped


def _deliver(answers: list[tuple[_Job, Any]]) -> None:
    """Hand answers to their loops, one wake-up a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for job, answer in answers:
        by_loop.setdefault(job.future.get_loop(), []).append((job.future, answer))
    for loop, results in by_loop.items():
        if not loop.is_closed():  # a loop that was torn down has nobody waiting
            loop.call_soon_threadsafe(_resolve, results)


def _resolve(results: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in results:
        if future.done():  # the waiting task was cancelled; its reservation expires
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _create_schema(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _create_schema(db: sqlite3.Connection, path: Path) -> None:
    with _transaction(db):  # two processes may come first at once
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in files("proxy.store").joinpath("schema.sql").read_text("utf-8").split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise StoreError(f"store {path}: schema version {version}, this midstream reads {SCHEMA_VERSION}")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # some errors (disk full, I/O) roll back by themselves
            db.execute("ROLLBACK")
        raise


# Operations, run inside a transaction after `_sweep`


def _nothing(db: sqlite3.Connection, now: float) -> None:
    """Proves that the file can be written."""


def _sweep(db: sqlite3.Connection, now: float, ttl: float) -> None:
    """Expire reservations of dead workers, forget closed ones, drop ledgers whose window is over."""
    due = db.execute("SELECT id, state FROM reservations WHERE due <= ?", (now,)).fetchall()
    for reservation, state in due:
        if state == "open":
            _finish(db, now + ttl, reservation, Closing.EXPIRED, Amounts())
        else:
            db.execute("DELETE FROM reservations WHERE id = ?", (reservation,))
    db.execute("DELETE FROM ledgers WHERE resets_at <= ?", (now,))


def _reserve(
    db: sqlite3.Connection,
    now: float,
    ttl: float,
    reservation: str,
    ledgers: Sequence[Ledger],
    floor: Amounts,
    ceiling: Amounts,
) -> Granted | Exhausted | Closing:
    state = _state(db, reservation)
    if state is Closing.UNKNOWN:
        held = [_fit(ledger, _standing(db, ledger), floor, ceiling) for ledger in ledgers]
        for outcome in held:
            if isinstance(outcome, Exhausted):
                return outcome
        db.execute("INSERT INTO reservations VALUES (?, 'open', ?)", (reservation, now + ttl))
        for ledger, amounts in zip(ledgers, held, strict=True):
            assert isinstance(amounts, Amounts)
            _hold(db, reservation, ledger, amounts)
    elif state is not Closing.DONE:
        return state
    subjects = tuple(dict.fromkeys(ledger.key.subject for ledger in ledgers))
    return Granted(reservation, subjects, tuple(_standing(db, ledger) for ledger in ledgers))


def _fit(ledger: Ledger, standing: Standing, floor: Amounts, ceiling: Amounts) -> Amounts | Exhausted:
    """What to hold in this ledger, by the rule of `base`."""
    held: list[int] = []
    rows = zip(Amounts._fields, ledger.limits, standing.used, standing.held, floor, ceiling, strict=True)
    for measure, limit, used, reserved, least, most in rows:
        if limit is None or not ledger.hard:
            held.append(most)
            continue
        available = limit - used - reserved
        if least > available:
            return Exhausted(ledger.key, measure, limit, used, reserved, ledger.resets_at)
        held.append(least + min(most - least, (available - least) // SHARE))
    return Amounts(*held)


def _standing(db: sqlite3.Connection, ledger: Ledger) -> Standing:
    row = db.execute(
        "SELECT used_requests, used_tokens, used_nano_usd, held_requests, held_tokens, held_nano_usd"
        " FROM ledgers WHERE (budget, subject, window) = (?, ?, ?)",
        ledger.key,
    ).fetchone() or (0, 0, 0, 0, 0, 0)
    return Standing(ledger.key, ledger.resets_at, ledger.limits, Amounts(*row[:3]), Amounts(*row[3:]))


def _hold(db: sqlite3.Connection, reservation: str, ledger: Ledger, held: Amounts) -> None:
    db.execute(
        "INSERT INTO ledgers (budget, subject, window, resets_at, limit_requests, limit_tokens, limit_nano_usd,"
        " held_requests, held_tokens, held_nano_usd) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET limit_requests = excluded.limit_requests, limit_tokens = excluded.limit_tokens,"
        " limit_nano_usd = excluded.limit_nano_usd, held_requests = held_requests + excluded.held_requests,"
        " held_tokens = held_tokens + excluded.held_tokens, held_nano_usd = held_nano_usd + excluded.held_nano_usd",
        (*ledger.key, ledger.resets_at, *ledger.limits, *held),
    )
    db.execute("INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?)", (reservation, *ledger.key, *held))


def _state(db: sqlite3.Connection, reservation: str) -> Closing:
    """DONE for an open reservation (it can be closed), otherwise how it was closed."""
    row = db.execute("SELECT state FROM reservations WHERE id = ?", (reservation,)).fetchone()
    if row is None:
        return Closing.UNKNOWN
    return Closing.DONE if row[0] == "open" else Closing(row[0])


def _close(
    db: sqlite3.Connection, now: float, ttl: float, reservation: str, state: Closing, actual: Amounts
) -> Closing:
    found = _state(db, reservation)
    if found is Closing.DONE:
        _finish(db, now + ttl, reservation, state, actual)
    return found


def _finish(db: sqlite3.Connection, forget_at: float, reservation: str, state: Closing, actual: Amounts) -> None:
    """Give back the holds, book `actual`. A ledger whose window ended is gone, and nothing is booked on it."""
    holds = db.execute(
        "DELETE FROM holds WHERE reservation = ? RETURNING requests, tokens, nano_usd, budget, subject, window",
        (reservation,),
    ).fetchall()
    db.executemany(
        "UPDATE ledgers SET used_requests = used_requests + ?, used_tokens = used_tokens + ?,"
        " used_nano_usd = used_nano_usd + ?, held_requests = held_requests - ?, held_tokens = held_tokens - ?,"
        " held_nano_usd = held_nano_usd - ? WHERE (budget, subject, window) = (?, ?, ?)",
        [(*actual, *hold) for hold in holds],
    )
    db.execute("UPDATE reservations SET state = ?, due = ? WHERE id = ?", (state, forget_at, reservation))


def _read(db: sqlite3.Connection, now: float) -> list[Standing]:
    rows = db.execute(
        "SELECT budget, subject, window, resets_at, limit_requests, limit_tokens, limit_nano_usd,"
        " used_requests, used_tokens, used_nano_usd, held_requests, held_tokens, held_nano_usd"
        " FROM ledgers ORDER BY budget, subject, window"
    )
    return [
        Standing(LedgerKey(*row[:3]), row[3], Limits(*row[4:7]), Amounts(*row[7:10]), Amounts(*row[10:]))
        for row in rows.fetchall()
    ]
