"""The real addon before an upstream that is a coroutine or answers what it is asked. For tests only."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from proxy.addon import Addon
from proxy.config import Config
from proxy.effects.budget import Row, report
from proxy.recorder import Recorder
from proxy.services import Services
from proxy.store import open_store
from tests import net
from tests.behind import JSON
from tests.net import chunk
from tests.proxied import Proxied, proxied

MESSAGES = "/v1/messages"


@asynccontextmanager
async def scripted(
    folder: Path, policy: str, script: net.Script, recorder: Recorder | None = None
) -> AsyncIterator[Proxied]:
    """The real addon with this policy before an upstream run by `script`."""
    path = folder / "policy.yaml"
    path.write_text(policy)
    services = await Services.open(Config(policies=(path,), state=folder))
    try:
        async with proxied(folder, Addon(services, recorder), script, websocket=True) as proxy:
            yield proxy
    finally:
        await services.close()


def replying(reply: Callable[[Any], bytes], seen: list[bytes] | None = None) -> net.Script:
    """An upstream that answers each request body with a whole response. Requests are added to `seen`."""

    async def script(reader: Any, writer: Any) -> None:
        while True:
            request = await net.read_request(reader)
            if seen is not None:
                seen.append(request)
            writer.write(reply(orjson.loads(body_of(request))))
            await writer.drain()

    return script


def streamed(stream: bytes) -> bytes:
    """A whole chunked response, a chunk per server-sent event."""
    events = [event + b"\n\n" for event in stream.split(b"\n\n") if event]
    return net.CHUNKED + b"".join(map(chunk, [*events, b""]))


def body_of(request: bytes) -> bytes:
    """The body of a request as upstream read it."""
    return request.partition(b"\r\n\r\n")[2]


async def ask(proxy: Proxied, path: str, body: bytes, *headers: str) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    async with proxy.client() as client:
        await client.send("POST", path, body, [*JSON, *headers])
        return await client.response()


async def ledgers(folder: Path) -> list[Row]:
    """What the budgets' store of a stopped midstream holds."""
    store = await open_store(Config(state=folder).store, folder)
    try:
        return await report(store)
    finally:
        await store.close()
