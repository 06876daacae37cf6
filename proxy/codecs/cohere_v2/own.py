"""What midstream says itself in this format: texts put into a request, refusals, whole answers."""

from typing import Final

import orjson

from proxy.codecs import Json, Path
from proxy.codecs.cohere_v2.writer import block, text_block
from proxy.codecs.framings import Event
from proxy.codecs.framings.sse import DONE
from proxy.codecs.splicing import Append, Change, TextChange
from proxy.codecs.walk import table
from proxy.decision import TextEdit


def inject(document: Json, text: str) -> list[Change]:
    """Text after everything the request says: in the user message that ends it, else in one of its own.

    ValueError where there are no messages.
    """
    messages = table(document).get("messages")
    if not isinstance(messages, list):
        raise ValueError("a request without messages has no place for a text")
    last = table(messages[-1]) if messages else {}
    content = last.get("content")
    path: Path = ("messages", len(messages) - 1, "content")
    if last.get("role") == "user" and isinstance(content, str):
        return [TextChange(path, [TextEdit(len(content), len(content), "\n\n" + text)])]
    if last.get("role") == "user" and isinstance(content, list):
        return [Append(path, text_block(text))]
    return [Append(("messages",), orjson.dumps({"role": "user", "content": text}))]


def refusal(status: int, message: str) -> bytes:
    """Cohere's error object (docs.cohere.com/reference/errors): a message, whatever the status."""
    return orjson.dumps({"message": message})


_ID: Final = "midstream"
_USAGE: Final = {name: {"input_tokens": 0, "output_tokens": 0} for name in ("billed_units", "tokens")}


def message(model: str | None, text: str) -> bytes:
    """An answer that says `text`. Answers of this format do not name the model."""
    said = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    return orjson.dumps({"id": _ID, "finish_reason": "COMPLETE", "message": said, "usage": _USAGE})


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as the events of a stream, `[DONE]` included."""
    said = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    start = {"id": _ID, "type": "message-start", "delta": {"message": said}}
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _USAGE}}
    return [
        Event("message-start", orjson.dumps(start)),
        *block(0, text, named=True),
        Event("message-end", orjson.dumps(end)),
        Event(None, DONE),
    ]
