"""What midstream says itself in this format: texts put into a request, refusals, whole answers."""

from collections.abc import Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Path
from proxy.codecs.framings import Event
from proxy.codecs.openai_chat.own import refusal
from proxy.codecs.openai_responses.calls import item_type
from proxy.codecs.openai_responses.request import body_path
from proxy.codecs.openai_responses.writer import OURS, message_events, message_item
from proxy.codecs.splicing import Append, Change, Replace, TextChange
from proxy.codecs.walk import table
from proxy.decision import TextEdit


def inject(document: Json, text: str) -> list[Change]:
    """Text after everything the request says: in the user message that ends it, else in one of its own.

    A message before that is part of the cached prefix and stays. ValueError where there is no input.
    """
    path: Path = (*body_path(document), "input")
    root = table(document)
    value = table(root["response"] if len(path) > 1 else root).get("input")
    if isinstance(value, str):
        return [TextChange(path, [TextEdit(len(value), len(value), ("\n\n" if value else "") + text)])]
    if not isinstance(value, list):
        raise ValueError("a request without input has no place for a text")
    last = len(value) - 1
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    if value and item_type(table(value[last])) == "compaction_trigger":  # it must stay the last
        return [Replace((*path, last), orjson.dumps(message) + b"," + orjson.dumps(value[last]))]
    if value and table(value[last]).get("role") == "user" and item_type(table(value[last])) == "message":
        return _say(value[last].get("content"), (*path, last, "content"), text)
    return [Append(path, orjson.dumps(message))]


def _say(content: Json, path: Path, text: str) -> list[Change]:
    if isinstance(content, list):
        return [Append(path, orjson.dumps({"type": "input_text", "text": text}))]
    if isinstance(content, str):
        return [TextChange(path, [TextEdit(len(content), len(content), ("\n\n" if content else "") + text)])]
    return [Replace(path, orjson.dumps(text))]


def begins(document: Json) -> bool:
    """Whether a WebSocket's client message asks for an answer. `generate: false` answers with no output."""
    return table(document).get("type") == "response.create"


def socket_refusal(status: int, message: str) -> Sequence[bytes]:
    """The error event that stops Codex and shows its message (developers.openai.com, "WebSocket mode")."""
    return [orjson.dumps({"type": "error", "status": status, **orjson.loads(refusal(status, message))})]


_NO_USAGE: Final = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
_ID: Final = OURS + "answer"


def _response(model: str | None, output: list[Json], *, over: bool) -> dict[str, Json]:
    return {
        "id": "resp_midstream",
        "object": "response",
        "created_at": 0,
        "status": "completed" if over else "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model or "midstream",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": _NO_USAGE if over else None,
    }


def message(model: str | None, text: str) -> bytes:
    """A response that says `text`."""
    return orjson.dumps(_response(model, [message_item(_ID, text)], over=True))


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as the events of a stream."""
    running, over = _response(model, [], over=False), _response(model, [message_item(_ID, text)], over=True)
    return _events(text, running, over)


def kept_stream(model: str | None, text: str, name: str) -> list[Event]:
    """The same in the place of a response, or in a conversation, that the provider keeps."""
    kept: dict[str, Json] = {"conversation": {"id": name}} if name.startswith("conv") else {"id": name}
    running, over = _response(model, [], over=False), _response(model, [message_item(_ID, text)], over=True)
    return _events(text, running | kept, over | kept)


def _events(text: str, running: dict[str, Json], over: dict[str, Json]) -> list[Event]:
    events = [
        {"type": "response.created", "response": running},
        {"type": "response.in_progress", "response": running},
        *message_events(_ID, text, 0),
        {"type": "response.completed", "response": over},
    ]
    numbered = [event | {"sequence_number": number} for number, event in enumerate(events)]
    return [Event(str(event["type"]), orjson.dumps(event)) for event in numbered]
