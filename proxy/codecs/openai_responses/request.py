"""Requests. What an item of their input says is read in `items`.

A WebSocket's client message is a request too: `{"type": "response.create", …}` with the same members, flat or nested.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from proxy.codecs import Json, Path, Request, ToolResult
from proxy.codecs.openai_responses.calls import is_call, item_type
from proxy.codecs.openai_responses.document import conversation_id
from proxy.codecs.openai_responses.items import read_item
from proxy.codecs.openai_responses.results import read_result
from proxy.codecs.walk import Parts, array, number, table, word

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
        follows=word(root.get("previous_response_id")) or conversation_id(root),
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
        result = read_result(members, path, self.parts.out, begin)
        if result is not None:
            name = self.calls[result.call_id][0] if result.call_id in self.calls else result.name
            self.results.append(result._replace(name=name, new=self.parts.new))
