"""The store in Redis or Valkey, standalone or cluster: what to ask is Python, what is atomic is Lua beside this file.

All keys of one subject share a hash slot. Ledgers of several subjects (a budget per agent and one per model) are
therefore reserved one subject after the other, and given back where a later one refuses: for a moment too much may be
held, never too little. How much is lost when the server dies is the server's setting (`appendfsync always` for none).
"""

import time
from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from itertools import batched, groupby
from typing import Any, Final, Self, cast

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError, RedisError, ResponseError

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

TIMEOUT_SECONDS = 2.0
"""For connecting and for one answer. redis-py tries again on its own; the scripts bear being asked twice."""
MAX_CONNECTIONS = 64
_PREFIX = "midstream"

# A cluster client is no subclass of the plain one.
type _Client = Redis | RedisCluster


class _Script:
    """A Lua script with the shared sweep in front, called by its hash and sent whole where the server lost it."""

    def __init__(self, name: str) -> None:
        folder = files("proxy.store")
        self.text: Final = "".join(folder.joinpath(part).read_text("utf-8") for part in ("sweep.lua", name))
        # EVALSHA names scripts by SHA-1 (https://valkey.io/commands/evalsha/); nothing secret depends on it.
        self.sha: Final = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, client: _Client, keys: tuple[str, ...], *args: object) -> Any:
        arguments = cast("tuple[str, ...]", (*keys, *args))  # redis-py encodes numbers as well
        try:
            return await client.evalsha(self.sha, len(keys), *arguments)
        except NoScriptError:
            return await client.eval(self.text, len(keys), *arguments)


_RESERVE, _CLOSE, _READ = _Script("reserve.lua"), _Script("close.lua"), _Script("read.lua")


