"""What midstream says itself in this format: texts put into a request, refusals, whole answers."""

from collections.abc import Mapping
from typing import Final

import orjson

from proxy.codecs import Json
from proxy.codecs.framings import Event
from proxy.codecs.framings.sse import DONE
from proxy.codecs.openai_chat.writer import say
from proxy.codecs.splicing import Append, Change, Replace
from proxy.codecs.walk import table


def inject(document: Json, text: str) -> list[Change]:
    """Text after everything the request says: in the user message that ends it, else in one of its own.

    A message before that is part of the cached prefix and stays. ValueError where there are no messages.
    """
    messages = table(document).get("messages")
    if not isinstance(messages, list):
        raise ValueError("a request without messages has no place for a text")
    last = len(messages) - 1
    if messages and table(messages[last]).get("role") == "user":
        return say(document, ("messages", last), text)
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


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as chunks, `[DONE]` included."""
    deltas: tuple[tuple[dict[str, Json], str | None], ...] = (
        ({"role": "assistant", "content": text}, None),
        ({}, "stop"),
    )
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} for delta, reason in deltas]
    head = _envelope("chat.completion.chunk", model)
    return [*(Event(None, orjson.dumps(head | chunk)) for chunk in chunks), Event(None, DONE)]


def _envelope(kind: str, model: str | None) -> dict[str, Json]:
    return {"id": _ID, "object": kind, "created": 0, "model": model or "midstream"}
