"""OpenAI's legacy Completions (wire-formats §1.3) and their compatible vendors: JSON and stream, as pure functions.

Source: OpenAI OpenAPI 2.3.0, `/completions`, and recorded vendors: Together says each piece once more as a chat delta,
Writer's streams are `{"value": …}`. No tools. Usage and errors are those of Chat Completions.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from proxy.codecs import Channel, Fragment, Json, Path, Reading, Request, Response
from proxy.codecs.channels import Channels, Said
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Event
from proxy.codecs.framings.sse import DONE
from proxy.codecs.openai_chat.document import read_usage
from proxy.codecs.openai_chat.own import ask_usage, refusal
from proxy.codecs.splicing import Change, Remove, TextChange
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.decision import TextEdit

_PROMPT: Final = frozenset({"prompt", "suffix"})
_CHUNK: Final = frozenset({"id", "object", "created", "model", "usage", "system_fingerprint"})


def read_request(document: Json) -> Request:
    """A `POST /v1/completions` body. Prompts may be token ids, which say nothing here."""
    root, parts = table(document), Parts()
    for name in ("prompt", "suffix"):
        parts.walk(root.get(name), (name,), "user", "text")
    parts.members(root, (), "other", "text", _PROMPT)
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        max_output=number(root.get("max_tokens")) or None,
    )


def read_response(document: Json) -> Response:
    """A `text_completion` object, or an error."""
    root, parts = table(document), Parts()
    copies: list[tuple[int, Change]] = []
    stop: str | None = None
    for index, choice in enumerate(array(root.get("choices"))):
        path: Path = ("choices", index)
        members, begin = table(choice), len(parts.out)
        parts.walk(members.get("text"), (*path, "text"), "assistant", "text")
        repeated = len(parts.out) > begin and members.get("logprobs") is not None
        copies += [(part, Remove((*path, "logprobs"))) for part in range(begin, len(parts.out)) if repeated]
        parts.members(members, path, "other", "text", frozenset({"text", "logprobs"} if repeated else {"text"}))
        if not members:
            parts.walk(choice, path, "other", "text")
        stop = stop or word(members.get("finish_reason"))
    parts.members(root, (), "other", "text", frozenset({"choices"} if isinstance(root.get("choices"), list) else ()))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Response(word(root.get("model")), parts.out, (), stop, read_usage(root), when_edited=copies)


class Reader:
    """State of one stream: its choices' texts."""

    def __init__(self) -> None:
        self._channels = Channels()

    def read(self, event: Json) -> Reading:
        """What one chunk says."""
        said, root = Said(), table(event)
        choices, value = root.get("choices"), root.get("value")
        skip = set[str]()
        if isinstance(choices, list):
            skip.add("choices")
            for position, choice in enumerate(choices):
                self._choice(said, choice, position)
        if isinstance(value, str):
            skip.add("value")
            said.fragment(self._channels.growing(("text", 0, "value")), ("value",), value)
        self._channels.rest(said, root, (), frozenset(skip))
        if not isinstance(event, dict):
            self._channels.walked(said, event, ())
        said.model, said.usage = word(root.get("model")), read_usage(root)
        said.only_usage = bool(said.usage) and choices == [] and root.keys() <= _CHUNK | {"choices"}
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what no finish reason closed."""
        return Reading(closes=self._channels.close_all(), end=True)

    def _choice(self, said: Said, choice: Json, position: int) -> None:
        members, path = table(choice), ("choices", position)
        index = members.get("index")
        base: Channel = ("text", index if isinstance(index, int) else position)
        skip = set[str]()
        text, again = members.get("text"), table(members.get("delta")).get("content")
        if isinstance(text, str):
            skip.add("text")
            said.fragments += [Fragment(self._channels.growing(base), (*path, "text"), text)] if text else []
        if members.get("logprobs") is not None:
            skip.add("logprobs")
            said.when_edited.append((self._channels.growing(base), Remove((*path, "logprobs"))))
        if isinstance(again, str):
            skip.add("delta")
            said.fragment(self._channels.growing((*base, "delta")), (*path, "delta", "content"), again)
            self._channels.rest(said, table(members["delta"]), (*path, "delta"), frozenset({"content"}))
        self._channels.rest(said, members, path, frozenset(skip))
        if not members:
            self._channels.walked(said, choice, path)
        if isinstance(reason := members.get("finish_reason"), str):
            said.stop = reason
            for other in (base, (*base, "delta")):
                said.closes += self._channels.close(other)


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the prompt. ValueError where it is token ids."""
    prompt = table(document).get("prompt")
    path: Path = ("prompt",)
    if isinstance(prompt, list) and prompt:
        path, prompt = ("prompt", len(prompt) - 1), prompt[-1]
    if not isinstance(prompt, str):
        raise ValueError("a prompt of token ids has no place for a text")
    return [TextChange(path, [TextEdit(len(prompt), len(prompt), "\n\n" + text)])]


def _completion(model: str | None, text: str, reason: str | None) -> dict[str, Json]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    head = {"id": "cmpl-midstream", "object": "text_completion", "created": 0, "model": model or "midstream"}
    return head | {"choices": [choice]}


def message(model: str | None, text: str) -> bytes:
    """A `text_completion` that says `text`."""
    usage: Mapping[str, int] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return orjson.dumps(_completion(model, text, "stop") | {"usage": usage})


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as chunks, `[DONE]` included."""
    chunks = [_completion(model, text, None), _completion(model, "", "stop")]
    return [*(Event(None, orjson.dumps(chunk)) for chunk in chunks), Event(None, DONE)]


CODEC = Codec(
    name="openai_completions",
    read_request=read_request,
    read_response=read_response,
    stream_reader=Reader,
    refusal=refusal,
    inject=inject,
    ask_usage=ask_usage,
    message=message,
    message_stream=message_stream,
)
