"""InvokeModel: each model's own format of wire-formats §6 in Bedrock's envelope, whole and in chunks."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import DecodeError, trees
from proxy.codecs.bedrock_invoke import CODEC, shapes
from proxy.codecs.framings.event_stream import EventStream
from proxy.codecs.splicing import Remove, splice
from proxy.events import Usage
from tests.codecs import recorded
from tests.codecs.any_json import anything, check_documents, check_events
from tests.codecs.event_frames import chunks, client_answer, client_events, grown, readings, rewritten

METRICS = {
    "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 7, "cacheReadInputTokenCount": 2}
}


def of(found: Any) -> str | None:
    return found.name if found else None


@pytest.mark.parametrize(
    ("document", "name", "texts", "bound"),
    [
        ({"inputText": "a", "textGenerationConfig": {"maxTokenCount": 9, "stopSequences": ["S"]}}, None, ["a", "S"], 9),
        ({"prompt": "a", "max_gen_len": 9}, None, ["a"], 9),
        ({"prompt": "a", "max_tokens": 9, "stop": ["S"]}, None, ["a", "S"], 9),
        ({"prompt": "a", "maxTokens": 9, "stopSequences": ["S"]}, None, ["a", "S"], 9),
        ({"prompt": "a", "max_tokens_to_sample": 9}, "anthropic_complete", ["a"], 9),
        (
            {"message": "a", "chat_history": [{"role": "USER", "message": "b"}], "max_tokens": 9},
            "cohere_v1",
            ["a", "b"],
            9,
        ),
        (
            {"anthropic_version": "v", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]},
            "anthropic",
            ["a", "v"],
            9,
        ),
        ({"messages": [{"role": "user", "content": "a"}], "max_tokens": 9}, "openai_chat", ["a"], 9),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "openai_chat", ["a"], None),
        (
            {"messages": [{"role": "user", "content": [{"text": "a"}]}], "system": [{"text": "s"}]},
            "bedrock_converse",
            ["a", "s"],
            None,
        ),
        (
            {"schemaVersion": "messages-v1", "messages": [], "inferenceConfig": {"max_new_tokens": 9}},
            "bedrock_converse",
            ["messages-v1"],
            9,
        ),
        ({"texts": ["a", "b"], "input_type": "search_query"}, None, ["a", "b", "search_query"], None),
        ({"inputs": [{"content": [{"type": "text", "text": "a"}]}]}, None, ["a"], None),
        (
            {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {"text": {"value": "a"}}},
            None,
            ["SINGLE_EMBEDDING", "a"],
            None,
        ),
        ({"system": "s", "prompt": "a", "images": ["words"]}, None, ["s", "a", "words"], None),
        ([], None, [], None),
        ("a", None, ["a"], None),
    ],
)
def test_requests(document: Any, name: str | None, texts: list[str], bound: int | None) -> None:
    assert of(shapes.of_request(document)) == name
    request = CODEC.read_request(document)
    assert recorded.unread(document, request) == []
    assert sorted(part.text for part in request.parts if part.text not in ("user", "USER")) == sorted(texts)
    assert request.max_output == bound


@pytest.mark.parametrize(
    ("document", "name", "text", "stop", "usage"),
    [
        (
            {
                "inputTextTokenCount": 28.0,
                "results": [{"tokenCount": 3.0, "outputText": "a", "completionReason": "FINISH"}],
            },
            None,
            "a",
            "FINISH",
            Usage(input=28, output=3),
        ),
        (
            {"generation": "a", "prompt_token_count": 2, "generation_token_count": 3, "stop_reason": "length"},
            None,
            "a",
            "length",
            Usage(input=2, output=3),
        ),
        ({"outputs": [{"text": "a", "stop_reason": "stop"}]}, None, "a", "stop", None),
        (
            {
                "id": 1,
                "prompt": {"text": "p"},
                "completions": [{"data": {"text": "a"}, "finishReason": {"reason": "endoftext"}}],
            },
            None,
            "a",
            "endoftext",
            None,
        ),
        (
            {"generations": [{"id": "g", "text": "a", "finish_reason": "COMPLETE"}], "prompt": "p"},
            "cohere_v1",
            "a",
            "COMPLETE",
            None,
        ),
        ({"text": "a", "generation_id": "g", "finish_reason": "COMPLETE"}, "cohere_v1", "a", "COMPLETE", None),
        (
            {"completion": "a", "stop_reason": "stop_sequence", "stop": "\n\nHuman:"},
            "anthropic_complete",
            "a",
            "stop_sequence",
            None,
        ),
        (
            {
                "type": "message",
                "content": [{"type": "text", "text": "a"}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 1, "output_tokens": 2},
            },
            "anthropic",
            "a",
            "end_turn",
            Usage(input=1, output=2),
        ),
        (
            {"output": {"message": {"role": "assistant", "content": [{"text": "a"}]}}, "stopReason": "end_turn"},
            "bedrock_converse",
            "a",
            "end_turn",
            None,
        ),
        (
            {"choices": [{"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]},
            "openai_chat",
            "a",
            "stop",
            None,
        ),
        ({"choices": [{"text": "a", "finish_reason": "stop"}]}, "openai_completions", "a", "stop", None),
    ],
)
def test_answers(document: Any, name: str | None, text: str, stop: str, usage: Usage | None) -> None:
    assert of(shapes.of_response(document)) == name
    response = CODEC.read_response(document)
    assert recorded.unread(document, response) == []
    assert [part.text for part in response.parts if part.role == "assistant"] == [text]
    assert (response.stop_reason, response.usage) == (stop, usage)


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        ({"message": "The provided model identifier is invalid."}, ["The provided model identifier is invalid."]),
        ({"embedding": [0.1], "inputTextTokenCount": 2}, []),
        ({"embeddings": {"float": [[0.1]]}, "texts": ["a"], "response_type": "t"}, ["a", "t"]),
        ({"images": ["A" * 100], "error": "e"}, ["e"]),
        ({"artifacts": [{"base64": "A" * 100, "seed": 1}]}, ["base64"]),
        ({"images": ["sk-live-words"]}, ["sk-live-words"]),
        (
            {"outputText": "a", "amazon-bedrock-trace": {"guardrail": {"modelOutput": ["b"]}}},
            ["a", "amazon-bedrock-trace", "b"],
        ),
        ({"completions": [{"data": "odd"}, 5, {"data": {"text": 5}}]}, ["odd"]),
        ({"results": "odd"}, ["odd"]),
        (5, []),
    ],
)
def test_other_answers(document: Any, texts: list[str]) -> None:
    response = CODEC.read_response(document)
    assert recorded.unread(document, response) == []
    assert sorted(part.text for part in response.parts if not part.sealed) == sorted(texts)


def test_what_repeats_a_text_by_tokens_goes_with_it() -> None:
    document = {
        "completions": [{"data": {"text": "a", "tokens": [{"token": "a"}]}}, {"data": {"text": "b", "tokens": None}}]
    }
    response = CODEC.read_response(document)
    assert [part.text for part in response.parts] == ["a", "b"]
    assert response.when_edited == [(0, Remove(("completions", 0, "data", "tokens")))]


NAMES = [
    *(
        "messages",
        "content",
        "role",
        "text",
        "type",
        "prompt",
        "inputText",
        "message",
        "chat_history",
        "texts",
        "system",
    ),
    *("anthropic_version", "schemaVersion", "output", "choices", "delta", "completion", "generation", "generations"),
    *("results", "outputs", "completions", "data", "tokens", "outputText", "images", "completionReason", "stop_reason"),
    *("contentBlockDelta", "event_type", "is_finished", "usage", "amazon-bedrock-invocationMetrics", "finishReason"),
]


@given(anything(NAMES))
def test_any_json_is_read(document: Any) -> None:
    check_documents(CODEC, document)


@given(st.lists(anything(["outputText", "text", "outputs", "generation", "stop_reason", "x", "p"]), max_size=4))
def test_any_native_event_is_read(documents: list[Any]) -> None:
    check_events(CODEC, documents)


# streams

TITAN = (
    {"outputText": "Hel", "index": 0, "inputTextTokenCount": 5},
    {"outputText": "lo", "completionReason": "FINISH", "totalOutputTextTokenCount": 7, **METRICS},
)
LLAMA = (
    {"generation": "Hel", "prompt_token_count": 5, "generation_token_count": 1, "stop_reason": None},
    {"generation": "lo", "prompt_token_count": None, "generation_token_count": 7, "stop_reason": "stop", **METRICS},
)
CLAUDE = ({"completion": "Hel", "stop_reason": None}, {"completion": "lo", "stop_reason": "stop", **METRICS})
MISTRAL = (
    {"outputs": [{"text": "Hel", "stop_reason": None}]},
    {"outputs": [{"text": "lo", "stop_reason": "stop"}], **METRICS},
)
COMMAND = (
    {"index": 0, "is_finished": False, "text": "Hel"},
    {"index": 0, "is_finished": False, "text": "lo"},
    {"index": 0, "is_finished": True, "finish_reason": "COMPLETE", **METRICS},
)


@pytest.mark.parametrize(
    ("events", "used"),
    [
        (TITAN, Usage(input=5, output=7)),
        (LLAMA, Usage(input=5, output=7)),
        (CLAUDE, Usage(input=7, output=7, cache_read=2)),
        (MISTRAL, Usage(input=7, output=7, cache_read=2)),
        (COMMAND, Usage(input=7, output=7, cache_read=2)),
    ],
    ids=["titan", "llama", "claude", "mistral", "command"],
)
def test_native_streams(events: tuple[Any, ...], used: Usage) -> None:
    raw = chunks(*events)
    assert list(grown(CODEC, raw).values()) == ["Hello"]
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert [reading.usage for reading in read if reading.usage][-1] == used
    assert [channel for reading in read for channel in reading.closes if "once" not in channel] == list(
        grown(CODEC, raw)
    )
    if events is not COMMAND:
        assert [reading.stop_reason for reading in read if reading.stop_reason] in (["stop"], ["FINISH"])


def test_a_blocked_answer_is_read() -> None:
    trace = {"guardrail": {"modelOutput": ["blocked"], "outputs": [{"g": {"regexes": [{"match": "m"}]}}]}}
    event = {"outputText": "no", "amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": trace}
    reading = CODEC.stream_reader().read(event)
    assert {"no", "INTERVENED", "blocked", "m"} <= {fragment.text for fragment in reading.fragments}


NOVA = (
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "see"}, "contentBlockIndex": 0}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t", "name": "a"}}, "contentBlockIndex": 1}},
    {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 1}},
    {"contentBlockStop": {"contentBlockIndex": 1}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 7}}, **METRICS},
)
ANTHROPIC = (
    {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "see"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t", "name": "a", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop", **METRICS},
)
OPENAI = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "see"}, "finish_reason": None}]},
    {
        "choices": [
            {
                "index": 0,
                "delta": {
                    "tool_calls": [
                        {"index": 0, "id": "t", "type": "function", "function": {"name": "a", "arguments": "{}"}}
                    ]
                },
                "finish_reason": None,
            }
        ]
    },
    {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7},
    },
)


@pytest.mark.parametrize(
    ("events", "kept", "ended"),
    [(NOVA, "toolUse", "end_turn"), (ANTHROPIC, "tool_use", "end_turn"), (OPENAI, "tool_calls", "stop")],
    ids=["nova", "anthropic", "openai"],
)
def test_other_streams_are_handed_on(events: tuple[Any, ...], kept: str, ended: str) -> None:
    raw = chunks(*events)
    read = [reading for _, _, reading in readings(CODEC, raw)]
    (opened,) = (opened for reading in read for opened in reading.opens)
    assert (opened.call_id, opened.name) == ("t", "a")
    assert [reading.usage for reading in read if reading.usage][-1] == Usage(input=5, output=7)
    assert rewritten(CODEC, raw, {}) == raw
    out = rewritten(CODEC, raw, {opened.channel: "NO"})
    frames = EventStream().feed(out)
    assert {frame.name for frame in frames} == {"chunk"}
    said = b"".join(frame.data for frame in frames)
    assert b"NO" in said
    assert f'"{ended}"'.encode() in said
    assert f'"{kept}":'.encode() not in said
    assert b'"tool_use"' not in said
    assert [next(iter(event)) for event in client_events("InvokeModelWithResponseStream", out)] == ["chunk"] * len(
        frames
    )


@pytest.mark.parametrize("text", [b'{"bytes":"plain"}', b'{"bytes":"{\\"x\\":NaN}","p":"abc"}'])
def test_a_chunk_without_an_object_is_no_event(text: bytes) -> None:
    assert CODEC.events is not None
    with pytest.raises(DecodeError, match="no JSON object"):
        CODEC.events.parse(text)


def test_an_answer_that_ends_early_closes_everything() -> None:
    read = readings(CODEC, chunks({"generation": "a"}, *NOVA[:2]))
    assert sorted(map(str, read[-1][2].closes)) == ["('text', 0)", "('text', 0, 'generation')"]


# what midstream says itself

CALLED = {
    "type": "message",
    "content": [{"type": "tool_use", "id": "t", "name": "a", "input": {}}],
    "stop_reason": "tool_use",
}


def test_calls_are_cut_out_of_whole_answers() -> None:
    response = CODEC.read_response(CALLED)
    out = orjson.loads(splice(orjson.dumps(CALLED), CODEC.cut_calls(CALLED, response, {0: "NO"})))
    assert out == {"type": "message", "content": [{"type": "text", "text": "NO"}], "stop_reason": "end_turn"}
    assert CODEC.cut_calls({"generation": "a"}, CODEC.read_response({"generation": "a"}), {}) == []


def test_results_are_denied_in_their_format() -> None:
    blocks = [{"toolResult": {"toolUseId": "t", "content": [{"text": "out"}]}}]
    for content, denied in (
        (
            [{"type": "tool_result", "tool_use_id": "t", "content": "out"}],
            [{"type": "tool_result", "tool_use_id": "t", "content": "NO"}],
        ),
        (blocks, [{"toolResult": {"toolUseId": "t", "content": [{"text": "NO"}]}}]),
    ):
        document: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
        if content is not blocks:
            document["anthropic_version"] = "v"
        (result,) = CODEC.read_request(document).results
        out = orjson.loads(splice(orjson.dumps(document), CODEC.deny_result(document, result, "NO")))
        assert out["messages"][0]["content"] == denied


def test_inject_is_the_formats_own() -> None:
    document = {"messages": [{"role": "user", "content": [{"text": "a"}]}]}
    out = orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "X")))
    assert out["messages"][0]["content"] == [{"text": "a"}, {"text": "X"}]
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({"prompt": "<|assistant|>"}, "X")


def test_a_refusal_is_bedrocks() -> None:
    error = client_answer("InvokeModel", CODEC.refusal(429, "no"), 429)["Error"]
    assert error == {"Code": "ThrottlingException", "Message": "no"}


MODELS = [
    "us.anthropic.claude-sonnet-4-6",
    "anthropic.claude-v2",
    "anthropic.claude-instant-v1",
    "us.amazon.nova-2-lite-v1:0",
    "amazon.titan-text-express-v1",
    "meta.llama3-1-70b-instruct-v1:0",
    "mistral.mistral-7b-instruct-v0:2",
    "ai21.jamba-1-5-mini-v1:0",
    "cohere.command-r-v1:0",
    "cohere.command-text-v14",
    "openai.gpt-oss-120b-1:0",
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
    "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-lite-v1:0",
    None,
]


@pytest.mark.parametrize("model", MODELS)
def test_its_own_messages_are_read_back(model: str | None) -> None:
    response = CODEC.read_response(trees.parse(CODEC.message(model, "said")))
    assert "said" in {part.text for part in response.parts if part.role == "assistant"}
    assert response.stop_reason in ("end_turn", "stop", "stop_sequence", "FINISH", "COMPLETE")
    out = b"".join(EventStream().encode(event) for event in CODEC.message_stream(model, "said"))
    assert "said" in grown(CODEC, out).values()
    assert {frame.name for frame in EventStream().feed(out)} == {"chunk"}
    assert client_events("InvokeModelWithResponseStream", out)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("us.anthropic.claude-sonnet-4-6", ("content", 0, "text")),
        ("anthropic.claude-v2", ("completion",)),
        ("anthropic.claude-v2", ("content", 0, "text")),
        ("amazon.nova-lite-v1:0", ("output", "message", "content", 0, "text")),
        ("amazon.titan-text-lite-v1", ("results", 0, "outputText")),
        ("meta.llama3", ("generation",)),
        ("mistral.mixtral", ("outputs", 0, "text")),
        ("mistral.mistral-large-2407-v1:0", ("choices", 0, "message", "content")),
        ("ai21.j2-mid", ("completions", 0, "data", "text")),
        ("ai21.jamba", ("choices", 0, "message", "content")),
        ("cohere.command-r", ("text",)),
        ("cohere.command-text-v14", ("generations", 0, "text")),
        ("deepseek.v3", ("choices", 0, "message", "content")),
        ("arn:aws:bedrock:…:profile/x", ("content", 0, "text")),
    ],
)
def test_each_models_clients_find_the_text(model: str, path: tuple[Any, ...]) -> None:
    said = orjson.loads(CODEC.message(model, "said"))
    for step in path:
        said = said[step]
    assert said == "said"
