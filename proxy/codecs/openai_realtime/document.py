"""What a client says: one WebSocket message, or the body of an HTTP request that makes a session; and HTTP's answers.

Source: OpenAI OpenAPI 2.3.0, `RealtimeClientEvent`, `/realtime/{client_secrets,sessions}`. What the server says over
WebSocket is `stream`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.codecs import Json, Path, Request, Response, ToolCall, ToolResult
from proxy.codecs.openai_realtime.items import read_item
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

_SETTINGS: Final = frozenset({"instructions", "tools"})
_MESSAGE: Final = frozenset({"session", "item", "response", "audio", "input", *_SETTINGS})
_BEGINS: Final = frozenset({"message", "function_call"})


class _Client:
    """One message of a client's, while it is read."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.calls: dict[str, tuple[str, Mapping[str, Json]]] = {}
        self.results: list[ToolResult] = []
        self.tools: list[str] = []
        self.turn = 0

    def settings(self, holder: Mapping[str, Json], path: Path) -> None:
        """Instructions and tools of a session or a response."""
        self.parts.walk(holder.get("instructions"), (*path, "instructions"), "system", "text")
        self.parts.walk(holder.get("tools"), (*path, "tools"), "system", "tool_definition")
        names = [table(tool).get("name") for tool in array(holder.get("tools"))]
        self.tools += [name for name in names if isinstance(name, str)]

    def item(self, item: Json, path: Path) -> None:
        """An item that the client puts into the conversation."""
        read = read_item(self.parts, item, path)
        if read.call is not None:
            self.calls[read.call.call_id] = (read.call.name, read.call.arguments)
        if read.result is not None:
            name = self.calls.get(read.result.call_id, (read.result.name, {}))[0]
            self.results.append(read.result._replace(name=name))

    def items(self, items: Json, path: Path) -> None:
        """A conversation that the client gives whole (`response.input`)."""
        spoken = [index for index, item in enumerate(array(items)[:-1]) if _is_models(item)]
        self.turn += len(spoken)
        for index, item in enumerate(array(items)):
            self.parts.new = not spoken or index > spoken[-1]
            self.item(item, (*path, index))
        self.parts.new = True
        if not isinstance(items, list):
            self.parts.walk(items, path, "other", "text")


def _is_models(item: Json) -> bool:
    members = table(item)
    return word(members.get("type")) in _BEGINS and (members.get("role") == "assistant" or "name" in members)


def read_request(document: Json) -> Request:
    """A client's message, or the body of an HTTP request: what it may hold is read alike in all of them."""
    root, client = table(document), _Client()
    session, response = table(root.get("session")), table(root.get("response"))
    client.parts.members(root, (), "other", "text", _MESSAGE)
    client.settings(root, ())
    for name, holder in (("session", session), ("response", response)):
        client.settings(holder, (name,))
        client.parts.members(holder, (name,), "other", "text", _SETTINGS | {"input"})
        if not holder:
            client.parts.walk(root.get(name), (name,), "other", "text")
    for path, items in ((("session", "input"), session), (("response", "input"), response), (("input",), root)):
        client.items(items.get("input"), path)
    client.item(root.get("item"), ("item",))
    _sound(client.parts, root.get("audio"))
    if not isinstance(document, dict):
        client.parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(session.get("model")) or word(root.get("model")),
        stream=begins(document),
        parts=client.parts.out,
        results=client.results,
        tools=client.tools,
        calls=client.calls,
        max_output=number(response.get("max_output_tokens")) or number(session.get("max_output_tokens")) or None,
        turn=client.turn,
    )


def _sound(parts: Parts, audio: Json) -> None:
    """`input_audio_buffer.append.audio` is base64; in a session `audio` is an object of settings."""
    if isinstance(audio, str):
        parts.add(("audio",), audio, "user", "media", sealed=True)
    else:
        parts.walk(audio, ("audio",), "other", "text")


def begins(document: Json) -> bool:
    """Whether a client's message has the model answer."""
    return table(document).get("type") == "response.create"


def read_response(document: Json) -> Response:
    """An HTTP answer: a session, a client's secret, an error. The secret is made for the client and stays as it is."""
    root = table(document)
    parts = Parts()
    calls: Sequence[ToolCall] = ()
    secret = table(root.get("client_secret"))
    parts.members(root, (), "other", "text", frozenset({"value", "client_secret"}))
    for holder, path in ((root, ()), (secret, ("client_secret",))):
        value = holder.get("value")
        if isinstance(value, str):
            parts.add((*path, "value"), value, "other", "text", sealed=True)
        else:
            parts.walk(value, (*path, "value"), "other", "text")
    parts.members(secret, ("client_secret",), "other", "text", frozenset({"value"}))
    if not secret:
        parts.walk(root.get("client_secret"), ("client_secret",), "other", "text")
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Response(word(root.get("model")), parts.out, calls)


def read_usage(used: Json) -> Usage | None:
    """The token counts of a response."""
    counts = table(used)
    if not counts:
        return None
    return Usage(
        input=number(counts.get("input_tokens")),
        output=number(counts.get("output_tokens")),
        cache_read=number(table(counts.get("input_token_details")).get("cached_tokens")),
    )
