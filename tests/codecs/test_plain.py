"""Formats that a table of names reads: whose each text is, what is opaque, what grows, what is counted."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs.codec import Codec
from proxy.codecs.multipart import MULTIPART, UPLOADS
from proxy.codecs.plain import CODECS
from proxy.codecs.splicing import Remove, Replace, splice
from proxy.events import Usage
from tests.codecs.documents import ANY_JSON, edited, misplaced, places, put, readings, texts, unread, unsaid

BY_NAME: dict[str, Codec] = {codec.name: codec for codec in CODECS}


def told(codec: str, document: Any) -> dict[str, tuple[str, str, bool]]:
    request = BY_NAME[codec].read_request(document)
    assert unread(document, request) == []
    return {part.text: (part.role, part.kind, part.sealed) for part in request.parts}


def said(codec: str, document: Any) -> dict[str, tuple[str, str, bool]]:
    response = BY_NAME[codec].read_response(document)
    assert unread(document, response) == []
    return {part.text: (part.role, part.kind, part.sealed) for part in response.parts}


USER, MODEL, OTHER, MEDIA = (
    ("user", "text", False),
    ("assistant", "text", False),
    ("other", "text", False),
    ("user", "media", True),
)


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ({"model": "m", "input": "a"}, {"a": USER}),
        ({"model": "m", "input": ["a", "b"], "user": "u"}, {"a": USER, "b": USER, "u": OTHER}),
        ({"model": "m", "input": [1, 2, 3]}, {}),
        ({"model": "m", "input": [[1], [2]]}, {}),
        ({"texts": ["a"], "input_type": "search_query"}, {"a": USER, "search_query": OTHER}),
        ({"images": ["data:image/png;base64,AA"]}, {"data:image/png;base64,AA": ("other", "media", True)}),
        (
            {"inputs": [{"content": [{"type": "text", "text": "a"}, {"type": "image_base64", "image_base64": "AA"}]}]},
            {"a": USER, "AA": MEDIA},
        ),
        (
            {"inputs": [{"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}]},
            {"data:image/png;base64,AA": MEDIA},
        ),
        ({"instances": [{"content": "a", "task_type": "Q"}]}, {"a": USER, "Q": USER}),
        ({"content": {"parts": [{"text": "a"}]}}, {"a": USER}),
        ({"prompt": "a", "model": "m"}, {"a": USER}),
    ],
)
def test_embeddings_ask(document: Any, parts: Any) -> None:
    assert told("embeddings", document) == parts


def test_embeddings_answer_numbers_or_base64() -> None:
    document = {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": "AAAA"}, {"embedding": [0.1, 2, 1e20]}],
        "embeddings": {"float": [[0.1]], "base64": ["BBBB"]},
        "texts": ["hi"],
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }
    assert said("embeddings", document) == {
        "AAAA": ("other", "media", True),
        "BBBB": ("other", "media", True),
        "hi": USER,
    }
    response = BY_NAME["embeddings"].read_response(document)
    assert (response.model, response.usage) == ("text-embedding-3-small", Usage(input=8))


def test_vectors_are_passed_over_quickly() -> None:
    document = {"data": [{"embedding": [0.5] * 3072} for _ in range(2000)]}
    assert BY_NAME["embeddings"].read_response(document).parts == []


def test_rerank() -> None:
    assert told("rerank", {"model": "m", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 2}) == {
        "q": USER,
        "a": USER,
        "b": USER,
    }
    document = {"results": [{"index": 0, "document": {"text": "a"}}], "meta": {"billed_units": {"search_units": 1}}}
    assert said("rerank", document) == {"a": USER}
    assert BY_NAME["rerank"].read_response({"usage": {"total_tokens": 17}}).usage == Usage(input=17)


def test_moderations() -> None:
    items = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]
    assert told("moderations", {"model": "omni", "input": items}) == {"a": USER, "https://x.example/a.png": USER}
    assert said("moderations", {"results": [{"categories": {"hate": True}, "category_scores": {"hate": 0.5}}]}) == {}


def test_images() -> None:
    assert told("images", {"prompt": "a cat", "size": "1x1", "images": [{"image_url": "https://x.example"}]}) == {
        "a cat": USER,
        "1x1": OTHER,
        "https://x.example": ("other", "media", False),
    }
    document = {"data": [{"b64_json": "AA", "revised_prompt": "a big cat", "url": "https://y.example"}]}
    assert said("images", document | {"usage": {"input_tokens": 5, "output_tokens": 9}}) == {
        "AA": ("other", "media", True),
        "a big cat": MODEL,
        "https://y.example": OTHER,
    }
    event = {"type": "image_generation.partial_image", "b64_json": "AA", "partial_image_index": 0}
    reading, _ = readings(BY_NAME["images"], [event])
    assert list(reading.sealed) == [reading.fragments[0].channel]


FORM = MULTIPART.parse(
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
    b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nnames: Ada\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n\xff\0\r\n'
    b'--b\r\nContent-Disposition: form-data; name="sk-live-1"\r\nX-Note: n\r\n\r\nother\r\n'
    b'--b\r\nContent-Disposition: form-data; name="session"\r\n\r\n{"instructions": "be brief", "id": 123456789}\r\n'
    b"--b--\r\n"
)


def test_a_form_is_read() -> None:
    request = BY_NAME["audio"].read_request(FORM)
    assert (request.model, request.stream) == ("whisper-1", True)
    assert {part.text: part.role for part in request.parts} == {
        "names: Ada": "user",
        "a.wav": "other",
        "sk-live-1": "other",
        "X-Note: n": "other",
        "other": "other",
        "be brief": "other",
        "123456789": "other",
    }
    assert misplaced(FORM, [(part.path, part.text) for part in request.parts]) == []


def test_a_file_is_the_users() -> None:
    raw = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nmy notes\r\n--b--\r\n'
    (part, *_) = [part for part in BY_NAME["resources"].read_request(MULTIPART.parse(raw)).parts if "my" in part.text]
    assert (part.role, part.path) == ("user", ("parts", 0, "text"))


def test_a_session_description_is_not_touched() -> None:
    raw = b"v=0\r\no=- 4111111111111111 1 IN IP4 0.0.0.0\r\n"
    form = b'--b\r\nContent-Disposition: form-data; name="sdp"\r\nContent-Type: application/sdp\r\n\r\n' + raw
    for body in (raw, form + b"\r\n--b--\r\n"):
        parts = BY_NAME["resources"].read_request(UPLOADS.parse(body)).parts
        assert [part.sealed for part in parts if "4111" in part.text] == [True]


def test_speech_is_asked_for_in_words() -> None:
    assert told("audio", {"model": "tts", "input": "say this", "instructions": "softly", "voice": "alloy"}) == {
        "say this": USER,
        "softly": ("system", "text", False),
        "alloy": OTHER,
    }


TRANSCRIPT = {
    "text": "I am Ada",
    "words": [{"word": "I", "start": 0.1}, {"word": "am"}, {"word": "Ada"}],
    "segments": [{"text": "I am Ada", "tokens": [1, 2], "speaker": "A"}],
    "usage": {"type": "tokens", "input_tokens": 37, "output_tokens": 145},
}


def test_a_transcript_is_the_models_and_its_pieces_go_with_an_edit() -> None:
    response = BY_NAME["audio"].read_response(TRANSCRIPT)
    assert {part.role for part in response.parts} == {"assistant"}
    assert response.usage == Usage(input=37, output=145)
    changes = {(response.parts[part].path, change) for part, change in response.when_edited}
    assert changes == {
        (("text",), Replace(("words",), b"[]")),
        (("segments", 0, "text"), Replace(("segments", 0, "tokens"), b"[]")),
    }


def test_a_transcript_that_streams() -> None:
    documents = [
        {"type": "transcript.text.delta", "delta": "I am ", "logprobs": [{"token": "I am "}]},
        {"type": "transcript.text.delta", "delta": "Ada", "logprobs": [{"token": "Ada"}]},
        {"type": "transcript.text.segment", "text": "I am Ada", "speaker": "A", "start": 0},
        {"type": "transcript.text.done", "text": "I am Ada", "usage": {"input_tokens": 3, "output_tokens": 4}},
        {"type": "speech.audio.delta", "audio": "AAAA"},
    ]
    codec = BY_NAME["audio"]
    read = readings(codec, documents)
    assert texts(codec, documents)["text", "grown"] == "I am Ada"
    assert [fragment.channel for fragment in read[3].repeats] == [("text", "grown")]
    assert (read[3].closes, read[3].usage) == ([("text", "grown")], Usage(input=3, output=4))
    assert list(read[4].sealed) == [read[4].fragments[0].channel]
    assert all(unsaid(document, reading) == [] for document, reading in zip(documents, read[:-1], strict=True))
    out = edited(codec, documents, "Ada", "***")
    assert b"Ada" not in orjson.dumps(out)
    assert [("logprobs" in document) for document in out[:2]] == [True, False]


def test_a_transcript_told_only_at_its_end() -> None:
    documents = [{"type": "transcript.text.done", "text": "I am Ada"}]
    assert texts(BY_NAME["audio"], documents) == {("text", "grown"): "I am Ada"}


def test_ocr() -> None:
    document = {"pages": [{"markdown": "# Hi", "images": [{"image_base64": "AA"}]}], "document_annotation": "{}"}
    assert said("ocr", document) == {"# Hi": MODEL, "AA": ("assistant", "media", True), "{}": MODEL}


def watsonx(text: str, used: int, stop: str = "not_finished") -> dict[str, Any]:
    result = {"generated_text": text, "generated_token_count": used, "input_token_count": 0 if used else 8}
    return {"model_id": "flan", "results": [result | {"stop_reason": stop}]}


def test_watsonx() -> None:
    codec = BY_NAME["watsonx"]
    request = codec.read_request({"model_id": "flan", "input": "hi", "parameters": {"max_new_tokens": 9}})
    assert (request.model, request.max_output, request.parts[0].role) == ("flan", 9, "user")
    documents = [watsonx("", 0), watsonx("the", 1), watsonx(" sun", 2, "eos_token")]
    assert texts(codec, documents)["text", 0, "grown"] == "the sun"
    read = readings(codec, documents)
    assert ("text", 0, "grown") in read[2].closes
    assert (read[2].stop_reason, read[2].usage, read[2].model) == ("eos_token", Usage(input=8, output=2), "flan")
    assert codec.read_response(watsonx("the sun", 2, "eos_token")).stop_reason == "eos_token"
    document = {"input": "hi"}
    assert orjson.loads(splice(orjson.dumps(document), codec.inject(document, "note")))["input"] == "hi\n\nnote"


def test_text_generation() -> None:
    codec = BY_NAME["text_generation"]
    documents = [
        {"token": {"id": 1, "text": "I am ", "logprob": -1}, "generated_text": None},
        {"token": {"id": 2, "text": "Ada"}, "generated_text": "I am Ada", "details": {"finish_reason": "length"}},
    ]
    assert texts(codec, documents)["text", "grown"] == "I am Ada"
    assert b"Ada" not in orjson.dumps(edited(codec, documents, "Ada", "***"))
    response = codec.read_response([{"generated_text": "I am Ada", "details": {"tokens": [{"text": "Ada"}]}}])
    assert list(response.when_edited) == [(0, Remove((0, "details")))]
    assert told("text_generation", {"inputs": "hi", "parameters": {"stop": ["x"]}}) == {"hi": USER, "x": OTHER}


def test_aleph_alpha() -> None:
    assert told("aleph_alpha", {"prompt": [{"type": "text", "data": "hi"}], "maximum_tokens": 5}) == {"hi": USER}
    document = {"completions": [{"completion": "yes"}], "num_tokens_prompt_total": 9, "num_tokens_generated": 3}
    assert said("aleph_alpha", document) == {"yes": MODEL}
    assert BY_NAME["aleph_alpha"].read_response(document).usage == Usage(input=9, output=3)


def test_replicate() -> None:
    document = {"input": {"prompt": "hi", "seed": 123456789}, "version": "v"}
    assert told("replicate", document) == {"hi": USER, "123456789": USER, "v": OTHER}
    assert said("replicate", {"output": ["a", "b"], "logs": "l"}) == {"a": MODEL, "b": MODEL, "l": OTHER}
    assert BY_NAME["replicate"].plain_events == {"output"}


def test_resources() -> None:
    document = {"requests": [{"custom_id": "1", "body": {"messages": [{"role": "user", "content": "hi"}]}}]}
    assert told("resources", document) == {"1": OTHER, "hi": OTHER}
    assert "lines" in BY_NAME["resources"].framings
    reading, _ = readings(BY_NAME["resources"], [{"custom_id": "1", "response": {"body": {"text": "hi"}}}])
    assert {fragment.text for fragment in reading.fragments} == {"1", "hi"}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: str(codec.name))
@given(document=ANY_JSON)
def test_any_json_is_read(codec: Codec, document: Any) -> None:
    for read in (codec.read_request(document), codec.read_response(document)):
        assert unread(document, read) == []
        assert misplaced(document, [(part.path, part.text) for part in read.parts]) == []
        assert len({part.path for part in read.parts}) == len(read.parts)
    reading, _ = readings(codec, [document])
    assert unsaid(document, reading) == []


EXAMPLES = [
    ("embeddings", {"data": [{"embedding": "AA"}], "input": [{"type": "text", "text": "a"}]}),
    ("audio", TRANSCRIPT),
    ("audio", {"type": "transcript.text.done", "text": "a", "delta": "b", "logprobs": [{"token": "a"}]}),
    ("watsonx", watsonx("a", 1, "eos_token")),
    ("text_generation", {"token": {"text": "a"}, "generated_text": "a"}),
    ("replicate", {"input": {"prompt": "a"}}),
]


@pytest.mark.parametrize(("name", "document"), EXAMPLES)
@given(value=ANY_JSON, where=st.integers(0, 1000))
def test_any_value_in_any_place_is_read(name: str, document: Any, value: Any, where: int) -> None:
    every = places(document)
    test_any_json_is_read.hypothesis.inner_test(BY_NAME[name], put(document, every[where % len(every)], value))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: str(codec.name))
def test_what_midstream_says_is_read_as_an_answer(codec: Codec) -> None:
    response = codec.read_response(orjson.loads(codec.message("m", "denied")))
    assert "denied" in [part.text for part in response.parts]
    documents = [orjson.loads(event.data) for event in codec.message_stream("m", "denied")]
    assert "denied" in texts(codec, documents).values()
    assert orjson.loads(codec.refusal(403, "no"))["error"]["message"] == "no"


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: str(codec.name))
def test_a_text_has_no_place_where_there_is_no_prompt(codec: Codec) -> None:
    with pytest.raises(ValueError, match="no place"):
        codec.inject({"prompt": ["a"], "input": [1], "inputs": {}}, "note")


def test_models_are_asked_where_something_is_generated_or_billed() -> None:
    assert {codec.name for codec in CODECS if not codec.is_model} == {"moderations", "resources"}
