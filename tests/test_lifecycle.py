"""Sessions, runs and turns: which points an exchange shows, in which order, and when a session has ended."""

import json
from typing import Any

import orjson
import pytest

from proxy.codecs import providers
from proxy.context import Context
from proxy.decision import Decision
from proxy.detectors.history import FindingCache
from proxy.events import Agent, Event, Flow
from proxy.exchange import Exchange
from proxy.judge import Runtime
from proxy.lifecycle import end_sessions, is_subagent
from proxy.sessions import MOST, Kept, Sessions
from tests.judging import KEY, detectors, policy
from tests.wire import Call, anthropic_stream


class Watched:
    """A conversation under one runtime, and the points it showed."""

    def __init__(self) -> None:
        self.told: list[tuple[Event, Decision]] = []
        cache = FindingCache(detectors(), KEY, 100)
        self.runtime = Runtime(
            policy("version: 1\n"), detectors(), cache, KEY, lambda *_: None, lambda *pair: self.told.append(pair)
        )

    def exchange(self, codec: str = "openai_chat", **headers: str) -> Exchange:
        flow = Flow(id="f", host="h", method="POST", path="/")
        context = Context(Agent(id="a"), flow, provider="p", format=codec, headers=headers)
        return Exchange(self.runtime, providers.codec(codec), context)

    def turn(self, messages: list[Any], answer: Any, status: int = 200, **more: Any) -> Exchange:
        one = self.exchange()
        one.on_request(orjson.dumps({"model": "m", "messages": messages, **more}))
        one.on_response(orjson.dumps(answer))
        one.lifecycle.ends(status, refused=False)
        return one

    def points(self) -> list[str]:
        said = [str(event.point) for event, _ in self.told]
        self.told.clear()
        return said


USER = {"role": "user", "content": "weather?"}
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLS = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "rain"}


def said(message: Any, reason: str = "stop") -> Any:
    return {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}


def test_a_tool_turn_shows_every_point_in_order() -> None:
    watched = Watched()
    watched.turn([USER], said(CALLS, "tool_calls"))
    assert watched.points() == [
        *("session_started", "run_started", "pre_llm_request", "post_llm_response", "pre_tool_execution")
    ]
    watched.turn([USER, CALLS, RESULT], said({"role": "assistant", "content": "Rain."}))
    assert watched.points() == [
        *("post_tool_execution", "turn_boundary", "pre_llm_request", "post_llm_response", "run_completed")
    ]
    watched.turn([USER, CALLS, RESULT, {"role": "assistant", "content": "Rain."}, USER], said({"content": "."}))
    assert watched.points()[:3] == ["run_started", "post_tool_execution", "pre_llm_request"]


@pytest.mark.parametrize("status", [None, 400, 500])
def test_what_breaks_off_or_fails_ends_the_run_as_failed(status: int | None) -> None:
    watched = Watched()
    one = watched.exchange()
    one.on_request(orjson.dumps({"messages": [USER]}))
    one.lifecycle.ends(status, refused=False)
    one.lifecycle.ends(200, refused=False)
    assert watched.points()[-1] == "run_failed"


def test_subagents_start_with_their_call_and_stop_with_its_result() -> None:
    watched = Watched()
    call = CALL | {"function": {"name": "Task", "arguments": '{"prompt":"look"}'}}
    calls = CALLS | {"tool_calls": [call]}
    watched.turn([USER], said(calls, "tool_calls"))
    assert watched.points()[-2:] == ["pre_tool_execution", "subagent_started"]
    watched.turn([USER, calls, RESULT], said({"content": "."}))
    assert watched.points()[1:3] == ["subagent_stopped", "turn_boundary"]
    assert is_subagent("spawn_agent")
    assert not is_subagent("tasks")


def test_a_stream_shows_the_same_points() -> None:
    from proxy.codecs.framings.sse import Sse
    from proxy.guard import Guard

    watched = Watched()
    one = watched.exchange("anthropic", **{"x-claude-code-session-id": "own"})
    one.on_request(orjson.dumps({"messages": [USER], "stream": True}))
    framing = Sse()
    guard = Guard(one, framing)
    guard.pump(framing.feed(anthropic_stream(["Hm."], [Call("weather", ["{}"])])))
    guard.end()
    one.lifecycle.ends(200, refused=False)
    assert {event.session["id"] for event, _ in watched.told} == {"own"}
    shown = {str(event.point): event for event, _ in watched.told}
    assert list(shown)[-2:] == ["pre_tool_execution", "post_llm_response"]
    view = shown["post_llm_response"].response
    assert view is not None
    assert [part.text for part in view.parts if part.kind == "text"] == ["Hm."]


