"""One request and its whole response: read, judged, spliced or refused. Streams are `guard`'s.

No mitmproxy and no sockets: `inspection` drives it. What must be awaited (budgets) is the caller's to call.
"""

from collections.abc import Sequence
from dataclasses import replace

from proxy import texts
from proxy.answers import Answers
from proxy.bodies import UNTOUCHED, Outcome, Refusal
from proxy.codecs import DecodeError, Json, Owed, Request
from proxy.codecs.codec import Codec
from proxy.codecs.splicing import Change
from proxy.context import Context, fingerprint, parts_view, request_view
from proxy.decision import Verdict
from proxy.events import Point, Tool, ToolResult
from proxy.judge import Found, Ordered, Runtime, notice


class Exchange(Answers):
    """One request and its response. Not shared between flows; `on_request` comes first, then response or guard."""

    def __init__(
        self, runtime: Runtime, codec: Codec, context: Context, *, asks_usage: bool = False, follows: str | None = None
    ) -> None:
        """`asks_usage`: have the provider count the tokens of its streams, and keep that count from the client.

        `follows`: what the request goes on with, where its address says so.
        """
        super().__init__(runtime, codec, context)
        self._asks_usage = asks_usage
        self._follows = follows
        self.hides_usage = False

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
