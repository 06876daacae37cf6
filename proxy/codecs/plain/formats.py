"""The formats that a table is enough for, one codec each: embeddings, rerank, moderation, images, sound, OCR, older
completion services, and the resources around models (files, batches, models, fine-tuning).

Sources: OpenAI OpenAPI 2.3.0; the API references of Cohere, Voyage, Mistral, watsonx.ai, Hugging Face TGI, Amazon
SageMaker, Aleph Alpha and Replicate; recorded traffic.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import orjson

from proxy.codecs import Json, Path
from proxy.codecs.codec import JSON, Codec, Syntax
from proxy.codecs.framings import Event
from proxy.codecs.multipart import MULTIPART, UPLOADS
from proxy.codecs.openai_chat.own import refusal
from proxy.codecs.plain.stream import EACH, Growth, Reader
from proxy.codecs.plain.table import Table, at, read_request, read_response
from proxy.codecs.splicing import Change, TextChange
from proxy.decision import TextEdit

_NOTHING_GROWS: Final = Growth(pieces=())


def _inject(prompt: Path, document: Json, text: str) -> list[Change]:
    """Text at the end of the prompt. ValueError where there is none."""
    told = at(document, prompt)
    if not prompt or not isinstance(told, str):
        raise ValueError("a request of this format has no place for a text")
    return [TextChange(prompt, [TextEdit(len(told), len(told), "\n\n" + text)])]


def _codec(
    name: str,
    of: Table,
    *,
    growth: Growth = _NOTHING_GROWS,
    prompt: Path = (),
    says: Callable[[str], Json] = lambda text: {"message": text},
    streams: Callable[[str], Sequence[Json]] | None = None,
    syntax: Syntax = JSON,
    **more: Any,
) -> Codec:
    """A codec of a table. `says` and `streams`: an answer of the format that says only a text."""
    told = streams or (lambda text: [says(text)])
    return Codec(
        name=name,
        read_request=partial(read_request, of),
        read_response=partial(read_response, of),
        stream_reader=partial(Reader, of, growth),
        refusal=refusal,
        inject=partial(_inject, prompt),
        message=lambda model, text: orjson.dumps(says(text)),
        message_stream=lambda model, text: [Event(None, orjson.dumps(document)) for document in told(text)],
        syntax=syntax,
        answers=JSON,
        events=JSON,
        repeats=bool(growth.whole),
        **more,
    )


_ASKED: Final = frozenset({"input", "inputs", "text", "texts", "content", "contents", "prompt", "query", "documents"})
_VECTORS: Final = frozenset({"embedding", "embeddings", "image_base64", "base64", "image", "images", "video_base64"})
_IMAGES: Final = frozenset({"b64_json", "partial_image_b64", "image", "images", "mask", "image_base64"})

EMBEDDINGS: Final = _codec("embeddings", Table(asks=_ASKED | {"instances"}, sealed=_VECTORS))
"""Inputs as strings, arrays, token ids, or contents of text and images; vectors come as numbers or base64."""

RERANK: Final = _codec("rerank", Table(asks=_ASKED | {"document"}, sealed=_VECTORS))
MODERATIONS: Final = _codec("moderations", Table(asks=_ASKED, sealed=_IMAGES), is_model=False)
IMAGES: Final = _codec(
    "images", Table(asks=frozenset({"prompt"}), answers=frozenset({"revised_prompt"}), sealed=_IMAGES), syntax=MULTIPART
)
"""OpenAI's, Azure's, xAI's. Streams send pictures, whole each time."""

AUDIO: Final = _codec(
    "audio",
    Table(
        asks=frozenset({"input", "prompt"}),
        instructs=frozenset({"instructions"}),
        answers=frozenset({"text", "segments", "words", "transcript"}),
        sealed=frozenset({"audio", "file"}),
        copies={"text": ("words", "tokens", "logprobs")},
    ),
    growth=Growth(
        pieces=("delta",), whole=("text",), ends="transcript.text.done", copies=("logprobs",), stops=("finish_reason",)
    ),
    says=lambda text: {"text": text},
    streams=lambda text: [
        {"type": "transcript.text.delta", "delta": text},
        {"type": "transcript.text.done", "text": text},
    ],
    syntax=MULTIPART,
)
"""Speech from texts, and texts from speech: `transcript.text.delta` grows, `transcript.text.done` says all again."""

OCR: Final = _codec("ocr", Table(answers=frozenset({"pages", "document_annotation"}), sealed=_IMAGES))
"""Mistral's: `pages[].markdown`."""

WATSONX: Final = _codec(
    "watsonx",
    Table(asks=frozenset({"input"}), answers=frozenset({"generated_text"}), limits=(("parameters", "max_new_tokens"),)),
    growth=Growth(pieces=("results", EACH, "generated_text"), stops=("results", EACH, "stop_reason")),
    prompt=("input",),
    says=lambda text: {"results": [{"generated_text": text, "stop_reason": "eos_token"}]},
)
"""IBM watsonx.ai, `/ml/v1/text/generation`."""

TEXT_GENERATION: Final = _codec(
    "text_generation",
    Table(
        asks=frozenset({"inputs", "prompt"}),
        answers=frozenset({"generated_text", "token", "tokens", "completions", "completion"}),
        limits=(("parameters", "max_new_tokens"), ("maximum_tokens",)),
        copies={"generated_text": ("details",)},
    ),
    growth=Growth(pieces=("token", "text"), whole=("generated_text",)),
    prompt=("inputs",),
    says=lambda text: [{"generated_text": text}],
    streams=lambda text: [{"token": {"text": text}, "generated_text": text}],
)
"""Hugging Face's text generation inference, also behind Amazon SageMaker: `inputs`, `generated_text`, `token.text`."""

ALEPH_ALPHA: Final = _codec(
    "aleph_alpha",
    Table(asks=frozenset({"prompt"}), answers=frozenset({"completions", "completion"}), limits=(("maximum_tokens",),)),
    growth=Growth(pieces=("completion",), stops=("finish_reason",)),
    says=lambda text: {"completions": [{"completion": text, "finish_reason": "end_of_text"}]},
    streams=lambda text: [{"type": "stream_chunk", "index": 0, "completion": text}],
)

REPLICATE: Final = _codec(
    "replicate",
    Table(
        asks=frozenset({"input"}),
        answers=frozenset({"output"}),
        limits=(("input", "max_tokens"), ("input", "max_new_tokens")),
    ),
    prompt=("input", "prompt"),
    plain_events=frozenset({"output"}),
)
"""Predictions: `input` goes up, `output` comes down when it is asked for; streams are plain texts (`event: output`)."""

RESOURCES: Final = _codec("resources", Table(), syntax=UPLOADS, is_model=False, framings=("sse", "lines"))
"""Files (forms, or a file by itself), batches, models, fine-tuning, vector stores: all strings, of nobody's role."""

CODECS: Final[Sequence[Codec]] = (
    EMBEDDINGS,
    RERANK,
    MODERATIONS,
    IMAGES,
    AUDIO,
    OCR,
    WATSONX,
    TEXT_GENERATION,
    ALEPH_ALPHA,
    REPLICATE,
    RESOURCES,
)
