"""A loopback stand-in for api.openai.com and api.anthropic.com over real TLS: the provider of the demo and the tests.

`async with StandIn(scenario) as provider:` serves HTTP/1.1 (what the SDKs and coding agents speak) on
`provider.port`, with a throwaway CA at `provider.ca_file`; `in_thread(scenario)` is the same beside synchronous code.
`python -m proxy.demo.stand_in` runs it alone. Starting and stopping live here; a connection is `connection`, what is
answered `replies`, scenarios are written with `answers`.
"""

import argparse
import asyncio
import contextlib
import signal
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import h11
import orjson

from proxy.demo import authority
from proxy.demo.answers import Raw, Received, Scenario, default_scenario
from proxy.demo.connection import AbortedError, Connection, Upgraded
from proxy.demo.replies import reply

type Written = Callable[[Scenario, Received], Raw]
"""What goes back for a request under a scenario, as bytes."""


class StandIn:
    """The server. Attributes after entering: `port`, `ca_file`; `requests` grows as they arrive.

    `scenario` may be exchanged at any time. `ca_dir` keeps the certificates; by default they go with a temporary
    folder on exit. `hosts` are the names it has a certificate for, `written` routes requests and writes the answers;
    `upgraded` makes what speaks to clients that ask for another protocol than HTTP.
    """

    def __init__(
        self,
        scenario: Scenario = default_scenario,
        *,
        port: int = 0,
        ca_dir: Path | None = None,
        hosts: Sequence[str] = authority.HOSTS,
        written: Written = reply,
        upgraded: Callable[["StandIn"], Upgraded] | None = None,
    ) -> None:
        self.scenario = scenario
        self.requests: list[Received] = []
        self.port = port
        self.on_request: IO[str] | None = None
        """Where each request is logged as a JSON line; for runs in a process of their own."""
        self._ca_dir, self._hosts, self._written = ca_dir, hosts, written
        self._upgraded = upgraded(self) if upgraded is not None else None
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
            self._files = authority.issue(folder, self._hosts)
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
            await Connection(reader, writer, self.received, self._reply, self._upgraded).serve()
        except (ConnectionError, h11.RemoteProtocolError, ssl.SSLError, AbortedError):
            writer.transport.abort()  # the peer went away or speaks no HTTP: nobody is left to be told
        except asyncio.CancelledError:
            writer.transport.abort()  # the stand-in is closing; asyncio would report the cancellation as an error
        finally:
            self._connections.discard(task)
            writer.close()

    def _reply(self, request: Received) -> Raw:
        return self._written(self.scenario, request)

    def received(self, request: Received) -> None:
        """Record a request, before it is answered."""
        self.requests.append(request)
        if self.on_request is not None:
            line = {"method": request.method, "host": request.host, "path": request.path, "body": request.text}
            self.on_request.write(orjson.dumps(line | {"headers": request.headers}).decode() + "\n")
            self.on_request.flush()


@contextlib.contextmanager
def in_thread(scenario: Scenario = default_scenario, **options: Any) -> Iterator[StandIn]:
    """A stand-in on an event loop of its own thread, for code that blocks; `options` as `StandIn` takes them."""
    stand_in, stop = StandIn(scenario, **options), asyncio.Event()
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
