"""Anthropic's legacy Text Completions, `POST /v1/complete`: JSON and stream, as pure functions. No tools.

Source: Anthropic API reference, "Create a Text Completion" and "Versions": since 2023-06-01 events are named and
incremental; under 2023-01-01 they have no type, and every one says the whole completion so far.
"""

from typing import Final

import orjson

from proxy.codecs import Channel, Fragment, Json, Reading, Request, Response
from proxy.codecs.anthropic.own import refusal
from proxy.codecs.channels import Channels, Said
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Event
from proxy.codecs.splicing import Change, TextChange
from proxy.codecs.walk import Parts, number, table, word
from proxy.decision import TextEdit

_COMPLETION: Final = "completion"
_CHANNEL: Final[Channel] = ("text", 0)
_TURN: Final = "\n\nAssistant:"


def read_request(document: Json) -> Request:
    """A `POST /v1/complete` body: the conversation is one string of `\\n\\nHuman:` and `\\n\\nAssistant:` turns."""
    root, parts = table(document), Parts()
    prompt = root.get("prompt")
    parts.walk(prompt, ("prompt",), "user", "text")
    parts.members(root, (), "other", "text", frozenset({"prompt"}))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=parts.out,
        max_output=number(root.get("max_tokens_to_sample")) or None,
        turn=max(0, prompt.count(_TURN) - 1) if isinstance(prompt, str) else 0,
    )


def read_response(document: Json) -> Response:
    """A `completion` object, or an error."""
    root, parts = table(document), Parts()
    parts.walk(root.get(_COMPLETION), (_COMPLETION,), "assistant", "text")
    parts.members(root, (), "other", "text", frozenset({_COMPLETION}))
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    return Response(word(root.get("model")), parts.out, (), word(root.get("stop_reason")))


class Reader:
    """State of one stream: the completion, and whether events say all of it so far."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._before = ""
        self._whole = True
        """Every event so far said what the one before said, and more."""

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said, root = Said(), table(event)
        so_far: list[Fragment] = []
        text = root.get(_COMPLETION)
        if isinstance(text, str):
            self._whole = self._whole and "type" not in root and text.startswith(self._before)
            channel = self._channels.growing(_CHANNEL)
            if self._whole:
                self._before = text
                so_far.append(Fragment(channel, (_COMPLETION,), text))
            elif text:
                said.fragment(channel, (_COMPLETION,), text)
        self._channels.rest(said, root, (), frozenset({_COMPLETION} if isinstance(text, str) else ()))
        if not isinstance(event, dict):
            self._channels.walked(said, event, ())
        said.model, said.stop = word(root.get("model")), word(root.get("stop_reason"))
        if said.stop is not None:
            said.closes += self._channels.close(_CHANNEL)
        return said.reading()._replace(so_far=so_far)

    def finish(self) -> Reading:
        """The end of the stream closes what no stop reason closed."""
        return Reading(closes=self._channels.close_all(), end=True)


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the last human turn: before the `\\n\\nAssistant:` that asks for the answer."""
    prompt = table(document).get("prompt")
    if not isinstance(prompt, str):
        raise ValueError("a request without a prompt has no place for a text")
    at = prompt.rfind(_TURN)
    at = len(prompt) if at < 0 else at
    return [TextChange(("prompt",), [TextEdit(at, at, "\n\n" + text)])]


def _says(model: str | None, text: str, reason: str | None) -> bytes:
    head = {"type": _COMPLETION, "id": "compl_midstream", "model": model or "midstream"}
    return orjson.dumps(head | {_COMPLETION: text, "stop_reason": reason, "stop": None, "log_id": "compl_midstream"})


def message(model: str | None, text: str) -> bytes:
    """A `completion` that says `text`."""
    return _says(model, text, "stop_sequence")


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as events."""
    return [Event(_COMPLETION, _says(model, text, None)), Event(_COMPLETION, _says(model, "", "stop_sequence"))]


CODEC = Codec(
    name="anthropic_complete",
    read_request=read_request,
    read_response=read_response,
    stream_reader=Reader,
    refusal=refusal,
    inject=inject,
    message=message,
    message_stream=message_stream,
)
