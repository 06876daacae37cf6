"""The objects of the Assistants API: assistants, threads, messages, runs and their steps, asked and answered alike.

Source: OpenAI OpenAPI 2.3.0, `AssistantObject`, `ThreadObject`, `MessageObject`, `RunObject`, `RunStepObject`. What a
stream tells of them piece by piece is `stream`'s.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from proxy.codecs import Json, Kind, Path, ToolCall, ToolResult
from proxy.codecs.splicing import Change, Replace
from proxy.codecs.walk import Parts, arguments, array, table, word

_ROLES: Final = {"user": "user", "assistant": "assistant", "system": "system"}
_INSTRUCTIONS: Final = ("instructions", "additional_instructions")
_MESSAGES: Final = ("messages", "additional_messages")
_READ: Final = frozenset({*_INSTRUCTIONS, *_MESSAGES, "tools", "required_action", "step_details", "tool_outputs"})
BY_PROVIDER: Final = frozenset({"code_interpreter", "file_search", "retrieval"})
"""Types of tool calls that OpenAI carries out itself."""

CALLS: Final = ("required_action", "submit_tool_outputs", "tool_calls")
"""Where a run names the calls that the client is to carry out."""


class Objects:
    """What has been read of one document."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.calls: list[ToolCall] = []
        self.results: list[ToolResult] = []
        self.tools: list[str] = []

    def read(self, value: Json, path: Path) -> None:
        """Any object, or a list of them."""
        members = table(value)
        if not members:
            self.parts.walk(value, path, "other", "text")
            return
        skip = set(_READ)
        for name in _INSTRUCTIONS:
            self.parts.walk(members.get(name), (*path, name), "system", "text")
        self._tools(members.get("tools"), (*path, "tools"))
        for name in _MESSAGES:
            self._each(members.get(name), (*path, name))
        self._required(members.get("required_action"), (*path, "required_action"))
        self._step(members.get("step_details"), (*path, "step_details"))
        self._outputs(members.get("tool_outputs"), (*path, "tool_outputs"))
        for name in ("thread", "data"):
            if isinstance(members.get(name), dict | list):
                skip.add(name)
                self._each(members[name], (*path, name))
        if "role" in members and "content" in members:
            skip.add("content")
            role = _ROLES.get(word(members["role"]) or "", "other")
            self.parts.walk(members["content"], (*path, "content"), role, "text")
        self.parts.members(members, path, "other", "text", frozenset(skip))

    def _each(self, value: Json, path: Path) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value):
                self.read(item, (*path, index))
        else:
            self.read(value, path)

    def _tools(self, tools: Json, path: Path) -> None:
        self.parts.walk(tools, path, "system", "tool_definition")
        names = [table(table(tool).get("function")).get("name") for tool in array(tools)]
        self.tools += [name for name in names if isinstance(name, str)]

    def _required(self, value: Json, path: Path) -> None:
        """The calls that a run waits for."""
        action = table(value)
        inner = action.get("submit_tool_outputs")
        calls = table(inner).get("tool_calls")
        if not isinstance(calls, list):
            self.parts.walk(value, path, "other", "text")
            return
        self.parts.members(action, path, "other", "text", frozenset({"submit_tool_outputs"}))
        here = (*path, "submit_tool_outputs")
        self.parts.members(table(inner), here, "other", "text", frozenset({"tool_calls"}))
        for index, call in enumerate(calls):
            self._call(call, (*here, "tool_calls", index), waits=True)

    def _step(self, value: Json, path: Path) -> None:
        """What a run did: calls of the client's as they were answered, and those that OpenAI carried out."""
        details = table(value)
        calls = details.get("tool_calls")
        if not isinstance(calls, list):
            self.parts.walk(value, path, "other", "text")
            return
        self.parts.members(details, path, "other", "text", frozenset({"tool_calls"}))
        for index, call in enumerate(calls):
            self._call(call, (*path, "tool_calls", index), waits=False)

    def _call(self, value: Json, path: Path, *, waits: bool) -> None:
        begin = len(self.parts.out)
        members = table(value)
        kind = word(members.get("type")) or ""
        inner = members.get(kind)
        if not isinstance(inner, dict):
            self.parts.walk(value, path, "other", "text")
            return
        self.parts.members(members, path, "other", "text", frozenset({kind}))
        name, given = self._called(kind, inner, (*path, kind))
        mine = tuple(i for i in range(begin, len(self.parts.out)) if self.parts.out[i].kind == "tool_call")
        if waits or kind in BY_PROVIDER:
            call_id = word(members.get("id")) or ""
            self.calls.append(ToolCall(call_id, name, given, path, mine, by_provider=kind in BY_PROVIDER))

    def _called(self, kind: str, inner: Mapping[str, Json], path: Path) -> tuple[str, Mapping[str, Json]]:
        """Name and arguments of a call; what came of it is told beside them."""
        name, text = (word(inner.get("name")) or "") if kind == "function" else kind, ""
        for member, value in inner.items():
            here = (*path, member)
            if member == "name" and isinstance(value, str):
                self.parts.add(here, value, "assistant", "tool_call", sealed=True)
            elif member in ("arguments", "input") and isinstance(value, str):
                text = value
                self.parts.add(here, value, "assistant", "tool_call", json=member == "arguments")
            else:
                result: Kind = "tool_result" if member in ("output", "outputs", "results") else "tool_call"
                role = "tool" if result == "tool_result" else "assistant"
                self.parts.members({member: value}, path, role, result, frozenset())
        return name, arguments(text) if kind == "function" or not text else {"input": text}

    def _outputs(self, value: Json, path: Path) -> None:
        """What the client's calls came to (`submit_tool_outputs`)."""
        if not isinstance(value, list):
            self.parts.walk(value, path, "tool", "tool_result")
            return
        for index, item in enumerate(value):
            members, here, begin = table(item), (*path, index), len(self.parts.out)
            self.parts.walk(members.get("output"), (*here, "output"), "tool", "tool_result")
            mine = tuple(range(begin, len(self.parts.out)))
            self.parts.members(members, here, "other", "text", frozenset({"output"}))
            if not members:
                self.parts.walk(item, here, "other", "text")
            elif "output" in members:
                call_id = word(members.get("tool_call_id")) or ""
                self.results.append(ToolResult(call_id, "", (*here, "output"), mine))


def offsets(content: Json, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Change]]:
    """Of the texts of a message: what points into them, and goes when they are edited."""
    for index, block in enumerate(array(content)):
        if table(table(block).get("text")).get("annotations"):
            here = (*path, index, "text")
            yield (*here, "value"), Replace((*here, "annotations"), b"[]")


def at(document: Json, path: Path) -> Json:
    """What stands at a path that was read."""
    for step in path:
        document = document[step]
    return document
