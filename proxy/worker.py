"""One worker: mitmproxy embedded, with only the addons a proxy needs, listening, draining, stopping.

Our own `Master`, never `mitmdump -s`: its hot reload drops a broken addon and lets traffic flow. Here whatever fails at
start raises. Policies, codecs and the meaning of flows live in the one addon that is handed in.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import certifi
from cryptography import x509
from mitmproxy import http
from mitmproxy.addons import core, next_layer, proxyserver, tlsconfig
from mitmproxy.master import Master
from mitmproxy.options import CONF_BASENAME, Options
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy.layers import modes

from proxy import http1
from proxy.connection import Address, ClientConnection, Dialling, Route
from proxy.dispatch import Dispatcher
from proxy.hold import Limits
from proxy.layer.swap import Layers

logger = logging.getLogger(__name__)

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - compared, never bound
_LAST_CONNECTIONS = 5.0
"""Seconds for connections that were reset to end."""
_LAST_HOOKS = 5.0
"""Seconds asynchronous hooks have to end after the last connection is gone."""
_LEAVES = 1000
"""Forged certificates kept; mitmproxy keeps 100."""


class WorkerError(Exception):
    """The worker cannot start. The message is one sentence for the user."""


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is told."""

    ca_dir: Path
    """Private folder that holds `mitmproxy-ca.pem`: the CA's key and certificate. Elliptic keys forge quickest."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: any free port."""
    upstream_ca: Path | None = None
    """PEM certificates trusted for upstream servers besides `roots`."""
    roots: Path | None = None
    """PEM bundle of roots trusted for upstream servers; None: certifi's."""
    connect_to: Mapping[Route, Address] = field(default_factory=dict)
    """(host, port or None for any) -> (address, port): where connections really go, with SNI and Host unchanged."""
    leaves: Sequence[str] = ()
    """Hosts whose certificates are forged at start, so that the first handshake is quick."""
    max_conns: int = 1000
    """Upstream connections per address and client connection."""
    tcp_timeout: int = 600
    """Seconds without a byte in either direction after which a connection is closed."""
    websocket: bool = False
    """Whether WebSocket upgrades go through. Only for an addon that inspects their messages."""
    limits: Limits = field(default_factory=Limits)


class _Tls(tlsconfig.TlsConfig):
    """mitmproxy's TLS addon without its answer to requests for a revocation list: leaves here name none."""

    request = None  # type: ignore[assignment]  # takes the hook out of the dispatch table


class _Master(Master):
    """A master whose addons are dispatched by us."""

    def __init__(self, options: Options) -> None:
        super().__init__(options, with_termlog=False)
        self._legacy_log_events.uninstall()  # it would make an event of every log line of the process
        self.addons: Dispatcher = Dispatcher(self)


