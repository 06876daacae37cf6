"""Mistral's chat and fill-in-the-middle: where they deviate from OpenAI's (wire-formats §8)."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from proxy.codecs import mistral_chat, mistral_fim
from proxy.codecs.framings.sse import Sse
from proxy.codecs.splicing import Remove
from proxy.events import Usage
from tests.codecs import framed, recorded
from tests.codecs.framed import REDACT, SECRET, deny, injected
from tests.codecs.streams import chat_message, said, stream

CODEC, FIM = mistral_chat.CODEC, mistral_fim.CODEC

THINKING: dict[str, Any] = {
    "type": "thinking",
    "thinking": [{"type": "text", "text": "hm"}, {"type": "tool_reference", "tool": "web_search", "title": "T"}],
    "signature": "S",
    "closed": True,
}
REQUEST: dict[str, Any] = {
    "model": "magistral",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image_url", "image_url": "https://example.org/i.png"},
                {"type": "document_url", "document_url": "https://example.org/d.pdf", "document_name": "d.pdf"},
                {"type": "file", "file_id": "f"},
                {"type": "input_audio", "input_audio": "QUJDREVG"},
                {"type": "input_audio", "input_audio": {"data": "QUJDREVG"}},
                {"type": "input_audio", "input_audio": "https://example.org/a.mp3"},
                {"type": "reference", "reference_ids": [1, "two"]},
            ],
        },
        {
            "role": "assistant",
            "content": [THINKING, {"type": "text", "text": "see"}],
            "tool_calls": [{"id": "D681PevKs", "function": {"name": "a", "arguments": {"x": "y"}}}],
            "prefix": False,
        },
        {"role": "tool", "name": "a", "content": "out", "tool_call_id": "D681PevKs"},
    ],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    said = {part.text: part for part in request.parts}
    assert all(said[text].sealed for text in ("hm", "S", "QUJDREVG"))
    assert not any(said[text].sealed for text in ("hi", "see", "two", "https://example.org/a.mp3"))
    assert said["hm"].kind == "reasoning"
    assert dict(request.calls) == {"D681PevKs": ("a", {"x": "y"})}
    assert [(result.name, result.new) for result in request.results] == [("a", True)]


def test_an_answer_is_read() -> None:
    document = {
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": [THINKING, {"type": "text", "text": "see"}, {"type": "reference", "reference_ids": [1]}],
                    "tool_calls": [{"id": "c", "index": 0, "function": {"name": "a", "arguments": '{"x":1}'}}],
                },
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "num_cached_tokens": 2},
    }
    response = CODEC.read_response(document)
    assert recorded.unread(document, response) == []
    assert [(call.name, call.arguments) for call in response.calls] == [("a", {"x": 1})]
    assert response.usage == Usage(input=5, output=7, cache_read=2)


@pytest.mark.parametrize(
    "document",
    [
        {
            "object": "error",
            "message": {"detail": [{"msg": "bad", "input": {"x": "echo"}}]},
            "type": "t",
            "code": "3051",
        },
        {"detail": "Invalid API Key"},
        {"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": "echo"}]},
    ],
)
def test_errors_are_read(document: Any) -> None:
    assert recorded.unread(document, CODEC.read_response(document)) == []


def chunk(content: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}
    return {"model": "magistral", "choices": [choice], "p": "abcdefghijklmnopq"}


def thinking(*texts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"type": "thinking", "thinking": [{"type": "text", "text": text} for text in texts], **more}]


def test_content_that_switches_between_texts_and_chunks() -> None:
    raw = stream(
        chunk(""),
        chunk(thinking("h")),
        chunk(thinking("m")),
        chunk([{"type": "text", "text": "It"}]),
        chunk(" rains"),
        chunk([{"type": "reference", "reference_ids": ["r"]}]),
        chunk("", "stop"),
    )
    read = framed.readings(CODEC, Sse(), raw)
    assert framed.texts(read) == {("reasoning", 0, "thinking"): "hm", ("text", 0): "It rains"}
    assert all("p" not in fragment.path for *_, reading in read for fragment in reading.fragments)
    assert [("reasoning", 0, "thinking") in reading.closes for *_, reading in read].index(True) == 3


def test_a_signature_seals_the_thinking_it_comes_with_and_goes_with_one_before_it() -> None:
    reader = CODEC.stream_reader()
    assert next(iter(reader.read(chunk(thinking("h", signature="S"))).sealed)) == ("reasoning", 0, "thinking")
    late = reader.read(chunk(thinking(signature="S")))
    place = ("choices", 0, "delta", "content", 0, "signature")
    assert list(late.when_edited) == [(("reasoning", 0, "thinking"), Remove(place))]
    for text, kept in (("hm", True), (SECRET, False)):
        raw = stream(chunk(thinking(text + " ")), chunk(thinking(signature="S", closed=True)), chunk("so", "stop"))
        assert (b"signature" in framed.delivered(REDACT, "mistral_chat", raw)) is kept


def test_a_call_beside_chunks_is_cut() -> None:
    call = {"id": "c", "index": 0, "function": {"name": "a", "arguments": "{}"}}
    raw = stream(chunk("see"), chunk("", "tool_calls", tool_calls=[call]))
    told = chat_message(framed.delivered(deny("a"), "mistral_chat", raw))
    assert (told["calls"], told["finish"], told["content"][:5]) == ({}, "stop", "see\n\n")


def test_a_text_is_added_where_a_user_may_speak() -> None:
    assert injected(CODEC, REQUEST)["messages"][-1]["content"] == "out\n\nX"
    chunks = {"messages": [{"role": "tool", "content": [{"type": "text", "text": "out"}]}]}
    assert injected(CODEC, chunks)["messages"][0]["content"][1:] == [{"type": "text", "text": "X"}]
    assert injected(CODEC, {"messages": [{"role": "user", "content": "hi"}]})["messages"][0]["content"] == "hi\n\nX"
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({}, "X")


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limited"), (502, "internal_server_error")]
)
def test_refusals(status: int, kind: str) -> None:
    error = orjson.loads(CODEC.refusal(status, "no"))
    assert error == {"object": "error", "message": "no", "type": kind, "param": None, "code": None}


# fill in the middle


def test_code_around_the_cursor_is_read_and_left_alone() -> None:
    document = {
        "model": "codestral",
        "prompt": "def f(",
        "suffix": "return 1",
        "stream": True,
        "stop": ["\n"],
        "max_tokens": 9,
    }
    request = FIM.read_request(document)
    assert recorded.unread(document, request) == []
    assert (request.model, request.stream, request.max_output) == ("codestral", True, 9)
    assert {part.text for part in request.parts if part.role == "user"} == {"def f(", "return 1"}
    with pytest.raises(ValueError, match="no place"):
        FIM.inject(document, "X")


def test_what_is_filled_in_is_read_as_chat() -> None:
    response = FIM.read_response(orjson.loads(FIM.message("m", "x):")))
    assert [part.text for part in response.parts] == ["x):"]
    assert chat_message(said(FIM, "x):"))["content"] == "x):"


ANYTHING = framed.anything(
    [
        "type",
        "text",
        "thinking",
        "signature",
        "content",
        "role",
        "function",
        "arguments",
        "tool_calls",
        "delta",
        "message",
        "reference_ids",
        "q",
    ],
    ("thinking", "text", "tool", "assistant"),
)


@given(ANYTHING)
@settings(max_examples=200, deadline=None)
def test_any_json_in_any_place_is_read(value: Any) -> None:
    for document in (value, {"prompt": value, "suffix": value, "stop": value}):
        framed.reads_requests(FIM, document)
    framed.reads_requests(CODEC, {"messages": [{"role": "user", "content": [value]}, value]})
    framed.reads_responses(CODEC, {"choices": [{"message": {"content": [value], "tool_calls": [value]}}, value]})
    for piece in ([value], [*thinking(), {"type": "thinking", "thinking": [value], "signature": value}]):
        reader = CODEC.stream_reader()
        reading = reader.read(chunk(piece))
        framed.consistent(CODEC, {"choices": [{"delta": {"content": piece}}]}, reading)
