"""Whose native format a body of InvokeModel has: told by the body alone, as a model's ARN need not name the model."""

from collections.abc import Collection, Mapping
from typing import Final

from proxy.codecs import (
    Json,
    anthropic,
    anthropic_complete,
    bedrock_converse,
    cohere_v1,
    openai_chat,
    openai_completions,
)
from proxy.codecs.bedrock_converse.stream import WRAPPERS
from proxy.codecs.codec import Codec
from proxy.codecs.walk import array, table

_COHERE: Final = ("generation_id", "chat_history", "response_id", "generations")


def of_request(document: Json) -> Codec | None:
    """None for a native body."""
    root = table(document)
    if isinstance(root.get("messages"), list):
        if "anthropic_version" in root:
            return anthropic.CODEC
        return bedrock_converse.CODEC if _is_nova(root) else openai_chat.CODEC
    if isinstance(root.get("message"), str):
        return cohere_v1.CODEC
    return anthropic_complete.CODEC if "max_tokens_to_sample" in root else None


def _is_nova(root: Mapping[str, Json]) -> bool:
    """Blocks without a `type` are Converse's."""
    if "schemaVersion" in root or "inferenceConfig" in root:
        return True
    blocks = [block for message in array(root["messages"]) for block in array(table(message).get("content"))]
    return any(isinstance(block, dict) and "type" not in block for block in blocks)


def of_response(document: Json) -> Codec | None:
    """None for a native answer, and for AWS's errors."""
    root = table(document)
    if isinstance(root.get("output"), dict):
        return bedrock_converse.CODEC
    if isinstance(root.get("choices"), list):
        return _choices(root)
    if isinstance(root.get("completion"), str):
        return anthropic_complete.CODEC
    if _has(root, _COHERE):
        return cohere_v1.CODEC
    return anthropic.CODEC if isinstance(root.get("type"), str) else None


def of_event(event: Json) -> Codec | None:
    """None for a native event, and for one that does not tell."""
    root = table(event)
    if _has(root, WRAPPERS):
        return bedrock_converse.CODEC
    if isinstance(root.get("choices"), list):
        return _choices(root)
    if _has(root, ("event_type", "is_finished")):
        return cohere_v1.CODEC
    return anthropic.CODEC if isinstance(root.get("type"), str) else None


def _choices(root: Mapping[str, Json]) -> Codec:
    texts = any("text" in table(choice) for choice in array(root["choices"]))
    return openai_completions.CODEC if texts else openai_chat.CODEC


def _has(root: Mapping[str, Json], names: Collection[str]) -> bool:
    return any(name in root for name in names)
