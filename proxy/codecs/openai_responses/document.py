"""Requests and whole responses. What an item says is read in `items`.

A WebSocket's client message is a request too: `{"type": "response.create", …}` with the same members, flat or nested.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from proxy.codecs import Json, Path, Request, Response, ToolCall, ToolResult
from proxy.codecs.openai_responses.calls import is_call, item_type
from proxy.codecs.openai_responses.items import item_copies, read_item
from proxy.codecs.openai_responses.results import answers, failed, held_in
from proxy.codecs.splicing import Change
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

_REQUEST: Final = frozenset({"input", "instructions", "tools", "prompt", "conversation"})
_OF_MODEL: Final = frozenset({"reasoning", "program", "compaction"})


def is_of_model(item: Json) -> bool:
    """Whether an item of a conversation is the model's own."""
    members = table(item)
    kind = item_type(members)
    return (kind == "message" and members.get("role") == "assistant") or kind in _OF_MODEL or is_call(kind)


def body_path(document: Json) -> Path:
    """Where a request's members stand: in a WebSocket's message they may be nested."""
    root = table(document)
    return ("response",) if root.get("type") == "response.create" and isinstance(root.get("response"), dict) else ()


def read_request(document: Json) -> Request:
    """A `POST /v1/responses` body, or a client message of a WebSocket."""
    path = body_path(document)
    root = table(document["response"] if path else document)
    history = _History(root.get("input"), (*path, "input"))
    _around(history.parts, root, path)
    if path:
        history.parts.members(document, (), "other", "text", frozenset({"response"}))
    history.read()
    if not isinstance(document, dict):
        history.parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True or table(document).get("type") == "response.create",
        parts=history.parts.out,
        results=history.results,
        tools=[*_names(root.get("tools")), *history.offered],
        calls=history.calls,
        max_output=number(root.get("max_output_tokens")) or None,
        session=_session(root),
        turn=history.turn,
        follows=word(root.get("previous_response_id")) or _conversation(root),
        compacts=any(item_type(table(item)) == "compaction_trigger" for item in array(root.get("input"))),
    )


def _around(parts: Parts, root: Mapping[str, Json], path: Path) -> None:
    """Everything of a request but its input."""
    parts.walk(root.get("instructions"), (*path, "instructions"), "system", "text")
    parts.walk(root.get("tools"), (*path, "tools"), "system", "tool_definition")
    prompt = root.get("prompt")
    variables = table(prompt).get("variables")
    parts.walk_any(variables, (*path, "prompt", "variables"), "user", "text")
    parts.members({"prompt": _without(prompt, "variables")}, path, "other", "text", frozenset())
    if isinstance(root.get("conversation"), str):  # an id
        parts.add((*path, "conversation"), root["conversation"], "other", "text", sealed=True)
    else:
        parts.walk(root.get("conversation"), (*path, "conversation"), "other", "text")
    parts.members(root, path, "other", "text", _REQUEST | ({"response"} if path else frozenset()))


def _without(value: Json, name: str) -> Json:
    return {key: item for key, item in value.items() if key != name} if isinstance(value, dict) else value


def _conversation(root: Mapping[str, Json]) -> str | None:
    conversation = root.get("conversation")
    return word(conversation) or word(table(conversation).get("id"))


_SESSION_KEY: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|ses_\w+")


def _session(root: Mapping[str, Json]) -> str | None:
    """Codex tells it in `client_metadata`, flat or in a JSON text; as key of the prompt cache, opencode too.

    Other clients share one cache key among sessions: only what looks like one session's id is one.
    """
    told = table(root.get("client_metadata"))
    turn = told.get("x-codex-turn-metadata")
    try:
        inner = table(orjson.loads(turn)) if isinstance(turn, str) else {}
    except orjson.JSONDecodeError:
        inner = {}
    for source in (told, inner):
        if session := word(source.get("session_id")) or word(source.get("thread_id")):
            return session
    key = word(root.get("prompt_cache_key")) or ""
    return key if _SESSION_KEY.fullmatch(key) else None


def _names(tools: Json) -> Iterator[str]:
    """Names of the offered tools; of those that the provider has, their types."""
    for tool in map(table, array(tools)):
        tool = table(tool.get("function")) or tool  # vendors take Chat's shape too
        for name in ("name", "server_label", "type"):
            if isinstance(tool.get(name), str):
                yield tool[name]
                break
        yield from _names(tool.get("tools"))


