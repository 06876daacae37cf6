"""Bedrock's event streams through the guard: redacted, cut at any place of the bytes, and read by botocore."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.codecs.framings.event_stream import CONTENT_TYPE
from proxy.stream_judge import StreamRefusedError
from proxy.streamed import Streamed
from tests.codecs.event_frames import chunk, chunks, client_events, event, stream
from tests.judging import REDACT, exchange

SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
DENY = """
version: 1
rules:
  - {id: no-writes, at: pre_tool_execution, tools: [write], verdict: deny, reason: no writes}
"""


def converse(text: str, arguments: str) -> list[dict[str, Any]]:
    """The events of an answer in many small pieces: text, then a call."""
    pieces = [
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abc"}} for piece in split(text)
    ]
    given = [
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": piece}}, "p": "a"}}
        for piece in split(arguments)
    ]
    begin = {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "write"}}}
    return [
        {"messageStart": {"role": "assistant"}},
        *pieces,
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"contentBlockStart": begin},
        *given,
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 4}}},
    ]


def split(text: str) -> list[str]:
    return [text[start : start + 5] for start in range(0, len(text), 5)]


def of_converse(text: str, arguments: str) -> bytes:
    return stream(*converse(text, arguments))


def of_nova(text: str, arguments: str) -> bytes:
    return chunks(*converse(text, arguments))


def of_titan(text: str, _: str) -> bytes:
    return chunks(*({"outputText": piece} for piece in split(text)), {"outputText": "", "completionReason": "FINISH"})


def of_agent(text: str, _: str) -> bytes:
    return b"".join(chunk(piece.encode()) for piece in split(text))


def unwrapped(raw: bytes) -> list[dict[str, Any]]:
    """What is in each event of a client's view, InvokeModel's documents opened."""
    said = client_events("InvokeModelWithResponseStream", raw)
    return [json.loads(one["chunk"]["bytes"]) for one in said]


def converse_text(events: list[dict[str, Any]]) -> tuple[str, str]:
    deltas = [one["contentBlockDelta"]["delta"] for one in events if "contentBlockDelta" in one]
    text = "".join(delta.get("text", "") for delta in deltas)
    return text, "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta)


def view(codec: str, raw: bytes) -> tuple[str, str]:
    """The text and the arguments that a client assembles."""
    if codec == "bedrock_converse":
        return converse_text(client_events("ConverseStream", raw))
    if codec == "bedrock_agent":
        said = client_events("InvokeAgent", raw, "bedrock-agent-runtime")
        return b"".join(one["chunk"]["bytes"] for one in said).decode(), ""
    events = unwrapped(raw)
    if any("outputText" in one for one in events):
        return "".join(one["outputText"] for one in events), ""
    return converse_text(events)


def through(policy: str, codec: str, raw: bytes, size: int) -> bytes:
    guard = Streamed(exchange(policy, codec), CONTENT_TYPE)
    return b"".join([*(guard.feed(raw[at : at + size]) for at in range(0, len(raw), size)), guard.finish()])


STREAMS: list[tuple[str, Callable[[str, str], bytes]]] = [
    ("bedrock_converse", of_converse),
    ("bedrock_invoke", of_nova),
    ("bedrock_invoke", of_titan),
    ("bedrock_agent", of_agent),
]
each_stream = pytest.mark.parametrize(("codec", "made"), STREAMS, ids=["converse", "nova", "titan", "agent"])


@each_stream
def test_a_secret_over_many_events_never_leaves(codec: str, made: Callable[[str, str], bytes]) -> None:
    arguments = json.dumps({"content": f"token {SECRET}"})
    raw = made(f"the token is {SECRET}, Grüße", arguments)
    out = through(REDACT, codec, raw, len(raw))
    for size in (1, 7, 97):
        assert through(REDACT, codec, raw, size) == out
    text, given = view(codec, out)
    assert SECRET[8:30] not in text + given
    assert text.startswith("the token is ")
    assert text.endswith(", Grüße")
    if given:
        assert json.loads(given)["content"].startswith("token ")


@each_stream
def test_what_nothing_is_found_in_is_identical(codec: str, made: Callable[[str, str], bytes]) -> None:
    raw = made("an ordinary answer", '{"content": "x"}')
    for size in (1, 13, len(raw)):
        assert through(REDACT, codec, raw, size) == raw


@pytest.mark.parametrize(("codec", "made"), STREAMS[:2], ids=["converse", "nova"])
def test_a_denied_call_becomes_a_notice(codec: str, made: Callable[[str, str], bytes]) -> None:
    raw = made("Let me see.", '{"content": "x"}')
    out = through(DENY, codec, raw, 11)
    events = client_events("ConverseStream", out) if codec == "bedrock_converse" else unwrapped(out)
    text, given = converse_text(events)
    assert given == ""
    assert text.startswith("Let me see.\n\n")
    assert "no writes" in text
    (end,) = (one["messageStop"]["stopReason"] for one in events if "messageStop" in one)
    assert end == "end_turn"


def test_padding_stays_where_a_text_is_edited() -> None:
    raw = of_converse(SECRET, "{}")
    out = through(REDACT, "bedrock_converse", raw, len(raw))
    assert out.count(b'"p":"abc"') == raw.count(b'"p":"abc"')


def test_a_secret_in_padding_or_a_header_is_refused() -> None:
    padded = event("chunk", json.dumps({"bytes": "e30=", "p": SECRET}).encode())
    with pytest.raises(StreamRefusedError):
        through(REDACT, "bedrock_invoke", padded, len(padded))


def test_what_is_no_json_in_a_chunk_is_refused() -> None:
    raw = chunk(b'{"outputText": NaN, "x": "y"}')
    with pytest.raises(StreamRefusedError, match="more than one way"):
        through(REDACT, "bedrock_invoke", raw, len(raw))
