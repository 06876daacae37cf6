"""Anthropic's legacy completions: incremental streams, and those whose every event says all so far."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.codecs.anthropic_complete import CODEC
from proxy.codecs.splicing import splice
from tests.codecs.documents import ANY_JSON, misplaced, places, put, readings, texts, unread, unsaid
from tests.judging import REDACT, guarded

REQUEST: dict[str, Any] = {
    "model": "claude-2.1",
    "prompt": "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: why?\n\nAssistant:",
    "max_tokens_to_sample": 100,
    "stop_sequences": ["\n\nHuman:"],
    "metadata": {"user_id": "u-1"},
    "stream": True,
}
ANSWER: dict[str, Any] = {
    "type": "completion",
    "id": "compl_1",
    "completion": " because",
    "stop_reason": "stop_sequence",
    "model": "claude-2.1",
    "stop": "\n\nHuman:",
    "log_id": "compl_1",
}
SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output, request.turn) == ("claude-2.1", True, 100, 1)
    assert [part.role for part in request.parts] == ["user", "other", "other"]


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert unread(ANSWER, response) == []
    assert (response.model, response.stop_reason, response.parts[0].role) == (
        "claude-2.1",
        "stop_sequence",
        "assistant",
    )


def piece(text: str, stop: str | None = None, **more: Any) -> dict[str, Any]:
    return {"completion": text, "stop_reason": stop, "model": "claude-2.1", "log_id": "l"} | more


def test_an_incremental_stream_grows() -> None:
    documents = [piece(text, type="completion") for text in (" a", " a b", " c")]
    end = ANSWER | {"completion": ""}
    read = readings(CODEC, [*documents, {"type": "ping"}, end])
    said = texts(CODEC, [*documents, {"type": "ping"}, end])
    assert said.pop(("text", 0)) == " a a b c"
    assert list(said.values()) == ["\n\nHuman:"]
    assert ("text", 0) in read[4].closes
    assert read[4].stop_reason == "stop_sequence"


def test_a_cumulative_stream_says_all_so_far() -> None:
    documents = [piece(" a"), piece(" a b"), piece(" a b c", "stop_sequence")]
    read = readings(CODEC, documents)
    assert [fragment.text for reading in read for fragment in reading.so_far] == [" a", " a b", " a b c"]
    assert [len(reading.fragments) for reading in read] == [0, 0, 0, 0]


def test_what_does_not_repeat_what_was_grows() -> None:
    """Gateways that leave the type out, but send pieces."""
    read = readings(CODEC, [piece(" a"), piece("b"), piece("bc")])
    assert [fragment.text for reading in read for fragment in reading.fragments] == ["b", "bc"]


def stream(texts: list[str], *, named: bool) -> bytes:
    more = {"type": "completion"} if named else {}
    pieces = [piece(text, None, **more) for text in texts]
    pieces[-1]["stop_reason"] = "stop_sequence"
    head = b"event: completion\r\n" if named else b""
    return b"".join(head + b"data: " + orjson.dumps(document) + b"\r\n\r\n" for document in pieces)


def completions(raw: bytes) -> list[str]:
    lines = [line for line in raw.split(b"\r\n") if line.startswith(b"data: ")]
    return [orjson.loads(line[6:])["completion"] for line in lines]


TEXT = f"The key is {SECRET}, keep it. Another: {SECRET}."


@given(marks=st.lists(st.integers(0, len(TEXT)), max_size=8), size=st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_a_cumulative_text_is_edited_at_any_cut(marks: list[int], size: int) -> None:
    raw = stream([TEXT[:mark] for mark in [*sorted(marks), len(TEXT)]], named=False)
    out = guarded(REDACT, "anthropic_complete", [raw[at : at + size] for at in range(0, len(raw), size)])
    said = completions(out)
    assert len(said) == len(marks) + 1
    assert "ghp_" not in out.decode()
    assert said[-1].startswith("The key is [")
    assert said[-1].count("[") == 2
    for before, after in pairwise(said):
        assert after.startswith(before)


@given(marks=st.lists(st.integers(0, len(TEXT)), max_size=8))
@settings(max_examples=30, deadline=None)
def test_both_kinds_of_stream_come_to_the_same_text(marks: list[int]) -> None:
    ends = [*sorted(marks), len(TEXT)]
    whole = stream([TEXT[:end] for end in ends], named=False)
    pieces = stream([TEXT[start:end] for start, end in zip([0, *ends], ends, strict=False)], named=True)
    out = guarded(REDACT, "anthropic_complete", [pieces])
    assert completions(guarded(REDACT, "anthropic_complete", [whole]))[-1] == "".join(completions(out))


def test_without_findings_nothing_changes() -> None:
    for raw in (stream([" a", " a b"], named=False), stream([" a", " b"], named=True)):
        assert guarded(REDACT, "anthropic_complete", [raw]) == raw
        assert guarded(REDACT, "anthropic_complete", [raw[i : i + 1] for i in range(len(raw))]) == raw


@pytest.mark.parametrize("document", [REQUEST, ANSWER, piece("a"), {"type": "ping"}, None, []], ids=str)
@given(value=ANY_JSON, where=st.integers(0, 1000))
def test_any_value_in_any_place_is_read(document: Any, value: Any, where: int) -> None:
    every = places(document)
    odd = put(document, every[where % len(every)], value)
    for read in (CODEC.read_request(odd), CODEC.read_response(odd)):
        assert unread(odd, read) == []
        assert misplaced(odd, [(part.path, part.text) for part in read.parts]) == []
    reading, _ = readings(CODEC, [odd])
    assert set(unsaid(odd, reading)) <= {fragment.path for fragment in reading.so_far}


def test_a_text_is_put_before_the_answer_that_is_asked_for() -> None:
    changed = orjson.loads(splice(orjson.dumps(REQUEST), CODEC.inject(REQUEST, "note")))
    assert changed["prompt"].endswith("\n\nHuman: why?\n\nnote\n\nAssistant:")
    plain = {"prompt": "hi"}
    assert orjson.loads(splice(orjson.dumps(plain), CODEC.inject(plain, "note")))["prompt"] == "hi\n\nnote"
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({}, "note")


def test_what_midstream_says_is_read_as_an_answer() -> None:
    assert CODEC.read_response(orjson.loads(CODEC.message("m", "no"))).parts[0].text == "no"
    documents = [orjson.loads(event.data) for event in CODEC.message_stream("m", "no")]
    assert texts(CODEC, documents) == {("text", 0): "no"}
