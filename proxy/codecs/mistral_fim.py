"""Mistral's `/v1/fim/completions` (wire-formats §8): fills in the middle of a file; answers are those of chat.

Source: docs.mistral.ai/api, "Fill in the middle". The prompt is code up to the cursor: no place for any other text.
"""

from dataclasses import replace
from typing import Final, Never

from proxy.codecs import Json, Request
from proxy.codecs.mistral_chat import CODEC as MISTRAL_CHAT
from proxy.codecs.walk import Parts, number, table, word

_REQUEST: Final = frozenset({"prompt", "suffix"})


def read_request(document: Json) -> Request:
    """A `POST /v1/fim/completions` body."""
    root = table(document)
    parts = Parts()
    for name in ("prompt", "suffix"):
        parts.walk(root.get(name), (name,), "user", "text")
    parts.members(root, (), "other", "text", _REQUEST)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        max_output=number(root.get("max_tokens")) or None,
    )


def inject(document: Json, text: str) -> Never:
    """What stands before the cursor is the file's own."""
    raise ValueError("a prompt that is code has no place for a text")


CODEC = replace(MISTRAL_CHAT, name="mistral_fim", read_request=read_request, inject=inject)
