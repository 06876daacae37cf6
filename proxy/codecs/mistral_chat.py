"""Mistral's chat and agents' completions (wire-formats §8): OpenAI's format, but for what midstream says itself.

Array content, thinking in lists and padding are read in `openai_chat`, as gateways send them too. Here stand the errors
in Mistral's shape, and where a text may be added: after a tool's message no user may speak.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import orjson

from proxy.codecs import Json
from proxy.codecs.openai_chat import CODEC as OPENAI_CHAT
from proxy.codecs.openai_chat.own import inject as _inject
from proxy.codecs.openai_chat.writer import say
from proxy.codecs.splicing import Change
from proxy.codecs.walk import array, table


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the last message, a tool's too, else in a message of the user's own.

    "Unexpected role 'user' after role 'tool'" (code 3230) is the answer to a message of its own there.
    """
    messages = array(table(document).get("messages"))
    if messages and table(messages[-1]).get("role") == "tool":
        return say(document, ("messages", len(messages) - 1), text)
    return _inject(document, text)


_ERRORS: Final[Mapping[int, str]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    413: "request_too_large",
    429: "rate_limited",
}


def refusal(status: int, message: str) -> bytes:
    """Mistral's error object, as recorded: flat, with `object`."""
    kind = _ERRORS.get(status, "internal_server_error" if status >= 500 else "invalid_request_error")
    return orjson.dumps({"object": "error", "message": message, "type": kind, "param": None, "code": None})


CODEC = replace(OPENAI_CHAT, name="mistral_chat", inject=inject, refusal=refusal)
