"""What is sent and answered: request bodies and replies in OpenAI's chat format. Data only, no sockets."""

import itertools
import json
from functools import cache
from typing import Any

MODEL = "gpt-4o-mini"
_SENTENCE = "the proxy reads every event of this stream and lets it go as soon as nothing in it can be a match"
WORDS = tuple(_SENTENCE.split())
_LINES = tuple(f"{number}: {' '.join(WORDS[number % 7 :])} ({number * 7919 % 10007})." for number in range(997))


def prose(size: int, seed: int) -> str:
    """About `size` characters of plain text, different for every seed."""
    start, lines, length = seed * 31 % len(_LINES), [f"Text {seed}."], 0
    for line in itertools.islice(itertools.cycle(_LINES), start, None):
        if length >= size:
            return " ".join(lines)
        lines.append(line)
        length += len(line) + 1
    raise AssertionError("a cycle ends never")


def chat_request(size: int, *, stream: bool, seed: int = 0) -> bytes:
    """A chat request of about `size` bytes: a system text and a conversation in messages of at most 4 KB."""
    turns = max(1, size // 4096)
    messages = [{"role": "system", "content": "You answer in one word."}]
    for turn in range(turns):
        text = prose(size // turns - 60, seed * turns + turn)
        messages.append({"role": "user" if turn % 2 == (turns - 1) % 2 else "assistant", "content": text})
    return json.dumps({"model": MODEL, "stream": stream, "messages": messages}).encode()


def chat_reply() -> bytes:
    """A whole answer with usage, about 450 bytes."""
    message = {"role": "assistant", "content": " ".join(WORDS), "refusal": None}
    return json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 500, "completion_tokens": 21, "total_tokens": 521},
        }
    ).encode()


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": MODEL}
    return b"data: " + json.dumps({**head, "choices": [choice]}, separators=(",", ":")).encode() + b"\n\n"


@cache
def events(count: int) -> tuple[bytes, ...]:
    """A stream of `count` server-sent events: the role, one word each, the stop reason, the end mark."""
    words = (_event({"content": word + " "}) for word in itertools.islice(itertools.cycle(WORDS), count - 3))
    return (_event({"role": "assistant", "content": ""}), *words, _event({}, "stop"), b"data: [DONE]\n\n")
