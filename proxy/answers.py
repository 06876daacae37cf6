"""The answer of one exchange, as a whole body: read, judged, spliced or refused. Streams are `guard`'s.

What both have in common (the bookkeeping of what an answer says) is here too. Requests are `exchange`'s.
"""

from collections.abc import Mapping, Sequence

from proxy import texts
from proxy.bodies import Bodies, Outcome, Refusal
from proxy.codecs import DecodeError, Json, Reading, Request, Response, ToolCall
from proxy.codecs import ToolResult as ReadResult
from proxy.codecs.codec import Codec
from proxy.context import Context, parts_view
from proxy.decision import Verdict
from proxy.events import Point, Tool, ToolResult
from proxy.events import Response as ResponseView
from proxy.judge import Found, Ordered, Runtime, notice
from proxy.kept_calls import KeptCalls
from proxy.lifecycle import Lifecycle
from proxy.sessions import Kept


class Answers(Bodies):
    """What comes back."""

    def __init__(self, runtime: Runtime, codec: Codec, context: Context) -> None:
        super().__init__(runtime, codec, context)
        self.calls = KeptCalls()
        self.kept_as: str | None = None
        """The name under which the provider keeps the answer."""
        self.lifecycle = Lifecycle(self.judge)
        self.request: Request | None = None
        self.changed = False
        """Something of a stream left otherwise than it came."""

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


def provided(result: ReadResult, call: ToolCall | None, shown: ToolResult) -> Tool:
    """A tool that the provider ran, as events show it."""
    return Tool(
        call_id=result.call_id,
        name=result.name or (call.name if call else ""),
        arguments=dict(call.arguments) if call else {},
        server=result.server or (call.server if call else None),
        result=shown,
    )
