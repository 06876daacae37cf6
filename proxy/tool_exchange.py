"""One exchange with a tool server (MCP, A2A): its requests are tool calls, its answers and events are their results.

A denied call is answered here, in the shape the caller's model reads; a denied result becomes a notice in its place.
Exchanges with models are `exchange`'s.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urljoin, urlsplit

from proxy import texts
from proxy.codecs import Json, Request, Response, ToolCall
from proxy.codecs import ToolResult as ReadResult
from proxy.codecs.splicing import Change
from proxy.context import parts_view
from proxy.events import Point, Tool, ToolResult
from proxy.exchange import Exchange, Outcome, Refusal
from proxy.judge import Ordered

_BESIDE: Final = ToolCall("", "message", {}, (), (), beside=True)
"""Stands for texts of a message that belong to no call."""


class ToolExchange(Exchange):
    """One request to a tool server and everything that comes back."""

    server: str | None = None
    """The server's name, as policies see it: its own, else its host."""

    @property
    def _server(self) -> str:
        return self.server or self.context.flow.host

    def _decide_request(
        self, request: Request, document: Json, body: bytes
    ) -> tuple[Refusal | None, list[Change], list[Ordered]]:
        by_part = texts.by_part(texts.units(request.parts))
        notices: dict[int, str] = {}
        ordered: list[Ordered] = []
        for index, call in enumerate(request.makes):
            mine = [unit for part in call.parts for unit in by_part.pop(part, ())]
            self.judge.runtime.sessions.called(self.context.agent.id, self.context.flow.host, call)
            denied, edits = self._decide_call(call, mine)
            if denied is not None:
                notices[index] = denied
            ordered += edits
        beside = [unit for units in by_part.values() for unit in units]
        if beside:
            denied, edits = self._decide_call(_BESIDE, beside)
            if denied is not None:
                return self.refuse(400, denied), [], []
            ordered += edits
        if notices and self.codec.answer_calls is not None:
            answer = self.codec.answer_calls(document, request, notices)
            return Refusal(200, "; ".join(notices.values()), answer, ()), [], []
        return None, [], ordered

    def on_plain_event(self, name: str, text: str) -> None:
        """MCP's HTTP+SSE (2024-11-05) names the path that messages are to be posted to."""
        flow = self.context.flow
        where = urlsplit(urljoin(f"https://{flow.host}{flow.path}", text.strip()))
        self.judge.runtime.sessions.learn(flow.host, where.path)

    def _decide_call(self, call: ToolCall, units: Sequence[texts.Unit]) -> tuple[str | None, list[Ordered]]:
        found = self.judge.scan(units, self.policy.classes_at(Point.PRE_TOOL_EXECUTION))
        if call.beside and not found:
            return None, []
        return self.judge.decide_call(
            call.call_id, call.name, call.arguments, found, transport="mcp", server=self._server
        )

    def _decide_response(self, response: Response, document: Json, body: bytes) -> Outcome:
        by_part = texts.by_part(texts.units(response.parts))
        changes: list[Change] = []
        ordered: list[Ordered] = []
        results = list(response.results)
        told = {part for result in results for part in result.parts}
        beside = tuple(part for part in by_part if part not in told)
        if beside:
            results.append(ReadResult("", "message", (), beside))
        for result in results:
            mine = [unit for part in result.parts for unit in by_part.get(part, ())]
            denied, edits = self._decide_result(result, mine, response)
            if denied is not None and not result.content:
                return Outcome(refusal=self.refuse(400, denied))
            if denied is not None:
                changes += self.codec.deny_result(document, result, denied)
            found = self.judge.scan(mine, self.judge.response_classes())
            ordered += edits + self.judge.restorations(found)
        syntax = self.codec.of_answers
        return self._spliced(body, response.parts, ordered, changes, response.when_edited, syntax=syntax)

    def _decide_result(
        self, result: ReadResult, units: Sequence[texts.Unit], response: Response
    ) -> tuple[str | None, list[Ordered]]:
        if not self.judge.tells(Point.POST_TOOL_EXECUTION):
            return None, []
        call = self.judge.runtime.sessions.call(self.context.agent.id, self.context.flow.host, result.call_id)
        shown = ToolResult(parts=parts_view([response.parts[i] for i in result.parts]), is_error=result.is_error)
        tool = Tool(
            call_id=result.call_id,
            name=call.name if call else result.name,
            arguments=dict(call.arguments) if call else {},
            transport="mcp",
            server=self._server,
            result=shown,
        )
        return self.judge.decide_result(tool, units, ())
