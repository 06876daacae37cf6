"""One request and its whole response: read, judged, spliced or refused. Streams are `guard`'s.

No mitmproxy and no sockets: `addon` serves traffic with it. What must be awaited (budgets) is the addon's to call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from proxy import texts
from proxy.codecs import AmbiguousError, Codec, DecodeError, Json, Part, Path, Request, Response, splicing, trees
from proxy.codecs.splicing import Change, Remove, Replace
from proxy.context import Context, fingerprint, parts_view, request_view
from proxy.decision import Verdict
from proxy.effects.redact import apply
from proxy.events import Point, Tool, ToolResult
from proxy.events import Response as ResponseView
from proxy.judge import INJECTION, Found, Judge, Ordered, Runtime, notice

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


UNTOUCHED: Final = Outcome()


class Exchange:
    """One request and its response. Not shared between flows; `on_request` comes first, then response or guard."""

    def __init__(self, runtime: Runtime, codec: Codec, context: Context, *, asks_usage: bool = False) -> None:
        """`asks_usage`: have the provider count the tokens of its streams, and keep that count from the client."""
        self._asks_usage = asks_usage
        self.hides_usage = False
        self.judge = Judge(runtime, context)
        self.policy = runtime.policy
        self.context = context
        self.codec = codec
        self.request: Request | None = None

    def refuse(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = STOP_RETRYING) -> Refusal:
        """A refusal in this exchange's provider's shape."""
        return Refusal(status, message, self.codec.refusal(status, message), headers)

    # the request

    def on_request(self, body: bytes) -> Outcome:
        """Decide a whole request body, decoded of any content-encoding."""
        try:
            document = trees.parse(body)
        except DecodeError as error:
            return self._undecodable(body, Point.PRE_LLM_REQUEST, error)
        request = self.request = self.codec.read_request(document)
        self.context.read(request)
        units = texts.units(request.parts)
        found = self.judge.scan(units, self.policy.classes_at(Point.PRE_LLM_REQUEST))
        changes, ordered = self._judge_results(request, units)
        refusal, more_changes, more = self._judge_request(request, document, body, found)
        if refusal:
            return Outcome(refusal=refusal)
        counting = self.codec.ask_usage(document) if self._asks_usage else []
        self.hides_usage = bool(counting)
        return self._spliced(body, request.parts, ordered + more, [*changes, *more_changes, *counting])

    def _judge_results(self, request: Request, units: Sequence[texts.Unit]) -> tuple[list[Change], list[Ordered]]:
        """`post_tool_execution` for every result: a denied one becomes a notice, so that the run can go on."""
        changes: list[Change] = []
        ordered: list[Ordered] = []
        if not (request.results and self.policy.rules_at(Point.POST_TOOL_EXECUTION)):
            return changes, ordered
        by_part: dict[int, list[texts.Unit]] = {}
        for unit in units:
            by_part.setdefault(unit.part, []).append(unit)
        classes = self.policy.classes_at(Point.POST_TOOL_EXECUTION)
        for result in request.results:
            mine = [unit for index in result.parts for unit in by_part.get(index, ())]
            found = self.judge.scan(mine, classes)
            if INJECTION in classes:
                found += self.judge.scan_tool_output(mine, request.tools)
            name, arguments = request.calls.get(result.call_id, (result.name, {}))
            shown = ToolResult(parts=parts_view([request.parts[i] for i in result.parts]), is_error=result.is_error)
            tool = Tool(call_id=result.call_id, name=name or result.name, arguments=dict(arguments), result=shown)
            decision, edits = self.judge.decide(
                Point.POST_TOOL_EXECUTION, result.call_id, found, quiet=not result.new, tool=tool
            )
            if decision.verdict is Verdict.DENY:
                text = notice(decision, f"the result of {tool.name}")
                changes.append(Replace(result.content, orjson.dumps(text)))
            else:
                ordered += edits
        return changes, ordered

    def _judge_request(
        self, request: Request, document: Json, body: bytes, found: Sequence[Found]
    ) -> tuple[Refusal | None, list[Change], list[Ordered]]:
        """`pre_llm_request`: the whole request, after its tool results were decided."""
        if not self.policy.rules_at(Point.PRE_LLM_REQUEST):
            return None, [], []
        view = request_view(request) if self.policy.reads_events(Point.PRE_LLM_REQUEST) else None
        decision, ordered = self.judge.decide(Point.PRE_LLM_REQUEST, fingerprint(body), found, request=view)
        if decision.verdict is Verdict.DENY:
            return self.refuse(decision.status or 400, notice(decision, "this request")), [], []
        try:
            # What no codec reads does not reach a model, as far as anybody knows: there is no place for context.
            texts_to_add = decision.inject if self.context.format is not None else ()
            changes = [change for text in texts_to_add for change in self.codec.inject(document, text)]
        except ValueError as error:
            return self.refuse(400, f"[midstream] The policy adds context to this request, but {error}"), [], []
        return None, changes, ordered

    # the whole response

    def on_response(self, body: bytes) -> Outcome:
        """Decide a whole response body, decoded of any content-encoding."""
        try:
            document = trees.parse(body)
        except DecodeError as error:
            return self._undecodable(body, Point.POST_LLM_RESPONSE, error)
        response = self.codec.read_response(document)
        self._tally(response)
        units = texts.units(response.parts)
        found = self.judge.scan(units, self.judge.response_classes(Point.POST_LLM_RESPONSE, Point.PRE_TOOL_EXECUTION))
        refusal, ordered = self._judge_response(response, found)
        if refusal:
            return Outcome(refusal=refusal)
        cuts, more = self._judge_calls(response, found)
        ordered += more + self.judge.restorations(found)
        changes = self.codec.cut_calls(document, response, cuts) if cuts else []
        return self._spliced(body, response.parts, ordered, changes, response.drop_on_edit)

    def _tally(self, response: Response) -> None:
        tally = self.judge.tally
        tally.usage, tally.stop_reason = response.usage, response.stop_reason
        tally.output_chars = sum(len(part.text) for part in response.parts)
        self.context.model = self.context.model or response.model

    def _judge_response(self, response: Response, found: Sequence[Found]) -> tuple[Refusal | None, list[Ordered]]:
        if not self.policy.rules_at(Point.POST_LLM_RESPONSE):
            return None, []
        wanted = self.policy.classes_at(Point.POST_LLM_RESPONSE)
        mine = [item for item in found if item.finding.cls in wanted]
        view = ResponseView(parts=parts_view(response.parts), stop_reason=response.stop_reason, usage=response.usage)
        decision, ordered = self.judge.decide(Point.POST_LLM_RESPONSE, self.context.run, mine, response=view)
        if decision.verdict is Verdict.DENY:
            return self.refuse(decision.status or 400, notice(decision, "the model's answer")), []
        return None, ordered

    def _judge_calls(self, response: Response, found: Sequence[Found]) -> tuple[dict[int, str], list[Ordered]]:
        """`pre_tool_execution` for every call: notices of the denied ones by their index, and edits of the others."""
        wanted = self.policy.classes_at(Point.PRE_TOOL_EXECUTION)
        cuts: dict[int, str] = {}
        ordered: list[Ordered] = []
        for index, call in enumerate(response.calls):
            mine = [item for item in found if item.unit.part in call.parts and item.finding.cls in wanted]
            denied, edits = self.judge.decide_call(call.call_id, call.name, call.arguments, mine)
            if denied is not None:
                cuts[index] = denied
            ordered += edits
        return cuts, ordered

    # shared

    def _undecodable(self, body: bytes, point: Point, error: DecodeError) -> Outcome:
        """A body that is no JSON: denied if the policy denies what is unrecognised, else scanned as one plain text.

        What another reader may read otherwise, a request or an answer, is denied in any case: it could hide anything.
        """
        if self.policy.unrecognised == "deny":
            return self._unread(f"the policy denies what it cannot read: {error}")
        text = body.decode("utf-8", "surrogateescape")
        up = point is Point.PRE_LLM_REQUEST
        classes = self.policy.classes_at(point) if up else self.judge.response_classes(point)
        found = self.judge.scan([texts.Unit(0, text)], classes)
        if self.context.format is not None and (up or self._looks_at_answers):
            if isinstance(error, AmbiguousError) or not _is_utf8(body) or not (up or _is_prose(body)):
                return self._unread(f"it can be read in more than one way: {error}")
            if len(self.judge.scan([texts.Unit(0, texts.unescaped(text))], classes)) > len(found):
                return self._unread(f"escapes in it hide what the policy looks for: {error}")
        decided: list[Ordered] = []
        if self.policy.rules_at(point):
            decision, decided = self.judge.decide(point, fingerprint(body), found)
            if decision.verdict is Verdict.DENY:
                return Outcome(refusal=self.refuse(decision.status or 400, notice(decision, "this body")))
        edits = self.judge.edits(decided + self.judge.restorations(found))
        if not edits:
            return UNTOUCHED
        return Outcome(body=apply(text, edits[0][1]).encode("utf-8", "surrogateescape"))

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
        copies: Sequence[tuple[int, Path]] = (),
    ) -> Outcome:
        """The body with everything spliced in. Edits inside a value that is replaced or removed go with it.

        `copies` are repetitions of a part's text (log-probabilities), removed where that part is edited.
        """
        edits = self.judge.edits(ordered)
        edited = {unit.part for unit, _ in edits}
        dropped = [Remove(path) for part, path in copies if part in edited]
        every = [*changes, *texts.changes(parts, edits), *dropped]
        return Outcome(body=splicing.splice(body, every)) if every else UNTOUCHED


def _is_prose(body: bytes) -> bool:
    """Whether an answer is text or HTML, which no reader takes for a document of the format."""
    return not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


def _is_utf8(body: bytes) -> bool:
    """Whether every reader takes it for UTF-8: some guess UTF-16 and UTF-32 from zero bytes (RFC 4627 §3)."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body
