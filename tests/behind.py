"""The real addon and services behind real TLS, before a scripted upstream, in this process. For tests only."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from proxy.addon import Addon
from proxy.config import Config
from proxy.recorder import Recorder
from proxy.services import Services
from tests import net
from tests.proxied import Proxied, proxied

CHAT = "/v1/chat/completions"
JSON = ("content-type: application/json",)


@dataclass
class Running:
    """The real addon before a scripted upstream, and what that upstream was sent."""

    proxy: Proxied
    services: Services
    requests: list[bytes]

    @contextlib.asynccontextmanager
    async def plain(self) -> AsyncIterator[net.Client]:
        """A connection to the proxy itself."""
        reader, writer = await asyncio.open_connection(*self.proxy.address)
        try:
            yield net.Client(reader, writer, "proxy")
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(
    folder: Path,
    policy: str,
    response: bytes,
    *,
    trust: bool = True,
    close: bool = False,
    recorder: Recorder | None = None,
) -> AsyncIterator[Running]:
    """The real addon with this policy before an upstream that gives `response` to every request.

    `close`: upstream ends the connection after it.
    """
    path = folder / "policy.yaml"
    path.write_text(policy)
    services = await Services.open(Config(policies=(path,), state=folder))
    requests: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append(await net.read_request(reader))
            writer.write(response)
            if close:
                await writer.drain()
                return

    try:
        async with proxied(folder, Addon(services, recorder), script, trust=trust, websocket=True) as proxy:
            yield Running(proxy, services, requests)
    finally:
        await services.close()


def answer(body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def asking(text: str, **fields: Any) -> bytes:
    return orjson.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": text}], **fields})


def saying(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return orjson.dumps({"model": "gpt-5", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


async def post(running: Running, body: bytes, *headers: str, path: str = CHAT) -> tuple[int, bytes]:
    async with running.proxy.client() as client:
        await client.send("POST", path, body, [*JSON, *headers])
        return await client.response()
