"""`midstream serve`: ready, drained, reloaded, and what keeps it from starting. In this process, over real TLS."""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx
import pytest

from proxy import health
from proxy.config import Address, Config, load, prepared
from proxy.demo.answers import Answer, Received, says
from proxy.demo.stand_in import StandIn
from proxy.serve import Running, serve
from proxy.worker import WorkerError

DENY = "version: 1\nrules:\n  - {id: nothing, at: pre_llm_request, verdict: deny, reason: closed for today}\n"
PERMIT = "version: 1\n"
ASK = {"model": "gpt-5", "messages": [{"role": "user", "content": "hello"}]}
URL = "https://api.openai.com/v1/chat/completions"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(PERMIT)
    return path


@pytest.fixture
def config(state: Path, policy: Path, stand_in: StandIn) -> Config:
    flags = {"state": str(state), "listen": "127.0.0.1:0", "upstream_ca": str(stand_in.ca_file)}
    flags |= {"log_level": "warning"}
    given = {**flags, "connect_to": [f"api.openai.com={stand_in.address}"]}
    return prepared(load(given, [str(policy)], {}))


@asynccontextmanager
async def served(config: Config) -> AsyncIterator[tuple[Running, asyncio.Task[int]]]:
    """serve() in this process, and its task; stopped at once where the test did not stop it."""
    ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(config, ready.set_result))
    task.add_done_callback(lambda ended: _never_ready(ready, ended))
    try:
        yield await ready, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _never_ready(ready: asyncio.Future[Running], ended: asyncio.Task[int]) -> None:
    if not ready.done() and not ended.cancelled():
        ready.set_exception(ended.exception() or AssertionError("it ended before it was ready"))


@asynccontextmanager
async def client(proxy: Running) -> AsyncIterator[httpx.AsyncClient]:
    trust = ssl.create_default_context(cafile=str(proxy.authority.certificate))
    async with httpx.AsyncClient(proxy=f"http://{proxy.address}", verify=trust, trust_env=False) as one:
        yield one


def asking(http: httpx.AsyncClient) -> AbstractAsyncContextManager[httpx.Response]:
    """A streaming request, under way."""
    return http.stream("POST", URL, json=ASK | {"stream": True})


async def test_sigterm_ends_it_well(config: Config) -> None:
    async with served(config) as (proxy, task):
        assert proxy.address.port > 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert await task == 0


async def test_a_stream_finishes_after_sigterm(config: Config, stand_in: StandIn) -> None:
    answer = held(stand_in)
    async with served(config) as (proxy, task), client(proxy) as http, asking(http) as response:
        lines = response.aiter_lines()
        first = await anext(lines)
        os.kill(os.getpid(), signal.SIGTERM)
        await closed(proxy.address)
        answer.set()
        rest = [line async for line in lines]
        assert first.startswith("data: ")
        assert rest[-2:] == ["data: [DONE]", ""]
        assert await task == 0


async def test_a_second_signal_stops_at_once(config: Config, stand_in: StandIn) -> None:
    held(stand_in)
    async with served(config) as (proxy, task), client(proxy) as http, asking(http) as response:
        lines = response.aiter_lines()
        await anext(lines)
        os.kill(os.getpid(), signal.SIGTERM)
        await closed(proxy.address)
        os.kill(os.getpid(), signal.SIGINT)
        assert await task == 0
        with pytest.raises(httpx.HTTPError):
            [line async for line in lines]


async def test_the_grace_period_ends(config: Config, stand_in: StandIn) -> None:
    held(stand_in)
    async with served(replace(config, grace=0.0)) as (proxy, task), client(proxy) as http, asking(http) as response:
        lines = response.aiter_lines()
        await anext(lines)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await task == 0
        with pytest.raises(httpx.HTTPError):
            [line async for line in lines]


def held(stand_in: StandIn) -> asyncio.Event:
    """Let the stand-in's stream wait after its first event until the returned event is set."""
    go, loop = asyncio.Event(), asyncio.get_running_loop()

    async def before(index: int) -> None:
        if index == 1:
            # The stand-in has an event loop of its own.
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go.wait(), loop))

    def scenario(request: Received) -> Answer:
        return says("one ", "two ", "three", before=before)

    stand_in.scenario = scenario
    return go


async def closed(address: Address) -> None:
    """Wait until nobody accepts connections at `address`."""
    while True:
        try:
            _, writer = await asyncio.open_connection(*address)
        except ConnectionRefusedError:
            return
        writer.close()


async def test_sighup_reloads_and_keeps_the_last_good_policy(
    config: Config, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(config) as (proxy, _), client(proxy) as http:
        assert (await http.post(URL, json=ASK)).status_code == 200
        await reload(proxy, policy, DENY)
        refused = await http.post(URL, json=ASK)
        assert (refused.status_code, "closed for today" in refused.text) == (400, True)
        await reload(proxy, policy, DENY.replace("pre_llm_request", "nowhere"))
        assert (await http.post(URL, json=ASK)).status_code == 400
    said = capsys.readouterr().err
    assert "the policy was reloaded" in said
    assert f"the last good one stays in force: {policy}:3" in said


async def reload(proxy: Running, policy: Path, text: str) -> None:
    """Write the policy, send SIGHUP, and wait until it was read."""
    policy.write_text(text)  # noqa: ASYNC240 -- a few bytes
    handled = asyncio.Event()
    os.kill(os.getpid(), signal.SIGHUP)
    asyncio.get_running_loop().call_later(0, handled.set)
    await handled.wait()
    await asyncio.sleep(0)
    await proxy.services.books.settled()


async def test_a_port_in_use_is_one_sentence(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WorkerError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with served(replace(config, listen=Address("127.0.0.1", port))):
                pass


async def test_health_and_readiness_are_asked_of_the_proxy_itself(config: Config) -> None:
    async with served(config) as (proxy, _):
        for path, status in (("/healthz", b"200"), ("/readyz", b"200")):
            assert (await origin_form(proxy.address, path)).split()[1] == status


async def origin_form(address: Address, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


def test_what_health_answers() -> None:
    assert health.answer("/healthz", ready=False) == (200, b'{"status":"alive"}\n')
    assert health.answer("/readyz?verbose", ready=True) == (200, b'{"status":"ready"}\n')
    assert health.answer("/readyz", ready=False) == (503, b'{"status":"draining"}\n')
    assert health.answer("/v1/messages", ready=True) is None


def test_the_ready_line_as_json(state: Path) -> None:
    line = [sys.executable, "-m", "proxy", "serve", "--listen", "127.0.0.1:0", "--state", str(state), "--json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        process.terminate()
        _, errors = process.communicate()
    assert ready.startswith('{"listening":"http://127.0.0.1:')
    assert f'"ca":"{state}/ca.pem"' in ready
    assert (process.returncode, errors.count("\n")) == (0, 1)