def test_idle_sessions_end_once() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    flow = Flow(id="f", host="h", method="POST", path="/")
    assert sessions.note(Agent(id="a"), flow, "one", "r1") == (True, True)
    now[0] = 10
    assert sessions.note(Agent(id="a"), flow, "two", "r") == (True, True)
    assert sessions.note(Agent(id="a"), flow, "one", "r1") == (False, False)
    assert sessions.note(Agent(id="a"), flow, "one", "r2") == (False, True)
    now[0] = 11
    sessions.note(Agent(id="a"), flow, "one", "r2")
    now[0] = 20.5
    assert [name for name, _ in sessions.end_idle(10)] == ["two"]
    assert [name for name, _ in sessions.end_idle(0)] == ["one"]
    assert [name for name, _ in sessions.end_idle(0)] == []


def test_the_end_of_a_session_is_told() -> None:
    watched = Watched()
    watched.turn([USER], said({"content": "."}))
    watched.told.clear()
    end_sessions(watched.runtime, 0)
    ((event, _),) = watched.told
    assert (event.point, event.agent.id, bool(event.session["id"])) == ("session_ended", "a", True)


def test_what_is_remembered_is_bounded() -> None:
    sessions = Sessions()
    flow = Flow(id="f", host="h", method="POST", path="/")
    for number in range(MOST + 5):
        sessions.note(Agent(id="a"), flow, str(number), "r")
        sessions.keep("a", str(number), Kept("s", "r", 1))
    assert len(list(sessions.end_idle(0))) == MOST
    assert sessions.followed("a", "0") is None
    assert sessions.followed("a", str(MOST)) == Kept("s", "r", 1)
    assert sessions.followed("b", str(MOST)) is None, "another agent's"


def test_a_request_that_goes_on_with_a_kept_answer_belongs_to_its_session() -> None:
    watched = Watched()
    first = watched.exchange("openai_responses")
    first.on_request(orjson.dumps({"model": "m", "input": "weather?"}))
    first.on_response(orjson.dumps({"id": "resp_1", "output": [], "status": "completed"}))
    second = watched.exchange("openai_responses")
    output = {"type": "function_call_output", "call_id": "c", "output": "rain"}
    second.on_request(orjson.dumps({"model": "m", "previous_response_id": "resp_1", "input": [output]}))
    assert (second.context.session, second.context.run) == (first.context.session, first.context.run)
    assert second.context.turn == 1
    third = watched.exchange("openai_responses")
    third.on_request(orjson.dumps({"model": "m", "previous_response_id": "resp_1", "input": "and now?"}))
    assert third.context.session == first.context.session
    assert third.context.run != first.context.run


def test_pseudonyms_of_a_kept_conversation_are_restored() -> None:
    watched = Watched()
    rules = """
version: 1
rules: [{id: pii, at: pre_llm_request, find: [pii], verdict: modify, edit: pseudonymise}]
"""
    watched.runtime = Runtime(
        policy(rules), detectors(), watched.runtime.cache, KEY, lambda *_: None, sessions=watched.runtime.sessions
    )
    first = watched.exchange("openai_responses")
    outcome = first.on_request(orjson.dumps({"model": "m", "input": "mail jane.doe@example.com"}))
    assert outcome.body is not None
    placeholder = json.loads(outcome.body)["input"].split()[1]
    first.on_response(orjson.dumps({"id": "resp_1", "output": []}))
    second = watched.exchange("openai_responses")
    second.on_request(orjson.dumps({"model": "m", "previous_response_id": "resp_1", "input": "whom?"}))
    content = [{"type": "output_text", "text": f"To {placeholder}.", "annotations": []}]
    answer = {"id": "resp_2", "output": [{"type": "message", "role": "assistant", "content": content}]}
    down = second.on_response(orjson.dumps(answer)).body
    assert down is not None
    assert json.loads(down)["output"][0]["content"][0]["text"] == "To jane.doe@example.com."
