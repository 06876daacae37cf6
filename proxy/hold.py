"""Waiting inside a stream: what a guard is, how long and how much may be held, and one pending decision.

Asyncio only, so that a hold can be understood and tested without a proxy around it. `layer` drives it; nothing of HTTP
or mitmproxy belongs here.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol


class StreamGuard(Protocol):
    """The sans-io pump of one response stream."""

    @property
    def held(self) -> int:
        """Bytes held back now."""
        ...

    @property
    def waiting(self) -> bool:
        """A decision is pending that must be awaited."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Bytes that may leave now, b"" for none."""
        ...

    def finish(self) -> bytes:
        """The same, at upstream's end of body."""
        ...

    def keepalive(self) -> bytes:
        """What may be sent while waiting, b"" where nothing can be."""
        ...

    async def decide(self) -> None:
        """Await the pending decision."""
        ...

    def resume(self) -> bytes:
        """Bytes the decision released."""
        ...


@dataclass(frozen=True)
class Limits:
    """Bounds of one stream that is held."""

    keepalive_interval: float = 10.0
    """Seconds."""
    max_held: int = 16 * 1024 * 1024
    """Bytes of one flow kept back, by its guard, by a waiting stream or by a client that does not read."""


class Hold:
    """One pending decision of a guard, awaited in slices of the keepalive interval."""

    def __init__(self, guard: StreamGuard, interval: float) -> None:
        self._decision = asyncio.ensure_future(guard.decide())
        self._cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._interval = interval

    @property
    def done(self) -> bool:
        """The decision is there, or failed."""
        return self._decision.done()

    def result(self) -> None:
        """Raise what the decision raised. A cancelled decision is none: RuntimeError."""
        if self._decision.cancelled():
            raise RuntimeError("the decision was cancelled")
        self._decision.result()

    async def wait(self) -> None:
        """Return when it is decided, cut, or time for a keepalive."""
        pending: tuple[asyncio.Future[None], ...] = (self._decision, self._cut)
        try:
            await asyncio.wait(pending, timeout=self._interval, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.cut()
            raise

    def cut(self) -> None:
        """Nobody needs the decision any more."""
        if not self._cut.done():
            self._cut.set_result(None)
        self._decision.cancel()
