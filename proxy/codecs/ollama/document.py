"""Requests and whole responses, of both endpoints. What a message says is read in `messages`."""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Request, Response, ToolResult
from proxy.codecs.history import History
from proxy.codecs.ollama.messages import read_images, read_message
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

_REQUEST: Final = frozenset({"messages", "tools", "prompt", "suffix", "system", "template", "images"})
ANSWER: Final = frozenset({"message", "response", "thinking", "image", "logprobs"})
"""What an answer, or a line of one, says; the rest is counts and words about it."""


def read_request(document: Json) -> Request:
    """A `POST /api/chat` or `/api/generate` body. Answers are streamed unless it says otherwise."""
    root = table(document)
    history = History(root.get("messages"))
    parts = history.parts
    for name in ("system", "template"):
        parts.walk(root.get(name), (name,), "system", "text")
    parts.walk(root.get("tools"), ("tools",), "system", "tool_definition")
    parts.members(root, (), "other", "text", _REQUEST)
    history.read(_Results().message)
    for name in ("prompt", "suffix"):
        parts.walk(root.get(name), (name,), "user", "text")
    read_images(parts, root.get("images"), ("images",), "user")
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    offered = [table(table(tool).get("function")).get("name") for tool in array(root.get("tools"))]
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is not False,
        parts=parts.out,
        results=history.results,
        tools=[name for name in offered if isinstance(name, str)],
        calls=history.calls,
        max_output=number(table(root.get("options")).get("num_predict")) or None,
        turn=history.turn,
    )


class _Results:
    """Finds the call of each result: by its id where there is one, else the earliest unanswered call of that tool."""

    def __init__(self) -> None:
        self._unanswered: dict[str, deque[str]] = defaultdict(deque)
        self._made = 0

    def message(self, history: History, message: Json, path: Path) -> None:
        """One message of a request."""
        parts, members = history.parts, table(message)
        begin = len(parts.out)
        for call in read_message(parts, message, path):
            self._made += 1
            named = call if call.call_id else call._replace(call_id=f"call-{self._made}")
            history.called(named)
            for name in {call.name, ""}:
                self._unanswered[name].append(named.call_id)
        if members.get("role") == "tool" and "content" in members:
            name = word(members.get("tool_name")) or word(members.get("name")) or ""
            call_id = word(members.get("tool_call_id")) or self._next(name)
            mine = tuple(i for i in range(begin, len(parts.out)) if parts.out[i].kind == "tool_result")
            result = ToolResult(call_id, history.name_of(call_id, name), (*path, "content"), mine, new=parts.new)
            history.results.append(result)

    def _next(self, name: str) -> str:
        waiting = self._unanswered[name]
        return waiting.popleft() if waiting else ""


def read_response(document: Json) -> Response:
    """A whole answer of either endpoint, or an error."""
    root = table(document)
    parts = Parts()
    calls = read_message(parts, root.get("message"), ("message",)) if "message" in root else []
    parts.walk(root.get("thinking"), ("thinking",), "assistant", "reasoning")
    parts.walk(root.get("response"), ("response",), "assistant", "text")
    image = root.get("image")
    parts.walk(image, ("image",), "assistant", "media", sealed=isinstance(image, str))
    copies: list[tuple[int, Change]] = []
    if root.get("logprobs") is not None and parts.out:  # the text once more, token by token
        copies = [(index, Remove(("logprobs",))) for index in range(len(parts.out))]
    else:
        parts.walk(root.get("logprobs"), ("logprobs",), "other", "text")
    parts.members(root, (), "other", "text", ANSWER)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    stop = word(root.get("done_reason"))
    return Response(word(root.get("model")), parts.out, calls, stop, read_usage(root), when_edited=copies)


def read_usage(root: Mapping[str, Json]) -> Usage | None:
    """The counts of an answer's end. A prompt that was cached is not evaluated, and has no count."""
    if "eval_count" not in root and "prompt_eval_count" not in root:
        return None
    return Usage(input=number(root.get("prompt_eval_count")), output=number(root.get("eval_count")))
