"""One response body that may be a stream: which framing it has, chunks into frames, and what leaves as bytes.

Content types lie, so the first bytes decide; what turns out to be one whole document is decided as one. What an event
says and whether it may leave is `guard`'s.
"""

import time
from collections.abc import Callable
from typing import Final

from proxy.codecs import DecodeError
from proxy.codecs.framings import Framing
from proxy.codecs.framings.choose import choose
from proxy.codecs.framings.sse import Sse
from proxy.exchange import Exchange
from proxy.guard import Guard
from proxy.stream_judge import StreamRefusedError

KEEPALIVE_SECONDS: Final = 10.0
"""A client whose answer is held whole hears something this often."""


class Streamed:
    """Takes chunks of one response body (content-encoding removed) and returns what may leave."""

    waiting: Final = False
    """Every decision here is made at once; none is awaited."""

    def __init__(self, exchange: Exchange, content_type: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._exchange = exchange
        self._content_type = content_type
        self._head = b""
        self._whole: bytearray | None = None
        self._framing: Framing | None = None
        self._guard: Guard | None = None
        self._clock = clock
        self._last_out = clock()

    @property
    def held(self) -> int:
        """Bytes held back now."""
        inside = self._guard.held + self._framing.pending if self._guard and self._framing else 0
        return inside + len(self._head) + len(self._whole or b"")

    def feed(self, data: bytes) -> bytes:
        """Bytes that may leave after `data` came in."""
        if self._whole is not None:
            self._whole += data
            out = b""
        elif self._guard is None:
            out = self._sniff(data)
        else:
            out = self._pump(data)
        if self.held > self._exchange.policy.limits.held:
            raise StreamRefusedError(f"more than {self._exchange.policy.limits.held} bytes would have to be held back")
        return out or self._alive()

    def finish(self) -> bytes:
        """The rest, at the end of the body."""
        if self._whole is not None:
            return self._finish_whole(bytes(self._whole))
        if self._guard is None or self._framing is None:
            return self._finish_sniffing()
        out = self._guard.pump(self._framing.finish())
        return b"".join([*out, *self._guard.end()])

    def keepalive(self) -> bytes:
        """What may be sent between events."""
        return self._framing.keepalive if self._framing else b""

    async def decide(self) -> None:
        """Nothing to await."""

    def resume(self) -> bytes:
        """Nothing was awaited."""
        return b""

    def _pump(self, data: bytes) -> bytes:
        assert self._framing and self._guard
        return b"".join(self._guard.pump(self._framing.feed(data))) if data else b""

    # what kind of body this is

    def _sniff(self, data: bytes) -> bytes:
        """Go on with the bytes so far once the body's kind is known."""
        self._head += data
        chosen = choose(self._content_type, self._head, self._exchange.codec.framings)
        if chosen is None:
            return b""
        head, self._head = self._head, b""
        if isinstance(chosen, str):
            self._whole = bytearray(head)
            return b""
        return self._begin(chosen, head)

    def _begin(self, framing: Framing, head: bytes) -> bytes:
        self._framing, self._guard = framing, Guard(self._exchange, framing)
        return self._pump(head)

    def _finish_sniffing(self) -> bytes:
        head, self._head = self._head, b""
        if not head.strip():
            return head
        self._whole = bytearray(head)
        return self._finish_whole(head)

    def _finish_whole(self, body: bytes) -> bytes:
        if b"data:" in body and not self._is_document(body):
            self._whole = None  # a stream that only began like a document
            return self._begin(Sse(), body) + self.finish()
        outcome = self._exchange.on_response(body)
        if outcome.refusal is not None:
            self._exchange.changed = True
            return outcome.refusal.body
        if outcome.body is None:
            return body
        self._exchange.changed = True
        return outcome.body

    def _is_document(self, body: bytes) -> bool:
        try:
            self._exchange.codec.of_answers.parse(body)
        except DecodeError:
            return False
        return True

    def _alive(self) -> bytes:
        """Something now and then while the whole answer is held back."""
        holding = self._guard is not None and self._guard.holds_all
        if not holding or self._clock() - self._last_out < KEEPALIVE_SECONDS:
            return b""
        self._last_out = self._clock()
        return self.keepalive()