class _History:
    """What is known of a request's conversation so far."""

    def __init__(self, items: Json, path: Path) -> None:
        self._items = items
        self._path = path
        # A last item of the model's is a prefill: the client's words, and new.
        mine = [index for index, item in enumerate(array(items)[:-1]) if is_of_model(item)]
        self._boundary = mine[-1] if mine else -1
        known = set(mine)
        self.turn = sum(1 for index in mine if index - 1 not in known)
        """Answers so far: runs of items that are the model's."""
        self.parts = Parts()
        self.parts.new = self._boundary < 0
        self.calls: dict[str, tuple[str, Mapping[str, Json]]] = {}
        self.results: list[ToolResult] = []
        self.offered: list[str] = []

    def read(self) -> None:
        """Read every item, in order."""
        for index, item in enumerate(array(self._items)):
            self.parts.new = index > self._boundary
            self._item(table(item), item, (*self._path, index))
        if not isinstance(self._items, list):
            self.parts.walk(self._items, self._path, "user", "text")

    def _item(self, members: Mapping[str, Json], item: Json, path: Path) -> None:
        begin = len(self.parts.out)
        kind = item_type(members)
        call = read_item(self.parts, item, path)
        if call is not None:
            self.calls[call.call_id] = (call.name, call.arguments)
        elif kind in ("additional_tools", "tool_search_output"):
            self.offered += _names(members.get("tools"))
        held = held_in(kind)
        if held is not None and (not is_call(kind) or members.get(held) is not None):
            mine = [i for i in range(begin, len(self.parts.out)) if self.parts.out[i].kind == "tool_result"]
            self._result(members, (*path, held), tuple(mine))

    def _result(self, members: Mapping[str, Json], path: Path, mine: tuple[int, ...]) -> None:
        call_id = answers(members)
        name = self.calls[call_id][0] if call_id in self.calls else word(members.get("name")) or ""
        server = word(members.get("server_label"))
        self.results.append(
            ToolResult(call_id, name, path, mine, is_error=failed(members), new=self.parts.new, server=server)
        )


ECHOES: Final = frozenset(
    [
        "instructions",
        "tools",
        "tool_choice",
        "prompt",
        "text",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "input",
    ]
)
"""Members of a response that say again what the client sent."""


def read_envelope(parts: Parts, response: Mapping[str, Json], path: Path) -> None:
    """Every part of a response but its output. What the client sent itself is told as definitions, not as an answer."""
    for name, value in response.items():
        if name in ECHOES:
            parts.members({name: value}, path, "system", "tool_definition", frozenset())
    parts.members(response, path, "other", "text", ECHOES | {"output"})


def read_response(document: Json) -> Response:
    """A response, a compaction, a list of items, or an error."""
    root = table(document)
    parts = Parts()
    calls: list[ToolCall] = []
    copies: list[tuple[Path, Change]] = []
    listed = "output" if "output" in root else "data"
    items = root.get(listed)
    for index, item in enumerate(array(items)):
        call = read_item(parts, item, (listed, index))
        if call is not None and listed == "output":  # a list of stored items: they were told when they came
            calls.append(call)
        copies += item_copies(item, (listed, index))
    if not isinstance(items, list):
        parts.walk(items, (listed,), "other", "text")
    read_envelope(parts, {name: value for name, value in root.items() if name != listed}, ())
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    at = {part.path: index for index, part in enumerate(parts.out)}
    edited = [(at[path], change) for path, change in copies if path in at]
    return Response(
        word(root.get("model")),
        parts.out,
        calls,
        stop_reason(root),
        read_usage(root.get("usage")),
        keeps=keeps(root),
        when_edited=edited,
    )


def keeps(response: Mapping[str, Json]) -> str | None:
    """What a later request names to go on: the conversation, where the response is part of one, or the response."""
    return _conversation(response) or (word(response.get("id")) if response.get("object") != "list" else None)


def stop_reason(response: Mapping[str, Json]) -> str | None:
    """Why the response ended: its status, or what left it incomplete."""
    status = word(response.get("status"))
    if status == "incomplete":
        return word(table(response.get("incomplete_details")).get("reason")) or status
    return None if status in ("queued", "in_progress") else status


def read_usage(used: Json) -> Usage | None:
    """The token counts of a response; None where it has none yet."""
    if not isinstance(used, dict) or not used:
        return None
    details = table(used.get("input_tokens_details"))
    return Usage(
        input=number(used.get("input_tokens")),
        output=number(used.get("output_tokens")),
        cache_read=number(details.get("cached_tokens")),
        cache_write=number(details.get("cache_write_tokens")),
    )
