"""What an answer says: a whole response, and the `response` that repeats it at the end of a stream."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.codecs import Json, Path, ToolCall
from proxy.codecs.cohere_v1.calls import read_calls
from proxy.codecs.walk import Parts, array, number, table
from proxy.events import Usage

_ANSWER: Final = frozenset({"text", "chat_history", "tool_calls", "citations", "generations", "meta"})


class Said(NamedTuple):
    """What was read of an answer."""

    calls: list[ToolCall]
    copies: list[ToolCall]
    """The same calls once more, as the history tells them that the client may send back."""
    texts: list[int]
    """Parts that say the whole text, or one generation's."""


def read_answer(parts: Parts, answer: Mapping[str, Json], path: Path) -> Said:
    """The parts of an answer at `path`, and where in it the text and the calls stand."""
    calls = read_calls(parts, answer.get("tool_calls"), (*path, "tool_calls"))
    texts: list[int] = []
    _text(parts, answer.get("text"), (*path, "text"), texts)
    copies = _history(parts, answer.get("chat_history"), (*path, "chat_history"), texts)
    _generations(parts, answer.get("generations"), (*path, "generations"), texts)
    parts.walk(answer.get("citations"), (*path, "citations"), "assistant", "text")
    parts.walk(answer.get("meta"), (*path, "meta"), "other", "text")
    parts.members(answer, path, "other", "text", _ANSWER)
    return Said(calls, copies, texts)


def _text(parts: Parts, text: Json, path: Path, texts: list[int]) -> None:
    if isinstance(text, str):
        texts.append(len(parts.out))
    parts.walk(text, path, "assistant", "text")


def _history(parts: Parts, history: Json, path: Path, texts: list[int]) -> list[ToolCall]:
    """The conversation with this answer as its last entry. What came before it went up already."""
    entries = array(history)
    copies: list[ToolCall] = []
    for index, entry in enumerate(entries):
        here: Path = (*path, index)
        last = index == len(entries) - 1 and isinstance(entry, dict)
        if last:
            copies = read_calls(parts, entry.get("tool_calls"), (*here, "tool_calls"))
            _text(parts, entry.get("message"), (*here, "message"), texts)
            parts.members(entry, here, "other", "text", frozenset({"tool_calls", "message"}))
        else:
            parts.walk(entry, here, "other", "text")
    if not isinstance(history, list):
        parts.walk(history, path, "other", "text")
    return copies


def _generations(parts: Parts, generations: Json, path: Path, texts: list[int]) -> None:
    for index, generation in enumerate(array(generations)):
        here: Path = (*path, index)
        if isinstance(generation, dict):
            _text(parts, generation.get("text"), (*here, "text"), texts)
            copied = isinstance(generation.get("text"), str)
            skip = {"text", "token_likelihoods"} if copied else {"text"}
            parts.members(generation, here, "other", "text", frozenset(skip))
        else:
            parts.walk(generation, here, "other", "text")
    if not isinstance(generations, list):
        parts.walk(generations, path, "other", "text")


def read_usage(answer: Mapping[str, Json]) -> Usage | None:
    """`meta.tokens` are all that the model saw and said, `meta.billed_units` those that are paid for."""
    meta = table(answer.get("meta"))
    counts = table(meta.get("tokens")) or table(meta.get("billed_units"))
    if not counts:
        return None
    return Usage(
        input=number(counts.get("input_tokens")),
        output=number(counts.get("output_tokens")),
        cache_read=number(meta.get("cached_tokens")),
    )
