"""One client connection: commands of its layers in, events out.

mitmproxy's connection handler with three things changed: hooks run through `dispatch.Dispatcher` (inline where they
can, closed where they fail), upstream connections may be sent elsewhere without touching SNI or Host, and a connection
can be reset, so that a cut answer never looks complete. A failing layer ends the connection. It speaks no protocol.
"""

import asyncio
import logging
import socket
import struct
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events, mode_servers, mode_specs, server, server_hooks

from proxy.dispatch import Dispatcher, HookError, where

logger = logging.getLogger(__name__)

type Address = tuple[str, int]
type Route = tuple[str, int | None]
"""A destination: host, and the port or None for any."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: close() sends RST, so that a cut body never looks complete."""


class AbortConnection(commands.Command):
    """End a connection with a TCP reset. Not a `ConnectionCommand`: layers in between must pass it up untouched."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


@dataclass(frozen=True)
class Dialling:
    """How upstream connections are made."""

    connect_to: Mapping[Route, Address]
    max_conns: int
    """Connections per upstream address and client connection."""
    is_own: Callable[[Address], bool]
    """Whether an address is the proxy's own listener: dialling it would loop."""

    def target(self, address: Address) -> Address:
        """Where connections to this address really go."""
        host, port = address[0], address[1]
        return self.connect_to.get((host, port)) or self.connect_to.get((host, None)) or (host, port)


class ClientConnection(mode_servers.ProxyConnectionHandler):
    """One client connection: commands of its layers in, events out."""

    def __init__(
        self,
        master: Master,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        options: Options,
        mode: mode_specs.ProxyMode,
        dialling: Dialling,
        dispatcher: Dispatcher,
    ) -> None:
        super().__init__(master, reader, writer, options, mode)  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        self.dispatcher = dispatcher
        self.dialling = dialling
        self.max_conns = defaultdict(lambda: asyncio.Semaphore(dialling.max_conns))

    def log(
        self,
        message: str,
        level: int = logging.INFO,
        exc_info: Literal[True] | tuple[type[BaseException], BaseException, TracebackType | None] | None = None,
    ) -> None:
        """Only warnings and errors: mitmproxy's lower levels print addresses, and bytes of bodies, per connection."""
        if level >= logging.WARNING:
            super().log(message, level, exc_info)

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Run a hook of the connection's own lifecycle (connected, disconnected)."""
        try:
            pending = self.dispatcher.run(hook)
            if pending is not None:
                with self.timeout_watchdog.disarm():
                    await pending
        except HookError:
            self.abort()

    async def server_event(self, event: events.Event) -> None:
        """Feed an event to the layers and carry out what they command, including what inline hooks lead to."""
        # No `await` inside: with an eager task factory a task could otherwise re-enter the layers' generators.
        async with self._server_event_lock:
            self.timeout_watchdog.register_activity()  # type: ignore[no-untyped-call]  # mitmproxy is untyped
            queue = deque([event])
            try:
                while queue:
                    for command in self.layer.handle_event(queue.popleft()):
                        self._carry_out(command, queue)
            except Exception as exc:
                logger.error("a proxy layer failed with %s: connection aborted", where(exc))
                self.abort()

    def _carry_out(self, command: commands.Command, queue: deque[events.Event]) -> None:
        if isinstance(command, commands.SendData):
            io = self.transports.get(command.connection)
            if io is not None and io.writer is not None and not io.writer.is_closing():
                io.writer.write(command.data)
        elif isinstance(command, commands.StartHook):
            self._start_hook(command, queue)
        elif isinstance(command, commands.Log):
            self.log(command.message, command.level)
        elif isinstance(command, commands.OpenConnection):
            task = asyncio.create_task(self.open_connection(command), name="upstream connection")
            self.transports.setdefault(command.connection, server.ConnectionIO()).handler = task
        elif isinstance(command, AbortConnection):
            self.abort(command.connection)
        elif isinstance(command, commands.RequestWakeup):
            self.wakeup_timer.add(asyncio.create_task(self.wakeup(command), name="wakeup"))
        elif isinstance(command, commands.CloseConnection):
            if command.connection in self.transports:
                self.close_connection(command.connection, getattr(command, "half_close", False))
        else:
            raise RuntimeError(f"unexpected command {type(command).__name__}")

    def _start_hook(self, command: commands.StartHook, queue: deque[events.Event]) -> None:
        pending = self.dispatcher.run(command)
        if pending is None:
            if command.blocking:
                queue.append(events.HookCompleted(command))
            return
        task = asyncio.create_task(self._finish_hook(command, pending), name=command.name)
        self.dispatcher.tasks.add(task)
        task.add_done_callback(self.dispatcher.tasks.discard)

    async def _finish_hook(self, command: commands.StartHook, pending: Awaitable[None]) -> None:
        try:
            with self.timeout_watchdog.disarm():
                await pending
        except HookError:
            self.abort()
            return
        if command.blocking:
            await self.server_event(events.HookCompleted(command))

    def abort(self, connection: Connection | None = None) -> None:
        """Reset a connection (default: the client's, which ends all upstream ones with it)."""
        target = self.client if connection is None else connection
        io = self.transports.get(target)
        if io is None:
            return
        target.state = ConnectionState.CLOSED
        if isinstance(io.writer, asyncio.StreamWriter):
            raw = io.writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            io.writer.transport.abort()
        if io.handler is not None:
            io.handler.cancel("aborted")

    def hang_up(self) -> None:
        """Close an idle client connection, cleanly."""
        io = self.transports.get(self.client)
        if io is not None and io.handler is not None:
            io.handler.cancel("draining")

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """Dial upstream, after the `server_connect` hook. The server's address, and so its SNI, stay the original."""
        upstream = command.connection
        data = server_hooks.ServerConnectionHookData(client=self.client, server=upstream)
        await self.handle_hook(server_hooks.ServerConnectHook(data))
        if upstream.error:
            await self._not_connected(command, data, f"Connection killed: {upstream.error}")
            return
        async with self.max_conns[upstream.address or ("", 0)]:
            try:
                io = await self._dial(upstream)
            except (OSError, asyncio.CancelledError) as exc:
                upstream.error = str(exc) or "connection cancelled"
                await self._not_connected(command, data, upstream.error)
                if isinstance(exc, asyncio.CancelledError):
                    raise
                return
            self.transports[upstream] = io
            await self.handle_hook(server_hooks.ServerConnectedHook(data))
            await self.server_event(events.OpenConnectionCompleted(command, None))
            try:
                await self.handle_connection(upstream)
            finally:
                await self.handle_hook(server_hooks.ServerDisconnectedHook(data))

    async def _dial(self, upstream: Server) -> server.ConnectionIO:
        if upstream.address is None:
            raise OSError("no destination given")
        target = self.dialling.target((upstream.address[0], upstream.address[1]))
        if self.dialling.is_own(target):
            raise OSError("the destination is this proxy itself")
        reader, writer = await asyncio.open_connection(*target)
        upstream.state = ConnectionState.OPEN
        upstream.peername = writer.get_extra_info("peername")
        upstream.sockname = writer.get_extra_info("sockname")
        return server.ConnectionIO(handler=asyncio.current_task(), reader=reader, writer=writer)

    async def _not_connected(
        self, command: commands.OpenConnection, data: server_hooks.ServerConnectionHookData, reason: str
    ) -> None:
        await self.handle_hook(server_hooks.ServerConnectErrorHook(data))
        await self.server_event(events.OpenConnectionCompleted(command, reason))
