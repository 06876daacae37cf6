"""What midstream says itself in this format: texts put into a request, results withheld, whole answers."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Owed, Path, ToolResult
from proxy.codecs.framings import Event
from proxy.codecs.framings.sse import DONE
from proxy.codecs.gemini_interactions.steps import is_step
from proxy.codecs.splicing import Append, Change, Insert, Replace, TextChange
from proxy.codecs.walk import table, word
from proxy.decision import TextEdit


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the input. ValueError where it has no place for one."""
    given = table(document).get("input")
    if isinstance(given, str):
        return [_longer(("input",), given, text)]
    if isinstance(given, dict):
        return _into(given, ("input",), text)
    if not isinstance(given, list):
        raise ValueError("a request without an input has no place for a text")
    last = table(given[-1]) if given else {}
    kind = word(last.get("type")) or ""
    if last.get("role") == "user" or kind == "user_input":
        return _into(last, ("input", len(given) - 1), text)
    if given and kind in ("text", "image", "audio", "video", "document"):
        return [Append(("input",), _content(text))]
    return [Append(("input",), orjson.dumps({"type": "user_input", "content": [{"type": "text", "text": text}]}))]


def _into(item: Mapping[str, Json], path: Path, text: str) -> list[Change]:
    content, said = item.get("content"), item.get("text")
    if isinstance(content, list):
        return [Append((*path, "content"), _content(text))]
    if isinstance(content, str):
        return [_longer((*path, "content"), content, text)]
    if isinstance(said, str):
        return [_longer((*path, "text"), said, text)]
    raise ValueError("the input has no place for a text")


def _longer(path: Path, said: str, text: str) -> Change:
    return TextChange(path, [TextEdit(len(said), len(said), "\n\n" + text)])


def _content(text: str) -> bytes:
    return orjson.dumps({"type": "text", "text": text})


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """The notice in the place of the result, which is then an error."""
    error = Replace((*result.content[:-1], "is_error"), b"true")
    return [Replace(result.content, orjson.dumps(text)), error]


def answer_kept(document: Json, owed: Sequence[Owed]) -> list[Change]:
    """Adds a result for each call before what the client says; contents then stand in a step of the user's."""
    if not owed:
        return []
    given = table(document).get("input")
    results = [
        {"type": "function_result", "call_id": each.call_id, "name": each.name, "result": each.notice, "is_error": True}
        for each in owed
    ]
    first = table(given[0]) if isinstance(given, list) and given else {}
    if is_step(first):
        return [Insert(("input", 0), orjson.dumps(result)) for result in results]
    if "role" in first:  # turns, as the API's first versions had them
        return [Insert(("input", 0), orjson.dumps({"role": "user", "content": results}))]
    return [Replace(("input",), orjson.dumps([*results, *_as_steps(given)]))]


def _as_steps(given: Json) -> list[Json]:
    """An input that is no list of steps, as such."""
    if is_step(table(given)):
        return [given]
    content = [{"type": "text", "text": given}] if isinstance(given, str) else given
    content = [content] if isinstance(content, dict) else content
    return [{"type": "user_input", "content": content}] if content else []


_NAME: Final = "midstream"


def _head(model: str | None, status: str, name: str = _NAME) -> dict[str, Json]:
    return {"id": name, "object": "interaction", "model": model or "midstream", "status": status}


_NO_USAGE = {"total_tokens": 0, "total_input_tokens": 0, "total_output_tokens": 0}


def message(model: str | None, text: str) -> bytes:
    """An interaction that says `text`."""
    steps = [{"type": "model_output", "content": [{"type": "text", "text": text}]}]
    return orjson.dumps(_head(model, "completed") | {"steps": steps, "usage": _NO_USAGE})


def message_stream(model: str | None, text: str) -> list[Event]:
    """The same as the events of a stream."""
    return kept_stream(model, text, _NAME)


def kept_stream(model: str | None, text: str, name: str) -> list[Event]:
    """The same in the place of an interaction that the provider keeps."""
    events: tuple[dict[str, Json], ...] = (
        {"interaction": _head(model, "in_progress", name), "event_type": "interaction.created"},
        {"index": 0, "step": {"type": "model_output"}, "event_type": "step.start"},
        {"index": 0, "delta": {"text": text, "type": "text"}, "event_type": "step.delta"},
        {"index": 0, "event_type": "step.stop"},
        {"interaction": _head(model, "completed", name) | {"usage": _NO_USAGE}, "event_type": "interaction.completed"},
    )
    return [*(Event(event["event_type"], orjson.dumps(event)) for event in events), Event("done", DONE)]
