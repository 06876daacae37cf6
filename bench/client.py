"""The load: HTTP/1.1 and h2 through a proxy (or directly) over TLS, every answer checked. No measuring here."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

import h2.config
import h2.connection
import h2.events


class Route(NamedTuple):
    """How to reach one origin: the address dialled (a proxy's or the origin's own), and what is asked for there."""

    address: tuple[str, int]
    host: str
    port: int
    path: str
    trust: ssl.SSLContext
    proxied: bool = True


class WrongAnswerError(Exception):
    """An answer that the benchmark did not ask for: its figures would mean nothing."""


class First(NamedTuple):
    """Seconds from sending a request to the first event, and to the first word of text."""

    event: float
    text: float


async def _tls(route: Route, alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*route.address, limit=1 << 24)
    if route.proxied:
        name = f"{route.host}:{route.port}"
        writer.write(f"CONNECT {name} HTTP/1.1\r\nhost: {name}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200" not in head.split(b"\r\n")[0]:
            raise WrongAnswerError(head.decode(errors="replace"))
    route.trust.set_alpn_protocols([alpn])
    await writer.start_tls(route.trust, server_hostname=route.host)
    return reader, writer


class Http1:
    """One keep-alive connection."""

    def __init__(self, route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.route, self.reader, self.writer = route, reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, route: Route) -> AsyncIterator[Self]:
        """Connect, through the proxy where the route has one; closed at the end."""
        reader, writer = await _tls(route, "http/1.1")
        try:
            yield cls(route, reader, writer)
        finally:
            writer.transport.abort()

    async def ask(self, order: str, body: bytes) -> bytes:
        """One request; its whole answer, unchunked."""
        self.send(order, body)
        return await self._body(await self.reader.readuntil(b"\r\n\r\n"))

    async def first(self, order: str, body: bytes) -> First:
        """One streamed request, read to its end: when its beginning came."""
        started = time.perf_counter()
        self.send(order, body)
        await self.begin()
        event = text = 0.0
        async for data in self._chunks():
            now = time.perf_counter() - started
            event = event or now
            text = text or (now if b'"content":"' in data.replace(b'"content":""', b"") else 0.0)
        return First(event, text)

    def send(self, order: str, body: bytes) -> None:
        """Write one request."""
        self.writer.write(
            f"POST {self.route.path} HTTP/1.1\r\nhost: {self.route.host}\r\nauthorization: Bearer bench\r\n"
            f"content-type: application/json\r\nx-bench: {order}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def begin(self) -> None:
        """Read the head of a streamed answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] or b"chunked" not in head:
            raise WrongAnswerError(head.decode(errors="replace"))

    async def _body(self, head: bytes) -> bytes:
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise WrongAnswerError((head + await self.reader.read(2000)).decode(errors="replace"))
        _, found, rest = head.lower().partition(b"content-length:")
        if found:
            return await self.reader.readexactly(int(rest.split(b"\r\n")[0]))
        return b"".join([data async for data in self._chunks()])

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)


class Http2:
    """One connection with several requests under way."""

    def __init__(self, route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.route, self.reader, self.writer = route, reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()

    @classmethod
    @asynccontextmanager
    async def open(cls, route: Route) -> AsyncIterator[Self]:
        """Connect and agree on h2; closed at the end."""
        reader, writer = await _tls(route, "h2")
        try:
            yield cls(route, reader, writer)
        finally:
            writer.transport.abort()

    async def ask_all(self, count: int, body: bytes, at_once: int) -> int:
        """`count` requests, `at_once` at a time; how many bytes of answer came."""
        sent = done = received = 0
        while done < count:
            while sent < count and sent - done < at_once:
                self._send(body)
                sent += 1
            self.writer.write(self.h2.data_to_send())
            for event in self.h2.receive_data(await self.reader.read(1 << 16)):
                if isinstance(event, h2.events.ResponseReceived) and _status(event) != "200":
                    raise WrongAnswerError(str(event.headers))
                if isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    raise WrongAnswerError(str(event))
                if isinstance(event, h2.events.DataReceived):
                    received += len(event.data or b"")
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                done += isinstance(event, h2.events.StreamEnded)
        return received

    def _send(self, body: bytes) -> None:
        stream = self.h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", self.route.host),
            (":path", self.route.path),
            ("authorization", "Bearer bench"),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
        ]
        self.h2.send_headers(stream, headers)
        self.h2.send_data(stream, body, end_stream=True)


def _status(event: h2.events.ResponseReceived) -> str:
    return next((str(value) for name, value in event.headers or [] if str(name) == ":status"), "")
