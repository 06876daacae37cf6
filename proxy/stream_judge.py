"""Judges the texts and tool calls of one stream while they grow: what is decided so far, and which edits were ordered.

Texts are decided up to their last content-defined segment, one decision for each finding, so that how the stream was
cut cannot matter. Calls are decided when they are complete. Where a rule reads the whole answer, everything is decided
at the end. Events and bytes are `guard`'s; scanning and deciding itself `judge`'s.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Final

import orjson

from proxy import texts
from proxy.answers import provided
from proxy.codecs import Channel, Fragment, OpenCall, Path, Reading, ToolCall
from proxy.codecs import ToolResult as ReadResult
from proxy.codecs.splicing import Change
from proxy.codecs.walk import arguments as read_arguments
from proxy.decision import Decision, Finding, TextEdit, Verdict
from proxy.effects.redact import disjoint
from proxy.events import EventPart, Point, Tool, ToolResult
from proxy.events import Response as ResponseView
from proxy.exchange import Exchange
from proxy.growing import CALL, Growing, Piece, Repeat, Stretch
from proxy.judge import PSEUDONYM, Found, Ordered, notice
from proxy.texts import Unit

_WHOLE: Final = -1
"""Part number of arguments that came whole, in findings."""


class StreamRefusedError(Exception):
    """The stream cannot be delivered and must be cut off. The message says why, and carries nothing of the content."""


class StreamJudge:
    """The judgement of one response stream."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._judge = exchange.judge
        self._context = context = exchange.context
        self._policy = policy = exchange.policy
        self._lifecycle = exchange.lifecycle
        self._calls = exchange.calls
        self.holds = policy.must_hold(context.agent.id, context.provider, context.model)
        """Whether nothing may leave before the whole answer was decided."""
        self.cuts: dict[Channel, str] = {}
        """Denied calls, and the notice in the place of each."""
        self._channels: dict[Channel, Growing] = {}
        self._repeats = exchange.codec.repeats
        self._told: dict[Channel, Growing] = {}
        """Of formats that repeat whole texts: every text of this answer, complete or not."""
        self._provided: dict[str, ToolCall] = {}
        """Calls that the provider carries out itself, by id."""
        self._touched: dict[Channel, Growing] = {}
        self._numbers = count()
        self._held: list[Growing] = []
        self._found: list[Found] = []
        self._beside = (Point.POST_TOOL_EXECUTION,) if exchange.codec.by_message else ()
        self._watched = self._judge.runtime.watch is not None
        self._keeps_texts = self.holds or self._watched
        self._is_answer = not exchange.codec.by_message

    # Asked for when a text begins: on a WebSocket a stream may begin before the request that it comes to answer.

    @property
    def _answer_classes(self) -> frozenset[str]:
        return self._judge.response_classes(Point.POST_LLM_RESPONSE, *self._beside)

    @property
    def _call_classes(self) -> frozenset[str]:
        return self._judge.response_classes(Point.POST_LLM_RESPONSE, Point.PRE_TOOL_EXECUTION)

    @property
    def _decides_calls(self) -> bool:
        return self._judge.tells(Point.PRE_TOOL_EXECUTION) or bool(self._call_classes)

    @property
    def _offered(self) -> Sequence[str]:
        request = self._exchange.request
        return request.tools if request is not None else ()

    @property
    def grows(self) -> bool:
        """Whether any text or call has begun that is not complete."""
        return bool(self._channels)

    @property
    def looks(self) -> bool:
        """Whether anything in the stream can be judged at all."""
        rules = self._policy.rules_at(Point.POST_LLM_RESPONSE) or self._policy.rules_at(Point.PRE_TOOL_EXECUTION)
        return bool(rules or self._call_classes)

    def finds(self, text: str) -> bool:
        """Whether a text outside the stream's own holds what answers may not hold."""
        found = self._judge.scan([Unit(_WHOLE, text)], self._answer_classes)
        return any(item.finding.cls != PSEUDONYM for item in found)

    # what comes in

    def read(self, reading: Reading) -> tuple[list[Piece], list[tuple[Growing, Change]]]:
        """What one event carries: pieces of texts, and changes that follow where a text was edited."""
        for channel in reading.sealed:
            self._growing(channel).scanner = None
        pieces: list[Piece] = [self._open(opened) for opened in reading.opens]
        pieces += [self.grow(channel, path, text) for channel, path, text in reading.fragments]
        if reading.so_far:
            pieces += [self._grow_to(fragment) for fragment in reading.so_far]
        if pieces and reading.opens:
            self._note_owners(reading)
        copies = [
            (self._told.get(channel) or self._growing(channel), change) for channel, change in reading.when_edited
        ]
        if reading.closes:
            self.close(reading.closes)
        for result in reading.results:
            self._decide_provided(result, pieces[len(reading.opens) :], reading.fragments)
        if reading.repeats:
            pieces += [self._repeat(repeated) for repeated in reading.repeats]
        return pieces, copies

    def _grow_to(self, whole: Fragment) -> Stretch:
        """All of a text so far: what it says more than the last is new, its edits are those of the whole."""
        channel, path, text = whole
        growing = self._touched[channel] = self._growing(channel)
        growing.grow(path, text[growing.length :])
        return Stretch(growing, path, 0, len(text))

    def _repeat(self, repeated: Fragment) -> Piece:
        """A copy of a text that was told: edited alike. What says something else is a text of its own."""
        channel, path, text = repeated
        self.close((channel,))
        told = self._told.get(channel)
        if told is None or told.kept is None:
            return self.read_once(str(channel[0]), path, text)
        whole = "".join(told.kept)
        if text == whole:
            return Repeat(told, path, lambda: told.made)
        if told.kind != CALL:
            return self.read_once(told.kind, path, text)
        said = texts.parsed(text)
        if said is None or said != texts.parsed(whole):
            if not self.looks:
                return self.read_once(CALL, path, text)
            raise StreamRefusedError("the arguments of a tool call are told twice and differ")
        return Repeat(told, path, lambda: self._edits_of(told, text))

    def read_opaque(self, text: str) -> Stretch:
        """An event that no codec can read, as one text that is complete."""
        return self.read_once("opaque", (), text)

    def read_once(self, kind: str, path: Path, text: str) -> Stretch:
        """A text that is complete in one event."""
        channel: Channel = (kind, "once", "of", next(self._numbers))
        stretch = self.grow(channel, path, text)
        self.close((channel,))
        return stretch

    def grow(self, channel: Channel, path: Path, text: str) -> Stretch:
        """A piece of a text, carried at `path` by an event."""
        growing = self._touched[channel] = self._growing(channel)
        return growing.grow(path, text)

    def close(self, channels: Sequence[Channel]) -> None:
        """These texts are complete."""
        for channel in channels:
            growing = self._channels.pop(channel, None)
            if growing is not None:
                growing.closed = True
                self._decide(channel, growing)
                self._touched.pop(channel, None)

    def decide(self) -> None:
        """Decide what came since the last call, as far as it can be."""
        for channel, growing in self._touched.items():
            self._decide(channel, growing)
        self._touched.clear()

    def finish(self) -> str | None:
        """Everything is complete. The notice that replaces the whole answer where it is denied, else None."""
        self.close(tuple(self._channels))
        if self.holds:
            return self._decide_held()
        if self._watched and self._is_answer:
            self._judge.show(Point.POST_LLM_RESPONSE, self._context.run, self._found, response=self._view())
        return None

    def _open(self, opened: OpenCall) -> Stretch:
        growing = self._touched[opened.channel] = self._growing(opened.channel)
        growing.call = opened
        if opened.by_provider:
            self._provided[opened.call_id] = ToolCall(opened.call_id, opened.name, opened.arguments or {}, (), ())
        return Stretch(growing, (), 0, 0)  # carries no text, but must not leave before the call is decided

    def _known(self, channel: Channel) -> Growing:
        """A text that may be complete already."""
        return self._told.get(channel) or self._growing(channel)

    def _growing(self, channel: Channel) -> Growing:
        growing = self._channels.get(channel)
        if growing is None:
            kind = str(channel[0])
            looked_for = self._answer_classes if kind != CALL else None
            scanner = self._judge.runtime.detectors.stream(looked_for) if looked_for else None
            growing = self._channels[channel] = Growing(next(self._numbers), kind, scanner)
            if self._repeats:
                growing.kept = []
                self._told[channel] = growing
            growing.settled = kind == CALL and not self._decides_calls
            if self._keeps_texts:
                self._held.append(growing)
        return growing

    def _note_owners(self, reading: Reading) -> None:
        """Strings of arguments that came whole with their call are texts of their own: whose, they must know."""
        whole = {opened.channel: opened for opened in reading.opens if opened.arguments is not None}
        owners = {path: whole[channel] for path, channel in reading.entries if channel in whole}
        for channel, path, _ in reading.fragments if owners else ():
            if channel[0] == CALL and channel not in whole:
                starts = (path[:end] for end in range(len(path) + 1))
                self._growing(channel).within = next((owners[start] for start in starts if start in owners), None)

    # texts

    def _decide(self, channel: Channel, growing: Growing) -> None:
        if growing.kind == CALL:
            if growing.closed and not growing.settled:
                self._decide_call(channel, growing)
            return
        piece = growing.take()
        if self._keeps_texts:
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
        if findings:
            unit = Unit(growing.number, text[: upto - base], base=base)
            found = [Found(unit, item._replace(start=item.start - base, end=item.end - base)) for item in findings]
            for _, edits in self._judge.edits(self._ordered(found)):
                growing.order(_shifted(edits, base))

    def _ordered(self, found: Sequence[Found]) -> list[Ordered]:
        """The edits that the policy orders for findings; none yet where the whole answer is decided at its end."""
        if self._keeps_texts:
            self._found += found
        if self.holds:
            return []
        ordered = self._judge.restorations(found)
        if self._policy.rules_at(Point.POST_LLM_RESPONSE):
            for item in found:
                if item.finding.cls != PSEUDONYM:
                    decision, edits = self._decide_answer([item], ResponseView(), shown=not self._watched)
                    if decision.verdict is Verdict.DENY:
                        raise StreamRefusedError("a rule denies an answer that is already being delivered")
                    ordered += edits
        return ordered

    def _decide_answer(
        self, found: Sequence[Found], view: ResponseView, *, shown: bool = True
    ) -> tuple[Decision, list[Ordered]]:
        return self._judge.decide(Point.POST_LLM_RESPONSE, self._context.run, found, shown=shown, response=view)

    def _decide_provided(self, result: ReadResult, pieces: Sequence[Piece], fragments: Sequence[Fragment]) -> None:
        """`post_tool_execution` for the result of a tool that the provider ran: order the edits of its texts."""
        if not self._judge.tells(Point.POST_TOOL_EXECUTION):
            return
        mine = {pieces[index].growing.number: (pieces[index].growing, fragments[index].text) for index in result.parts}
        units = [Unit(number, text) for number, (_, text) in mine.items()]
        views = tuple(EventPart(role="tool", kind="tool_result", text=text) for _, text in mine.values())
        tool = provided(result, self._provided.get(result.call_id), ToolResult(parts=views, is_error=result.is_error))
        denied, ordered = self._judge.decide_result(tool, units, self._offered)
        if denied is not None:
            raise StreamRefusedError(f"{denied}. The provider has read it already, so its answer is not delivered")
        for unit, edits in self._judge.edits(ordered):
            growing, _ = mine[unit.part]
            growing.reorder(disjoint([*growing.edits, *edits]))

    # calls

    def _decide_call(self, channel: Channel, growing: Growing) -> None:
        """A call is complete, or a string of one whose arguments came whole: order its edits, or its removal."""
        growing.settled, growing.decided = True, growing.length
        text = "".join(growing.pending)
        found = self._judge.scan(texts.json_units(growing.number, text), self._call_classes)
        call = growing.call or growing.within
        ordered: list[Ordered] = []
        if call is not None:
            denied, ordered = self._judge_call(call, text, found, quiet=growing.call is None)
            if denied is not None and call.by_provider:
                raise StreamRefusedError(f"{denied}. The provider has carried it out, so its answer is not delivered")
            if denied is not None and growing.call is not None:
                self.cuts[channel] = denied
                self._calls.cut(call, denied)
                return
        answer = self._policy.classes_at(Point.POST_LLM_RESPONSE) | {PSEUDONYM}
        mine = [edit for edit in ordered if edit.unit.part == growing.number]
        mine += self._ordered([item for item in found if item.finding.cls in answer])
        self._edit_call(growing, mine)

    def _edit_call(self, growing: Growing, ordered: Sequence[Ordered]) -> None:
        growing.ordered += ordered
        if growing.ordered:
            growing.reorder(self._edits_of(growing, "".join(growing.pending)))

    def _edits_of(self, growing: Growing, text: str) -> list[TextEdit]:
        """The edits ordered for a call's arguments, in a text that says them."""
        edits = {unit.inner: unit_edits for unit, unit_edits in self._judge.edits(growing.ordered)}
        return texts.edited(text, edits) if edits else []

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
        denied, ordered = self._judge.decide_call(
            call.call_id, call.name, arguments, mine, quiet=quiet, server=call.server
        )
        if not quiet:
            self._calls.call(call, arguments)
        if denied is None and not quiet and not call.by_provider:
            self._lifecycle.called(Tool(call_id=call.call_id, name=call.name, arguments=dict(arguments)))
        return denied, ordered

    # answers that are decided whole

    def _decide_held(self) -> str | None:
        decision, ordered = self._decide_answer(self._found, self._view())
        if decision.verdict is Verdict.DENY:
            denied = notice(decision, "the model's answer")
            for call in filter(None, (growing.call for growing in self._held)):
                self._calls.cut(call, denied)
            return denied
        held = {growing.number: growing for growing in self._held}
        by_text: dict[int, list[Ordered]] = {}
        for item in [*ordered, *self._judge.restorations(self._found)]:
            by_text.setdefault(item.unit.part, []).append(item)
        for number, mine in by_text.items():
            self._edit_held(held[number], mine)
        return None

    def _view(self) -> ResponseView:
        tally = self._judge.tally
        parts = tuple(_shown(growing) for growing in self._held if growing.kind != CALL)
        return ResponseView(parts=parts, stop_reason=tally.stop_reason, usage=tally.usage)

    def _edit_held(self, growing: Growing, ordered: Sequence[Ordered]) -> None:
        if growing.kind == CALL:
            self._edit_call(growing, ordered)
            return
        every = [edit for unit, edits in self._judge.edits(ordered) for edit in _shifted(edits, unit.base)]
        growing.reorder(disjoint([*growing.edits, *every]))


def _shown(growing: Growing) -> EventPart:
    text = "".join(growing.shown)
    return EventPart(role="assistant", kind="reasoning" if growing.kind == "reasoning" else "text", text=text)


def _shifted(edits: Iterable[TextEdit], base: int) -> list[TextEdit]:
    return [TextEdit(base + start, base + end, text) for start, end, text in edits]
