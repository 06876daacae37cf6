"""What is measured, each a coroutine from a contender and a round's number to figures. Nothing is compared here."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bench.client import Http1, Http2, Route, WrongAnswerError
from bench.proxies import Running
from bench.traffic import chat_reply, chat_request, events

type Figures = dict[str, list[float]]
"""Name of a row -> samples of this round."""

type Measure = Callable[["Contender", int, "Load"], Awaitable[Figures]]


@dataclass(frozen=True)
class Contender:
    """A column of the table: a process that is charged, and the route that goes through it."""

    name: str
    process: Running
    route: Route


@dataclass(frozen=True)
class Load:
    """How much is sent per round."""

    requests: int = 600
    connections: int = 8
    burst: int = 10_000
    paced: int = 200
    interval: int = 10
    """Milliseconds between paced events."""
    firsts: int = 60
    upload: int = 4_000_000
    uploads: int = 3
    held: int = 100


@asynccontextmanager
async def _connections(route: Route, count: int) -> AsyncIterator[list[Http1]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Http1.open(route)) for _ in range(count)]


async def _each(connections: list[Http1], count: int, order: str, body: bytes) -> None:
    """`count` requests shared by the connections, every answer checked."""
    left = itertools.count()

    async def work(connection: Http1) -> None:
        while next(left) < count:
            if await connection.ask(order, body) != chat_reply():
                raise WrongAnswerError("another body than the upstream's")

    await asyncio.gather(*map(work, connections))


async def requests_http1(contender: Contender, seed: int, load: Load) -> Figures:
    """CPU milliseconds of one 2 KB request, keep-alive."""
    body = chat_request(2048, stream=False, seed=seed)
    async with _connections(contender.route, load.connections) as connections:
        await _each(connections, 5 * load.connections, "json", body)
        before = contender.process.cpu()
        await _each(connections, load.requests, "json", body)
        return {"request_http1": [(contender.process.cpu() - before) * 1e3 / load.requests]}


async def requests_http2(contender: Contender, seed: int, load: Load) -> Figures:
    """CPU milliseconds of one 2 KB request on one h2 connection."""
    body = chat_request(2048, stream=False, seed=seed)
    async with Http2.open(contender.route) as connection:
        await connection.ask_all(5 * load.connections, body, load.connections)
        before = contender.process.cpu()
        received = await connection.ask_all(load.requests, body, load.connections)
        cpu = contender.process.cpu() - before
    if received != load.requests * len(chat_reply()):
        raise WrongAnswerError(f"{received} bytes of answer")
    return {"request_http2": [cpu * 1e3 / load.requests]}


async def burst(contender: Contender, seed: int, load: Load) -> Figures:
    """CPU microseconds of one server-sent event among thousands that arrive at once."""
    body = chat_request(2048, stream=True, seed=seed)
    expected = b"".join(events(load.burst))
    async with Http1.open(contender.route) as connection:
        await connection.ask("burst 100", body)
        before = contender.process.cpu()
        received = await connection.ask(f"burst {load.burst}", body)
        cpu = contender.process.cpu() - before
    if received != expected:
        raise WrongAnswerError(f"{len(received)} bytes of events instead of {len(expected)}")
    return {"event_burst": [cpu * 1e6 / load.burst]}


async def paced(contender: Contender, seed: int, load: Load) -> Figures:
    """CPU microseconds of one event among several streams of a model's pace."""
    body, order = chat_request(2048, stream=True, seed=seed), f"paced {load.paced} {load.interval}"
    async with _connections(contender.route, load.connections) as connections:
        await _each(connections, load.connections, "json", body)
        before = contender.process.cpu()
        received = await asyncio.gather(*(connection.ask(order, body) for connection in connections))
        cpu = contender.process.cpu() - before
    if set(received) != {b"".join(events(load.paced))}:
        raise WrongAnswerError("events are missing or changed")
    return {"event_paced": [cpu * 1e6 / load.paced / load.connections]}


async def first_token(contender: Contender, seed: int, load: Load) -> Figures:
    """Milliseconds to the first event and the first word of a stream, one stream at a time."""
    body, order = chat_request(2048, stream=True, seed=seed), f"paced 6 {load.interval / 2:g}"
    async with Http1.open(contender.route) as connection:
        await connection.first(order, body)
        firsts = [await connection.first(order, body) for _ in range(load.firsts)]
    return {"first_event": [it.event * 1e3 for it in firsts], "first_text": [it.text * 1e3 for it in firsts]}


async def upload(contender: Contender, seed: int, load: Load) -> Figures:
    """CPU milliseconds of a 4 MB request, and of the same request again."""
    figures: Figures = {"upload_first": [], "upload_again": []}
    async with Http1.open(contender.route) as connection:
        await connection.ask("json", chat_request(2048, stream=False))
        for number in range(load.uploads):
            body = chat_request(load.upload, stream=False, seed=1 + seed * load.uploads + number)
            for row in figures:
                before = contender.process.cpu()
                await connection.ask("json", body)
                figures[row].append((contender.process.cpu() - before) * 1e3)
    return figures


async def memory(contender: Contender, seed: int, load: Load) -> Figures:
    """MiB a stream that is open and silent."""
    body = chat_request(2048, stream=True, seed=seed)
    async with _connections(contender.route, 1) as (warm,):
        await warm.ask("json", body)
    before = contender.process.rss()
    async with _connections(contender.route, load.held) as connections:
        for connection in connections:
            connection.send("hold", body)
        await asyncio.gather(*(connection.begin() for connection in connections))
        return {"memory_stream": [(contender.process.rss() - before) / load.held]}
