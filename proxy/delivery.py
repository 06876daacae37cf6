"""A guard as the wire needs it: under a content-encoding, and with the policy's failure mode.

The guard sees decoded bytes. Under a coding the client still gets that coding, each piece flushed, so that a stream
stays a stream and the headers stay true. Where the policy says `failure: open`, a guard that breaks lets the rest of
its stream go as it comes, and says so; everywhere else the exception ends the flow (promise 3).
"""

from collections.abc import Callable
from typing import Final

from proxy.encoding import StreamDecoder, StreamEncoder
from proxy.stream_judge import StreamRefusedError
from proxy.streamed import Streamed


class Delivery:
    """The guard of one response, as `layer` drives it."""

    waiting: Final = False

    def __init__(
        self, guard: Streamed, content_encoding: str, limit: int, opened: Callable[[Exception], None] | None
    ) -> None:
        """`limit`: decoded bytes allowed in all. `opened` is told of a failure the policy lets pass; None: closed."""
        coded = content_encoding.strip().lower() not in ("", "identity")
        self._decoder = StreamDecoder(content_encoding, limit=limit) if coded else None
        self._encoder = StreamEncoder(content_encoding) if coded else None
        self._guard = guard
        self._opened = opened
        self._broken = False
        self._unreleased = bytearray()

    @property
    def held(self) -> int:
        """Decoded bytes held back now."""
        return 0 if self._broken else self._guard.held

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client after `data` came from upstream."""
        plain = self._decoder.feed(data) if self._decoder else data
        out = self._guarded(plain, self._guard.feed)
        return self._encoder.feed(out) if self._encoder and out else out

    def finish(self) -> bytes:
        """The last bytes."""
        plain = self._decoder.finish() if self._decoder else b""
        out = self._guarded(plain, self._guard.feed) if plain else b""
        out += self._guarded(b"", lambda _: self._guard.finish())
        return self._encoder.feed(out) + self._encoder.finish() if self._encoder else out

    def keepalive(self) -> bytes:
        """A comment between events, in the stream's coding."""
        out = b"" if self._broken else self._guard.keepalive()
        return self._encoder.feed(out) if self._encoder and out else out

    async def decide(self) -> None:
        """Nothing is awaited."""

    def resume(self) -> bytes:
        """Nothing was awaited."""
        return b""

    def _guarded(self, plain: bytes, step: Callable[[bytes], bytes]) -> bytes:
        if self._broken:
            return plain
        if self._opened is None:
            return step(plain)
        self._unreleased += plain
        try:
            out = step(plain)
        except StreamRefusedError:
            raise
        except Exception as error:
            self._broken = True
            self._opened(error)
            return bytes(self._unreleased)
        del self._unreleased[: len(self._unreleased) - self._guard.held]
        return out
