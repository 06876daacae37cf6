"""Requests and whole answers. What a step says is read in `steps`."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Request, Response, ToolCall, ToolResult
from proxy.codecs.gemini_interactions.steps import is_answer, is_step, read_content, read_step
from proxy.codecs.splicing import Change
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

_REQUEST: Final = frozenset({"input", "system_instruction", "tools"})
_ANSWER: Final = frozenset({"steps", "outputs"})
_ROLES: Final = {"user": "user", "model": "assistant"}


class _History:
    """What is known of a request's input so far."""

    def __init__(self, given: Json) -> None:
        """`given`: the request's `input`, as it came."""
        # A last step of the model's is a prefill: the client's words, and new.
        spoken = [index for index, item in enumerate(array(given)[:-1]) if _is_model(item)]
        self._given = given
        self._boundary = spoken[-1] if spoken else -1
        self.turn = sum(1 for index in spoken if not (index and _is_model(given[index - 1])))
        self.parts = Parts()
        self.parts.new = self._boundary < 0
        self.results: list[ToolResult] = []
        self.calls: dict[str, tuple[str, Mapping[str, Json]]] = {}

    def read(self) -> None:
        """`input`: a text, a content, contents, or steps."""
        if not isinstance(self._given, list):
            self._item(self._given, ("input",))
            return
        for index, item in enumerate(self._given):
            self.parts.new = index > self._boundary
            self._item(item, ("input", index))

    def _item(self, item: Json, path: Path) -> None:
        members = table(item)
        if "role" in members:
            self._turn(members, path)
        elif is_step(members):
            self._step(item, path)
        else:
            read_content(self.parts, item, path, "user")

    def _turn(self, members: Mapping[str, Json], path: Path) -> None:
        """A turn with a role, as the API's first versions had it."""
        role = _ROLES.get(word(members.get("role")) or "", "other")
        content = members.get("content")
        for index, item in enumerate(array(content)):
            kind = word(table(item).get("type")) or ""
            if kind.endswith(("_call", "_result")) or kind == "thought":
                self._step(item, (*path, "content", index))
            else:
                read_content(self.parts, item, (*path, "content", index), role)
        skip = frozenset({"content"}) if isinstance(content, list) else frozenset()
        self.parts.members(members, path, role, "text", skip)

    def _step(self, step: Json, path: Path) -> None:
        read = read_step(self.parts, step, path)
        if read.call is not None and not read.call.by_provider:
            self.calls[read.call.call_id] = (read.call.name, read.call.arguments)
        if read.result is not None:
            name = read.result.name or self.calls.get(read.result.call_id, ("",))[0]
            self.results.append(read.result._replace(name=name))


def _is_model(item: Json) -> bool:
    return table(item).get("role") == "model" or is_answer(item)


def read_request(document: Json) -> Request:
    """A `POST /v1beta/interactions` body."""
    root = table(document)
    history = _History(root.get("input"))
    parts = history.parts
    parts.walk(root.get("system_instruction"), ("system_instruction",), "system", "text")
    parts.walk(root.get("tools"), ("tools",), "system", "tool_definition")
    parts.members(root, (), "other", "text", _REQUEST)
    if "input" in root:
        history.read()
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")) or word(root.get("agent")),
        stream=root.get("stream") is True,
        parts=parts.out,
        results=history.results,
        tools=[tool["name"] for tool in map(table, array(root.get("tools"))) if isinstance(tool.get("name"), str)],
        calls=history.calls,
        max_output=number(table(root.get("generation_config")).get("max_output_tokens")) or None,
        turn=history.turn,
        follows=word(root.get("previous_interaction_id")),
    )


def read_response(document: Json) -> Response:
    """An interaction, or an error."""
    root = table(document)
    parts = Parts()
    calls: list[ToolCall] = []
    outcomes: list[ToolResult] = []
    copies: list[tuple[int, Change]] = []
    for name in ("steps", "outputs"):
        value = root.get(name)
        for index, item in enumerate(array(value)):
            path: Path = (name, index)
            if name == "outputs" and table(item).get("type") == "text":
                copies += read_content(parts, item, path, "assistant")
                continue
            read = read_step(parts, item, path)
            copies += read.copies
            calls += [read.call] if read.call is not None else []
            outcomes += [read.outcome] if read.outcome is not None else []
    parts.members(root, (), "other", "text", frozenset(name for name in _ANSWER if isinstance(root.get(name), list)))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Response(
        model=word(root.get("model")) or word(root.get("agent")),
        parts=parts.out,
        calls=calls,
        stop_reason=word(root.get("status")),
        usage=read_usage(root.get("usage")),
        results=outcomes,
        keeps=word(root.get("id")),
        when_edited=copies,
    )


def read_usage(used: Json) -> Usage | None:
    """The token counts of a `usage` object; None of an empty one."""
    counts = table(used)
    if not counts:
        return None
    return Usage(
        input=number(counts.get("total_input_tokens")) + number(counts.get("total_tool_use_tokens")),
        output=number(counts.get("total_output_tokens")) + number(counts.get("total_thought_tokens")),
        cache_read=number(counts.get("total_cached_tokens")),
    )
