"""What midstream says itself in this format: texts put into a request, whole answers."""

from collections.abc import Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Owed, Path
from proxy.codecs.framings import Event
from proxy.codecs.mistral_conversations.writer import entry
from proxy.codecs.splicing import Append, Change, Insert, Replace, TextChange
from proxy.codecs.walk import table
from proxy.decision import TextEdit


def inject(document: Json, text: str) -> list[Change]:
    """Text after everything the request says: in the user's entry that ends it, else in one of its own.

    ValueError where there are no inputs.
    """
    inputs = table(document).get("inputs")
    if isinstance(inputs, str):
        return [_extended(("inputs",), inputs, text)]
    if not isinstance(inputs, list):
        raise ValueError("a request without inputs has no place for a text")
    last = table(inputs[-1]) if inputs else {}
    path: Path = ("inputs", len(inputs) - 1, "content")
    content = last.get("content")
    if last.get("type", "message.input") == "message.input" and last.get("role") == "user":
        if isinstance(content, str):
            return [_extended(path, content, text)]
        if isinstance(content, list):
            return [Append(path, orjson.dumps({"type": "text", "text": text}))]
    said = {"object": "entry", "type": "message.input", "role": "user", "content": text}
    return [Append(("inputs",), orjson.dumps(said))]


def _extended(path: Path, content: str, text: str) -> Change:
    return TextChange(path, [TextEdit(len(content), len(content), "\n\n" + text)])


def answer_kept(document: Json, owed: Sequence[Owed]) -> list[Change]:
    """Adds a result for each call before what the client says.

    "Not the same number of function calls and responses" (code 3230) is the answer to a conversation without
    (php-mistral 74). One that is begun anew from an earlier entry may not have the calls.
    """
    root = table(document)
    if not owed or "from_entry_id" in root:
        return []
    inputs = root.get("inputs")
    results = [{"type": "function.result", "tool_call_id": each.call_id, "result": each.notice} for each in owed]
    if isinstance(inputs, list):
        texts = map(orjson.dumps, results)
        return [Insert(("inputs", 0), text) for text in texts] if inputs else [Append(("inputs",), t) for t in texts]
    said = [{"type": "message.input", "role": "user", "content": inputs}] if isinstance(inputs, str) else []
    return [Replace(("inputs",), orjson.dumps([*results, *said]))]


_CONVERSATION: Final = "conv_midstream"
_ID: Final = "msg_midstream"
_USAGE: Final = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def message(model: str | None, text: str) -> bytes:
    """A response that says `text`."""
    head = {"object": "conversation.response", "conversation_id": _CONVERSATION}
    said = entry(text, id=_ID, model=model or "midstream")
    return orjson.dumps(head | {"outputs": [said], "usage": _USAGE})


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as the events of a stream."""
    return kept_stream(model, text, _CONVERSATION)


def kept_stream(model: str | None, text: str, name: str) -> list[Event]:
    """The same in a conversation that the provider keeps."""
    said = {"id": _ID, "output_index": 0, "content_index": 0, "model": model or "midstream", "role": "assistant"}
    events: tuple[dict[str, Json], ...] = (
        {"type": "conversation.response.started", "conversation_id": name},
        {"type": "message.output.delta", **said, "content": text},
        {"type": "conversation.response.done", "usage": _USAGE},
    )
    return [Event(event["type"], orjson.dumps(event)) for event in events]