class Worker:
    """A listening proxy. One at a time in a process: mitmproxy keeps its options in a module (`mitmproxy.ctx`)."""

    _running: ClassVar["Worker | None"] = None

    def __init__(self, settings: WorkerSettings, addon: object) -> None:
        self._settings = settings
        self._addon = addon
        self._layers = Layers(settings.limits)
        self._connections: dict[asyncio.Task[None], ClientConnection] = {}
        self._server: asyncio.Server | None = None
        self._master: _Master | None = None
        self._listening: frozenset[int] = frozenset()
        self._roots: Path | None = None
        """Merged roots, written at start and removed at stop."""

    # -- start --------------------------------------------------------------------------------------------------------

    async def start(self) -> tuple[str, int]:
        """Listen; returns the address really bound. Raises WorkerError, and whatever the addon's hooks raise."""
        if Worker._running is not None:
            raise WorkerError("another worker is running in this process")
        Worker._running = self
        try:
            return await self._start()
        except BaseException:
            Worker._running = None
            raise

    async def _start(self) -> tuple[str, int]:
        settings = self._settings
        if not (settings.ca_dir / f"{CONF_BASENAME}-ca.pem").is_file():
            raise WorkerError(f"no certificate authority in {settings.ca_dir}")
        http1.install()
        _trust_message_types()
        self._master = master = _Master(Options())
        tls = _Tls()
        server = proxyserver.Proxyserver()  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        master.addons.add(core.Core(), server, next_layer.NextLayer(), tls, self._addon, self._layers)
        trusted = _trusted(settings)
        self._roots = trusted if settings.upstream_ca is not None else None
        options = _options(settings, trusted)
        try:
            master.options.update(**options)  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        except ValueError as exc:
            raise WorkerError(f"the certificate authority in {settings.ca_dir} cannot be read: {exc}") from exc
        await master.running()
        _forge(tls, settings.leaves)
        self._dialling = Dialling(settings.connect_to, settings.max_conns, self._is_own)
        self._mode = mode_specs.ProxyMode.parse("regular")
        return await self._listen()

    async def _listen(self) -> tuple[str, int]:
        host, port = self._settings.host, self._settings.port
        try:
            self._server = await asyncio.start_server(self._accept, host, port)
        except OSError as exc:
            raise WorkerError(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
        addresses = [listener.getsockname()[:2] for listener in self._server.sockets]
        self._listening = frozenset(address[1] for address in addresses)
        return addresses[0][0], addresses[0][1]

    def _is_own(self, target: Address) -> bool:
        return target[1] in self._listening and target[0] in (_LOCAL | {self._settings.host})

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._master is not None
        master = self._master
        connection = ClientConnection(master, reader, writer, master.options, self._mode, self._dialling, master.addons)
        connection.layer = modes.HttpProxy(connection.layer.context)
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = connection
        try:
            await connection.handle_client()
        finally:
            del self._connections[task]

    # -- stop ---------------------------------------------------------------------------------------------------------

    async def drain(self, grace: float) -> int:
        """Accept nothing more, let running flows finish for up to `grace` seconds, then cut them; how many were cut."""
        self._stop_listening()
        deadline = asyncio.get_running_loop().time() + grace
        while self._connections and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._close_idle()
            await asyncio.wait(self._connections, timeout=min(left, 0.05))
        cut = sum(self._live().values())
        await self._cut_all()
        return cut

    def _live(self) -> dict[str, int]:
        """Unfinished flows by client connection."""
        counts: dict[str, int] = {}
        for layer in self._layers.open:
            client = layer.context.client.id
            counts[client] = counts.get(client, 0) + sum(1 for _ in layer.live())
        return {client: count for client, count in counts.items() if count}

    def _close_idle(self) -> None:
        live = self._live()
        for connection in list(self._connections.values()):
            if connection.client.id not in live:
                connection.hang_up()

    async def _cut_all(self) -> None:
        """Reset every client; a connection that does not end by itself is cancelled: no peer may keep us running."""
        for connection in list(self._connections.values()):
            connection.abort()
        if self._connections:
            _, stuck = await asyncio.wait(list(self._connections), timeout=_LAST_CONNECTIONS)
            for task in stuck:
                logger.warning("a connection did not end when it was cut; its task is cancelled")
                task.cancel()
            if stuck:
                await asyncio.wait(stuck, timeout=_LAST_CONNECTIONS)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Cut what still runs and let the addon close (`done`). May be called more than once."""
        self._stop_listening()
        await self._cut_all()
        if self._roots is not None:
            self._roots.unlink(missing_ok=True)
        master, self._master = self._master, None
        if master is not None:
            try:
                await _finish(master.addons.tasks)
                await master.done()
            finally:
                Worker._running = None


async def _finish(hooks: set[asyncio.Task[None]]) -> None:
    """Let asynchronous hooks end (an `error` hook settles what its flow spent), and cancel those that do not."""
    if hooks:
        _, late = await asyncio.wait(set(hooks), timeout=_LAST_HOOKS)
        for task in late:
            task.cancel()


def _options(settings: WorkerSettings, trusted: Path) -> dict[str, object]:
    """mitmproxy's options, where they differ from its defaults."""
    return {
        "server": False,  # we listen ourselves
        "confdir": str(settings.ca_dir),
        "connection_strategy": "lazy",  # nothing is dialled before policy
        "rawtcp": False,  # no tunnel for what is not HTTP
        "websocket": settings.websocket,
        "http3": False,
        "upstream_cert": False,
        "ssl_insecure": False,
        "ssl_verify_upstream_trusted_ca": str(trusted),
        "store_streamed_bodies": False,
        "validate_inbound_headers": True,
        "tcp_timeout": settings.tcp_timeout,
    }


def _trusted(settings: WorkerSettings) -> Path:
    """The file of roots upstream certificates are verified against."""
    roots = settings.roots or Path(certifi.where())
    if settings.upstream_ca is None:
        return roots
    try:
        added = settings.upstream_ca.read_bytes()
        x509.load_pem_x509_certificates(added)
        merged = roots.read_bytes() + b"\n" + added
    except (OSError, ValueError) as exc:
        raise WorkerError(f"the upstream CA {settings.upstream_ca} holds no readable certificate") from exc
    target = settings.ca_dir / f"upstream-roots-{os.getpid()}.pem"
    target.write_bytes(merged)
    return target


def _trust_message_types() -> None:
    """Drop mitmproxy's run-time check of every field of every message: 28 of 31 µs of making one, twice a request.

    The second module-level substitution (the first is `http1.install`): messages are made deep inside the codecs. A
    field of a wrong type then fails where it is used, in a layer, which ends the connection.
    """
    http.MessageData.__post_init__ = lambda _self: None  # type: ignore[method-assign]  # that is the point


def _forge(tls: tlsconfig.TlsConfig, hosts: Sequence[str]) -> None:
    """Fill the cache of leaves, under the names `TlsConfig.get_cert` will ask for."""
    store = tls.certstore
    store.STORE_CAP = _LEAVES
    for host in hosts:
        store.get_cert(host, [x509.DNSName(host)])
