"""Sans-io pump of one response stream: chunk -> events -> texts -> decisions -> bytes that may leave now.

Events leave in the order they came, each as soon as every text in it is decided: growing texts up to their last
content-defined segment, tool calls when they are complete. An event that nothing changes leaves as the bytes it was.
What is decided, and what the edits are, does not depend on how the stream was cut into chunks (promise 2).

Framing is `codecs.sse`, meaning the codec's, judgement `judge`'s. Nothing here waits, or knows mitmproxy or a provider.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Final, NamedTuple

import orjson

from proxy import texts
from proxy.codecs import Channel, DecodeError, Json, OpenCall, Path, Reading, splicing, trees
from proxy.codecs.splicing import Change, Remove, TextChange
from proxy.codecs.sse import KEEPALIVE, SseEvent, SseReader, with_data
from proxy.codecs.walk import arguments as read_arguments
from proxy.decision import Finding, TextEdit, Verdict
from proxy.effects.redact import apply
from proxy.events import EventPart, Point
from proxy.events import Response as ResponseView
from proxy.exchange import Exchange
from proxy.growing import CALL, Growing, Stretch
from proxy.judge import PSEUDONYM, Found, Ordered, notice
from proxy.texts import Unit

_WHOLE: Final = -1
"""Part number of arguments that came whole, in findings."""
KEEPALIVE_SECONDS: Final = 10.0
"""A client whose answer is held whole hears something this often."""


class StreamRefusedError(Exception):
    """The stream cannot be delivered and must be cut off. The message says why, and carries nothing of the content."""


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
        self._judge = exchange.judge
        self._policy = policy = exchange.policy
        self._frames = SseReader()
        self._reader = exchange.codec.stream_reader()
        self._writer = exchange.codec.stream_writer()
        self._queue: deque[Item] = deque()
        self._queued = 0
        self._channels: dict[Channel, Growing] = {}
        self._touched: dict[Channel, Growing] = {}
        self._cuts: dict[Channel, str] = {}
        self._head = b""
        self._whole: bytearray | None = None
        self._sniffed = False
        context = exchange.context
        self._holds = policy.must_hold(context.agent.id, context.provider, context.model)
        self._found: list[Found] = []
        self._texts: list[Growing] = []
        self._numbers = count()
        self._classes = self._judge.response_classes(Point.POST_LLM_RESPONSE)
        self._call_classes = self._judge.response_classes(Point.POST_LLM_RESPONSE, Point.PRE_TOOL_EXECUTION)
        self._decides_calls = bool(policy.rules_at(Point.PRE_TOOL_EXECUTION)) or bool(self._call_classes)
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
        if self.held > self._policy.limits.held:
            raise StreamRefusedError(f"more than {self._policy.limits.held} bytes would have to be held back")
        return out or self._alive()

    def finish(self) -> bytes:
        """The rest, at the end of the body."""
        if self._whole is not None:
            return self._finish_whole(bytes(self._whole))
        out = self._pump(self._frames.finish()) if self._sniffed else self._head
        self._close(self._reader.finish().closes)
        self._close(tuple(self._channels))
        self._decide_touched()
        if self._holds:
            return self._finish_held()
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
        outcome = self._exchange.on_response(body)
        if outcome.refusal is not None:
            return outcome.refusal.body
        return body if outcome.body is None else outcome.body

    def _alive(self) -> bytes:
        """A comment now and then while the whole answer is held back."""
        if not (self._holds and self._queue) or self._clock() - self._last_out < KEEPALIVE_SECONDS:
            return b""
        self._last_out = self._clock()
        return KEEPALIVE

    # reading

    def _pump(self, events: Iterable[SseEvent]) -> bytes:
        for event in events:
            self._queue.append(self._read(event))
            self._queued += len(event.raw)
        if self._touched:
            self._decide_touched()
        return b"" if self._holds else self._release()

    def _read(self, event: SseEvent) -> Item:
        if not event.data or event.data == b"[DONE]":
            return Item(event, None, Reading(), [], [])
        try:
            document = trees.parse(event.data)
        except DecodeError as error:
            return self._read_opaque(event, error)
        reading = self._reader.read(document)
        self._note(reading)
        for channel in reading.sealed:
            self._growing(channel).scanner = None
        stretches = []
        for opened in reading.opens:
            growing = self._growing(opened.channel)
            growing.call = opened
            stretches.append(Stretch(growing, (), 0, 0))
            self._touched[opened.channel] = growing
        stretches += [self._grow(channel, path, text) for channel, path, text in reading.fragments]
        if stretches and reading.opens:
            self._note_owners(reading)
        copies = [(self._growing(channel), path) for channel, path in reading.drop_on_edit]
        if reading.closes:
            self._close(reading.closes)
        return Item(event, document, reading, stretches, copies)

    def _note_owners(self, reading: Reading) -> None:
        """Strings of arguments that came whole with their call are texts of their own: whose, they must know."""
        whole = {opened.channel: opened for opened in reading.opens if opened.arguments is not None}
        owners = [(path, whole[channel]) for path, channel in reading.entries if channel in whole]
        for channel, path, _ in reading.fragments if owners else ():
            if channel[0] == CALL and channel not in whole:
                owner = next((opened for start, opened in owners if path[: len(start)] == start), None)
                self._growing(channel).within = owner

    def _read_opaque(self, event: SseEvent, error: DecodeError) -> Item:
        """An event that is no JSON: refused if the policy denies what is unrecognised, else scanned as plain text."""
        if self._policy.unrecognised == "deny":
            raise StreamRefusedError(f"an event cannot be decoded, and the policy denies what it cannot read: {error}")
        channel: Channel = ("opaque", next(self._numbers))
        stretch = self._grow(channel, (), event.data.decode("utf-8", "surrogateescape"))
        self._close((channel,))
        return Item(event, None, Reading(), [stretch], [])

    def _growing(self, channel: Channel) -> Growing:
        growing = self._channels.get(channel)
        if growing is None:
            kind = str(channel[0])
            scanner = self._judge.runtime.detectors.stream(self._classes) if self._classes and kind != CALL else None
            growing = self._channels[channel] = Growing(next(self._numbers), kind, scanner)
            growing.settled = kind == CALL and not self._decides_calls
            if self._holds:
                self._texts.append(growing)
        return growing

    def _grow(self, channel: Channel, path: Path, text: str) -> Stretch:
        growing = self._touched[channel] = self._growing(channel)
        return growing.grow(path, text)

    def _close(self, channels: Sequence[Channel]) -> None:
        for channel in channels:
            growing = self._channels.pop(channel, None)
            if growing is not None:
                growing.closed = True
                self._decide(channel, growing)
                self._touched.pop(channel, None)

    def _note(self, reading: Reading) -> None:
        tally = self._judge.tally
        tally.usage = reading.usage or tally.usage
        tally.stop_reason = reading.stop_reason or tally.stop_reason
        tally.output_chars += sum(len(fragment.text) for fragment in reading.fragments)
        self._exchange.context.model = self._exchange.context.model or reading.model

    # deciding

    def _decide_touched(self) -> None:
        for channel, growing in self._touched.items():
            self._decide(channel, growing)
        self._touched.clear()

    def _decide(self, channel: Channel, growing: Growing) -> None:
        if growing.kind == CALL:
            if growing.closed and not growing.settled:
                self._decide_call(channel, growing, "".join(growing.pending))
            return
        piece = growing.take()
        if self._holds:
            growing.shown.append(piece)
        if growing.scanner is None:
            growing.decided = growing.length
            return
        growing.tail += piece
        upto, findings = growing.scanner.feed(piece)
        if growing.closed:
            upto, last = growing.scanner.finish()
            findings = [*findings, *last]
        self._decide_text(growing, upto, findings)

    def _decide_text(self, growing: Growing, upto: int, findings: Sequence[Finding]) -> None:
        """Characters up to `upto` have been scanned: order the edits of what was found in them."""
        base, text = growing.decided, growing.tail
        growing.decided = upto
        growing.tail = text[upto - base :]
        if not findings:
            return
        unit = Unit(growing.number, text[: upto - base], base=base)
        found = [Found(unit, item._replace(start=item.start - base, end=item.end - base)) for item in findings]
        if self._holds:
            self._found += found
            return
        ordered = self._ordered(found)
        for _, edits in self._judge.edits(ordered):
            growing.edits += _shifted(edits, base)

    def _ordered(self, found: Sequence[Found]) -> list[Ordered]:
        """The edits the policy orders for findings in text. One decision each, so that no cut of the stream matters."""
        ordered = self._judge.restorations(found)
        if self._policy.rules_at(Point.POST_LLM_RESPONSE):
            for item in found:
                if item.finding.cls != PSEUDONYM:
                    view = ResponseView()
                    _, edits = self._judge.decide(
                        Point.POST_LLM_RESPONSE, self._exchange.context.run, [item], response=view
                    )
                    ordered += edits
        return ordered

    def _decide_call(self, channel: Channel, growing: Growing, text: str) -> None:
        """A call is complete, or a string of one whose arguments came whole: order its edits, or its removal."""
        growing.settled, growing.decided = True, growing.length
        found = self._judge.scan(texts.json_units(growing.number, text), self._call_classes)
        answer = self._policy.classes_at(Point.POST_LLM_RESPONSE) | {PSEUDONYM}
        ordered = self._ordered([item for item in found if item.finding.cls in answer])
        call = growing.call or growing.within
        if call is not None:
            denied, more = self._judge_call(call, text, found, quiet=growing.call is None)
            if denied is not None and growing.call is not None:
                self._cuts[channel] = denied
                return
            ordered += [edit for edit in more if edit.unit.part == growing.number]
        edits = {unit.inner: unit_edits for unit, unit_edits in self._judge.edits(ordered)}
        if edits:
            growing.edits = texts.edited(text, edits)

    def _judge_call(
        self, call: OpenCall, text: str, found: Sequence[Found], *, quiet: bool
    ) -> tuple[str | None, list[Ordered]]:
        """`pre_tool_execution`. `quiet`: only for the edits of one string; the call as a whole is judged by itself."""
        arguments = call.arguments
        if arguments is None:
            arguments = read_arguments(text)
        elif not quiet:
            whole = texts.json_units(_WHOLE, orjson.dumps(arguments).decode())
            found = [*found, *self._judge.scan(whole, self._call_classes)]
        wanted = self._policy.classes_at(Point.PRE_TOOL_EXECUTION)
        mine = [item for item in found if item.finding.cls in wanted]
        return self._judge.decide_call(call.call_id, call.name, arguments, mine, quiet=quiet)

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
        if not changes and not self._cuts:
            return event.raw
        if changes:
            event = self._edited(item, changes)
        if self._cuts and item.document is not None:
            document = trees.parse(event.data) if changes else item.document
            rewritten = self._writer.rewrite(event, document, item.reading, self._cuts)
            if rewritten is not None:
                return rewritten
        return event.raw

    def _edited(self, item: Item, changes: Sequence[Change]) -> SseEvent:
        if item.document is None:
            text = item.event.data.decode("utf-8", "surrogateescape")
            edits = [edit for change in changes if isinstance(change, TextChange) for edit in change.edits]
            data = apply(text, edits).encode("utf-8", "surrogateescape")
        else:
            data = splicing.splice(item.event.data, changes)
        return item.event._replace(raw=with_data(item.event, data), data=data)

    def _finish_held(self) -> bytes:
        """The whole answer is here: decide it once, and let it go or put a notice in its place."""
        parts = tuple(
            EventPart(
                role="assistant",
                kind="reasoning" if growing.kind == "reasoning" else "text",
                text="".join(growing.shown),
            )
            for growing in self._texts
            if growing.kind != CALL
        )
        tally, context = self._judge.tally, self._exchange.context
        view = ResponseView(parts=parts, stop_reason=tally.stop_reason, usage=tally.usage)
        decision, ordered = self._judge.decide(Point.POST_LLM_RESPONSE, context.run, self._found, response=view)
        if decision.verdict is Verdict.DENY:
            self._queue.clear()
            return self._exchange.codec.message_stream(context.model, notice(decision, "the model's answer"))
        growing_texts = {growing.number: growing for growing in self._texts}
        for unit, edits in self._judge.edits(ordered + self._judge.restorations(self._found)):
            growing_texts[unit.part].edits += _shifted(edits, unit.base)
        for growing in self._texts:
            growing.edits.sort()
        return self._release()


def _shifted(edits: Iterable[TextEdit], base: int) -> list[TextEdit]:
    return [TextEdit(base + start, base + end, text) for start, end, text in edits]
