"""A worker before a scripted upstream, for tests of the embedding: real TLS on both sides, one event loop."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from proxy.worker import Worker, WorkerSettings
from tests import net

HOST = "api.example.com"


@cache
def authorities() -> tuple[net.Authority, net.Authority]:
    """The proxy's CA and the upstream's."""
    return net.make_authority("midstream test CA"), net.make_authority("upstream test CA")


@dataclass
class Proxied:
    """What a test talks to."""

    worker: Worker
    address: net.Address
    upstream: net.Upstream

    def client(self, host: str = HOST, *alpn: str) -> contextlib.AbstractAsyncContextManager[net.Client]:
        """A client of `host` through the proxy; HTTP/1 unless `alpn` says otherwise."""
        trust = authorities()[0].client_context(alpn or ("http/1.1",))
        return net.client(self.address, host, trust)


@contextlib.asynccontextmanager
async def proxied(
    folder: Path, addon: object, script: net.Script, *, trust: bool = True, **settings: Any
) -> AsyncIterator[Proxied]:
    """A running worker whose upstream for HOST is `script`."""
    ours, theirs = authorities()
    (folder / "mitmproxy-ca.pem").write_bytes(ours.key_pem + ours.pem)
    (folder / "upstream.pem").write_bytes(theirs.pem)
    tls = theirs.server_context(folder, HOST)
    async with net.upstream(script, tls) as upstream:
        told = WorkerSettings(
            ca_dir=folder,
            upstream_ca=folder / "upstream.pem" if trust else None,
            connect_to={(HOST, None): upstream.address},
            **settings,
        )
        worker = Worker(told, addon)
        address = await worker.start()
        try:
            yield Proxied(worker, address, upstream)
        finally:
            await worker.stop()
