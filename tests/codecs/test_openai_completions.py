"""Legacy completions: prompts of every kind, choices, vendors' streams, and everything midstream says itself."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs.openai_completions import CODEC
from proxy.codecs.splicing import Remove, splice
from proxy.events import Usage
from tests.codecs.documents import ANY_JSON, edited, misplaced, places, put, readings, texts, unread, unsaid

REQUEST: dict[str, Any] = {
    "model": "gpt-3.5-turbo-instruct",
    "prompt": "say hi",
    "suffix": "the end",
    "max_tokens": 20,
    "stop": ["I am"],
    "stream": True,
    "user": "u-1",
}
ANSWER: dict[str, Any] = {
    "id": "cmpl-1",
    "object": "text_completion",
    "model": "gpt-3.5-turbo-instruct:20230824-v2",
    "choices": [
        {"index": 0, "text": "hi there", "logprobs": None, "finish_reason": "length"},
        {"index": 1, "text": "hello", "logprobs": {"tokens": ["hello"], "top_logprobs": [{"hello": -1}]}},
    ],
    "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23},
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output) == ("gpt-3.5-turbo-instruct", True, 20)
    said = {part.text: part.role for part in request.parts}
    assert said == {"say hi": "user", "the end": "user", "I am": "other", "u-1": "other"}


@pytest.mark.parametrize(
    ("prompt", "said"), [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], []), ([[1], [2]], []), (None, [])]
)
def test_every_kind_of_prompt(prompt: Any, said: list[str]) -> None:
    assert [part.text for part in CODEC.read_request({"prompt": prompt}).parts] == said


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert unread(ANSWER, response) == []
    assert [(part.text, part.role) for part in response.parts] == [("hi there", "assistant"), ("hello", "assistant")]
    assert (response.stop_reason, response.usage) == ("length", Usage(input=20, output=3))
    assert list(response.when_edited) == [(1, Remove(("choices", 1, "logprobs")))]


@pytest.mark.parametrize("document", [{"error": {"message": "no"}}, {"error": "no"}, {"choices": ["odd"]}, []])
def test_errors_are_read(document: Any) -> None:
    assert unread(document, CODEC.read_response(document)) == []


def chunk(text: str, index: int = 0, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": None} | more
    return {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [choice]}


USED = {"id": "cmpl-1", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3}}


def test_choices_of_a_stream_grow_apart() -> None:
    documents = [chunk("a"), chunk("x", 1), chunk("b"), chunk("y", 1, finish_reason="stop"), chunk("c"), USED]
    assert texts(CODEC, documents) == {("text", 0): "abc", ("text", 1): "xy"}
    read = readings(CODEC, documents)
    assert (read[3].closes, read[3].stop_reason) == ([("text", 1)], "stop")
    assert (read[5].usage, read[5].only_usage) == (Usage(input=2, output=3), True)
    assert read[-1].closes == [("text", 0)]


def test_a_piece_that_is_told_again_as_a_chat_delta() -> None:
    documents = [chunk(text, delta={"token_id": 1, "role": "assistant", "content": text}) for text in ("my ", "Ada")]
    assert texts(CODEC, documents) == {("text", 0): "my Ada", ("text", 0, "delta"): "my Ada"}
    assert b"Ada" not in orjson.dumps(edited(CODEC, documents, "Ada", "***"))


def test_a_stream_of_values() -> None:
    assert texts(CODEC, [{"value": "Sure"}, {"value": ","}]) == {("text", 0, "value"): "Sure,"}


def test_logprobs_go_with_an_edited_text() -> None:
    documents = [chunk("Ada", logprobs={"tokens": ["Ada"]}), chunk(" came", logprobs={"tokens": [" came"]})]
    assert [document["choices"][0].get("logprobs") for document in edited(CODEC, documents, "Ada", "***")] == [
        None,
        None,
    ]
    assert edited(CODEC, documents, "nothing", "***") == documents


@pytest.mark.parametrize("document", [REQUEST, ANSWER, chunk("a"), USED, {"value": "a"}, None, []], ids=str)
@given(value=ANY_JSON, where=st.integers(0, 1000))
def test_any_value_in_any_place_is_read(document: Any, value: Any, where: int) -> None:
    every = places(document)
    odd = put(document, every[where % len(every)], value)
    for read in (CODEC.read_request(odd), CODEC.read_response(odd)):
        assert unread(odd, read) == []
        assert misplaced(odd, [(part.path, part.text) for part in read.parts]) == []
    reading, _ = readings(CODEC, [odd])
    assert unsaid(odd, reading) == []
    assert misplaced(odd, [(fragment.path, fragment.text) for fragment in reading.fragments]) == []


@pytest.mark.parametrize(("prompt", "after"), [("a", "a\n\nnote"), (["a", "b"], ["a", "b\n\nnote"])])
def test_a_text_is_put_at_the_end_of_the_prompt(prompt: Any, after: Any) -> None:
    document = {"prompt": prompt}
    assert orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "note")))["prompt"] == after


@pytest.mark.parametrize("document", [{"prompt": [1, 2]}, {"prompt": [[1]]}, {}])
def test_token_ids_have_no_place_for_a_text(document: Any) -> None:
    with pytest.raises(ValueError, match="token ids"):
        CODEC.inject(document, "note")


def test_what_midstream_says_is_read_as_an_answer() -> None:
    assert [part.text for part in CODEC.read_response(orjson.loads(CODEC.message("m", "no"))).parts] == ["no"]
    documents = [orjson.loads(event.data) for event in CODEC.message_stream("m", "no")[:-1]]
    assert texts(CODEC, documents) == {("text", 0): "no"}
    assert orjson.loads(CODEC.refusal(403, "no"))["error"]["message"] == "no"


def test_counts_are_asked_for_in_streams_only() -> None:
    asked = orjson.loads(splice(orjson.dumps(REQUEST), CODEC.ask_usage(REQUEST)))
    assert asked["stream_options"] == {"include_usage": True}
    assert CODEC.ask_usage({"prompt": "a"}) == []
