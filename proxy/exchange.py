"""One request and its whole response: read, judged, spliced or refused. Streams are `guard`'s.

No mitmproxy and no sockets: `addon` serves traffic with it. What must be awaited (budgets) is the addon's to call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from proxy import texts
from proxy.codecs import AmbiguousError, DecodeError, Json, Owed, Part, Reading, Request, Response, ToolCall
from proxy.codecs import ToolResult as ReadResult
from proxy.codecs.codec import Codec, Syntax
from proxy.codecs.splicing import Change
from proxy.context import Context, fingerprint, parts_view, request_view
from proxy.decision import Verdict
from proxy.effects.redact import apply
from proxy.events import Point, Tool, ToolResult
from proxy.events import Response as ResponseView
from proxy.judge import Found, Judge, Ordered, Runtime, notice
from proxy.kept_calls import KeptCalls
from proxy.lifecycle import Lifecycle
from proxy.sessions import Kept

STOP_RETRYING: Final = (("x-should-retry", "false"),)
"""With 400, this header and the provider's error JSON agents stop at once and show the message (clients-notes)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A denial in the provider's own shape."""

    status: int
    message: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = STOP_RETRYING


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a body: refused, replaced (`body`), or, both None, forwarded as it came."""

    body: bytes | None = None
    refusal: Refusal | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Headers that change with it: their new values, None for one that goes."""


UNTOUCHED: Final = Outcome()


class Exchange:
    """One request and its response. Not shared between flows; `on_request` comes first, then response or guard."""

    def __init__(
        self, runtime: Runtime, codec: Codec, context: Context, *, asks_usage: bool = False, follows: str | None = None
    ) -> None:
        """`asks_usage`: have the provider count the tokens of its streams, and keep that count from the client.

        `follows`: what the request goes on with, where its address says so.
        """
        self._asks_usage = asks_usage
        self._follows = follows
        self.calls = KeptCalls()
        self.kept_as: str | None = None
        """The name under which the provider keeps the answer."""
        self.hides_usage = False
        self.judge = Judge(runtime, context)
        self.policy = runtime.policy
        self.context = context
        self.codec = codec
        self.lifecycle = Lifecycle(self.judge)
        self.request: Request | None = None
        self.changed = False
        """Something of a stream left otherwise than it came."""
        self.problems: list[str] = []
        """What could not be read as what it claims to be, in words without content."""

    def refuse(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = STOP_RETRYING) -> Refusal:
        """A refusal in this exchange's provider's shape."""
        return Refusal(status, message, self.codec.refusal(status, message), headers)

    # the request

    def on_request(self, body: bytes) -> Outcome:
        """Decide a whole request body, decoded of any content-encoding."""
        try:
            document = self.codec.syntax.parse(body)
        except DecodeError as error:
            return self._undecodable(body, Point.PRE_LLM_REQUEST, error)
        if refusal := self._recognise(document):
            return Outcome(refusal=refusal)
        request, owed = self._placed(self.codec.read_request(document))
        refusal, changes, ordered = self._decide_request(request, document, body)
        if refusal:
            return Outcome(refusal=refusal)
        counting = self.codec.ask_usage(document) if self._asks_usage else []
        self.hides_usage = bool(counting)
        outcome = self._spliced(body, request.parts, ordered, [*changes, *counting])
        if not (owed or self.codec.mend(document)):
            return outcome
        return self._mended(body if outcome.body is None else outcome.body, owed)

    def _mended(self, body: bytes, owed: Sequence[Owed]) -> Outcome:
        """The request as it must go up after calls were cut out of earlier answers: what was edited moves as it is."""
        document = self.codec.syntax.parse(body)
        changes = [*self.codec.mend(document), *self.codec.answer_kept(document, owed)]
        return Outcome(body=self.codec.syntax.splice(body, changes))

    def _placed(self, request: Request) -> tuple[Request, Sequence[Owed]]:
        """The request in its session, run and turn, with what is known of the answer that it goes on with.

        And the calls of that answer for which its provider waits in vain.
        """
        name = request.follows or self._follows
        kept = self.judge.runtime.sessions.followed(self.context.agent.id, name)
        self.context.read(request, kept)
        owed: Sequence[Owed] = ()
        if name and kept is not None:
            self.judge.pseudonyms.adopt(kept.values)
            request = replace(request, calls={**kept.calls, **request.calls})
            owed = self.calls.follow(request, name, kept)
        self.request = request
        return request, owed

    def on_empty(self) -> Outcome:
        """A request without a body."""
        return UNTOUCHED

    def _recognise(self, document: Json) -> Refusal | None:
        """Whether a document may be read as what the request says it is."""
        return None

    def _decide_request(
        self, request: Request, document: Json, body: bytes
    ) -> tuple[Refusal | None, list[Change], list[Ordered]]:
        """Every event of a request: what a refusal says of it, or the changes and edits."""
        if self.codec.is_model:
            self.lifecycle.begins(request)
        units = texts.units(request.parts)
        found = self.judge.scan(units, self.policy.classes_at(Point.PRE_LLM_REQUEST))
        changes, ordered = self._judge_results(request, document, units)
        self.lifecycle.results_decided(request)
        refusal, more_changes, more = self._judge_request(request, document, body, found)
        return refusal, changes + more_changes, ordered + more

    def _judge_results(
        self, request: Request, document: Json, units: Sequence[texts.Unit]
    ) -> tuple[list[Change], list[Ordered]]:
        """`post_tool_execution` for every result: a denied one becomes a notice, so that the run can go on."""
        changes: list[Change] = []
        ordered: list[Ordered] = []
        if not (request.results and self.judge.tells(Point.POST_TOOL_EXECUTION)):
            return changes, ordered
        by_part = texts.by_part(units)
        for result in request.results:
            mine = [unit for index in result.parts for unit in by_part.get(index, ())]
            name, arguments = request.calls.get(result.call_id, (result.name, {}))
            shown = ToolResult(parts=parts_view([request.parts[i] for i in result.parts]), is_error=result.is_error)
            tool = Tool(
                call_id=result.call_id,
                name=name or result.name,
                arguments=dict(arguments),
                server=result.server,
                result=shown,
            )
            denied, edits = self.judge.decide_result(tool, mine, request.tools, quiet=not result.new)
            if denied is not None:
                changes += self.codec.deny_result(document, result, denied)
            ordered += edits
        return changes, ordered

    def _judge_request(
        self, request: Request, document: Json, body: bytes, found: Sequence[Found]
    ) -> tuple[Refusal | None, list[Change], list[Ordered]]:
        """`pre_llm_request`: the whole request, after its tool results were decided."""
        if not self.judge.tells(Point.PRE_LLM_REQUEST):
            return None, [], []
        shown = self.judge.runtime.watch is not None or self.policy.reads_events(Point.PRE_LLM_REQUEST)
        view = request_view(request) if shown else None
        decision, ordered = self.judge.decide(Point.PRE_LLM_REQUEST, fingerprint(body), found, request=view)
        if decision.verdict is Verdict.DENY:
            return self.refuse(decision.status or 400, notice(decision, "this request")), [], []
        try:
            # What no codec reads does not reach a model, as far as anybody knows: there is no place for context.
            texts_to_add = decision.inject if self.codec.is_model else ()
            changes = [change for text in texts_to_add for change in self.codec.inject(document, text)]
        except ValueError as error:
            return self.refuse(400, f"[midstream] The policy adds context to this request, but {error}"), [], []
        return None, changes, ordered

    # the whole response

    def on_answer(self, headers: Mapping[str, str]) -> None:
        """The answer begins with these headers, by lower-case name."""

    def on_event(self, data: bytes) -> Outcome:
        """Decide one event of a stream of documents that stand for themselves (`Codec.by_message`)."""
        return self.on_response(data)

    def on_response(self, body: bytes) -> Outcome:
        """Decide a whole response body, decoded of any content-encoding."""
        try:
            document = self.codec.of_answers.parse(body)
        except DecodeError as error:
            return self._undecodable(body, Point.POST_LLM_RESPONSE, error)
        response = self.codec.read_response(document)
        self._tally(response)
        outcome = self._decide_response(response, document, body)
        if outcome.refusal is not None:
            for call in response.calls:
                self.calls.cut(call, outcome.refusal.message)
        return outcome

    def _decide_response(self, response: Response, document: Json, body: bytes) -> Outcome:
        units = texts.units(response.parts)
        found = self.judge.scan(units, self.judge.response_classes(Point.POST_LLM_RESPONSE, Point.PRE_TOOL_EXECUTION))
        refusal, ordered = self._judge_response(response, found)
        if refusal:
            return Outcome(refusal=refusal)
        refusal, cuts, more = self._judge_calls(response, found)
        if refusal:
            return Outcome(refusal=refusal)
        refusal, of_results = self._judge_provided(response, units)
        if refusal:
            return Outcome(refusal=refusal)
        ordered += more + of_results + self.judge.restorations(found)
        changes = self.codec.cut_calls(document, response, cuts) if cuts else []
        syntax = self.codec.of_answers
        return self._spliced(body, response.parts, ordered, changes, response.when_edited, syntax=syntax)

    def _tally(self, response: Response) -> None:
        tally = self.judge.tally
        tally.usage, tally.stop_reason = response.usage, response.stop_reason
        tally.output_chars = sum(len(part.text) for part in response.parts)
        self.context.model = self.context.model or response.model
        for call in response.calls:
            self.calls.call(call, call.arguments)
        self._keep(response.keeps)
        self.calls.complete(response.stop_reason)

    def on_plain_event(self, name: str, text: str) -> None:
        """A stream event that is a text by design (`Codec.plain_events`)."""

    def note(self, reading: Reading) -> None:
        """What one event of a stream says of the answer as a whole."""
        tally = self.judge.tally
        for fragment in reading.fragments:
            tally.output_chars += len(fragment.text)
        if reading.usage is not None:
            tally.usage = reading.usage
        if reading.stop_reason is not None:
            tally.stop_reason = reading.stop_reason
        if self.context.model is None:
            self.context.model = reading.model
        for opened in reading.opens:
            self.calls.call(opened, opened.arguments or {})
        if reading.keeps:
            self._keep(reading.keeps)
        if reading.end:
            self.calls.complete(reading.stop_reason)

    def _keep(self, name: str | None) -> None:
        """Remember what a later request needs that goes on with this answer."""
        if name:
            self.kept_as = name
            self.calls.keep(name)
            context = self.context
            values = dict(self.judge.pseudonyms.values)
            kept = Kept(context.session, context.run, context.turn + 1, values, self.calls.made, self.calls.owed)
            self.judge.runtime.sessions.keep(context.agent.id, name, kept)

    def _judge_response(self, response: Response, found: Sequence[Found]) -> tuple[Refusal | None, list[Ordered]]:
        if not self.judge.tells(Point.POST_LLM_RESPONSE):
            return None, []
        wanted = self.policy.classes_at(Point.POST_LLM_RESPONSE)
        mine = [item for item in found if item.finding.cls in wanted]
        view = ResponseView(parts=parts_view(response.parts), stop_reason=response.stop_reason, usage=response.usage)
        decision, ordered = self.judge.decide(Point.POST_LLM_RESPONSE, self.context.run, mine, response=view)
        if decision.verdict is Verdict.DENY:
            return self.refuse(decision.status or 400, notice(decision, "the model's answer")), []
        return None, ordered

    def _judge_calls(
        self, response: Response, found: Sequence[Found]
    ) -> tuple[Refusal | None, dict[int, str], list[Ordered]]:
        """`pre_tool_execution` for every call: notices of the denied ones by their index, and edits of the others.

        A denied call that the provider has carried out already denies the whole answer.
        """
        wanted = self.policy.classes_at(Point.PRE_TOOL_EXECUTION)
        cuts: dict[int, str] = {}
        ordered: list[Ordered] = []
        by_part: dict[int, list[Found]] = {}
        for item in found:
            if item.finding.cls in wanted:
                by_part.setdefault(item.unit.part, []).append(item)
        for index, call in enumerate(response.calls):
            mine = [item for part in call.parts for item in by_part.get(part, ())]
            denied, edits = self.judge.decide_call(call.call_id, call.name, call.arguments, mine, server=call.server)
            if denied is not None and call.by_provider:
                return self.refuse(400, denied), {}, []
            if denied is not None:
                cuts[index] = denied
                self.calls.cut(call, denied)
            elif not call.by_provider:
                self.lifecycle.called(Tool(call_id=call.call_id, name=call.name, arguments=dict(call.arguments)))
            ordered += edits
        return None, cuts, ordered

    def _judge_provided(self, response: Response, units: Sequence[texts.Unit]) -> tuple[Refusal | None, list[Ordered]]:
        """`post_tool_execution` for results of tools that the provider ran itself. A denied one denies the answer."""
        ordered: list[Ordered] = []
        if not (response.results and self.judge.tells(Point.POST_TOOL_EXECUTION)):
            return None, ordered
        by_part = texts.by_part(units)
        calls = {call.call_id: call for call in response.calls}
        for result in response.results:
            mine = [unit for index in result.parts for unit in by_part.get(index, ())]
            shown = parts_view([response.parts[index] for index in result.parts])
            tool = provided(result, calls.get(result.call_id), ToolResult(parts=shown, is_error=result.is_error))
            denied, edits = self.judge.decide_result(tool, mine, self.request.tools if self.request else ())
            if denied is not None:
                return self.refuse(400, denied), []
            ordered += edits
        return None, ordered

    # shared

    def _undecodable(self, body: bytes, point: Point, error: DecodeError) -> Outcome:
        """A body that is no JSON: denied if the policy denies what is unrecognised, else scanned as one plain text.

        What another reader may read otherwise, a request or an answer, is denied in any case: it could hide anything.
        """
        up = point is Point.PRE_LLM_REQUEST
        if up or not is_prose(body):
            self.problems.append(f"{'request' if up else 'response'}: {error}")
        if self.policy.unrecognised == "deny" and not self._expects(body, up):
            return self._unread(f"the policy denies what it cannot read: {error}")
        text = body.decode("utf-8", "surrogateescape")
        units = [texts.Unit(0, text)]
        found = self._look(units, point)
        if self.context.format is not None and (up or self._looks_at_answers):
            if isinstance(error, AmbiguousError) or not is_utf8(body) or not (up or is_prose(body)):
                return self._unread(f"it can be read in more than one way: {error}")
            if len(self._look([texts.Unit(0, texts.unescaped(text))], point)) > len(found):
                return self._unread(f"escapes in it hide what the policy looks for: {error}")
        refusal, decided = self._judge_text(units, found, point, body)
        if refusal:
            return Outcome(refusal=refusal)
        edits = self.judge.edits(decided + self.judge.restorations(found))
        if not edits:
            return UNTOUCHED
        return Outcome(body=apply(text, edits[0][1]).encode("utf-8", "surrogateescape"))

    def _expects(self, body: bytes, up: bool) -> bool:
        """Whether a body that is no document is one that the format has all the same."""
        return False

    def _look(self, units: Sequence[texts.Unit], point: Point) -> list[Found]:
        """What is found in a body that is no document."""
        up = point is Point.PRE_LLM_REQUEST
        return self.judge.scan(units, self.policy.classes_at(point) if up else self.judge.response_classes(point))

    def _judge_text(
        self, units: Sequence[texts.Unit], found: Sequence[Found], point: Point, body: bytes
    ) -> tuple[Refusal | None, list[Ordered]]:
        """Decide a body that is no document, as one text."""
        if not self.judge.tells(point):
            return None, []
        decision, ordered = self.judge.decide(point, fingerprint(body), found)
        if decision.verdict is Verdict.DENY:
            return self.refuse(decision.status or 400, notice(decision, "this body")), []
        return None, ordered

    @property
    def _looks_at_answers(self) -> bool:
        points = (Point.POST_LLM_RESPONSE, Point.PRE_TOOL_EXECUTION)
        return any(self.policy.rules_at(point) for point in points) or bool(len(self.judge.pseudonyms))

    def _unread(self, why: str) -> Outcome:
        return Outcome(refusal=self.refuse(400, f"[midstream] This body is none of the format's, and {why}"))

    def _spliced(
        self,
        body: bytes,
        parts: Sequence[Part],
        ordered: Sequence[Ordered],
        changes: Sequence[Change],
        when_edited: Sequence[tuple[int, Change]] = (),
        *,
        syntax: Syntax | None = None,
    ) -> Outcome:
        """The body with everything spliced in. Edits inside a value that is replaced or removed go with it.

        `when_edited`: what follows from an edit of a part (repetitions by token, offsets into it).
        """
        edits = self.judge.edits(ordered)
        edited = {unit.part for unit, unit_edits in edits if unit_edits}
        following = dict.fromkeys(change for part, change in when_edited if part in edited)
        every = [*changes, *texts.changes(parts, edits), *following]
        syntax = syntax or self.codec.syntax
        return Outcome(body=syntax.splice(body, every)) if every else UNTOUCHED


def provided(result: ReadResult, call: ToolCall | None, shown: ToolResult) -> Tool:
    """A tool that the provider ran, as events show it."""
    return Tool(
        call_id=result.call_id,
        name=result.name or (call.name if call else ""),
        arguments=dict(call.arguments) if call else {},
        server=result.server or (call.server if call else None),
        result=shown,
    )


def is_prose(body: bytes) -> bool:
    """Whether an answer is text or HTML, which no reader takes for a document of the format."""
    return not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


def is_utf8(body: bytes) -> bool:
    """Whether every reader takes it for UTF-8: some guess UTF-16 and UTF-32 from zero bytes (RFC 4627 §3)."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body
