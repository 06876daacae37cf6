"""When a session, a run and a turn begin and end, as far as requests and answers show it (design contract, events).

What an exchange shows is turned into points here; the events are made and decided by `judge`. No bytes, no formats.
"""

from typing import Final

from proxy.codecs import Request
from proxy.context import Context
from proxy.events import Point, Tool
from proxy.judge import Judge, Runtime
from proxy.sessions import IDLE_SECONDS

SUBAGENTS: Final = frozenset(
    {"task", "agent", "spawn_agent", "delegate_to_agent", "dispatch_agent", "codebase_investigator"}
)
"""Tools that start another agent: Claude Code and opencode (Task, Agent), Codex, Gemini CLI."""


class Lifecycle:
    """The points of one exchange. Nothing is made of it where nobody listens."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._calls = 0
        self._asked = False
        self._ended = False

    def begins(self, request: Request) -> None:
        """A model request was read: it may begin a session or a run, or sum one up."""
        context = self._judge.context
        self._asked = True
        session, run = self._judge.runtime.sessions.note(context.agent, context.flow, context.session, context.run)
        if session:
            self._tell(Point.SESSION_STARTED, context.session)
        if run:
            self._tell(Point.RUN_STARTED, context.run)
        if request.compacts:
            self._tell(Point.PRE_COMPACT, context.run)

    def results_decided(self, request: Request) -> None:
        """All tool results of a request were decided."""
        fresh = [result for result in request.results if result.new]
        if not fresh:
            return
        for result in fresh:
            name, arguments = request.calls.get(result.call_id, (result.name, {}))
            if is_subagent(name):
                tool = Tool(call_id=result.call_id, name=name, arguments=dict(arguments))
                self._tell(Point.SUBAGENT_STOPPED, result.call_id, tool=tool)
        self._tell(Point.TURN_BOUNDARY, f"{self._judge.context.run}/{self._judge.context.turn}")

    def called(self, tool: Tool) -> None:
        """The model calls a tool, and the client will carry it out."""
        self._calls += 1
        if is_subagent(tool.name):
            self._tell(Point.SUBAGENT_STARTED, tool.call_id, tool=tool)

    def ends(self, status: int | None, *, refused: bool) -> None:
        """The exchange is over; `status` is None where it broke off. Only the first call counts."""
        if self._ended or not self._asked:
            return
        self._ended = True
        run = self._judge.context.run
        if refused or status is None or status >= 400:
            self._tell(Point.RUN_FAILED, run)
        elif not self._calls and self._judge.tally.stop_reason not in _GOES_ON:
            self._tell(Point.RUN_COMPLETED, run)

    def _tell(self, point: Point, intent: str, tool: Tool | None = None) -> None:
        if self._judge.tells(point):
            self._judge.decide(point, intent, (), tool=tool)


_GOES_ON: Final = frozenset({"pause_turn", "tool_use", "tool_calls", "function_call", "TOOL_CALL", "requires_action"})
"""Stop reasons after which the same run asks again."""


def is_subagent(name: str) -> bool:
    """Whether a tool of this name starts another agent."""
    return name.lower() in SUBAGENTS


def end_sessions(runtime: Runtime, longer_than: float = IDLE_SECONDS) -> None:
    """Tell that the sessions that were silent for so many seconds have ended."""
    for session, seen in runtime.sessions.end_idle(longer_than):
        judge = Judge(runtime, Context(seen.agent, seen.flow, session=session, run=seen.run))
        if judge.tells(Point.SESSION_ENDED):
            judge.decide(Point.SESSION_ENDED, session, ())
