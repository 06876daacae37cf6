"""Normalised events: one frozen JSON shape for policies, audit, hooks, replay and tests (design contract, version 1).

Only data lives here. Codecs know the providers' fields, `exchange` and `guard` build events, `engine` decides on them.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Point(StrEnum):
    """Lifecycle points at which a policy may act."""

    SESSION_STARTED = "session_started"
    SESSION_ENDED = "session_ended"
    RUN_STARTED = "run_started"
    PRE_LLM_REQUEST = "pre_llm_request"
    POST_LLM_RESPONSE = "post_llm_response"
    PRE_TOOL_EXECUTION = "pre_tool_execution"
    POST_TOOL_EXECUTION = "post_tool_execution"
    TURN_BOUNDARY = "turn_boundary"
    RUN_COMPLETED = "run_completed"
    RUN_FAILED = "run_failed"
    PRE_COMPACT = "pre_compact"
    SUBAGENT_STARTED = "subagent_started"
    SUBAGENT_STOPPED = "subagent_stopped"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agent(_Frozen):
    """Who speaks. `id` is a configured agent's id, or the client address where no identity is required."""

    id: str
    labels: dict[str, str] = Field(default_factory=dict)


class Flow(_Frozen):
    """Where the bytes travel."""

    id: str
    host: str
    method: str
    path: str


class EventPart(_Frozen):
    """One text of a message, decoded."""

    role: str
    kind: Literal["text", "tool_call", "tool_result", "reasoning", "media", "tool_definition"]
    text: str


class Request(_Frozen):
    """A model request. `new_parts` are those after the last assistant turn; `tools` the offered tools' names."""

    system: tuple[EventPart, ...] = ()
    messages: tuple[EventPart, ...] = ()
    tools: tuple[str, ...] = ()
    new_parts: tuple[EventPart, ...] = ()
    params: dict[str, Any] = Field(default_factory=dict)


class Usage(_Frozen):
    """Tokens a provider reported. `input` counts everything that went in, the cached part included."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


class Response(_Frozen):
    """A model response, complete or (on a stream) as far as it was decided."""

    parts: tuple[EventPart, ...] = ()
    stop_reason: str | None = None
    usage: Usage | None = None


class ToolResult(_Frozen):
    """What a tool gave back."""

    parts: tuple[EventPart, ...] = ()
    is_error: bool = False


class Tool(_Frozen):
    """One tool call. `arguments` is the decoded JSON object, or {"input": text} for a free-text tool."""

    call_id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    transport: Literal["model", "mcp", "http"] = "model"
    server: str | None = None
    result: ToolResult | None = None


class FindingRef(_Frozen):
    """A finding as it may be told to anyone: class, kind, rule and position, never the text."""

    part: int
    cls: str = Field(serialization_alias="class")
    kind: str
    rule: str
    start: int
    end: int
    score: float
    hash: str | None = None
    """Keyed hash of the found text (deployment key), so that equal findings can be recognised."""


class Event(_Frozen):
    """One thing that happened, at one point, in one flow."""

    contract_version: Literal[1] = 1
    id: str
    invocation_key: str
    point: Point
    time: float
    agent: Agent
    session: dict[str, str]
    run: dict[str, str]
    turn: int = 0
    flow: Flow
    provider: str | None = None
    format: str | None = None
    model: str | None = None
    request: Request | None = None
    response: Response | None = None
    tool: Tool | None = None
    findings: tuple[FindingRef, ...] = ()
