"""Conditions: what is refused at load, what holds of an event, and what cannot be decided."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from proxy.conditions import ConditionError, activation, compile_condition, needs
from proxy.conditions.values import FIELDS, Need, UndecidableError, variables
from proxy.decision import Finding, PartFinding
from proxy.events import Agent, Event, EventPart, Flow, Point, Request, Response, Tool, ToolResult, Usage

DOTENV = "tool.arguments.exists(k, string(tool.arguments[k]).matches('(^|/)[.]env([.]|$)'))"


def event(point: Point = Point.PRE_TOOL_EXECUTION, **fields: Any) -> Event:
    """An event of the agent `builder`."""
    return Event(
        id="e",
        invocation_key="k",
        point=point,
        time=0.0,
        agent=Agent(id="builder", labels={"team": "core"}),
        session={"id": "s"},
        run={"id": "r"},
        turn=2,
        flow=Flow(id="f", host="api.example", method="POST", path="/v1"),
        **fields,
    )


def call(arguments: dict[str, Any], name: str = "Read") -> Event:
    return event(tool=Tool(call_id="c", name=name, arguments=arguments))


def holds(source: str, of: Event, *findings: PartFinding) -> bool:
    condition = compile_condition(source, [of.point])
    return condition.holds(activation(of, findings, condition.needs))


# at load


@pytest.mark.parametrize(
    ("source", "point", "message"),
    [
        ("tool.nam == 'x'", Point.PRE_TOOL_EXECUTION, "tool has no field 'nam'; did you mean 'name'?"),
        ("has(tool.nam)", Point.PRE_TOOL_EXECUTION, "tool has no field 'nam'; did you mean 'name'?"),
        (
            "tool.result.parts.exists(p, p.tex == '')",
            Point.POST_TOOL_EXECUTION,
            "event part has no field 'tex'; did you mean 'text'?",
        ),
        (
            "tool.result.is_error",
            Point.PRE_TOOL_EXECUTION,
            "a pre_tool_execution event has no 'tool.result'; post_tool_execution events have",
        ),
        (
            "request.tools.size() > 0",
            Point.PRE_TOOL_EXECUTION,
            "a pre_tool_execution event has no 'request'; pre_llm_request events have",
        ),
        (
            "tool.name == ''",
            Point.PRE_LLM_REQUEST,
            "a pre_llm_request event has no 'tool'; pre_tool_execution and post_tool_execution events have",
        ),
        ("modle == 'x'", Point.PRE_LLM_REQUEST, "unknown name 'modle'; did you mean 'model'?"),
        ("session.idd == 'x'", Point.PRE_LLM_REQUEST, "session has no field 'idd'; did you mean 'id'?"),
        (
            "findings.exists(f, f.cls == 'pii')",
            Point.PRE_LLM_REQUEST,
            "finding has no field 'cls'; did you mean 'class'?",
        ),
        (
            "agent.labels.team == 3",
            Point.PRE_LLM_REQUEST,
            "found no matching overload for '_==_' applied to '(string, int)'",
        ),
        ("tool.name.matches('(')", Point.PRE_TOOL_EXECUTION, "invalid regular expression: missing ): ("),
        ("matches(tool.name, r'a(')", Point.PRE_TOOL_EXECUTION, "invalid regular expression: missing ): a("),
    ],
)
def test_mistakes_are_errors_at_load(source: str, point: Point, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compile_condition(source, [point])
    assert str(caught.value) == f"condition: {message}"


@pytest.mark.parametrize(
    ("source", "kind"), [("turn", "int"), ("tool.arguments.x", "dyn; compare it, as in '… == true'")]
)
def test_a_condition_is_true_or_false(source: str, kind: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compile_condition(source, [Point.PRE_TOOL_EXECUTION])
    assert str(caught.value) == f"condition must be true or false, but its type is {kind}"


def test_the_line_of_a_mistake_is_told() -> None:
    with pytest.raises(ConditionError) as caught:
        compile_condition("turn > 1 &&\n\n  turn > 'x'", [Point.PRE_LLM_REQUEST])
    assert caught.value.line == 2


def test_a_condition_is_checked_at_every_point_of_its_rule() -> None:
    both = [Point.PRE_TOOL_EXECUTION, Point.POST_TOOL_EXECUTION]
    compile_condition("tool.name == 'x'", both)
    with pytest.raises(ConditionError):
        compile_condition("tool.result.is_error", both)


def test_the_fields_shown_are_those_of_the_events() -> None:
    models: dict[str, type[BaseModel]] = {"request": Request, "response": Response, "tool": Tool}
    assert {root: set(fields) for root, fields in FIELDS.items()} == {
        root: set(model.model_fields) for root, model in models.items()
    }


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (DOTENV, {Need("tool", "arguments")}),
        ("findings.size() > 0", {Need("findings", None)}),
        ("size(request . tools) > 0", {Need("request", "tools")}),
        ("(tool).name == model", {Need("tool", None), Need("model", None)}),
        ("r'\\' == tool.name", {Need("tool", "name")}),
    ],
)
def test_no_field_that_is_read_is_missed(source: str, wanted: set[Need]) -> None:
    assert needs(source) == wanted


def test_only_what_is_named_is_shown() -> None:
    shown = variables(call({"a": 1}), (), [Need("tool", "name"), Need("model", None)])
    assert shown == {"tool": {"name": "Read"}, "model": ""}


# of an event


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"path": "/app/.env"}, True),
        ({"path": ".env.local"}, True),
        ({"path": "environment"}, False),
        ({}, False),
        ({"n": None, "b": True, "f": 1.5, "big": 2**70}, False),
        ({"edits": [{"path": "src/.env"}]}, True),
        ({"deep": {"er": [[{"x": ".env"}]]}}, True),
        ({"/e/0": "taken", "e": [".env"]}, True),
        ({"a/b": {"c~d": ".env"}}, True),
        ({"path": "x\0/.env"}, True),
        ({"path": "\ud800/.env"}, True),
        ({"edits": [], "options": {}}, False),
    ],
)
def test_the_designs_dotenv_rule(arguments: dict[str, Any], expected: bool) -> None:
    assert holds(DOTENV, call(arguments)) is expected


@pytest.mark.parametrize("amount", [150, 150.5, "1e3"])
def test_the_designs_payment_rule(amount: object) -> None:
    assert holds("double(tool.arguments.amount) > 100.0", call({"amount": amount}))


@pytest.mark.parametrize("source", ["tool.arguments.x == 1", "tool.arguments.l[5] == 1", "agent.labels.nobody == ''"])
def test_what_is_not_there_makes_a_condition_false(source: str) -> None:
    assert not holds(source, call({"l": [1]}))
    assert holds(f"!has(tool.arguments.x) || {source}", call({"l": [1]}))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("double(tool.arguments.x) > 1.0", "cannot convert string to double"),
        ("tool.arguments.x > 1", "No matching overloads found"),
        ("tool.arguments.x.y == 1", "Applying SELECT to non-message type"),
        ("'a'.matches(tool.arguments.r)", "invalid regular expression"),
        ("1 / int(tool.arguments.zero) == 1", "divide by zero"),
    ],
)
def test_what_cannot_be_decided_says_so_without_content(source: str, reason: str) -> None:
    with pytest.raises(UndecidableError) as caught:
        holds(source, call({"x": "hunter2", "r": "(hunter2", "zero": 0}))
    assert str(caught.value) == reason


def test_an_event_without_its_object_cannot_be_decided() -> None:
    with pytest.raises(UndecidableError, match="the event has no tool"):
        holds("tool.name == 'x'", event())


@pytest.mark.parametrize(
    "source",
    [
        "agent.id == 'builder' && agent.labels.team == 'core' && session.id == 's' && run.id == 'r' && turn == 2",
        "flow.host == 'api.example' && flow.method == 'POST' && flow.path.startsWith('/v1') && flow.id == 'f'",
        "provider == '' && format == '' && model == '' && point == 'post_tool_execution'",
        "tool.name == 'Fetch' && tool.server == 'web' && tool.transport == 'model' && tool.call_id == 'c'",
        "tool.result.is_error && tool.result.parts.exists(p, p.text == 'text' && p.role == 'tool')",
        "findings.exists(f, f.class == 'pii' && f.kind == 'email' && f.score > 0.5 && f.end - f.start == 4)",
        'string(tool.arguments) == \'{"/a/0":1,"/a/1":null,"a":[1,null]}\'',
        "string(null) == 'null' && string(1.5) == '1.5' && string(true) == 'true' && tool.name.lowerAscii() == 'fetch'",
    ],
)
def test_every_field_can_be_read(source: str) -> None:
    result = ToolResult(parts=(EventPart(role="tool", kind="tool_result", text="text"),), is_error=True)
    tool = Tool(call_id="c", name="Fetch", server="web", arguments={"a": [1, None]}, result=result)
    found = PartFinding(0, Finding("pii", "email", "email", 0, 4))
    assert holds(source, event(Point.POST_TOOL_EXECUTION, tool=tool), found)


def test_requests_and_responses_can_be_read() -> None:
    part = EventPart(role="user", kind="text", text="hello")
    request = Request(messages=(part,), new_parts=(part,), tools=("Bash",), params={"max_output": None})
    of = event(Point.PRE_LLM_REQUEST, request=request)
    assert holds("request.messages[0].text == 'hello' && 'Bash' in request.tools && request.system.size() == 0", of)
    assert holds("request.params.max_output == null && request.new_parts.all(p, p.kind == 'text')", of)
    of = event(Point.POST_LLM_RESPONSE, response=Response(parts=(part,)))
    assert holds("response.stop_reason == '' && response.usage.output == 0 && response.parts.size() == 1", of)
    of = event(Point.POST_LLM_RESPONSE, response=Response(stop_reason="stop", usage=Usage(output=7)))
    assert holds("response.stop_reason == 'stop' && response.usage.output == 7", of)


def test_deep_arguments_are_walked() -> None:
    deep: Any = ".env"
    for _ in range(199):
        deep = [deep]
    assert holds(DOTENV, call({"a": deep}))
    assert holds("string(tool.arguments.a).contains('.env')", call({"a": deep}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters()), JSON, max_size=4))
def test_no_arguments_break_a_condition(arguments: dict[str, Any]) -> None:
    """Every scalar, however deep, is seen; nothing raises what the engine does not expect."""
    seen: list[Any] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict | list):
            for member in value.values() if isinstance(value, dict) else value:
                walk(member)
        else:
            seen.append(value)

    walk(arguments)
    texts = [text for text in seen if isinstance(text, str) and "X" in text]
    assert holds("tool.arguments.exists(k, string(tool.arguments[k]).contains('X'))", call(arguments)) is bool(
        texts or any("X" in json.dumps(value) for value in arguments.values() if isinstance(value, dict | list))
    )
