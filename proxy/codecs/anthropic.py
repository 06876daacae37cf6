"""Anthropic Messages (wire-formats §3): JSON and stream, as pure functions.

Source: Anthropic's OpenAPI by way of its SDK types, and docs.anthropic.com "Streaming messages", "Errors". Framing,
splicing and hosts live elsewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Channel, Json, Kind, OpenCall, Path, Reading, Request, Response, ToolCall, ToolResult
from proxy.codecs.channels import Channels, Said
from proxy.codecs.splicing import Append, Change, Replace, TextChange, splice
from proxy.codecs.sse import SseEvent, encode, with_data
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.decision import TextEdit
from proxy.events import Usage

NAME: Final = "anthropic"

_ROLES: Final = frozenset({"user", "assistant", "system"})
_REASONING: Final = frozenset({"thinking", "redacted_thinking"})
_TEXT: Final = frozenset({"text", "document", "search_result", "mid_conv_system", "compaction"})
_CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_BLOCK_CALL: Final = frozenset({"name", "input"})

# requests


def read_request(document: Json) -> Request:
    """A `POST /v1/messages` body."""
    root = table(document)
    parts = Parts()
    messages = array(root.get("messages"))
    # A last message of the assistant's is a prefill: the client's words, and new.
    spoken = [index for index, item in enumerate(messages[:-1]) if table(item).get("role") == "assistant"]
    boundary = spoken[-1] if spoken else -1
    parts.new = boundary < 0
    parts.walk(root.get("system"), ("system",), "system", "text")
    parts.walk(root.get("tools"), ("tools",), "system", "tool_definition")
    skip = frozenset({"system", "tools", "messages"})
    parts.members(root, (), "other", "text", skip)
    calls: dict[str, tuple[str, Mapping[str, Json]]] = {}
    results: list[ToolResult] = []
    for index, item in enumerate(messages):
        parts.new = index > boundary
        _message(parts, item, ("messages", index), calls, results)
    if not isinstance(root.get("messages"), list):
        parts.walk(root.get("messages"), ("messages",), "other", "text")
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        results=results,
        tools=[tool["name"] for tool in map(table, array(root.get("tools"))) if isinstance(tool.get("name"), str)],
        calls=calls,
        max_output=number(root.get("max_tokens")) or None,
        session=_session(root),
        turn=len(spoken),
    )


def _session(root: Mapping[str, Json]) -> str | None:
    """Claude Code puts it into `metadata.user_id`: a JSON string, formerly `user_…_session_<id>`."""
    user = table(root.get("metadata")).get("user_id")
    if not isinstance(user, str):
        return None
    try:
        session = table(orjson.loads(user)).get("session_id")
    except orjson.JSONDecodeError:
        _, mark, session = user.partition("_session_")
        return session if mark and session else None
    return word(session)


def _message(
    parts: Parts,
    message: Json,
    path: Path,
    calls: dict[str, tuple[str, Mapping[str, Json]]],
    results: list[ToolResult],
) -> None:
    members = table(message)
    role = str(members.get("role"))
    role = role if role in _ROLES else "other"
    content = members.get("content")
    here: Path = (*path, "content")
    if isinstance(content, list):
        for index, block in enumerate(content):
            begin = len(parts.out)
            block_path: Path = (*here, index)
            call = _block(parts, block, block_path, role)
            if call is not None:
                calls[call.call_id] = (call.name, call.arguments)
            elif table(block).get("type") == "tool_result" and "content" in block:
                results.append(_result(parts, block, block_path, begin, calls))
    else:
        parts.walk(content, here, role, "text")
    if members:
        parts.members(members, path, "other", "text", frozenset({"content", "role"}))
    else:
        parts.walk(message, path, "other", "text")


def _result(
    parts: Parts,
    block: Mapping[str, Json],
    path: Path,
    begin: int,
    calls: Mapping[str, tuple[str, Mapping[str, Json]]],
) -> ToolResult:
    call_id = word(block.get("tool_use_id")) or ""
    name = calls.get(call_id, ("", {}))[0]
    mine = tuple(range(begin, len(parts.out)))
    error = block.get("is_error") is True
    return ToolResult(call_id, name, (*path, "content"), mine, is_error=error, new=parts.new)


def _block(parts: Parts, block: Json, path: Path, role: str) -> ToolCall | None:
    """The parts of one content block; the call, if it is one that the client carries out."""
    members = table(block)
    kind = word(members.get("type")) or ""
    if kind in _CALLS:
        return _tool_use(parts, members, path, kind)
    if kind in _REASONING:
        parts.walk(block, path, role, "reasoning")
    elif kind.endswith("tool_result"):
        parts.walk(block, path, "tool", "tool_result")
    elif kind in _TEXT:
        parts.walk(block, path, role, "text")
    elif kind == "image":
        parts.walk(block, path, role, "media")
    else:
        parts.walk(block, path, "other", "text")
    return None


def _tool_use(parts: Parts, members: Mapping[str, Json], path: Path, kind: str) -> ToolCall | None:
    begin = len(parts.out)
    name, given = members.get("name"), members.get("input")
    if isinstance(name, str):
        parts.add((*path, "name"), name, "assistant", "tool_call", sealed=True)
    else:
        parts.walk(name, (*path, "name"), "other", "text")
    parts.walk_any(given, (*path, "input"), "assistant", "tool_call")
    parts.members(members, path, "assistant", "tool_call", _BLOCK_CALL)
    if kind != "tool_use":
        return None  # the provider carries it out itself: it has happened when the client reads of it
    mine = tuple(range(begin, len(parts.out)))
    return ToolCall(word(members.get("id")) or "", word(name) or "", _arguments(given), path, mine)


def _arguments(given: Json) -> Mapping[str, Json]:
    if isinstance(given, dict):
        return given
    return {} if given is None else {"input": given}


# whole responses


def read_response(document: Json) -> Response:
    """A message, or an error."""
    root = table(document)
    parts = Parts()
    calls = []
    content = root.get("content")
    if isinstance(content, list):
        for index, block in enumerate(content):
            call = _block(parts, block, ("content", index), "assistant")
            if call is not None:
                calls.append(call)
    else:
        parts.walk(content, ("content",), "assistant", "text")
    parts.members(root, (), "other", "text", frozenset({"content"}))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Response(
        word(root.get("model")), parts.out, calls, word(root.get("stop_reason")), _usage(table(root.get("usage")))
    )


def _usage(used: Mapping[str, Json]) -> Usage | None:
    if not used:
        return None
    read, written = number(used.get("cache_read_input_tokens")), number(used.get("cache_creation_input_tokens"))
    return Usage(
        input=number(used.get("input_tokens")) + read + written,
        output=number(used.get("output_tokens")),
        cache_read=read,
        cache_write=written,
    )


# streams

_EVENT: Final = frozenset({"type", "index", "delta", "content_block", "message", "usage"})
_DELTA: Final[Mapping[str, tuple[str, Kind]]] = {
    "text_delta": ("text", "text"),
    "input_json_delta": ("partial_json", "tool_call"),
    "thinking_delta": ("thinking", "reasoning"),
    "compaction_delta": ("content", "text"),
}
_GROWS: Final[Mapping[str, tuple[str, Kind]]] = {
    "text": ("text", "text"),
    "thinking": ("thinking", "reasoning"),
    "compaction": ("content", "text"),
}


class _Reader:
    """State of one stream: its open blocks, its calls, its usage so far."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._calls: list[Channel] = []
        self._used: dict[str, Json] = {}
        self._spoke = False

    def read(self, event: Json) -> Reading:
        """What one event says. A fragment of a block comes often, so it goes the short way."""
        said = Said()
        root = table(event)
        kind = root.get("type")
        if kind == "content_block_delta" and isinstance(root.get("delta"), dict):
            self._delta(said, root["delta"], self._index(root))
        elif kind == "content_block_start" and isinstance(root.get("content_block"), dict):
            self._start(said, root["content_block"], self._index(root))
        elif kind == "content_block_stop":
            self._stop(said, self._index(root))
        elif kind == "message_start" and isinstance(root.get("message"), dict):
            self._message(said, root["message"])
        elif kind == "message_delta" and isinstance(root.get("delta"), dict):
            self._ending(said, root)
        elif kind == "message_stop":
            said.closes += self._channels.close_all()
            said.end = True
        else:
            self._walked(said, event, ())
            return said.reading()
        if not root.keys() <= _EVENT:
            self._rest(said, root, (), _EVENT)
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _index(self, root: Mapping[str, Json]) -> int:
        return number(root.get("index"))

    def _delta(self, said: Said, delta: Mapping[str, Json], index: int) -> None:
        known = _DELTA.get(delta.get("type", ""))
        path: Path = ("delta",)
        if known is not None and isinstance(delta.get(known[0]), str):
            field, kind = known
            self._grow(said, (kind, index), (*path, field), delta[field])
            if len(delta) > 2:
                self._rest(said, delta, path, frozenset({"type", field}))
            return
        if delta.get("type") == "citations_delta":
            self._walked(said, delta, path)
            return
        # Of an unknown delta every string may grow; but sealed ones are whole.
        grown = {
            n for n, v in delta.items() if isinstance(v, str) and n not in ("type", "signature", "encrypted_content")
        }
        for field in sorted(grown):
            self._grow(said, ("text", index, str(delta.get("type")), field), (*path, field), delta[field])
        self._rest(said, delta, path, frozenset(grown | {"type"}))

    def _grow(self, said: Said, base: Channel, path: Path, text: str) -> None:
        channel = self._channels.growing(base)
        if base[0] == "text":
            self._spoke = True
        elif base[0] == "reasoning":
            said.sealed.append(channel)  # the signature over it comes at the end of the block
        else:
            said.entries.append((path[:1], channel))
        if text:
            said.fragment(channel, path, text)

    def _start(self, said: Said, block: Mapping[str, Json], index: int) -> None:
        kind = word(block.get("type")) or ""
        path: Path = ("content_block",)
        said.closes += self._channels.close_block(index)
        if kind == "tool_use":
            self._open(said, block, ("tool_call", index), path)
        elif kind in _CALLS:
            self._channels.growing(("tool_call", index))
            self._whole(said, block, path)
        elif kind in _GROWS and isinstance(block.get(_GROWS[kind][0]), str):
            field, of = _GROWS[kind]
            self._grow(said, (of, index), (*path, field), block[field])
            self._rest(said, block, path, frozenset({"type", field}))
        else:
            self._whole(said, block, path)

    def _open(self, said: Said, block: Mapping[str, Json], base: Channel, path: Path) -> None:
        channel = self._channels.growing(base)
        given = block.get("input")
        said.opens.append(
            OpenCall(
                channel,
                word(block.get("id")) or "",
                word(block.get("name")) or "",
                _arguments(given) if given else None,
                self._spoke,
            )
        )
        self._calls.append(channel)
        said.entries.append((path, channel))
        if given:
            self._walked(said, given, (*path, "input"), "tool_call")
        self._rest(said, block, path, frozenset({"type", "id", "name", "input"}))

    def _stop(self, said: Said, index: int) -> None:
        closed = self._channels.close_block(index)
        said.closes += closed
        said.entries += [((), channel) for channel in closed if channel[0] == "tool_call"]

    def _message(self, said: Said, message: Mapping[str, Json]) -> None:
        said.model = word(message.get("model"))
        self._usage(said, message.get("usage"))
        content = message.get("content")
        for index, block in enumerate(array(content)):
            path: Path = ("message", "content", index)
            if table(block).get("type") == "tool_use":
                base: Channel = ("tool_call", "start", index)
                self._open(said, block, base, path)
                said.closes += self._channels.close(base)
            else:
                self._whole(said, block, path)
        skip = frozenset({"content"}) if isinstance(content, list) else frozenset()
        self._rest(said, message, ("message",), skip)

    def _ending(self, said: Said, root: Mapping[str, Json]) -> None:
        said.stop = word(root["delta"].get("stop_reason"))
        said.calls += self._calls
        self._usage(said, root.get("usage"))
        self._rest(said, root["delta"], ("delta",), frozenset())
        self._walked(said, root.get("usage"), ("usage",))

    def _usage(self, said: Said, used: Json) -> None:
        """Counts are cumulative, and later events repeat only some of them."""
        if isinstance(used, dict):
            self._used |= {name: value for name, value in used.items() if value is not None}
            said.usage = _usage(self._used)

    def _whole(self, said: Said, block: Json, path: Path) -> None:
        parts = Parts()
        _block(parts, block, path, "assistant")
        self._channels.once(parts.out, said)

    def _rest(self, said: Said, members: Mapping[str, Json], path: Path, skip: frozenset[str]) -> None:
        if members.keys() <= skip:
            return
        parts = Parts()
        parts.members(members, path, "other", "text", skip)
        self._channels.once(parts.out, said)

    def _walked(self, said: Said, value: Json, path: Path, kind: Kind = "text") -> None:
        parts = Parts()
        (parts.walk_any if kind == "tool_call" else parts.walk)(value, path, "other", kind)
        self._channels.once(parts.out, said)


