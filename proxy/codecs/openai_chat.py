"""OpenAI Chat Completions and its compatible vendors (wire-formats §1): JSON and stream, as pure functions.

Source: OpenAI OpenAPI 2.3.0, `/chat/completions`, and recorded vendors. Framing, splicing and hosts live elsewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Channel, Fragment, Json, Kind, OpenCall, Path, Reading, Request, Response, ToolCall, ToolResult
from proxy.codecs.splicing import Append, Change, Remove, Replace, TextChange, splice
from proxy.codecs.sse import DONE, SseEvent, encode, with_data
from proxy.codecs.walk import Channels, Parts, Said, arguments, array, number, table, word
from proxy.decision import TextEdit
from proxy.events import Usage

NAME: Final = "openai_chat"

_ROLES: Final = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
_RESULT_ROLES: Final = frozenset({"tool", "function"})
_REASONING: Final = frozenset({"reasoning_content", "reasoning", "reasoning_details", "thinking"})
_MESSAGE: Final = frozenset({"tool_calls", "function_call"})
_REQUEST: Final = frozenset({"messages", "tools", "functions"})
_CALL: Final = frozenset({"function", "custom", "id"})

# requests


def read_request(document: Json) -> Request:
    """A `POST /v1/chat/completions` body."""
    root = table(document)
    parts = Parts()
    messages = array(root.get("messages"))
    boundary, turn = _turns(messages)
    calls: dict[str, tuple[str, Mapping[str, Json]]] = {}
    results: list[ToolResult] = []
    parts.new = boundary < 0
    parts.members(root, (), "other", "text", _REQUEST)
    for name in ("tools", "functions"):
        parts.walk(root.get(name), (name,), "system", "tool_definition")
    for index, message in enumerate(messages):
        parts.new = index > boundary
        _request_message(parts, message, ("messages", index), calls, results)
    if not isinstance(root.get("messages"), list):
        parts.walk(root.get("messages"), ("messages",), "other", "text")
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        results=results,
        tools=_tool_names(root),
        calls=calls,
        max_output=number(root.get("max_completion_tokens")) or number(root.get("max_tokens")) or None,
        turn=turn,
    )


def _turns(messages: Sequence[Json]) -> tuple[int, int]:
    """Index of the last assistant message (-1: none) and how many there are. One that ends the list is a prefill."""
    spoken = [index for index, message in enumerate(messages[:-1]) if table(message).get("role") == "assistant"]
    return (spoken[-1] if spoken else -1), len(spoken)


def _tool_names(root: Mapping[str, Json]) -> list[str]:
    tools = [table(tool) for tool in array(root.get("tools"))]
    offered = [table(tool.get("function")) or table(tool.get("custom")) or tool for tool in tools]
    names = [tool.get("name") for tool in [*offered, *map(table, array(root.get("functions")))]]
    return [name for name in names if isinstance(name, str)]


def _request_message(
    parts: Parts,
    message: Json,
    path: Path,
    calls: dict[str, tuple[str, Mapping[str, Json]]],
    results: list[ToolResult],
) -> None:
    members = table(message)
    begin = len(parts.out)
    for call in _message(parts, message, path):
        calls[call.call_id] = (call.name, call.arguments)
    if members.get("role") in _RESULT_ROLES and "content" in members:
        call_id = word(members.get("tool_call_id")) or ""
        name = calls.get(call_id, (word(members.get("name")) or "", {}))[0]
        mine = tuple(i for i in range(begin, len(parts.out)) if parts.out[i].kind == "tool_result")
        results.append(ToolResult(call_id, name, (*path, "content"), mine, new=parts.new))


def _message(parts: Parts, message: Json, path: Path) -> list[ToolCall]:
    """The parts of one message, of a request or a response alike; its calls."""
    members = table(message)
    if not members:
        parts.walk(message, path, "other", "text")
        return []
    spoken = members.get("role")
    role = "tool" if spoken in _RESULT_ROLES else _ROLES.get(spoken if isinstance(spoken, str) else "", "other")
    kind: Kind = "tool_result" if role == "tool" else "text"
    for name, value in members.items():
        if name in _MESSAGE:
            continue
        if name in ("content", "refusal"):
            _content(parts, value, (*path, name), role, kind)
        elif name in _REASONING:
            parts.walk(value, (*path, name), role, "reasoning")
        elif name == "audio":
            parts.walk(value, (*path, name), role, kind)
        else:
            parts.members({name: value}, path, "other", "text", frozenset())
    return _calls(parts, members, path)


_KNOWN_PARTS: Final = frozenset(
    [
        "text",
        "refusal",
        "image_url",
        "input_audio",
        "file",
        "video_url",
        "file_url",
        "document_url",
        "input_text",
        "output_text",
    ]
)


def _content(parts: Parts, value: Json, path: Path, role: str, kind: Kind) -> None:
    if not isinstance(value, list):
        parts.walk(value, path, role, kind)
        return
    for index, item in enumerate(value):
        kind_of_part = table(item).get("type")
        if kind_of_part in _KNOWN_PARTS or kind == "tool_result" or isinstance(item, str):
            parts.walk(item, (*path, index), role, kind)
        elif kind_of_part == "thinking":  # Mistral
            parts.walk(item, (*path, index), role, "reasoning")
        else:
            parts.walk(item, (*path, index), "other", "text")


def _calls(parts: Parts, members: Mapping[str, Json], path: Path) -> list[ToolCall]:
    found: list[ToolCall] = []
    calls = members.get("tool_calls")
    if isinstance(calls, list):
        for index, call in enumerate(calls):
            found += _call(parts, call, (*path, "tool_calls", index))
    else:
        parts.walk(calls, (*path, "tool_calls"), "other", "text")
    legacy = members.get("function_call")
    if isinstance(legacy, dict):
        begin = len(parts.out)
        name, text = _function(parts, legacy, (*path, "function_call"), "arguments")
        mine = tuple(range(begin, len(parts.out)))
        if name or text:  # Snowflake sends an empty one beside every answer
            found.append(ToolCall("", name, arguments(text), (*path, "function_call"), mine))
    else:
        parts.walk(legacy, (*path, "function_call"), "other", "text")
    return found


def _call(parts: Parts, call: Json, path: Path) -> list[ToolCall]:
    members = table(call)
    begin = len(parts.out)
    parts.members(members, path, "assistant", "tool_call", frozenset({"function", "custom"}))
    name = ""
    given: Mapping[str, Json] = {}
    for member, field in (("function", "arguments"), ("custom", "input")):
        inner = members.get(member)
        if isinstance(inner, dict):
            name, text = _function(parts, inner, (*path, member), field)
            given = arguments(text) if member == "function" or not text else {"input": text}
        else:
            parts.walk(inner, (*path, member), "other", "text")
    if not members:
        parts.walk(call, path, "other", "text")
        return []
    mine = tuple(range(begin, len(parts.out)))
    return [ToolCall(word(members.get("id")) or "", name, given, path, mine)]


def _function(parts: Parts, function: Mapping[str, Json], path: Path, field: str) -> tuple[str, str]:
    """Name and argument text; an object in the place of the text (some vendors) is read as its JSON."""
    name, given = word(function.get("name")) or "", function.get(field)
    for member, value in function.items():
        here = (*path, member)
        if member == "name" and isinstance(value, str):
            parts.add(here, value, "assistant", "tool_call", sealed=True)
        elif member == field and isinstance(value, str):
            parts.add(here, value, "assistant", "tool_call", json=field == "arguments")
        else:
            parts.walk_any(value, here, "assistant", "tool_call")
    if isinstance(given, str):
        return name, given
    return name, orjson.dumps(given).decode() if given is not None else ""


# whole responses

_CHOICE: Final = frozenset({"message", "logprobs"})


def read_response(document: Json) -> Response:
    """A `chat.completion` object, or an error."""
    root = table(document)
    parts = Parts()
    calls: list[ToolCall] = []
    copies: list[tuple[int, Path]] = []
    stop: str | None = None
    for index, choice in enumerate(array(root.get("choices"))):
        path: Path = ("choices", index)
        begin = len(parts.out)
        members = table(choice)
        calls += _message(parts, members.get("message"), (*path, "message"))
        mine = range(begin, len(parts.out)) if members.get("logprobs") is not None else ()
        copies += [(part, (*path, "logprobs")) for part in mine]
        parts.members(members, path, "other", "text", _CHOICE if mine else _CHOICE - {"logprobs"})
        if not members:
            parts.walk(choice, path, "other", "text")
        stop = stop or word(members.get("finish_reason"))
    skip = frozenset({"choices"}) if isinstance(root.get("choices"), list) else frozenset()
    parts.members(root, (), "other", "text", skip)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Response(word(root.get("model")), parts.out, calls, stop, _usage(root), copies)


def _usage(root: Mapping[str, Json]) -> Usage | None:
    used = root.get("usage") or table(root.get("x_groq")).get("usage")
    if not isinstance(used, dict):
        return None
    details = table(used.get("prompt_tokens_details"))
    return Usage(
        input=number(used.get("prompt_tokens")),
        output=number(used.get("completion_tokens")),
        # DeepSeek and Moonshot have names of their own for the cached part.
        cache_read=number(details.get("cached_tokens"))
        or number(used.get("prompt_cache_hit_tokens"))
        or number(used.get("cached_tokens")),
        cache_write=number(details.get("cache_write_tokens")),
    )


# streams

_CHUNK: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "x_groq", "p"}) | frozenset(
    {"system_fingerprint", "service_tier", "obfuscation"}
)
_STREAM_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "logprobs", "message", "native_finish_reason"})
_FLOWING: Final = frozenset({"index", "delta", "finish_reason", "logprobs"})
_CONTENT: Final = ("choices", 0, "delta", "content")
_GROWING: Final[Mapping[str, Channel]] = {
    "content": ("text",),
    "reasoning_content": ("reasoning", "reasoning_content"),
    "reasoning": ("reasoning", "reasoning"),
}


class _Calls:
    """The tool calls of one choice: which piece belongs to which."""

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.bases: list[Channel] = []
        self.ids: list[str] = []
        self.names: list[str] = []
        self.by_index: dict[Json, int] = {}
        self.finished = False

    def which(self, piece: Mapping[str, Json], name: str) -> tuple[int, bool]:
        """Ordinal of the call a piece belongs to, and whether it begins with it.

        By `index`, not by id: later pieces may lack the id, or have it empty. A second name under another id begins a
        new call even at the same index (Gemini's compatible endpoint numbers every call 0).
        """
        index, call_id = piece.get("index"), word(piece.get("id")) or ""
        known = self.by_index.get(index) if isinstance(index, int) else self._unnumbered(call_id, name)
        if known is not None and not (name and call_id and self.ids[known] not in ("", call_id)):
            return known, False
        ordinal = len(self.bases)
        self.bases.append(("tool_call", self.choice, ordinal))
        self.ids.append(call_id)
        self.names.append("")
        if isinstance(index, int):
            self.by_index[index] = ordinal
        return ordinal, True

    def _unnumbered(self, call_id: str, name: str) -> int | None:
        if call_id and call_id in self.ids:
            return self.ids.index(call_id)
        return None if name or call_id or not self.bases else len(self.bases) - 1


class _Reader:
    """State of one stream: its open texts, and the calls of each choice."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._calls: dict[int, _Calls] = {}
        self._spoke: set[tuple[int, str]] = set()
        self._flowing: tuple[Json, Channel] | None = None
        """The choice whose content came last, and nothing else since."""

    def read(self, event: Json) -> Reading:
        """What one chunk says."""
        return self._flow(event) or self._read(event)

    def _flow(self, event: Json) -> Reading | None:
        """The short way for the chunk that comes most: one more piece of the content that came before."""
        if self._flowing is None or type(event) is not dict or not event.keys() <= _CHUNK or event.get("usage"):
            return None
        choices = event.get("choices")
        if type(choices) is not list or len(choices) != 1 or type(choices[0]) is not dict or "x_groq" in event:
            return None
        choice = choices[0]
        delta = choice.get("delta")
        if type(delta) is not dict or len(delta) != 1 or not choice.keys() <= _FLOWING:
            return None
        text = delta.get("content")
        if type(text) is not str or not text or choice.get("index") != self._flowing[0]:
            return None
        if choice.get("finish_reason") is not None or choice.get("logprobs") is not None:
            return None
        return Reading((Fragment(self._flowing[1], _CONTENT, text),), model=word(event.get("model")))

    def _read(self, event: Json) -> Reading:
        self._flowing = None
        said = Said()
        root = table(event)
        choices = root.get("choices")
        if isinstance(choices, list):
            for position, choice in enumerate(choices):
                self._choice(said, choice, position)
        if not root.keys() <= _CHUNK or not isinstance(choices, list | None):
            skip = _CHUNK if isinstance(choices, list | None) else _CHUNK - {"choices"}
            self._rest(said, root, (), skip)
        if not isinstance(event, dict):
            self._walked(said, event, ())
        said.model = word(root.get("model"))
        if root.get("usage") or "x_groq" in root:
            said.usage = _usage(root)
            said.only_usage = choices == [] and root.keys() <= _CHUNK
        self._remember(said, choices)
        return said.reading()

    def _remember(self, said: Said, choices: Json) -> None:
        if len(said.fragments) == 1 and said.fragments[0].path == _CONTENT and not said.closes:
            index = table(choices[0]).get("index")
            if isinstance(index, int):
                self._flowing = (index, said.fragments[0].channel)

    def finish(self) -> Reading:
        """The end of the stream closes what no finish reason closed."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _choice(self, said: Said, choice: Json, position: int) -> None:
        members = table(choice)
        path: Path = ("choices", position)
        index = members.get("index")
        number_of_choice = index if isinstance(index, int) else position
        delta = members.get("delta")
        if isinstance(delta, dict):
            self._delta(said, delta, (*path, "delta"), number_of_choice)
        elif delta is not None:
            self._walked(said, delta, (*path, "delta"))
        self._copies(said, members, path, number_of_choice)
        if not members.keys() <= _STREAM_CHOICE:
            self._rest(said, members, path, _STREAM_CHOICE)
        if not members:
            self._walked(said, choice, path)
        if used := members.get("usage"):  # Moonshot
            said.usage = _usage({"usage": used})
        reason = members.get("finish_reason")
        if reason is not None:
            self._finished(said, number_of_choice, reason, path)

    def _finished(self, said: Said, choice: int, reason: Json, path: Path) -> None:
        if isinstance(reason, str):
            said.stop = reason
        else:
            self._walked(said, reason, (*path, "finish_reason"))
        calls = self._calls.get(choice)
        if calls is not None:
            said.calls += calls.bases
        for base in self._channels.open_bases():
            if base[1] == choice:
                said.closes += self._channels.close(base)

    def _delta(self, said: Said, delta: Mapping[str, Json], path: Path, choice: int) -> None:
        for name, value in delta.items():
            if value is None or value == "" or name == "role":
                continue
            if name == "tool_calls" and isinstance(value, list):
                self._ended(said, choice, "text")
                for index, piece in enumerate(value):
                    self._piece(said, table(piece), (*path, name, index), choice)
            elif name == "function_call" and isinstance(value, dict):
                if not any(value.values()):
                    continue
                self._ended(said, choice, "text")
                self._piece(said, {"index": -1, "function": value}, (*path, name), choice, legacy=True)
            elif isinstance(value, str):
                self._grow(said, name, value, path, choice)
            else:
                self._structured(said, name, value, (*path, name), choice)

    def _grow(self, said: Said, name: str, text: str, path: Path, choice: int) -> None:
        kind, *rest = _GROWING.get(name, ("text", name))
        if name == "content":
            self._ended(said, choice, "reasoning")
        self._spoke.add((choice, str(kind)))
        self._fragment(said, (kind, choice, *rest), (*path, name), text)

    def _fragment(self, said: Said, base: Channel, path: Path, text: str) -> None:
        said.fragment(self._channels.growing(base), path, text)

    def _ended(self, said: Said, choice: int, kind: str) -> None:
        """Reasoning is over when the answer begins, text when a call does: their last word need not wait.

        Only the first time: where a vendor interleaves them, the rest of each stays one text.
        """
        if (choice, f"{kind} ended") in self._spoke:
            return
        kinds = ("reasoning",) if kind == "reasoning" else ("reasoning", "text")
        for base in self._channels.open_bases():
            if base[1] == choice and base[0] in kinds:
                said.closes += self._channels.close(base)
        if (choice, kind) in self._spoke:
            self._spoke.add((choice, f"{kind} ended"))

    def _structured(self, said: Said, name: str, value: Json, path: Path, choice: int) -> None:
        if name == "content" and isinstance(value, list):
            for index, item in enumerate(value):
                self._chunk(said, item, (*path, index), choice)
        elif name == "reasoning_details" and isinstance(value, list):
            for index, item in enumerate(value):
                self._detail(said, table(item), (*path, index), choice)
        elif name == "audio" and isinstance(value, dict) and isinstance(value.get("transcript"), str):
            self._fragment(said, ("text", choice, "transcript"), (*path, "transcript"), value["transcript"])
            self._rest(said, value, path, frozenset({"transcript"}))
        else:
            kind: Kind = "reasoning" if name in _REASONING else "text"
            self._walked(said, value, path, kind)

    def _chunk(self, said: Said, item: Json, path: Path, choice: int) -> None:
        """A piece of array content (Mistral): text, or thinking that is itself a list of texts."""
        members = table(item)
        text = members.get("text")
        if members.get("type") == "text" and isinstance(text, str):
            self._ended(said, choice, "reasoning")
            self._spoke.add((choice, "text"))
            self._fragment(said, ("text", choice), (*path, "text"), text)
            self._rest(said, members, path, frozenset({"text"}))
        elif members.get("type") == "thinking":
            self._thinking(said, members, path, choice)
        else:
            self._walked(said, item, path)

    def _thinking(self, said: Said, members: Mapping[str, Json], path: Path, choice: int) -> None:
        self._spoke.add((choice, "reasoning"))
        for index, inner in enumerate(array(members.get("thinking"))):
            text = table(inner).get("text")
            if isinstance(text, str):
                here = (*path, "thinking", index)
                self._fragment(said, ("reasoning", choice, "thinking"), (*here, "text"), text)
                self._rest(said, inner, here, frozenset({"text"}))
            else:
                self._walked(said, inner, (*path, "thinking", index), "reasoning")
        if members.get("signature"):
            said.sealed.append(self._channels.growing(("reasoning", choice, "thinking")))
        skip = frozenset({"thinking"}) if isinstance(members.get("thinking"), list) else frozenset()
        self._rest(said, members, path, skip)

    def _detail(self, said: Said, members: Mapping[str, Json], path: Path, choice: int) -> None:
        """OpenRouter's reasoning_details: the signature comes after the text, which is sealed from the start."""
        self._spoke.add((choice, "reasoning"))
        index = members.get("index")
        grown = [name for name in ("text", "summary") if isinstance(members.get(name), str)]
        for name in grown:
            base: Channel = ("reasoning", choice, name, index if isinstance(index, int) else 0)
            self._fragment(said, base, (*path, name), members[name])
            if name == "text":
                said.sealed.append(self._channels.growing(base))
        self._rest(said, members, path, frozenset(grown))

    def _piece(self, said: Said, piece: Mapping[str, Json], path: Path, choice: int, *, legacy: bool = False) -> None:
        calls = self._calls.setdefault(choice, _Calls(choice))
        function = table(piece.get("function")) or table(piece.get("custom"))
        inner: Path = path if legacy else (*path, "custom" if not table(piece.get("function")) else "function")
        name = word(function.get("name")) or ""
        ordinal, begins = calls.which(piece, name)
        channel = self._channels.growing(calls.bases[ordinal])
        call_id = word(piece.get("id")) or ""
        if begins or (name and calls.names[ordinal] != name) or (call_id and not calls.ids[ordinal]):
            calls.ids[ordinal] = calls.ids[ordinal] or call_id
            calls.names[ordinal] += name if calls.names[ordinal] != name else ""
            after = (choice, "text") in self._spoke
            said.opens.append(OpenCall(channel, calls.ids[ordinal], calls.names[ordinal], after_text=after))
        said.entries.append((path, channel))
        for field in ("arguments", "input"):
            value = function.get(field)
            if isinstance(value, str):
                if value:
                    self._fragment(said, calls.bases[ordinal], (*inner, field), value)
            elif value is not None:
                text = orjson.dumps(value).decode()
                said.opens.append(OpenCall(channel, calls.ids[ordinal], calls.names[ordinal], arguments(text)))
                self._walked(said, value, (*inner, field), "tool_call", whole=True)
        self._rest(said, function, inner, frozenset({"name", "arguments", "input"}))
        if not legacy:
            self._rest(said, piece, path, frozenset({"function", "custom", "id", "type", "index"}))

    def _copies(self, said: Said, members: Mapping[str, Json], path: Path, choice: int) -> None:
        """What repeats the choice's text: log-probabilities, and Perplexity's cumulative message beside the delta."""
        message = members.get("message")
        copies = [(*path, name) for name in ("logprobs", "message") if members.get(name) is not None]
        if not copies:
            return
        bases = {base for base in self._channels.open_bases() if base[1] == choice} | {("text", choice)}
        said.drop += [(self._channels.growing(base), copy) for base in sorted(bases, key=str) for copy in copies]
        if message is not None:
            parts = Parts()
            _message(parts, message, (*path, "message"))
            self._channels.once(parts.out, said)

    def _rest(self, said: Said, members: Mapping[str, Json], path: Path, skip: frozenset[str]) -> None:
        if members.keys() <= skip:
            return
        parts = Parts()
        parts.members(members, path, "other", "text", skip)
        self._channels.once(parts.out, said)

    def _walked(self, said: Said, value: Json, path: Path, kind: Kind = "text", *, whole: bool = False) -> None:
        parts = Parts()
        (parts.walk_any if whole else parts.walk)(value, path, "other", kind)
        self._channels.once(parts.out, said)


def stream_reader() -> _Reader:
    """A reader for one response stream."""
    return _Reader()


class _Writer:
    """Cuts calls out of one stream, chunk by chunk."""

    def __init__(self) -> None:
        self._noticed: dict[Channel, int] = {}

    def rewrite(self, event: SseEvent, document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> bytes | None:
        """See `StreamWriter`."""
        changes: list[Change] = []
        cut = [(path, channel) for path, channel in reading.entries if channel in cuts]
        kept = [(path, channel) for path, channel in reading.entries if channel not in cuts]
        notices: dict[Path, str] = {}
        for path, channel in cut:
            delta = path[:3]
            if channel not in self._noticed:
                text = self._notice(channel, reading, cuts)
                notices[delta] = f"{notices[delta]}\n\n{text}" if delta in notices else text
        changes += _without([path for path, _ in cut], document)
        changes += [change for path, text in notices.items() for change in _said(document, path, text)]
        changes += [change for path, channel in kept for change in _renumbered(document, path, channel, cuts)]
        changes += _stopped(document, reading, cuts)
        if not changes:
            return None
        if cut and not kept and not notices and _nothing_else(document, reading):
            return b""
        return with_data(event, splice(event.data, changes))

    def _notice(self, channel: Channel, reading: Reading, cuts: Mapping[Channel, str]) -> str:
        after = any(opened.after_text for opened in reading.opens if opened.channel == channel)
        again = any(other[1] == channel[1] for other in self._noticed)
        self._noticed[channel] = 1
        return ("\n\n" if after or again else "") + cuts[channel]


def stream_writer() -> _Writer:
    """A writer for one response stream."""
    return _Writer()


def _at(document: Json, path: Path) -> Json:
    for step in path:
        document = document[step]
    return document


def _without(paths: Sequence[Path], document: Json) -> list[Change]:
    """Take calls out of their arrays, and arrays that are left empty out of their messages."""
    arrays: dict[Path, list[Path]] = {}
    changes: list[Change] = []
    for path in paths:
        if isinstance(path[-1], int):
            arrays.setdefault(path[:-1], []).append(path)
        else:
            changes.append(Remove(path))
    for holder, elements in arrays.items():
        empty = len(elements) == len(_at(document, holder))
        changes += [Remove(holder)] if empty else [Remove(path) for path in elements]
    return changes


def _said(document: Json, path: Path, text: str) -> list[Change]:
    """Add text to the content of the message or delta at `path`."""
    message = _at(document, path)
    content = message.get("content")
    here = (*path, "content")
    if isinstance(content, str) and content:
        return [TextChange(here, [TextEdit(len(content), len(content), "\n\n" + text.lstrip("\n"))])]
    if isinstance(content, list):
        return [Append(here, orjson.dumps({"type": "text", "text": text}))]
    return [Replace(here, orjson.dumps(text))]


def _renumbered(document: Json, path: Path, channel: Channel, cuts: Mapping[Channel, str]) -> list[Change]:
    """Close the gaps that cut calls leave in `index`: clients assemble by it."""
    index = table(_at(document, path)).get("index")
    if not isinstance(index, int):
        return []
    below = sum(1 for cut in cuts if cut[:2] == channel[:2] and _ordinal(cut) < _ordinal(channel))
    return [Replace((*path, "index"), b"%d" % max(0, index - below))] if below else []


def _ordinal(channel: Channel) -> int:
    return number(channel[2])


def _stopped(document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> list[Change]:
    """`finish_reason` of every choice that has no call left."""
    changes: list[Change] = []
    for position, choice in enumerate(array(table(document).get("choices"))):
        members = table(choice)
        index = members.get("index")
        mine = [call for call in reading.calls if call[1] == (index if isinstance(index, int) else position)]
        if members.get("finish_reason") in ("tool_calls", "function_call") and mine and all(c in cuts for c in mine):
            changes.append(Replace(("choices", position, "finish_reason"), b'"stop"'))
    return changes


_EMPTY: Final[tuple[Json, ...]] = (None, "", [], {})


def _nothing_else(document: Json, reading: Reading) -> bool:
    """Whether a chunk carries nothing but pieces of calls."""
    if reading.stop_reason is not None or reading.usage is not None:
        return False
    deltas = [table(choice.get("delta")) for choice in document["choices"]]
    return all(
        value in _EMPTY for delta in deltas for name, value in delta.items() if name not in ("tool_calls", "role")
    ) and not any("role" in delta for delta in deltas)


# what midstream says itself


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """Take calls out of a whole response; each message says the notices, and stops where it has no call left."""
    paths = {index: response.calls[index].path for index in cuts}
    notices: dict[Path, list[str]] = {}
    for index, text in cuts.items():
        notices.setdefault(paths[index][:3], []).append(text)
    changes = _without(list(paths.values()), document)
    for message, texts in notices.items():
        changes += _said(document, message, "\n\n".join(texts))
        kept = [i for i, call in enumerate(response.calls) if call.path[:3] == message and i not in cuts]
        reason = table(_at(document, message[:2])).get("finish_reason")
        if not kept and reason in ("tool_calls", "function_call"):
            changes.append(Replace((*message[:2], "finish_reason"), b'"stop"'))
    return changes


def inject(document: Json, text: str) -> list[Change]:
    """Text after everything the request says: in the user message that ends it, else in one of its own.

    A message before that is part of the cached prefix and stays. ValueError where there are no messages.
    """
    messages = table(document).get("messages")
    if not isinstance(messages, list):
        raise ValueError("a request without messages has no place for a text")
    last = len(messages) - 1
    if messages and table(messages[last]).get("role") == "user":
        return _said(document, ("messages", last), text)
    return [Append(("messages",), orjson.dumps({"role": "user", "content": text}))]


def ask_usage(document: Json) -> list[Change]:
    """`stream_options.include_usage`: a last chunk with the usage and no choices (OpenAI API reference)."""
    root = table(document)
    if root.get("stream") is not True or table(root.get("stream_options")).get("include_usage") is True:
        return []
    if isinstance(root.get("stream_options"), dict):
        return [Replace(("stream_options", "include_usage"), b"true")]
    return [Replace(("stream_options",), b'{"include_usage":true}')]


_ERRORS: Final[Mapping[int, tuple[str, str | None]]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", "permission_denied"),
    404: ("invalid_request_error", "not_found"),
    407: ("invalid_request_error", "proxy_authentication_required"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


def refusal(status: int, message: str) -> bytes:
    """OpenAI's error object (platform.openai.com/docs/guides/error-codes)."""
    kind, code = _ERRORS.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


_ID: Final = "chatcmpl-midstream"


def message(model: str | None, text: str) -> bytes:
    """A `chat.completion` that says `text`."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return orjson.dumps(_envelope("chat.completion", model) | {"choices": [choice], "usage": usage})


def message_stream(model: str | None, text: str) -> bytes:
    """The same as chunks, `[DONE]` included."""
    deltas: tuple[tuple[dict[str, Json], str | None], ...] = (
        ({"role": "assistant", "content": text}, None),
        ({}, "stop"),
    )
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} for delta, reason in deltas]
    head = _envelope("chat.completion.chunk", model)
    return b"".join(encode(None, orjson.dumps(head | chunk)) for chunk in chunks) + encode(None, DONE)


def _envelope(kind: str, model: str | None) -> dict[str, Json]:
    return {"id": _ID, "object": kind, "created": 0, "model": model or "midstream"}
