"""One exchange with a tool server (MCP, A2A): its requests are tool calls, its answers and events are their results.

A denied call is answered here, in the shape the caller's model reads, or where its answer comes on another connection
(MCP's HTTP+SSE) when that arrives; a denied result becomes a notice in its place. `sampling/createMessage` is a result
like any other: no model is asked by it, and `pre_llm_request` fires for the request that the client makes of it.
Exchanges with models are `exchange`'s, whom this one is with is `tool_peer`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from proxy import texts
from proxy.bodies import UNTOUCHED, Outcome, Refusal, is_prose, is_utf8
from proxy.codecs import DecodeError, Json, Owed, Part, Request, Response, ToolCall, Transport, providers
from proxy.codecs import ToolResult as ReadResult
from proxy.codecs.codec import Codec
from proxy.codecs.providers import Route
from proxy.codecs.splicing import Change
from proxy.context import Context, fingerprint, parts_view
from proxy.effects.redact import apply
from proxy.events import Point, Tool, ToolResult
from proxy.exchange import Exchange
from proxy.judge import INJECTION, Found, Ordered, Runtime
from proxy.tool_peer import Peer
from proxy.tool_servers import Called

_BESIDE: Final = ToolCall("", "message", {}, (), (), beside=True)
"""Stands for texts that belong to no call."""

_UNKNOWN: Final = "[midstream] Withheld: the policy asks for the tool, and no call is known that this result answers."
_UNREAD: Final = "[midstream] The policy denies requests that no codec can read."


class ToolExchange(Exchange):
    """One request to a tool server and everything that comes back."""

    def __init__(
        self, runtime: Runtime, codec: Codec, context: Context, *, query: str = "", guess: Route | None = None
    ) -> None:
        """`query`: of the request's URL. `guess`: only what the request accepts says that it goes to such a server."""
        super().__init__(runtime, codec, context)
        self._peer = Peer(runtime.sessions.tool_servers, codec.protocol, context, query)
        self._guess = guess
        self._withheld: dict[str, str] = {}
        """Ids of calls that go up as nothing, and the notice of each."""

    @property
    def _transport(self) -> Transport:
        return "mcp" if self.codec.protocol else "http"

    @property
    def _is_for_tools(self) -> bool:
        """Whether it is with a tool server: not where a guess was wrong."""
        return self.codec.answer_calls is not None

    def on_answer(self, headers: Mapping[str, str]) -> None:
        """The answer begins: it may say which session it belongs to."""
        self._peer.begins(headers)

    def on_plain_event(self, name: str, text: str) -> None:
        """MCP's HTTP+SSE (2024-11-05) names the address that messages are to be posted to."""
        self._peer.asks_at(text)

    def _placed(self, request: Request) -> tuple[Request, Sequence[Owed]]:
        placed = super()._placed(request)
        if self._is_for_tools:
            self.context.session = self.context.run = fingerprint(*self._peer.conversation)
        return placed

    # the request

    def on_empty(self) -> Outcome:
        """A guess that no body confirms."""
        denied = self._guess is not None and self.policy.unrecognised == "deny"
        return Outcome(refusal=self.refuse(403, _UNREAD)) if denied else UNTOUCHED

    def on_request(self, body: bytes) -> Outcome:
        """Decide a whole request body, and the headers that repeat it."""
        outcome = super().on_request(body)
        if outcome.refusal is not None or not self._is_for_tools:
            return outcome
        if self.request is not None:
            self._peer.sends(self.request, len(body), dict(self.judge.pseudonyms.values), self._withheld)
        return self._with_headers(body, outcome)

    def _recognise(self, document: Json) -> Refusal | None:
        """Messages must be of the protocol that headers claim or suggest; what is none is what no codec reads."""
        if self._guess is not None:
            self._settle(providers.confirmed(self._guess, document))
        protocol = self.codec.protocol
        unread = not self._is_for_tools or (protocol is not None and not protocol.is_message(document))
        return self.refuse(403, _UNREAD) if unread and self.policy.unrecognised == "deny" else None

    def _settle(self, route: Route | None) -> None:
        """The body says what it is: of a guessed protocol, or of none."""
        host_of = self._guess.host_of if self._guess else None
        self._guess = None
        self.codec = providers.codec(route.codec if route else None)
        self._peer.protocol = self.codec.protocol
        self.context.format = route.codec if route else None
        self.context.provider = route.provider if route else host_of

    def _decide_request(
        self, request: Request, document: Json, body: bytes
    ) -> tuple[Refusal | None, list[Change], list[Ordered]]:
        if not self._is_for_tools:
            return super()._decide_request(request, document, body)
        by_part = texts.by_part(texts.units(request.parts))
        notices: dict[int, str] = {}
        ordered: list[Ordered] = []
        for index, call in enumerate(request.makes):
            mine = [unit for part in call.parts for unit in by_part.pop(part, ())]
            denied, edits = self._decide_call(call, mine)
            if denied is not None:
                notices[index] = denied
            ordered += edits
        beside = [unit for units in by_part.values() for unit in units]
        denied, edits = self._decide_call(_BESIDE, beside)
        if denied is not None:
            return self.refuse(400, denied), [], []
        refusal, changes = self._deny(request, document, notices) if notices else (None, [])
        return refusal, changes, ordered + edits

    def _decide_call(self, call: ToolCall, units: Sequence[texts.Unit]) -> tuple[str | None, list[Ordered]]:
        found = self.judge.scan(units, self.policy.classes_at(Point.PRE_TOOL_EXECUTION))
        if call.beside and not found:
            return None, []
        return self.judge.decide_call(
            call.call_id, call.name, call.arguments, found, transport=self._transport, server=self._peer.name
        )

    def _deny(
        self, request: Request, document: Json, notices: Mapping[int, str]
    ) -> tuple[Refusal | None, list[Change]]:
        """Answer denied calls at once; or take them out, where an answer comes elsewhere or nobody waits for one."""
        assert self.codec.answer_calls is not None
        withholding = self.codec.protocol.withholding if self.codec.protocol else None
        if withholding is not None:
            waiting = [index for index in notices if withholding.waits(document, request.makes[index])]
            if not waiting or self._peer.answers_elsewhere:
                self._withheld = {request.makes[index].call_id: notices[index] for index in waiting}
                return None, withholding.withhold(document, request, notices)
        answer = self.codec.answer_calls(document, request, notices)
        return Refusal(200, "; ".join(notices.values()), answer, ()), []

    def _with_headers(self, body: bytes, outcome: Outcome) -> Outcome:
        """Headers that repeat the body follow its edits; what stands only in them is decided by itself."""
        mirrors = self.codec.protocol.mirrors if self.codec.protocol else None
        said = mirrors.said(self.context.headers) if mirrors else {}
        if mirrors is None or not said:
            return outcome
        told: dict[str, str | None] = {}
        if outcome.body is not None and self.request is not None:
            parse = self.codec.syntax.parse
            told.update(mirrors.mirrored(self.context.headers, parse(body), parse(outcome.body)))
        names = [name for name in said if name not in told]
        denied, ordered = self._decide_call(_BESIDE, [texts.Unit(at, said[name]) for at, name in enumerate(names)])
        if denied is not None:
            return Outcome(refusal=self.refuse(400, denied))
        for unit, edits in self.judge.edits(ordered):
            told[names[unit.part]] = mirrors.encoded(apply(unit.text, edits))
        return replace(outcome, headers=told) if told else outcome

    # what comes back

    def on_response(self, body: bytes) -> Outcome:
        """Decide a whole answer: the calls that it answers are over."""
        outcome = super().on_response(body)
        self._peer.ends()
        return outcome

    def on_event(self, data: bytes) -> Outcome:
        """Decide one message of a stream. A client may have a stream told again (`Last-Event-ID`): calls stay known."""
        return super().on_response(data)

    def _decide_response(self, response: Response, document: Json, body: bytes) -> Outcome:
        if not self._is_for_tools:
            return super()._decide_response(response, document, body)
        self._peer.learn(document)
        by_part = texts.by_part(texts.units(response.parts))
        changes: list[Change] = []
        ordered: list[Ordered] = []
        for result in _results(response, by_part):
            call = self._call_of(result)
            if call is not None and call.notice is not None:
                changes += self._tell(document, result, call)
                continue
            mine = [unit for part in result.parts for unit in by_part.get(part, ())]
            denied, edits = self._decide_result(result, call, mine, response)
            if denied is not None and not result.content:
                return Outcome(refusal=self.refuse(400, denied))
            if denied is not None:
                changes += self.codec.deny_result(document, result, denied)
            found = self.judge.scan(mine, self.judge.response_classes())
            ordered += edits + self.judge.restorations(found)
        syntax = self.codec.of_answers
        return self._spliced(body, response.parts, ordered, changes, response.when_edited, syntax=syntax)

    def _call_of(self, result: ReadResult) -> Called | None:
        """The call that a result answers; a request of the server's own answers none."""
        call = self._peer.call(result.call_id, result.name)
        if call is not None and call.values:
            self.judge.pseudonyms.adopt(call.values)
        return call

    def _tell(self, document: Json, result: ReadResult, call: Called) -> list[Change]:
        """The server answered what it was sent instead of a denied call: the answer becomes the notice."""
        withholding = self.codec.protocol.withholding if self.codec.protocol else None
        assert withholding is not None
        return withholding.told(document, result, call.notice or "", not call.beside)

    def _decide_result(
        self, result: ReadResult, call: Called | None, units: Sequence[texts.Unit], response: Response
    ) -> tuple[str | None, list[Ordered]]:
        if not self.judge.tells(Point.POST_TOOL_EXECUTION):
            return None, []
        shown = ToolResult(parts=parts_view([response.parts[i] for i in result.parts]), is_error=result.is_error)
        if call is None and self._must_know(result):
            self.judge.tally.denials["midstream"] += 1
            return _UNKNOWN, []
        tool = Tool(
            call_id=result.call_id,
            name=call.name if call else result.name,
            arguments=dict(call.arguments) if call else {},
            transport=self._transport,
            server=self._peer.name,
            result=shown,
        )
        return self.judge.decide_result(tool, units, ())

    def _must_know(self, result: ReadResult) -> bool:
        """Whether rules ask for the tool that an answer is of, and nobody can tell.

        On HTTP+SSE, where no answer comes any other way: its call was posted to another spelling of the address.
        """
        point = Point.POST_TOOL_EXECUTION
        named = any(rule.selectors is not None and rule.selectors.tools for rule in self.policy.rules_at(point))
        is_answer = bool(result.call_id) and not result.name
        return is_answer and self._peer.is_posted_to and (named or self.policy.reads_events(point))

    # bodies that are no documents

    def _undecodable(self, body: bytes, point: Point, error: DecodeError) -> Outcome:
        """Servers are lenient (`NaN`): a call that only they can read must not get past the rules about calls."""
        up = point is Point.PRE_LLM_REQUEST
        if up and self._is_for_tools and not is_prose(body) and self.policy.rules_at(Point.PRE_TOOL_EXECUTION):
            self.problems.append(f"request: {error}")
            return self._unread(f"it can be read in more than one way: {error}")
        return super()._undecodable(body, point, error)

    def _expects(self, body: bytes, up: bool) -> bool:
        """Servers answer with a line of text where no message is due (202 `Accepted`) or possible (404)."""
        return not up and is_prose(body) and is_utf8(body)

    def _look(self, units: Sequence[texts.Unit], point: Point) -> list[Found]:
        if not self._is_for_tools:
            return super()._look(units, point)
        if point is Point.PRE_LLM_REQUEST:
            return self.judge.scan(units, self.policy.classes_at(Point.PRE_TOOL_EXECUTION))
        found = self.judge.scan(units, self.judge.response_classes(Point.POST_TOOL_EXECUTION))
        if INJECTION in self.policy.classes_at(Point.POST_TOOL_EXECUTION):
            found += self.judge.scan_tool_output(units, ())
        return found

    def _judge_text(
        self, units: Sequence[texts.Unit], found: Sequence[Found], point: Point, body: bytes
    ) -> tuple[Refusal | None, list[Ordered]]:
        if not self._is_for_tools:
            return super()._judge_text(units, found, point, body)
        if point is Point.PRE_LLM_REQUEST:
            denied, ordered = self._decide_call(_BESIDE, units)
        else:
            said = Response(model=None, parts=[Part((), units[0].text, "tool", "tool_result")])
            denied, ordered = self._decide_result(ReadResult("", "message", (), (0,)), None, units, said)
        return (None if denied is None else self.refuse(400, denied)), ordered

    @property
    def _looks_at_answers(self) -> bool:
        if not self._is_for_tools:
            return super()._looks_at_answers
        return bool(self.policy.rules_at(Point.POST_TOOL_EXECUTION)) or bool(len(self.judge.pseudonyms))


def _results(response: Response, by_part: Mapping[int, object]) -> Iterator[ReadResult]:
    """The results of an answer, and as one more what belongs to none."""
    yield from response.results
    told = {part for result in response.results for part in result.parts}
    beside = tuple(part for part in by_part if part not in told)
    if beside:
        yield ReadResult("", "message", (), beside)
