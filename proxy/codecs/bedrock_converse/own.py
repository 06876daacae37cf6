"""What midstream says itself in this format: texts put into a request, notices, refusals, whole answers."""

from collections.abc import Mapping
from typing import Final

import orjson

from proxy.codecs import Json, ToolResult
from proxy.codecs.bedrock_converse.writer import text_block
from proxy.codecs.framings import Event
from proxy.codecs.notices import before_calls
from proxy.codecs.splicing import Append, Change, Replace
from proxy.codecs.walk import array, table


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the last user message, after its last block and so after every cache point.

    ValueError where there is no user message.
    """
    messages = array(table(document).get("messages"))
    for index in range(len(messages) - 1, -1, -1):
        message = table(messages[index])
        if message.get("role") == "user" and isinstance(message.get("content"), list):
            return [Append(("messages", index, "content"), text_block(text))]
    raise ValueError("a request without a user message has no place for a text")


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """A result's content is a list of blocks."""
    return [Replace(result.content, orjson.dumps([{"text": text}]))]


def mend(document: Json) -> list[Change]:
    """Notices before the calls of their message."""
    return before_calls(document, lambda block: "toolUse" in block, lambda block: "reasoningContent" in block)


_ERRORS: Final[Mapping[int, str]] = {
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


def refusal(status: int, message: str) -> bytes:
    """AWS's error (restJson1). Its type stands in a header, `__type` or `code`: SDKs differ in which they read."""
    kind = _ERRORS.get(status, "InternalServerException" if status >= 500 else "ValidationException")
    return orjson.dumps({"__type": kind, "code": kind, "message": message})


_USAGE: Final = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
_METRICS: Final = {"latencyMs": 0}


def message(model: str | None, text: str) -> bytes:
    """A message that says `text`."""
    said = {"output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "stopReason": "end_turn"}
    return orjson.dumps(said | {"usage": _USAGE, "metrics": _METRICS})


def message_events(text: str) -> dict[str, Json]:
    """The same as the events of a stream, by their names."""
    return {
        "messageStart": {"role": "assistant"},
        "contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}},
        "contentBlockStop": {"contentBlockIndex": 0},
        "messageStop": {"stopReason": "end_turn"},
        "metadata": {"usage": _USAGE, "metrics": _METRICS},
    }


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as a stream."""
    return [Event(name, orjson.dumps(event)) for name, event in message_events(text).items()]
