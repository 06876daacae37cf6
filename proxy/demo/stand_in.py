"""A loopback stand-in for api.openai.com and api.anthropic.com over real TLS: the provider of the demo and the tests.

`async with StandIn(scenario) as provider:` serves HTTP/1.1 (what the SDKs and coding agents speak) on
`provider.port`, with a throwaway CA at `provider.ca_file`; `in_thread(scenario)` is the same beside synchronous code.
`python -m proxy.demo.stand_in` runs it alone. Only sockets and routing live here: `answers` says what is answered,
`formats` how that is written.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import ssl
import struct
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Self

import h11
import orjson

from proxy.demo import authority, formats
from proxy.demo.answers import Answer, Failure, Raw, Received, Reply, Scenario, default_scenario

_READ = 65536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: close() sends RST, so the peer cannot take the end for an orderly one."""


class _AbortedError(Exception):
    """The scenario resets the connection here."""


class StandIn:
    """The server. Attributes after entering: `port`, `ca_file`; `requests` grows as they arrive.

    `scenario` may be exchanged at any time. `ca_dir` keeps the certificates; by default they go with a temporary
    folder on exit.
    """

    def __init__(self, scenario: Scenario = default_scenario, *, port: int = 0, ca_dir: Path | None = None) -> None:
        self.scenario = scenario
        self.requests: list[Received] = []
        self.port = port
        self.on_request: IO[str] | None = None
        """Where each request is logged as a JSON line; for runs in a process of their own."""
        self._ca_dir = ca_dir
        self._files: authority.Files | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._stack = contextlib.AsyncExitStack()

    @property
    def ca_file(self) -> Path:
        """The CA certificate (PEM) to trust."""
        assert self._files is not None, "the stand-in has not been started"
        return self._files.ca

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`, as `--connect-to` takes it."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            folder = self._ca_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stand-in-")))
            self._files = authority.issue(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._files.leaf)
            context.set_alpn_protocols(["http/1.1"])
            server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=context)
            stack.push_async_callback(self._stop, server)
            self.port = server.sockets[0].getsockname()[1]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await _Connection(self, reader, writer).serve()
        except (ConnectionError, h11.RemoteProtocolError, ssl.SSLError, _AbortedError):
            writer.transport.abort()  # the peer went away or speaks no HTTP: nobody is left to be told
        except asyncio.CancelledError:
            writer.transport.abort()  # the stand-in is closing; asyncio would report the cancellation as an error
        finally:
            self._connections.discard(task)
            writer.close()

    def received(self, request: Received) -> None:
        """Record a request, before it is answered."""
        self.requests.append(request)
        if self.on_request is not None:
            line = {"method": request.method, "host": request.host, "path": request.path, "body": request.text}
            self.on_request.write(orjson.dumps(line | {"headers": request.headers}).decode() + "\n")
            self.on_request.flush()


class _Connection:
    """One client connection: requests in turn, each answered before the next is read."""

    def __init__(self, owner: StandIn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._owner, self._reader, self._writer = owner, reader, writer
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        while (request := await self._next_request()) is not None:
            self._owner.received(request)
            try:
                await self._answer(request)
            finally:
                request.outcome = request.outcome or "client_gone"
                request.finished.set()
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _next_request(self) -> Received | None:
        """The next whole request; None when the client closed the connection between two."""
        head, body = None, bytearray()
        while True:
            match event := self._http.next_event():
                case h11.Request():
                    head = event
                case h11.Data():
                    body += event.data
                case h11.EndOfMessage():
                    assert head is not None
                    return _received(head, bytes(body))
                case h11.ConnectionClosed() | h11.PAUSED:
                    return None
                case _:
                    await self._read_more()

    async def _read_more(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        self._http.receive_data(await self._reader.read(_READ))

    async def _answer(self, request: Received) -> None:
        """Send the answer, unless the client goes away first: then stop at once, as providers do."""
        sending = asyncio.create_task(self._send_answer(request))
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() and not self._reader.at_eof():
                await sending  # what was read is the start of the next request
        finally:
            sending.cancel()
            watching.cancel()
            results = await asyncio.gather(sending, watching, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _watch(self) -> None:
        if data := await self._reader.read(_READ):
            self._http.receive_data(data)

    async def _send_answer(self, request: Received) -> None:
        reply = _reply(self._owner.scenario, request)
        streamed = not any(name.lower() == "content-length" for name, _ in reply.headers)
        headers = [*reply.headers, ("date", "Thu, 01 Jan 2026 00:00:00 GMT")]
        headers += [("transfer-encoding", "chunked")] * streamed
        request.status = reply.status
        await self._send(h11.Response(status_code=reply.status, headers=headers))
        async for chunk in _paced(reply):
            if request.method != "HEAD":
                request.sent += chunk
                await self._send(h11.Data(data=chunk))
        if reply.cut is not None and reply.cut.how == "abort":
            request.outcome = "cut"
            self._reset()
        await self._send(h11.EndOfMessage())
        request.outcome = "cut" if reply.cut is not None else "complete"

    def _reset(self) -> None:
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        raise _AbortedError

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()


def _received(head: h11.Request, body: bytes) -> Received:
    headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]
    host = next((value for name, value in headers if name == "host"), "")
    return Received(head.method.decode("ascii"), head.target.decode("ascii"), host, headers, body)


async def _paced(reply: Raw) -> AsyncIterator[bytes]:
    chunks = reply.chunks if reply.cut is None else reply.chunks[: reply.cut.after]
    for index, chunk in enumerate(chunks):
        if reply.before is not None:
            await reply.before(index)
        yield chunk


def _reply(scenario: Scenario, request: Received) -> Raw:
    """What goes back for this request, as bytes."""
    path = request.path.partition("?")[0]
    if path == "/v1/models":
        return _document(200, formats.models(request.api))
    if request.method != "POST" or path not in _POSTS:
        return _error(request, 404, f"Unknown request URL: {request.method} {path}.")
    try:
        known = isinstance(request.json, dict)
    except orjson.JSONDecodeError:
        known = False
    if not known:
        return _error(request, 400, "The body is no JSON object.")
    if path == "/v1/messages/count_tokens":
        return _document(200, orjson.dumps({"input_tokens": len(request.body) // 4}))
    return _written(request, scenario(request))


_POSTS = ("/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens")


def _written(request: Received, reply: Reply) -> Raw:
    match reply:
        case Raw():
            return reply
        case Failure():
            raw = _error(request, reply.status, reply.message)
            return replace(raw, headers=raw.headers + reply.headers)
        case Answer() if request.json.get("stream"):
            return _stream(formats.events(request, reply), reply)
        case Answer():
            return _whole(formats.whole(request, reply), reply)


def _stream(events: Sequence[bytes], answer: Answer) -> Raw:
    headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
    chunks = tuple(_recut(b"".join(events), answer.chunk_size)) if answer.chunk_size else tuple(events)
    return Raw(chunks, headers=(*headers, ("request-id", "req_standin")), before=answer.before, cut=answer.cut)


def _whole(body: bytes, answer: Answer) -> Raw:
    """One JSON document; where it is to be cut it goes in two chunks, else there is nothing to cut between."""
    document = replace(_document(200, body), before=answer.before)
    if answer.cut is None:
        return document
    headers = tuple(header for header in document.headers if header[0] != "content-length")
    return replace(document, chunks=tuple(_recut(body, len(body) // 2 + 1)), headers=headers, cut=answer.cut)


def _recut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def _document(status: int, body: bytes) -> Raw:
    headers = (("content-type", "application/json"), ("content-length", str(len(body))), ("request-id", "req_standin"))
    return Raw((body,), status, headers)


def _error(request: Received, status: int, message: str) -> Raw:
    return _document(status, formats.error(request.api, status, message))


@contextlib.contextmanager
def in_thread(scenario: Scenario = default_scenario) -> Iterator[StandIn]:
    """A stand-in on an event loop of its own thread, for code that blocks."""
    stand_in, stop = StandIn(scenario), asyncio.Event()
    loop: Future[asyncio.AbstractEventLoop] = Future()

    async def serve() -> None:
        async with stand_in:
            loop.set_result(asyncio.get_running_loop())
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if loop.done():
                raise
            loop.set_exception(error)  # it did not start: whoever waits for it is told why

    thread = threading.Thread(target=run, name="stand-in", daemon=True)
    thread.start()
    running = loop.result()
    try:
        yield stand_in
    finally:
        running.call_soon_threadsafe(stop.set)
        thread.join()


@dataclass(frozen=True)
class _Arguments:
    port: int
    ca_dir: Path | None
    log: Path | None


def _arguments(argv: Sequence[str] | None) -> _Arguments:
    parser = argparse.ArgumentParser(prog="python -m proxy.demo.stand_in", description="A stand-in provider.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--ca-dir", type=Path, help="where ca.pem is written (default: a temporary folder)")
    parser.add_argument("--log", type=Path, help="append every request to this file as a JSON line")
    return _Arguments(**vars(parser.parse_args(argv)))


async def _serve(arguments: _Arguments) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with StandIn(port=arguments.port, ca_dir=arguments.ca_dir) as provider:
        with contextlib.ExitStack() as stack:
            if arguments.log is not None:
                provider.on_request = stack.enter_context(arguments.log.open("a"))
            ready = {"port": provider.port, "ca_file": str(provider.ca_file)}
            sys.stdout.write(orjson.dumps(ready).decode() + "\n")
            sys.stdout.flush()
            await stop.wait()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; prints one JSON line `{"port", "ca_file"}` when ready."""
    asyncio.run(_serve(_arguments(argv)))


if __name__ == "__main__":
    main()