class RedisStore:
    """`Store` over a Redis-compatible server; open it with `await RedisStore.open(url)`."""

    def __init__(self, client: _Client, name: str, clock: Callable[[], float], ttl: float) -> None:
        self._client = client
        self._name = name
        self._clock = clock
        self._ttl = ttl

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        name: str | None = None,
        clock: Callable[[], float] = time.time,
        ttl: float = RESERVATION_TTL,
    ) -> Self:
        """Connect to `redis://` or `rediss://`; raises StoreError, showing `name`, where nobody answers.

        `clock` gives Unix seconds; `ttl` is the life of a reservation in seconds.
        """
        shown = name or "redis"
        try:
            return cls(await _connect(url), shown, clock, ttl)
        except (RedisError, OSError, ValueError, TimeoutError) as error:
            # Only the kind: redis-py's messages may quote the URL with its password.
            raise StoreError(f"store {shown}: cannot be reached ({type(error).__name__})") from None

    async def reserve(
        self, reservation: str, ledgers: Sequence[Ledger], floor: Amounts, ceiling: Amounts
    ) -> Granted | Exhausted:
        """See `Store.reserve`."""
        groups = _by_subject(ledgers)
        standings: dict[LedgerKey, Standing] = {}
        for done, (subject, group) in enumerate(groups):
            answer = await self._reserve_group(reservation, subject, group, floor, ceiling)
            if isinstance(answer, Exhausted):
                await self.release(Granted(reservation, tuple(name for name, _ in groups[:done]), ()))
                return answer
            standings.update((standing.key, standing) for standing in answer)
        return Granted(
            reservation, tuple(name for name, _ in groups), tuple(standings[ledger.key] for ledger in ledgers)
        )

    async def settle(self, granted: Granted, actual: Amounts) -> Closing:
        """See `Store.settle`."""
        return await self._close_groups(granted, Closing.SETTLED, actual)

    async def release(self, granted: Granted) -> Closing:
        """See `Store.release`."""
        return await self._close_groups(granted, Closing.RELEASED, Amounts())

    async def read(self) -> Sequence[Standing]:
        """See `Store.read`. Walks the whole key space: for people, not for requests."""
        try:
            keys = [key async for key in self._client.scan_iter(match=f"{_PREFIX}:{{*}}:ledgers", count=1000)]
        except (RedisError, OSError, TimeoutError) as error:
            raise self._error(error) from error
        standings: list[Standing] = []
        for subject in {key.split(b"{", 1)[1].rsplit(b"}", 1)[0].decode() for key in keys}:
            standings += _standings(subject, await self._call(_READ, subject))
        return sorted(standings)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._client.aclose()

    async def _reserve_group(
        self, reservation: str, subject: str, ledgers: Sequence[Ledger], floor: Amounts, ceiling: Amounts
    ) -> list[Standing] | Exhausted:
        rows = [argument for ledger in ledgers for argument in _ledger_arguments(ledger)]
        word, *rest = await self._call(_RESERVE, subject, reservation, SHARE, *floor, *ceiling, *rows)
        if word == b"granted":
            return [
                Standing(ledger.key, ledger.resets_at, ledger.limits, Amounts(*numbers[:3]), Amounts(*numbers[3:]))
                for ledger, numbers in zip(ledgers, batched(rest, 6, strict=True), strict=True)
            ]
        if word == b"exhausted":
            index, measure, limit, used, held = rest
            ledger = ledgers[index]
            return Exhausted(ledger.key, measure.decode(), limit, used, held, ledger.resets_at)
        raise StoreError(f"store {self._name}: reservation {reservation} is already {word.decode()}")

    async def _close_groups(self, granted: Granted, state: Closing, actual: Amounts) -> Closing:
        """DONE where it took effect for any subject: those that were closed before were not booked twice."""
        outcomes = [
            Closing((await self._call(_CLOSE, subject, granted.id, state, *actual)).decode())
            for subject in granted.subjects
        ]
        return Closing.DONE if Closing.DONE in outcomes else next(iter(outcomes), Closing.UNKNOWN)

    async def _call(self, script: _Script, subject: str, *args: object) -> Any:
        keys = tuple(f"{_PREFIX}:{{{subject}}}:{kind}" for kind in ("ledgers", "reservations", "due"))
        try:
            return await script(self._client, keys, repr(self._clock()), repr(self._ttl), *args)
        except (RedisError, OSError, TimeoutError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> StoreError:
        # The server's own answer helps; other messages may quote the URL with its password.
        detail = f" ({error})" if isinstance(error, ResponseError) else ""
        return StoreError(f"store {self._name}: {type(error).__name__}{detail}")


async def _connect(url: str) -> _Client:
    """A client that has had an answer; a cluster client where the server says it is a cluster's."""
    client = Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        max_connections=MAX_CONNECTIONS,
    )
    try:
        info = await client.info("cluster")
    except BaseException:
        await client.aclose()
        raise
    if not info.get("cluster_enabled"):
        return client
    await client.aclose()
    cluster = RedisCluster.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        max_connections=MAX_CONNECTIONS,
    )
    await cluster.initialize()
    return cluster


def _by_subject(ledgers: Sequence[Ledger]) -> list[tuple[str, list[Ledger]]]:
    """Ledgers by subject, in one order everywhere, so that two workers meet at the same subject first."""
    ordered = sorted(ledgers, key=_subject)
    return [(subject, list(group)) for subject, group in groupby(ordered, key=_subject)]


def _subject(ledger: Ledger) -> str:
    return ledger.key.subject


def _ledger_arguments(ledger: Ledger) -> tuple[object, ...]:
    limits = ("" if limit is None else limit for limit in ledger.limits)
    return (f"{ledger.key.budget}|{ledger.key.window}", repr(ledger.resets_at), int(ledger.hard), *limits)


def _standings(subject: str, flat: list[bytes]) -> list[Standing]:
    """Field, value, field, value … of the ledgers' hash -> one Standing a ledger."""
    ledgers: dict[str, dict[str, str]] = {}
    for name, value in batched(flat, 2, strict=True):
        ledger, field = name.decode().rsplit("|", 1)
        ledgers.setdefault(ledger, {})[field] = value.decode()
    return [_standing(subject, ledger, fields) for ledger, fields in ledgers.items()]


def _standing(subject: str, ledger: str, fields: dict[str, str]) -> Standing:
    budget, window = ledger.rsplit("|", 1)
    used, held = (Amounts(*(int(fields.get(kind + m, 0)) for m in Amounts._fields)) for kind in "uh")
    limits = Limits(*(int(fields["l" + m]) if "l" + m in fields else None for m in Limits._fields))
    return Standing(LedgerKey(budget, subject, window), float(fields["resets_at"]), limits, used, held)
