"""What midstream says itself in this format: texts put into a request, refusals, whole answers."""

from typing import Final

import orjson

from proxy.codecs import Json
from proxy.codecs.framings import Event
from proxy.codecs.splicing import Append, Change, TextChange
from proxy.codecs.walk import array, table
from proxy.decision import TextEdit


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the user's message or prompt; among the results where a request only brings results.

    Beside `tool_results` the message of a multi-step request is empty, and must be. ValueError for other requests.
    """
    root = table(document)
    results = array(root.get("tool_results"))
    if results and not root.get("message") and isinstance(table(results[-1]).get("outputs"), list):
        return [Append(("tool_results", len(results) - 1, "outputs"), orjson.dumps({"output": text}))]
    for name in ("message", "prompt"):
        said = root.get(name)
        if isinstance(said, str) and (said or not results):
            return [TextChange((name,), [TextEdit(len(said), len(said), f"\n\n{text}" if said else text)])]
    raise ValueError("a request without a message has no place for a text")


def refusal(status: int, message: str) -> bytes:
    """Cohere's error object (docs.cohere.com/reference/errors): a message, whatever the status."""
    return orjson.dumps({"message": message})


_ID: Final = "midstream"
_COUNTS: Final = {"input_tokens": 0, "output_tokens": 0}
_META: Final = {"api_version": {"version": "1"}, "billed_units": _COUNTS, "tokens": _COUNTS}


def _answer(text: str) -> dict[str, Json]:
    named = {"response_id": _ID, "text": text, "generation_id": _ID}
    return named | {"chat_history": [], "finish_reason": "COMPLETE", "meta": _META}


def message(model: str | None, text: str) -> bytes:
    """A chat's answer that says `text`. Answers of this format do not name the model."""
    return orjson.dumps(_answer(text))


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as the events of a stream."""
    start = {"is_finished": False, "event_type": "stream-start", "generation_id": _ID}
    return [Event(None, orjson.dumps(start)), *_told(text, _answer(text))]


def _generations(text: str) -> dict[str, Json]:
    generation = {"id": _ID, "text": text, "finish_reason": "COMPLETE"}
    return {"id": _ID, "generations": [generation], "prompt": "", "meta": _META}


def generation(model: str | None, text: str) -> bytes:
    """An answer of `/v1/generate` that says `text`."""
    return orjson.dumps(_generations(text))


def generation_stream(model: str | None, text: str) -> list[Event]:
    """The same as the events of a stream."""
    return _told(text, _generations(text))


def _told(text: str, answer: Json) -> list[Event]:
    said = {"is_finished": False, "event_type": "text-generation", "text": text}
    end = {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": answer}
    return [Event(None, orjson.dumps(said)), Event(None, orjson.dumps(end))]
