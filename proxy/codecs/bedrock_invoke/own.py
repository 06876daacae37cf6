"""What midstream says itself here: in the format of the model that the path names.

Some models have had two formats over time: an answer that carries both is read by clients of either.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Json, anthropic, anthropic_complete, bedrock_converse, cohere_v1, openai_chat
from proxy.codecs.bedrock_converse.own import message_events
from proxy.codecs.bedrock_invoke.stream import CHUNK, in_chunks
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Event

type _Document = dict[str, Json]
type _Format = tuple[Callable[[str], _Document], Callable[[str], Sequence[_Document]]]
"""A whole answer that says a text, and the events of a stream."""


def _titan(text: str) -> _Document:
    result = {"tokenCount": 0, "outputText": text, "completionReason": "FINISH"}
    return {"inputTextTokenCount": 0, "results": [result]}


def _titan_events(text: str) -> list[_Document]:
    counts = {"totalOutputTextTokenCount": 0, "inputTextTokenCount": 0}
    return [{"outputText": text, "index": 0, "completionReason": "FINISH"} | counts]


def _llama(text: str) -> _Document:
    return {"generation": text, "prompt_token_count": 0, "generation_token_count": 0, "stop_reason": "stop"}


def _mistral(text: str) -> _Document:
    return {"outputs": [{"text": text, "stop_reason": "stop"}]} | _of(openai_chat.CODEC)[0](text)


def _mistral_events(text: str) -> list[_Document]:
    said = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": said, "delta": said, "finish_reason": "stop", "stop_reason": "stop"}
    return [{"outputs": [{"text": text, "stop_reason": "stop"}], "choices": [choice]}]


def _ai21(text: str) -> _Document:
    completion = {"data": {"text": text, "tokens": []}, "finishReason": {"reason": "endoftext"}}
    return {"completions": [completion]} | _of(openai_chat.CODEC)[0](text)


def _claude(text: str) -> _Document:
    return _of(anthropic_complete.CODEC)[0](text) | _of(anthropic.CODEC)[0](text)


def _claude_events(text: str) -> list[_Document]:
    """Each event of the newer format says a piece of the older one too."""
    events = _of(anthropic.CODEC)[1](text)
    legacy: Mapping[str, _Document] = {
        "content_block_delta": {"completion": text, "stop_reason": None},
        "message_stop": {"completion": "", "stop_reason": "stop_sequence"},
    }
    return [event | legacy.get(event["type"], {"completion": "", "stop_reason": None}) for event in events]


def _nova_events(text: str) -> list[_Document]:
    return [{name: event} for name, event in message_events(text).items()]


def _of(codec: Codec) -> _Format:
    def message(text: str) -> _Document:
        said: _Document = orjson.loads(codec.message(None, text))
        return said

    def events(text: str) -> list[_Document]:
        return [orjson.loads(event.data) for event in in_chunks(codec.message_stream(None, text))]

    return message, events


_FORMATS: Final[tuple[tuple[str, _Format], ...]] = (
    ("anthropic.claude-v2", (_claude, _claude_events)),
    ("anthropic.claude-instant", (_claude, _claude_events)),
    ("anthropic.", _of(anthropic.CODEC)),
    ("amazon.nova", (_of(bedrock_converse.CODEC)[0], _nova_events)),
    ("amazon.titan", (_titan, _titan_events)),
    ("meta.", (_llama, lambda text: [_llama(text)])),
    ("mistral.", (_mistral, _mistral_events)),
    ("ai21.", (_ai21, _of(openai_chat.CODEC)[1])),
    ("cohere.command-r", _of(cohere_v1.CODEC)),
    ("cohere.", _of(cohere_v1.GENERATE)),
    ("arn:", _of(anthropic.CODEC)),  # a profile or a throughput that does not name its model
    ("", _of(openai_chat.CODEC)),
)


def _format(model: str | None) -> _Format:
    """By a part of the model's id: `us.anthropic.claude-…`, or an ARN that ends so."""
    name = (model or "arn:").lower()
    return next(found for mark, found in _FORMATS if mark in name)


def message(model: str | None, text: str) -> bytes:
    """A whole answer that says `text`."""
    return orjson.dumps(_format(model)[0](text))


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as the chunks of a stream."""
    return [Event(CHUNK, orjson.dumps(document)) for document in _format(model)[1](text)]
