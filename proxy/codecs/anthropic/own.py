"""What midstream says itself in this format: texts put into a request, refusals, whole answers."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Path, ToolResult
from proxy.codecs.anthropic.writer import text_block
from proxy.codecs.framings import Event
from proxy.codecs.notices import before_calls
from proxy.codecs.splicing import Append, Change, Replace, TextChange
from proxy.codecs.walk import array, table
from proxy.decision import TextEdit


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
                return [Append(path, text_block(text))]
            if isinstance(content, str):
                return [TextChange(path, [TextEdit(len(content), len(content), "\n\n" + text)])]
    raise ValueError("a request without a user message has no place for a text")


_TEXT_RESULTS: Final = frozenset({"tool_result", "mcp_tool_result"})
_WITH_MESSAGE: Final = frozenset({"tool_search_tool_result", "text_editor_code_execution_tool_result"})


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """A notice as text; for results of Anthropic's own tools, whose content is none, as their kind of error."""
    block = document
    for step in result.content[:-1]:
        block = block[step]
    kind = str(block.get("type"))
    if kind in _TEXT_RESULTS:
        return [Replace(result.content, orjson.dumps(text))]
    error = {"type": f"{kind}_error", "error_code": "unavailable"}
    if kind in _WITH_MESSAGE:
        error["error_message"] = text
    return [Replace(result.content, orjson.dumps(error))]


def mend(document: Json) -> list[Change]:
    """Notices before the calls of their message."""
    return before_calls(
        document,
        lambda block: block.get("type") == "tool_use",
        lambda block: block.get("type") in ("thinking", "redacted_thinking"),
    )


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


def message(model: str | None, text: str) -> bytes:
    """A message that says `text`."""
    content = [{"type": "text", "text": text}]
    end = {"stop_reason": "end_turn", "stop_sequence": None, "usage": _NO_USAGE}
    return orjson.dumps(_head(model) | {"content": content} | end)


def message_stream(model: str | None, text: str) -> list[Event]:
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
    return [Event(event["type"], orjson.dumps(event)) for event in events]
