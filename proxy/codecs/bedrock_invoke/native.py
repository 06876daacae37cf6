"""Native bodies that no other codec reads: Titan, Llama, Mistral's and AI21's completions, embeddings, images.

Source: Amazon Bedrock user guide, "Inference request parameters and response fields". A prompt is one string here, with
the model's own marks of turns in it; nothing of these has tools. Streams are `stream`'s business.
"""

import re
from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Request, Response
from proxy.codecs.bedrock_converse.document import count
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, array, table, word
from proxy.events import Usage

_ASKED: Final = frozenset({"inputText", "prompt", "texts", "inputs", "suffix"})

TEXTS: Final = ("outputText", "generation", "completion", "text")
"""Members that are a whole answer, or a piece of one."""

LISTS: Final[Mapping[str, Path]] = {
    "results": ("outputText",),
    "outputs": ("text",),
    "generations": ("text",),
    "completions": ("data", "text"),
}
"""Lists of answers, and where in each of them its text stands."""

_TOKENS: Final = ("token_likelihoods", "tokens")
"""Beside a text, the same text by tokens."""

REASONS: Final = ("completionReason", "stop_reason", "finish_reason", "finishReason")

METRICS: Final = "amazon-bedrock-invocationMetrics"

_PICTURES: Final = frozenset(
    {"image", "images", "inputImage", "maskImage", "init_image", "mask_image", "base64", "video"}
)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")


def read_request(document: Json) -> Request:
    """An InvokeModel body."""
    root, parts = table(document), Parts()
    parts.walk(root.get("system"), ("system",), "system", "text")
    for name in sorted(_ASKED):
        parts.walk(root.get(name), (name,), "user", "text")
    parts.members(root, (), "other", "text", _ASKED | {"system"})
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    _pictures(parts)
    return Request(model=None, stream=False, parts=parts.out, max_output=_bound(root))


def _bound(root: Mapping[str, Json]) -> int | None:
    named = (root.get(name) for name in ("max_gen_len", "max_tokens", "max_tokens_to_sample", "maxTokens"))
    return next(filter(None, map(count, [*named, table(root.get("textGenerationConfig")).get("maxTokenCount")])), None)


def read_response(document: Json) -> Response:
    """An InvokeModel answer, or an error."""
    root, parts = table(document), Parts()
    copies: list[tuple[int, Change]] = []
    for name in TEXTS:
        parts.walk(root.get(name), (name,), "assistant", "text")
    for name, inner in LISTS.items():
        for index, item in enumerate(array(root.get(name))):
            copies += _answer(parts, item, (name, index), inner)
    listed = {name for name in LISTS if isinstance(root.get(name), list)}
    parts.members(root, (), "other", "text", frozenset(listed) | frozenset(TEXTS))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    _pictures(parts)
    return Response(None, parts.out, (), _reason(root), _usage(root), when_edited=copies)


def _answer(parts: Parts, item: Json, path: Path, inner: Path) -> list[tuple[int, Change]]:
    """One of several answers; what repeats its text by tokens goes when the text is edited."""
    *outer, name = inner
    members, here = table(item), (*path, *outer)
    holder = table(members.get(str(outer[0]))) if outer else members
    text, begin = holder.get(str(name)), len(parts.out)
    if not isinstance(text, str):
        parts.walk(item, path, "other", "text")
        return []
    parts.add((*here, name), text, "assistant", "text")
    copied = [token for token in _TOKENS if holder.get(token) is not None]
    parts.members(holder, here, "other", "text", frozenset({str(name), *copied}))
    if outer:
        parts.members(members, path, "other", "text", frozenset(map(str, outer)))
    return [(begin, Remove((*here, token))) for token in copied]


def _reason(root: Mapping[str, Json]) -> str | None:
    items = (table(item) for name in LISTS for item in array(root.get(name)))
    return next((said for members in (root, *items) if (said := reason(members)) is not None), None)


def reason(members: Mapping[str, Json]) -> str | None:
    """Why an answer ended, as its model names it."""
    for name in REASONS:
        value = members.get(name)
        said = word(table(value).get("reason") if isinstance(value, dict) else value)
        if said is not None:
            return said
    return None


def _usage(root: Mapping[str, Json]) -> Usage | None:
    """Titan's and Llama's counts; other models are counted in headers only."""
    output = sum(count(table(item).get("tokenCount")) for item in array(root.get("results")))
    given = count(root.get("inputTextTokenCount")) or count(root.get("prompt_token_count"))
    said = output or count(root.get("generation_token_count")) or count(root.get("totalOutputTextTokenCount"))
    return Usage(input=given, output=said) if given or said else None


def read_metrics(root: Mapping[str, Json]) -> Usage | None:
    """What Bedrock counts itself, in a stream's last event."""
    used = root.get(METRICS)
    if not isinstance(used, dict):
        return None
    read, written = count(used.get("cacheReadInputTokenCount")), count(used.get("cacheWriteInputTokenCount"))
    given = count(used.get("inputTokenCount")) + read + written
    return Usage(input=given, output=count(used.get("outputTokenCount")), cache_read=read, cache_write=written)


def _pictures(parts: Parts) -> None:
    """Payloads of pictures are no texts; a text under their names is."""
    for index, part in enumerate(parts.out):
        if not _PICTURES.isdisjoint(part.path) and _BASE64.fullmatch(part.text):
            parts.out[index] = part._replace(kind="media", sealed=True)
