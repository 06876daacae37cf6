"""What midstream says itself in this format: texts put into a request, refusals, whole answers."""

from typing import Final

import orjson

from proxy.codecs import Json
from proxy.codecs.framings import Event
from proxy.codecs.splicing import Append, Change, TextChange
from proxy.codecs.walk import table
from proxy.decision import TextEdit


def inject(document: Json, text: str) -> list[Change]:
    """Text after everything the request says: in the user message or prompt that ends it, else in a message of its own.

    ValueError where there is neither.
    """
    root = table(document)
    messages, prompt = root.get("messages"), root.get("prompt")
    if isinstance(messages, list):
        last = table(messages[-1]) if messages else {}
        content = last.get("content")
        if last.get("role") == "user" and isinstance(content, str):
            path = ("messages", len(messages) - 1, "content")
            return [TextChange(path, [TextEdit(len(content), len(content), "\n\n" + text)])]
        return [Append(("messages",), orjson.dumps({"role": "user", "content": text}))]
    if isinstance(prompt, str):
        return [TextChange(("prompt",), [TextEdit(len(prompt), len(prompt), "\n\n" + text)])]
    raise ValueError("a request without messages has no place for a text")


def refusal(status: int, message: str) -> bytes:
    """Ollama's error object (docs/api.md): a text, whatever the status."""
    return orjson.dumps({"error": message})


_DURATIONS: Final = dict.fromkeys((f"{name}_duration" for name in ("total", "load", "prompt_eval", "eval")), 0)
_END: Final = {"done": True, "done_reason": "stop", "prompt_eval_count": 0, "eval_count": 0} | _DURATIONS


def _head(model: str | None) -> dict[str, Json]:
    return {"model": model or "midstream", "created_at": "1970-01-01T00:00:00Z"}


def _message(text: str) -> dict[str, Json]:
    return {"message": {"role": "assistant", "content": text}}


def message(model: str | None, text: str) -> bytes:
    """A chat's answer that says `text`."""
    return orjson.dumps(_head(model) | _message(text) | _END)


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as the lines of a stream."""
    return _lines(_head(model), _message(text), _message(""))


def generation(model: str | None, text: str) -> bytes:
    """An answer of `/api/generate` that says `text`."""
    return orjson.dumps(_head(model) | {"response": text} | _END)


def generation_stream(model: str | None, text: str) -> list[Event]:
    """The same as the lines of a stream."""
    return _lines(_head(model), {"response": text}, {"response": ""})


def _lines(head: dict[str, Json], said: dict[str, Json], nothing: dict[str, Json]) -> list[Event]:
    lines = (head | said | {"done": False}, head | nothing | _END)
    return [Event(None, orjson.dumps(line)) for line in lines]