def stream_reader() -> _Reader:
    """A reader for one response stream."""
    return _Reader()


class _Writer:
    """Cuts calls out of one stream: a cut block becomes a text block at the same index."""

    def rewrite(self, event: SseEvent, document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> bytes | None:
        """See `StreamWriter`."""
        cut = [(path, channel) for path, channel in reading.entries if channel in cuts]
        kind = table(document).get("type")
        if kind == "content_block_delta" and cut:
            return b""
        if kind == "content_block_start" and cut:
            return _text_block(event, document, _notice(cut[0][1], reading, cuts))
        changes: list[Change] = []
        if kind == "message_start":
            changes += [Replace(path, _text(_notice(channel, reading, cuts))) for path, channel in cut]
            changes += _ended(document.get("message"), ("message",), reading.opens, cuts)
        elif kind == "message_delta" and reading.calls and all(call in cuts for call in reading.calls):
            changes += _stopped(document["delta"], ("delta",))
        return with_data(event, splice(event.data, changes)) if changes else None


def _notice(channel: Channel, reading: Reading, cuts: Mapping[Channel, str]) -> str:
    after = any(opened.after_text for opened in reading.opens if opened.channel == channel)
    return ("\n\n" if after else "") + cuts[channel]


def _text_block(event: SseEvent, document: Json, notice: str) -> bytes:
    """The block's start with an empty text, and its text as a delta: readers take a start's own text for nothing."""
    start = with_data(event, splice(event.data, [Replace(("content_block",), _text(""))]))
    delta = {"type": "content_block_delta", "index": document.get("index", 0)}
    delta["delta"] = {"type": "text_delta", "text": notice}
    return start + encode("content_block_delta", orjson.dumps(delta))


def _text(text: str) -> bytes:
    return orjson.dumps({"type": "text", "text": text})


def _ended(message: Json, path: Path, opens: Sequence[OpenCall], cuts: Mapping[Channel, str]) -> list[Change]:
    return _stopped(message, path) if opens and all(opened.channel in cuts for opened in opens) else []


def _stopped(members: Json, path: Path) -> list[Change]:
    return [Replace((*path, "stop_reason"), b'"end_turn"')] if members.get("stop_reason") == "tool_use" else []


def stream_writer() -> _Writer:
    """A writer for one response stream."""
    return _Writer()


# what midstream says itself


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Put a text block with the notice in the place of each call; with no call left the turn ends."""
    changes: list[Change] = [Replace(response.calls[index].path, _text(notice)) for index, notice in cuts.items()]
    if cuts and len(cuts) == len(response.calls):
        changes += _stopped(table(document), ())
    return changes


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the last user message, after its last block and so after every cache breakpoint.

    ValueError where there is no user message.
    """
    messages = array(table(document).get("messages"))
    for index in range(len(messages) - 1, -1, -1):
        message = table(messages[index])
        if message.get("role") == "user":
            path: Path = ("messages", index, "content")
            content = message.get("content")
            if isinstance(content, list):
                return [Append(path, _text(text))]
            if isinstance(content, str):
                return [TextChange(path, [TextEdit(len(content), len(content), "\n\n" + text)])]
    raise ValueError("a request without a user message has no place for a text")


_ERRORS: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    407: "authentication_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def refusal(status: int, message: str) -> bytes:
    """Anthropic's error object (docs.anthropic.com/en/api/errors)."""
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": None})


def _head(model: str | None) -> dict[str, Json]:
    return {"id": "msg_midstream", "type": "message", "role": "assistant", "model": model or "midstream"}


_NO_USAGE: Final = {"input_tokens": 0, "output_tokens": 0}


def ask_usage(document: Json) -> list[Change]:
    """Nothing: these streams always count."""
    return []


def message(model: str | None, text: str) -> bytes:
    """A message that says `text`."""
    content = [{"type": "text", "text": text}]
    end = {"stop_reason": "end_turn", "stop_sequence": None, "usage": _NO_USAGE}
    return orjson.dumps(_head(model) | {"content": content} | end)


def message_stream(model: str | None, text: str) -> bytes:
    """The same as the six events of a stream."""
    begin = _head(model) | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _NO_USAGE}
    events: Sequence[dict[str, Json]] = (
        {"type": "message_start", "message": begin},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 0},
        },
        {"type": "message_stop"},
    )
    return b"".join(encode(event["type"], orjson.dumps(event)) for event in events)
