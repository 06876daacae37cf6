"""What midstream says itself in this format: texts put into a request, notices, whole answers."""

from collections.abc import Sequence
from typing import Final

import orjson

from proxy.codecs import Json, ToolResult
from proxy.codecs.framings import Event
from proxy.codecs.framings.grpc import Grpc
from proxy.codecs.splicing import Append, Change, Replace
from proxy.codecs.walk import array, table
from proxy.codecs.xai_grpc.messages import ASSISTANT, STOP, USER, message

_ID: Final = "midstream"


def inject(document: Json, text: str) -> list[Change]:
    """Text after everything the request says: in the user message that ends it, else in one of its own.

    ValueError where there are no messages.
    """
    messages = array(table(document).get("messages"))
    if not messages:
        raise ValueError("a request without messages has no place for a text")
    content = {"text": text}
    last = len(messages) - 1
    if table(messages[last]).get("role") == USER:
        return [Append(("messages", last, "content"), orjson.dumps(content))]
    return [Append(("messages",), orjson.dumps({"content": [content], "role": USER}))]


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """A notice in the place of a result: requests have lists of content, answers a text."""
    said = [{"text": text}] if "messages" in result.content else text
    return [Replace(result.content, orjson.dumps(said))]


def refusal(status: int, text: str) -> bytes:
    """No message: gRPC tells errors in headers (`framings.grpc.status_headers`)."""
    return b""


def sample_answer(model: str | None, text: str) -> bytes:
    """A SampleTextResponse that says `text`, in its frame."""
    return Grpc().encode(*sample_answer_stream(model, text))


def sample_answer_stream(model: str | None, text: str) -> Sequence[Event]:
    """The same as the one event of a stream."""
    document = {"id": _ID, "choices": [{"finish_reason": STOP, "text": text}], "model": model or _ID}
    return (Event(None, message("TextAnswer").encode(document)),)


def answer(model: str | None, text: str) -> bytes:
    """A GetChatCompletionResponse that says `text`, in its frame."""
    said = {"finish_reason": STOP, "message": {"content": text, "role": ASSISTANT}}
    document = {"id": _ID, "outputs": [said], "model": model or _ID}
    return Grpc().encode(Event(None, message("Answer").encode(document)))


def answer_stream(model: str | None, text: str) -> Sequence[Event]:
    """The same as one chunk."""
    said = {"delta": {"content": text, "role": ASSISTANT}, "finish_reason": STOP}
    document = {"id": _ID, "outputs": [said], "model": model or _ID}
    return (Event(None, message("Chunk").encode(document)),)
