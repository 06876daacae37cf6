"""What a policy's test file may say, and the events its cases stand for. Nothing runs here."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from proxy.decision import Verdict
from proxy.events import Agent, Event, EventPart, Flow, Point, Request, Response, Tool, ToolResult, Usage
from proxy.policy.words import PointName


def _joined(value: object) -> object:
    return "".join(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


def _all_joined(value: Any) -> Any:
    """Arguments with every list of texts named `join` joined: `{join: [a, b]}` is the text `ab`."""
    if isinstance(value, dict):
        if set(value) == {"join"}:
            return _joined(value["join"])
        return {name: _all_joined(member) for name, member in value.items()}
    return [_all_joined(item) for item in value] if isinstance(value, list) else value


def _only(key: str) -> BeforeValidator:
    """A bare text (or list of texts) where a mapping with that `key` is meant."""
    return BeforeValidator(lambda value: value if isinstance(value, dict) else {key: value})


Text = Annotated[str, BeforeValidator(_joined)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CasePart(_Model):
    """A text of a message."""

    text: Text
    role: str = ""
    kind: str = ""


Part = Annotated[CasePart, _only("text")]


class CaseRequest(_Model):
    """A model request."""

    system: tuple[Part, ...] = ()
    messages: tuple[Part, ...] = ()
    tools: tuple[str, ...] = ()
    params: dict[str, Any] = Field(default_factory=dict)


class CaseResponse(_Model):
    """A model response."""

    parts: tuple[Part, ...] = ()
    stop_reason: str | None = None
    usage: Usage | None = None


class CaseResult(_Model):
    """A tool's result."""

    text: Text
    is_error: bool = False


class CaseTool(_Model):
    """A tool call, or its result."""

    name: str
    arguments: Annotated[dict[str, Any], BeforeValidator(_all_joined)] = Field(default_factory=dict)
    server: str | None = None
    call_id: str = "call"
    result: Annotated[CaseResult, _only("text")] | None = None


class Expected(_Model):
    """What must be decided. What is left out may be anything; `rule: ""` means that no rule fires."""

    verdict: Verdict
    rule: str | None = None
    reason: str | None = None
    status: int | None = None
    edits: tuple[str, ...] | None = None
    """`EDIT CLASS/KIND` for each edit, in any order."""
    inject: tuple[str, ...] | None = None


class Case(_Model):
    """One example."""

    name: str
    point: PointName
    agent: Annotated[Agent, _only("id")] = Agent(id="agent")
    provider: str | None = None
    model: str | None = None
    turn: int = 0
    offered: tuple[str, ...] = ()
    """Tools that the request of a tool result offers: a result that names one is more suspicious."""
    request: CaseRequest | None = None
    response: CaseResponse | None = None
    tool: CaseTool | None = None
    expect: Annotated[Expected, _only("verdict")]


# events


def event(case: Case) -> Event:
    """The event of a case, with what its point carries."""
    return Event(
        id="test",
        invocation_key="test",
        point=case.point,
        time=0.0,
        agent=case.agent,
        session={"id": "test"},
        run={"id": "test"},
        turn=case.turn,
        flow=Flow(id="test", host="provider.example", method="POST", path="/"),
        provider=case.provider,
        model=case.model,
        request=_request(case.request) if case.point is Point.PRE_LLM_REQUEST else None,
        response=_response(case.response) if case.point is Point.POST_LLM_RESPONSE else None,
        tool=_tool(case.tool) if case.tool else None,
    )


def _request(request: CaseRequest | None) -> Request:
    if request is None:
        return Request()
    messages = _parts(request.messages, "user", "text")
    return Request(
        system=_parts(request.system, "system", "text"),
        messages=messages,
        new_parts=messages,
        tools=request.tools,
        params=request.params,
    )


def _response(response: CaseResponse | None) -> Response:
    if response is None:
        return Response()
    parts = _parts(response.parts, "assistant", "text")
    return Response(parts=parts, stop_reason=response.stop_reason, usage=response.usage)


def _tool(tool: CaseTool) -> Tool:
    result = None
    if tool.result:
        parts = _parts((CasePart(text=tool.result.text),), "tool", "tool_result")
        result = ToolResult(parts=parts, is_error=tool.result.is_error)
    return Tool(call_id=tool.call_id, name=tool.name, arguments=tool.arguments, server=tool.server, result=result)


def _parts(parts: Sequence[CasePart], role: str, kind: str) -> tuple[EventPart, ...]:
    given = ({"text": part.text, "role": part.role or role, "kind": part.kind or kind} for part in parts)
    return tuple(EventPart.model_validate(part) for part in given)
