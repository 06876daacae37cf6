"""`midstream serve`: the proxy as a long-running process, and the start and stop that `run` shares.

Puts CA, services, addon and worker together, and maps signals to drain and reload. What is done to a flow stands in
the addon, what is listened on in the worker.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from certs import bundle, ca
from proxy import log
from proxy.addon import Addon
from proxy.config import Address, Config, ConfigError, inherited, prepared
from proxy.policy import PolicyError
from proxy.recorder import Recorder
from proxy.services import Services
from proxy.worker import Worker, WorkerSettings

logger = logging.getLogger(__name__)

PROVIDER_HOSTS: Final = ("api.anthropic.com", "api.openai.com")
"""Their leaves are forged at start: the first handshakes need not wait for it."""


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that accepts connections on `address`."""

    address: Address
    worker: Worker
    services: Services
    authority: ca.Authority


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """A started proxy; on leaving, what still runs is closed at once (drain first for an orderly end)."""
    log.configure(config.log_level, config.log_format)
    config = prepared(config)
    authority = bundle.prepare(config.state, inherited())
    recorder = None
    services = await Services.open(config)
    try:
        recorder = _recorder(config)
        worker = Worker(_worker_settings(config, authority), Addon(services, recorder))
        host, port = await worker.start()
        watching = asyncio.create_task(services.watch_sessions())
        try:
            yield Running(Address(host, port), worker, services, authority)
        finally:
            watching.cancel()
            await worker.stop()
    finally:
        await services.close()
        if recorder is not None:
            recorder.close()


def _recorder(config: Config) -> Recorder | None:
    """What writes traffic to a file, where it was asked for. Raises ConfigError."""
    path = config.record or config.record_raw
    if path is None:
        return None
    try:
        return Recorder(path, redacts=config.record is not None, cache_dir=config.cache)
    except OSError as error:
        raise ConfigError(f"--record: {path} cannot be written: {error.strerror}") from error


def _worker_settings(config: Config, authority: ca.Authority) -> WorkerSettings:
    return WorkerSettings(
        ca_dir=authority.confdir,
        host=config.listen.host,
        port=config.listen.port,
        upstream_ca=config.upstream_ca,
        roots=bundle.system_roots(inherited()),
        connect_to=config.connect_to,
        leaves=PROVIDER_HOSTS,
        websocket=True,  # the addon refuses those to hosts that are inspected
    )


async def serve(config: Config, announce: Callable[[Running], None]) -> int:
    """Serve until SIGTERM or SIGINT, then drain; `announce` is called once connections are accepted. Exit status."""
    async with running(config) as proxy:
        with _signals(proxy.services) as (stop, at_once):
            announce(proxy)
            await stop.wait()
            await _drain(proxy.worker, config.grace, at_once)
    return 0


async def _drain(worker: Worker, grace: float, at_once: asyncio.Event) -> None:
    """Let streams finish for `grace` seconds, or until the second signal."""
    drain = asyncio.create_task(worker.drain(grace))
    hurry = asyncio.create_task(at_once.wait())
    await asyncio.wait({drain, hurry}, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not drain.done():
        drain.cancel()
        logger.warning("stopped at once by a second signal")
    elif cut := drain.result():
        logger.warning("%d connections were cut after the grace period of %g s", cut, grace)


@contextmanager
def _signals(services: Services) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """The events of the first and the second request to stop; SIGHUP reloads the policy."""
    stop, at_once = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    handlers = {
        signal.SIGTERM: lambda: (at_once if stop.is_set() else stop).set(),
        signal.SIGINT: lambda: (at_once if stop.is_set() else stop).set(),
        signal.SIGHUP: lambda: services.books.spawn(_reload(services)),
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield stop, at_once
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


async def _reload(services: Services) -> None:
    try:
        await services.reload()
    except PolicyError as error:
        logger.error("the policy was not reloaded, the last good one stays in force: %s", str(error))
    else:
        logger.warning("the policy was reloaded")
