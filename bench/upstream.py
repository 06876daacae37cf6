"""The provider of the benchmark: a raw asyncio TLS server, HTTP/1.1 and h2, as cheap as Python allows.

What it answers is the request's `x-bench` header: `json`, `burst N` (N events at once), `paced N MS`, `hold` (an event,
then silence). A process of its own: `python -m bench.upstream LEAF.pem` prints its port and serves until killed.
"""

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Final

import h2.config
import h2.connection
import h2.events

from bench.traffic import chat_reply, events

REPLY: Final = chat_reply()
_HEAD_JSON: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(REPLY)
_HEAD_SSE: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of RFC 9112 §7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header in a raw HTTP/1 head, b"" where it is missing."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""


class Http1(asyncio.Protocol):
    """One connection: requests in order, no pipelining."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.head: bytes | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.task:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.head is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.head = bytes(self.buffer[:end])
            del self.buffer[: end + 4]
        if self._complete(self.head):
            head, self.head = self.head, None
            self.buffer.clear()
            self._answer(header(head, b"x-bench").decode().split())

    def _complete(self, head: bytes) -> bool:
        length = header(head, b"content-length")
        return len(self.buffer) >= int(length) if length else self.buffer.endswith(_LAST_CHUNK)

    def _answer(self, order: list[str]) -> None:
        match order:
            case ["burst", count]:
                self.transport.write(_HEAD_SSE + b"".join(map(chunk, events(int(count)))) + _LAST_CHUNK)
            case ["paced", count, interval]:
                self.task = asyncio.create_task(self._pace(int(count), float(interval) / 1000))
            case ["hold"]:
                self.transport.write(_HEAD_SSE + chunk(events(4)[0]))
            case _:
                self.transport.write(_HEAD_JSON + REPLY)

    async def _pace(self, count: int, interval: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        self.transport.write(_HEAD_SSE)
        for event in events(count):
            self.transport.write(chunk(event))
            due += interval
            await asyncio.sleep(due - loop.time())
        self.transport.write(_LAST_CHUNK)


class Http2(asyncio.Protocol):
    """One connection; every complete request is answered with the JSON reply."""

    def __init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2.initiate_connection()
        transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            elif isinstance(event, h2.events.StreamEnded):
                self._answer(event.stream_id or 0)
        self.transport.write(self.h2.data_to_send())

    def _answer(self, stream: int) -> None:
        length = str(len(REPLY))
        headers = [(":status", "200"), ("content-type", "application/json"), ("content-length", length)]
        self.h2.send_headers(stream, headers)
        self.h2.send_data(stream, REPLY, end_stream=True)


class ByProtocol(asyncio.Protocol):
    """Hands the connection to the protocol the TLS handshake agreed on (ALPN)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        agreed = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol = Http2() if agreed == "h2" else Http1()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


async def serve(leaf: Path) -> None:
    """Listen on a free loopback port, say which, and serve for ever."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf)
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.get_running_loop().create_server(ByProtocol, "127.0.0.1", 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
