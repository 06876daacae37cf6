"""Sans-io pump of one response stream: chunk -> events -> texts -> decisions -> bytes that may leave now.

Events leave in the order they came, each as soon as every text in it is decided: growing texts up to their last
content-defined segment, tool calls when they are complete. An event that nothing changes leaves as the bytes it was.
What is decided, and what the edits are, does not depend on how the stream was cut into chunks (promise 2).

Framing is `codecs.sse`, meaning the codec's, judgement `stream_judge`'s. Nothing here waits, or knows mitmproxy.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from proxy import texts
from proxy.codecs import DecodeError, Json, Path, Reading, splicing, trees
from proxy.codecs.splicing import Change, Remove, TextChange
from proxy.codecs.sse import DONE, KEEPALIVE, SseEvent, SseReader, is_whole, outside, with_data
from proxy.effects.redact import apply
from proxy.exchange import Exchange
from proxy.growing import Growing, Stretch
from proxy.stream_judge import StreamJudge, StreamRefusedError

KEEPALIVE_SECONDS: Final = 10.0
"""A client whose answer is held whole hears something this often."""


class Item(NamedTuple):
    """One event in the queue: its bytes, what it says, and which stretches of which texts it carries."""

    event: SseEvent
    document: Json
    reading: Reading
    stretches: list[Stretch]
    copies: list[tuple[Growing, Path]]
    """Repetitions of a text that are no text themselves (log-probabilities): removed once the text was edited."""


class Guard:
    """Takes chunks of one response body (content-encoding removed) and returns what may leave."""

    waiting: Final = False
    """Every decision here is made at once; none is awaited."""

    def __init__(self, exchange: Exchange, clock: Callable[[], float] = time.monotonic) -> None:
        self._exchange = exchange
        self._judge = StreamJudge(exchange)
        self._frames = SseReader()
        self._reader = exchange.codec.stream_reader()
        self._writer = exchange.codec.stream_writer()
        self._queue: deque[Item] = deque()
        self._queued = 0
        self._head = b""
        self._whole: bytearray | None = None
        self._sniffed = False
        self._clock = clock
        self._last_out = clock()

    @property
    def held(self) -> int:
        """Bytes held back now."""
        return self._queued + self._frames.pending + len(self._head) + len(self._whole or b"")

    def feed(self, data: bytes) -> bytes:
        """Bytes that may leave after `data` came in."""
        if not self._sniffed:
            data = self._sniff(data)
        if self._whole is not None:
            self._whole += data
            out = b""
        else:
            out = self._pump(self._frames.feed(data)) if data else b""
        if self.held > self._exchange.policy.limits.held:
            raise StreamRefusedError(f"more than {self._exchange.policy.limits.held} bytes would have to be held back")
        return out or self._alive()

    def finish(self) -> bytes:
        """The rest, at the end of the body."""
        if self._whole is not None:
            return self._finish_whole(bytes(self._whole))
        out = self._pump(self._frames.finish()) if self._sniffed else self._head
        self._judge.close(self._reader.finish().closes)
        denied = self._judge.finish()
        if denied is not None:
            self._queue.clear()
            return self._exchange.codec.message_stream(self._exchange.context.model, denied)
        return out + self._release()

    def keepalive(self) -> bytes:
        """A comment that may be sent between events."""
        return KEEPALIVE

    async def decide(self) -> None:
        """Nothing to await."""

    def resume(self) -> bytes:
        """Nothing was awaited."""
        return b""

    # what kind of body this is

    def _sniff(self, data: bytes) -> bytes:
        """Bytes to go on with once the body's kind is known: content types lie, the first byte does not."""
        self._head += data
        start = self._head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not start:
            return b""
        self._sniffed = True
        if start[:1] in (b"{", b"["):
            self._whole = bytearray()
        data, self._head = self._head, b""
        return data

    def _finish_whole(self, body: bytes) -> bytes:
        if b"data:" in body and not _is_document(body):
            self._whole = None  # a stream that only began like a document
            return self._pump(self._frames.feed(body)) + self.finish()
        outcome = self._exchange.on_response(body)
        if outcome.refusal is not None:
            return outcome.refusal.body
        return body if outcome.body is None else outcome.body

    def _alive(self) -> bytes:
        """A comment now and then while the whole answer is held back."""
        if not (self._judge.holds and self._queue) or self._clock() - self._last_out < KEEPALIVE_SECONDS:
            return b""
        self._last_out = self._clock()
        return KEEPALIVE

    # reading

    def _pump(self, events: Iterable[SseEvent]) -> bytes:
        for event in events:
            self._queue.append(self._read(event))
            self._queued += len(event.raw)
        self._judge.decide()
        return b"" if self._judge.holds else self._release()

    def _read(self, event: SseEvent) -> Item:
        if not event.data:
            return self._read_bare(event)
        if (beside := outside(event)) and self._judge.finds(_text(beside)):
            raise StreamRefusedError("what the policy looks for stands in a comment, an id or a name of an event")
        if event.data == DONE:
            return Item(event, None, Reading(), [], [])
        try:
            document = trees.parse(event.data)
        except DecodeError as error:
            return self._read_opaque(event, error)
        reading = self._reader.read(document)
        self._note(reading)
        stretches, copies = self._judge.read(reading)
        return Item(event, document, reading, stretches, copies)

    def _read_opaque(self, event: SseEvent, error: DecodeError) -> Item:
        """An event that is no JSON: refused if the policy denies what is unrecognised, else scanned as plain text."""
        if self._exchange.policy.unrecognised == "deny":
            raise StreamRefusedError(f"an event cannot be decoded, and the policy denies what it cannot read: {error}")
        text = _text(event.data)
        if is_whole(event) and text.startswith(("{", "[")) and self._judge.looks:
            raise StreamRefusedError(f"an event can be read in more than one way: {error}")
        if self._judge.finds(texts.unescaped(text)) and not self._judge.finds(text):
            raise StreamRefusedError(f"escapes in an event hide what the policy looks for: {error}")
        return Item(event, None, Reading(), [self._judge.read_opaque(text)], [])

    def _read_bare(self, event: SseEvent) -> Item:
        """What is no event to a reader of streams: blank lines, comments, or a body that is no stream at all."""
        stretches = [self._judge.read_opaque(_text(event.raw))] if event.raw.strip() else []
        return Item(event, None, Reading(), stretches, [])

    def _note(self, reading: Reading) -> None:
        tally = self._exchange.judge.tally
        tally.usage = reading.usage or tally.usage
        tally.stop_reason = reading.stop_reason or tally.stop_reason
        tally.output_chars += sum(len(fragment.text) for fragment in reading.fragments)
        self._exchange.context.model = self._exchange.context.model or reading.model

    # leaving

    def _release(self) -> bytes:
        """Everything at the head of the queue that is decided."""
        out: list[bytes] = []
        queue = self._queue
        while queue:
            for stretch in queue[0].stretches:
                if not stretch.ready:
                    return b"".join(out)
            item = queue.popleft()
            self._queued -= len(item.event.raw)
            out.append(self._bytes(item))
        return b"".join(out)

    def _bytes(self, item: Item) -> bytes:
        """An event as it leaves: as it came, with edits spliced in, or rewritten around calls that were cut out."""
        event = item.event
        if item.reading.only_usage and self._exchange.hides_usage:
            return b""  # asked for by us, not by the client
        changes: list[Change] = []
        for stretch in item.stretches:
            if stretch.growing.edits:
                local = stretch.edits()
                if local:
                    changes.append(TextChange(stretch.path, local))
        changes += [Remove(path) for growing, path in item.copies if growing.edited]
        if not changes and not self._judge.cuts:
            return event.raw
        if changes:
            event = self._edited(item, changes)
        if self._judge.cuts and item.document is not None:
            document = trees.parse(event.data) if changes else item.document
            rewritten = self._writer.rewrite(event, document, item.reading, self._judge.cuts)
            if rewritten is not None:
                return rewritten
        return event.raw

    def _edited(self, item: Item, changes: Sequence[Change]) -> SseEvent:
        event = item.event
        if item.document is not None:
            data = splicing.splice(event.data, changes)
        else:
            edits = [edit for change in changes if isinstance(change, TextChange) for edit in change.edits]
            data = apply(_text(event.data or event.raw), edits).encode("utf-8", "surrogateescape")
            if not event.data:
                return event._replace(raw=data)
        return event._replace(raw=with_data(event, data), data=data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _is_document(body: bytes) -> bool:
    try:
        trees.parse(body)
    except DecodeError:
        return False
    return True
