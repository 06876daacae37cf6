"""Recorded exchanges of the formats that codecs read, from ../shared/corpus, and generic checks over documents."""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

from proxy.codecs import (
    Key,
    Path,
    Request,
    Response,
    a2a,
    anthropic,
    anthropic_complete,
    bedrock_agent,
    bedrock_checks,
    bedrock_converse,
    bedrock_invoke,
    cohere_v2,
    gemini,
    gemini_interactions,
    mcp,
    mistral_chat,
    openai_assistants,
    openai_chat,
    openai_completions,
    openai_realtime,
    openai_responses,
    trees,
)
from proxy.codecs.codec import Codec
from proxy.codecs.plain import formats
from proxy.codecs.walk import LONGEST_WORD, STRUCTURE
from tests.shared import SHARED

KINDS: dict[str, Codec] = {
    "openai_chat": openai_chat.CODEC,
    "mistral_chat": mistral_chat.CODEC,
    "anthropic_messages": anthropic.CODEC,
    "openai_responses": openai_responses.CODEC,
    "openai_responses_aux": openai_responses.AUX,
    "openai_responses_compact": openai_responses.COMPACT,
    "mcp": mcp.CODEC,
    "gemini_generate": gemini.CODEC,
    "gemini_count_tokens": gemini.ADMIN,
    "gemini_admin": gemini.ADMIN,
    "gemini_interactions": gemini_interactions.CODEC,
    "a2a": a2a.CODEC,
    "cohere_chat_v2": cohere_v2.CODEC,
    "bedrock_converse": bedrock_converse.CODEC,
    "bedrock_converse_stream": bedrock_converse.CODEC,
    "bedrock_invoke": bedrock_invoke.CODEC,
    "bedrock_invoke_stream": bedrock_invoke.CODEC,
    "bedrock_agent": bedrock_agent.CODEC,
    "bedrock_count_tokens": bedrock_checks.CODEC,
    "bedrock_guardrail": bedrock_checks.CODEC,
    "openai_completions": openai_completions.CODEC,
    "anthropic_complete": anthropic_complete.CODEC,
    "openai_assistants": openai_assistants.CODEC,
    "openai_realtime_http": openai_realtime.OVER_HTTP,
    "embeddings": formats.EMBEDDINGS,
    "rerank": formats.RERANK,
    "moderations": formats.MODERATIONS,
    "images": formats.IMAGES,
    "audio": formats.AUDIO,
    "files": formats.RESOURCES,
    "batches": formats.RESOURCES,
    "models": formats.RESOURCES,
    "fine_tuning": formats.RESOURCES,
    "watsonx_text": formats.WATSONX,
    "replicate": formats.REPLICATE,
    "sagemaker_invoke": formats.TEXT_GENERATION,
    "alephalpha_complete": formats.ALEPH_ALPHA,
}


COUNTED = {"openai_chat", "mistral_chat", "anthropic_messages", "cohere_chat_v2"}
"""Kinds of which the recordings count the calls as midstream does."""


def exchanges() -> Iterator[tuple[str, Codec, dict[str, Any]]]:
    """(file and line, codec, record) of every chat exchange."""
    for file in sorted((SHARED / "corpus").glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                record = json.loads(line)
                codec = KINDS.get(record["endpoint_kind"])
                if codec is not None:
                    yield f"{file.name}:{number}", codec, record


def body(message: dict[str, Any] | None) -> bytes:
    """A recorded body's bytes, content-encoding removed."""
    if not message:
        return b""
    if message.get("body_b64") is not None:
        raw = base64.b64decode(message["body_b64"])
        if message.get("content_encoding") == "gzip":
            raw = zlib.decompress(raw, 47)
        elif message.get("content_encoding"):
            return b""
        return raw
    return (message.get("body_text") or "").encode("utf-8", "surrogatepass")


def unread(document: Any, read: Request | Response) -> list[Path]:
    """String leaves that are neither a part nor one of the format's short words nor a copy of a part."""
    seen = {part.path for part in read.parts}
    copies = [change.path for _, change in getattr(read, "when_edited", ())]
    return [
        path
        for path, text in trees.strings(document)
        if path not in seen
        and not (path and path[-1] in STRUCTURE and len(text) <= LONGEST_WORD)
        and not any(path[: len(copy)] == copy for copy in copies)
        and not _call_word(path)
    ]


def _call_word(path: Path) -> bool:
    return bool(path) and path[-1] == "role" and "messages" in path


def misplaced(document: Any, read: Request | Response) -> list[Path]:
    """Parts whose text is not what stands at their path."""
    return [part.path for part in read.parts if part.text != _text(document, part.path)]


def _text(document: Any, path: Path) -> str:
    for step in path:
        if isinstance(step, Key):
            return step.name if step.name in document else ""
        document = document[step]
    return document if isinstance(document, str) else str(document)
