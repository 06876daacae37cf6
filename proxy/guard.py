"""Sans-io pump of one stream: frames -> texts -> decisions -> bytes that may leave now, piece by piece.

Events leave in the order they came, each as soon as every text in it is decided: growing texts up to their last
content-defined segment, tool calls when they are complete. An event that nothing changes leaves as the bytes it was.
What is decided, and what the edits are, does not depend on how the stream was cut into chunks (promise 2).

What a chunk is, and whether the body is a stream at all, is `streamed`'s; framing is `codecs.framings`', meaning the
codec's, judgement `stream_judge`'s. Nothing here waits, or knows mitmproxy.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from proxy import texts
from proxy.codecs import AmbiguousError, DecodeError, Json, Reading
from proxy.codecs.framings import Event, Frame, Framing
from proxy.codecs.splicing import Change, Remove, TextChange
from proxy.effects.redact import apply
from proxy.exchange import Exchange
from proxy.growing import Growing, Piece
from proxy.stream_judge import StreamJudge, StreamRefusedError


class Item(NamedTuple):
    """One event in the queue: its bytes, what it says, and which pieces of which texts it carries."""

    event: Frame
    document: Json
    reading: Reading
    pieces: Sequence[Piece]
    copies: Sequence[tuple[Growing, Change]]
    """Changes to what repeats a text without being one (log-probabilities, offsets): made once the text was edited."""


_LEAVES_OUT = Remove(())


class Guard:
    """Takes the frames of one response stream and returns what may leave."""

    def __init__(self, exchange: Exchange, framing: Framing) -> None:
        self._exchange = exchange
        self._codec = exchange.codec
        self._syntax = exchange.codec.of_events
        self._framing = framing
        self._judge = StreamJudge(exchange)
        self._reader = exchange.codec.stream_reader()
        self._writer = exchange.codec.stream_writer()
        self._queue: deque[Item] = deque()
        self._queued = 0
        self.ended = False
        """The codec saw the end of the answer."""

    @property
    def held(self) -> int:
        """Bytes of whole frames held back now."""
        return self._queued

    @property
    def grows(self) -> bool:
        """Whether any text or call has begun that is not complete."""
        return self._judge.grows

    @property
    def holds_all(self) -> bool:
        """Whether nothing leaves before the whole answer was decided, and something waits for that."""
        return self._judge.holds and bool(self._queue)

    def pump(self, frames: Iterable[Frame]) -> list[bytes]:
        """What may leave after these frames came, frame by frame."""
        for frame in frames:
            self._queue.append(self._read(frame))
            self._queued += len(frame.raw)
        self._judge.decide()
        return [] if self._judge.holds else self._release()

    def end(self) -> list[bytes]:
        """The rest, at the end of the stream."""
        self._judge.close(self._reader.finish().closes)
        denied = self._judge.finish()
        if denied is not None:
            self._queue.clear()
            self._exchange.changed = True
            return [self._framing.encode(event) for event in self._instead(denied)]
        return self._release()

    def _instead(self, denied: str) -> Sequence[Event]:
        """An answer that says why there is none; under the name by which the provider knows the one it made."""
        model, name = self._exchange.context.model, self._exchange.kept_as
        if name is not None and self._codec.kept_stream is not None:
            return self._codec.kept_stream(model, denied, name)
        return self._codec.message_stream(model, denied)

    # reading

    def _read(self, frame: Frame) -> Item:
        if not frame.data:
            return self._read_bare(frame)
        if (beside := self._beside(frame)) and self._judge.finds(_text(beside)):
            raise StreamRefusedError("what the policy looks for stands in a comment, an id or a name of an event")
        if self._framing.is_end(frame):
            return Item(frame, None, Reading(), (), ())
        try:
            document = self._syntax.parse(frame.data)
        except DecodeError as error:
            return self._read_opaque(frame, error)
        if self._codec.by_message:
            return self._read_message(frame)
        try:
            reading = self._reader.read(document)
        except AmbiguousError as error:
            return self._read_ambiguous(frame, error)
        self._exchange.note(reading)
        self.ended = self.ended or reading.end
        pieces, copies = self._judge.read(reading)
        return Item(frame, document, reading, pieces, copies)

    def _beside(self, frame: Frame) -> bytes:
        """What an event says besides its data. Ids of messages are tokens that only their server reads (resumption)."""
        outside = self._framing.outside(frame)
        if not self._codec.by_message:
            return outside
        return b"\n".join(line for line in outside.splitlines() if not line.startswith((b"id:", b"retry:")))

    def _read_message(self, frame: Frame) -> Item:
        """A document that stands for itself: decided at once, as a whole body is."""
        outcome = self._exchange.on_event(frame.data)
        if outcome.refusal is not None:
            raise StreamRefusedError(outcome.refusal.message)
        if outcome.body is not None:
            self._exchange.changed = True
            frame = frame._replace(raw=self._framing.with_data(frame, outcome.body), data=outcome.body)
        return Item(frame, None, Reading(), (), ())

    def _read_ambiguous(self, frame: Frame, error: DecodeError) -> Item:
        """An event that clients put together differently: it leaves only where nobody looks at answers."""
        if self._judge.looks:
            raise StreamRefusedError(f"an event can be read in more than one way: {error}")
        self._exchange.problems.append(f"stream: {error}")
        return Item(frame, None, Reading(), (), ())

    def _read_opaque(self, frame: Frame, error: DecodeError) -> Item:
        """An event that is no document: refused if the policy denies what is unrecognised, else scanned as one text."""
        if frame.name in self._codec.plain_events:
            self._exchange.on_plain_event(frame.name or "", _text(frame.data))
            return Item(frame, None, Reading(), (self._judge.read_opaque(_text(frame.data)),), ())
        if self._codec.by_message and self._framing.is_whole(frame):
            return self._read_message(frame)
        self._exchange.problems.append(f"stream: {error}")
        if self._exchange.policy.unrecognised == "deny":
            raise StreamRefusedError(f"an event cannot be decoded, and the policy denies what it cannot read: {error}")
        text = _text(frame.data)
        # What is no text by design (protobuf) other readers may read in part, and find calls in it.
        document = text.startswith(("{", "[")) or self._codec.events is not None or isinstance(error, AmbiguousError)
        if self._framing.is_whole(frame) and document and self._judge.looks:
            raise StreamRefusedError(f"an event can be read in more than one way: {error}")
        found = self._judge.finds(text)
        if found and self._codec.by_message:  # no rule edits what is cut off in the middle of a message
            raise StreamRefusedError("a message that breaks off holds what the policy looks for")
        if self._judge.finds(texts.unescaped(text)) and not found:
            raise StreamRefusedError(f"escapes in an event hide what the policy looks for: {error}")
        return Item(frame, None, Reading(), (self._judge.read_opaque(text),), ())

    def _read_bare(self, frame: Frame) -> Item:
        """What is no event to a reader of streams: blank lines, comments, or a body that is no stream at all."""
        if self._codec.by_message and (beside := self._beside(frame)) and self._judge.finds(_text(beside)):
            raise StreamRefusedError("what the policy looks for stands in a comment or a name without an event")
        pieces = (self._judge.read_opaque(_text(frame.raw)),) if frame.raw.strip() else ()
        return Item(frame, None, Reading(), pieces, ())

    # leaving

    def _release(self) -> list[bytes]:
        """Everything at the head of the queue that is decided."""
        out: list[bytes] = []
        queue = self._queue
        while queue:
            for piece in queue[0].pieces:
                if not piece.ready:
                    return out
            item = queue.popleft()
            self._queued -= len(item.event.raw)
            leaving = self._frames(item)
            if leaving[0] is not item.event.raw and leaving != [item.event.raw]:
                self._exchange.changed = True
            out += [one for one in leaving if one or not item.event.raw]  # a message may be empty
        return out

    def _frames(self, item: Item) -> list[bytes]:
        """An event as it leaves: as it came, with edits spliced in, or rewritten around calls that were cut out.

        Frame by frame: each is a message of its own on a WebSocket.
        """
        event, framing = item.event, self._framing
        if item.reading.only_usage and self._exchange.hides_usage:
            return [framing.dropped(event)]  # asked for by us, not by the client
        changes: list[Change] = []
        for piece in item.pieces:
            if piece.growing.has_edits:
                local = piece.edits()
                if local:
                    changes.append(TextChange(piece.path, local))
        changes += [change for growing, change in item.copies if growing.edited]
        if not changes and not self._judge.cuts:
            return [framing.unchanged(event)]
        if _LEAVES_OUT in changes:
            return [framing.dropped(event)]
        if item.document is None:
            return [self._plainly(item, changes) if changes else framing.unchanged(event)]
        data = self._syntax.splice(event.data, changes)
        if self._judge.cuts:
            document = self._syntax.parse(data) if changes else item.document
            rewritten = self._writer.rewrite(event._replace(data=data), document, item.reading, self._judge.cuts)
            if rewritten is not None:
                return self._written(event, rewritten)
        return [framing.with_data(event, data) if changes else framing.unchanged(event)]

    def _written(self, event: Frame, rewritten: Sequence[Event]) -> list[bytes]:
        """New events in the place of one; the first keeps its framing where it is still the same kind of event."""
        framing = self._framing
        if not rewritten:
            return [framing.dropped(event)]
        first, *others = rewritten
        kept = framing.with_data(event, first.data) if first.name == event.name else framing.encode(first)
        return [kept, *(framing.encode(other) for other in others)]

    def _plainly(self, item: Item, changes: Sequence[Change]) -> bytes:
        """Edits of what is no document."""
        event = item.event
        edits = [edit for change in changes if isinstance(change, TextChange) for edit in change.edits]
        data = apply(_text(event.data or event.raw), edits).encode("utf-8", "surrogateescape")
        return self._framing.with_data(event, data) if event.data else data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
