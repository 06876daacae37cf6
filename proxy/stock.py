"""The addon under mitmproxy's own tools, for looking at flows: `mitmweb -s proxy/addon.py --set midstream_policy=FILE`.

What needs midstream's own embedding is not promised here, and said on start. No decision lives here.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from mitmproxy import addonmanager, ctx, http
from mitmproxy.exceptions import OptionsError

from proxy.addon import Addon
from proxy.config import load as load_config
from proxy.config import prepared
from proxy.delivery import Delivery
from proxy.layer.hooks import GUARD
from proxy.policy import PolicyError
from proxy.services import Services

logger = logging.getLogger(__name__)

WARNING: Final = """midstream runs inside mitmproxy's own tool, for looking at flows. Only midstream itself keeps these:
  - fail closed: here an exception in any hook lets the flow go on unmodified
  - abort: here a stream that cannot be decided falls silent instead of being cut off
  - bounds: here bodies of any size are buffered, and non-HTTP traffic passes as raw TCP
  - upstream only after policy: here the server may be dialled first
Do not put it between an agent and anything that matters."""


class Stock:
    """Opens midstream's services when mitmproxy is running, and hands every hook to the addon."""

    def __init__(self) -> None:
        self._services: Services | None = None

    def load(self, loader: addonmanager.Loader) -> None:
        """Declare our options."""
        loader.add_option("midstream_policy", Sequence[str], [], "Policy files or folders.")
        loader.add_option("midstream_state", str, "", "State directory (default: as `midstream serve`).")

    async def running(self) -> None:
        """Open everything, and say what is not promised."""
        flags = {"state": ctx.options.midstream_state or None}
        config = prepared(load_config(flags, ctx.options.midstream_policy))
        try:
            self._services = await Services.open(config)
        except PolicyError as error:
            raise OptionsError(str(error)) from error  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        ctx.master.addons.add(Streamed(self._services))  # type: ignore[no-untyped-call]  # as above
        logger.warning(WARNING)

    async def done(self) -> None:
        """Close everything."""
        if self._services is not None:
            await self._services.close()


class Streamed(Addon):
    """The addon with its guards driven by mitmproxy's stream callables, which cannot wait, abort or bound."""

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """As midstream's, then put a callable where our own layer would have looked for the guard."""
        super().responseheaders(flow)
        guard: Delivery | None = flow.metadata.get(GUARD)
        if guard is not None and flow.response is not None:
            flow.response.stream = _callable(guard)


def _callable(guard: Delivery) -> Callable[[bytes], list[bytes]]:
    """After a failure nothing more leaves: stock mitmproxy would only drop the one chunk."""
    broken = False

    def step(data: bytes) -> list[bytes]:
        nonlocal broken
        if broken:
            return []
        try:
            out = guard.feed(data) if data else guard.finish()
        except Exception:
            broken = True
            raise
        # An empty chunk would end a chunked body (RFC 9112 §7.1).
        return [out] if out else []

    return step


addons: Final = [Stock()]
