"""Gemini Live: each client's and server's message of wire-formats §4 in both spellings, cuts, and refusals."""

from typing import Any

import orjson
import pytest
from google.genai import errors, types
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs.gemini_live import CODEC
from proxy.codecs.splicing import splice
from proxy.events import Usage
from tests.codecs import documents
from tests.codecs.documents import ANY_JSON, misplaced, readings, unread, unsaid
from tests.codecs.test_gemini import both

SETUP: dict[str, Any] = {
    "setup": {
        "model": "models/gemini-live",
        "generationConfig": {"responseModalities": ["AUDIO"], "maxOutputTokens": 5},
        "systemInstruction": {"parts": [{"text": "sys"}]},
        "tools": [{"functionDeclarations": [{"name": "look", "description": "looks"}]}],
        "sessionResumption": {"handle": "H", "transparent": True},
        "inputAudioTranscription": {},
    }
}
TURNS: dict[str, Any] = {
    "clientContent": {
        "turns": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"text": "b"}]},
            {"role": "user", "parts": [{"text": "c"}]},
        ],
        "turnComplete": True,
    }
}
HEARD: dict[str, Any] = {
    "realtimeInput": {
        "audio": {"data": "AA", "mimeType": "audio/pcm"},
        "video": {"data": "BB", "mimeType": "image/jpeg"},
        "mediaChunks": [{"data": "CC", "mimeType": "audio/pcm"}],
    }
}
TYPED: dict[str, Any] = {"realtimeInput": {"text": "typed"}}
RESULTS: dict[str, Any] = {
    "toolResponse": {"functionResponses": [{"id": "f1", "name": "look", "response": {"output": "out"}}]}
}


@both
def test_client_messages_are_read(spelt: Any) -> None:
    for document in map(spelt, (SETUP, TURNS, HEARD, TYPED, RESULTS)):
        request = CODEC.read_request(document)
        assert unread(document, request) == []
        assert misplaced(document, [part[:2] for part in request.parts]) == []
        assert request.stream
    setup = CODEC.read_request(spelt(SETUP))
    assert (setup.model, setup.follows, setup.max_output, list(setup.tools)) == ("models/gemini-live", "H", 5, ["look"])
    assert {part.text: part.sealed for part in setup.parts}["H"]
    assert next(part.role for part in setup.parts if part.text == "sys") == "system"
    turns = CODEC.read_request(spelt(TURNS))
    assert [(part.text, part.role, part.new) for part in turns.parts] == [
        ("a", "user", False),
        ("b", "assistant", False),
        ("c", "user", True),
    ]
    assert turns.turn == 1
    heard = CODEC.read_request(spelt(HEARD))
    assert [(part.text, part.kind, part.sealed) for part in heard.parts] == [
        (data, "media", True) for data in ("AA", "BB", "CC")
    ]
    (result,) = CODEC.read_request(spelt(RESULTS)).results
    assert (result.call_id, result.name) == ("f1", "look")
    raw = orjson.dumps(spelt(RESULTS))
    out = orjson.loads(splice(raw, CODEC.deny_result(spelt(RESULTS), result, "NO")))
    assert '{"error":"NO"}' in orjson.dumps(out).decode()


@pytest.mark.parametrize(
    ("document", "begins"),
    [
        (SETUP, False),
        (TURNS, True),
        ({"clientContent": {"turnComplete": True}}, True),
        ({"clientContent": {"turns": []}}, False),
        (TYPED, True),
        (HEARD, False),
        ({"realtimeInput": {"activityEnd": {}}}, True),
        ({"realtimeInput": {"activityStart": {}}}, False),
        ({"realtimeInput": {"audioStreamEnd": True}}, False),
        (RESULTS, False),
        ([], False),
    ],
)
@both
def test_what_begins_an_answer(spelt: Any, document: Any, begins: bool) -> None:
    assert CODEC.begins(spelt(document)) is begins


@both
def test_inject(spelt: Any) -> None:
    turns = orjson.loads(splice(orjson.dumps(spelt(TURNS)), CODEC.inject(spelt(TURNS), "X")))
    (content,) = turns.values()
    assert content["turns"][-1]["parts"] == [{"text": "c"}, {"text": "X"}]
    typed = orjson.loads(splice(orjson.dumps(spelt(TYPED)), CODEC.inject(spelt(TYPED), "X")))
    assert list(typed.values()) == [{"text": "typed\n\nX"}]
    assert all(CODEC.inject(spelt(other), "X") == [] for other in (SETUP, HEARD, RESULTS))
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({"clientContent": {"turnComplete": True}}, "X")


def content(**more: Any) -> dict[str, Any]:
    return {"serverContent": more}


def parts(*every: Any) -> dict[str, Any]:
    return content(modelTurn={"role": "model", "parts": list(every)})


CALLS: dict[str, Any] = {
    "toolCall": {
        "functionCalls": [
            {"id": "f1", "name": "look", "args": {"at": "x"}},
            {"id": "f2", "name": "send", "args": {}},
        ]
    }
}
ANSWER: list[dict[str, Any]] = [
    {"setupComplete": {"sessionId": "s"}},
    content(inputTranscription={"text": "my "}),
    content(inputTranscription={"text": "words", "finished": True}),
    parts({"text": "hm", "thought": True}),
    parts({"inlineData": {"mimeType": "audio/pcm", "data": "AA"}}),
    content(outputTranscription={"text": "Let me"}),
    content(outputTranscription={"text": " see"}),
    CALLS,
    {"toolCallCancellation": {"ids": ["f1"]}},
    parts({"text": "do"}),
    parts({"text": "ne"}),
    content(groundingMetadata={"groundingSupports": [{"segment": {"text": "done"}}], "webSearchQueries": ["q"]}),
    {"sessionResumptionUpdate": {"newHandle": "H2", "resumable": True}},
    content(generationComplete=True),
    content(turnComplete=True) | {"usageMetadata": {"promptTokenCount": 1, "responseTokenCount": 2}},
    {"goAway": {"timeLeft": "1s"}},
]
LOOK, SEND = ("tool_call", 0, 0), ("tool_call", 0, 1)


def once(found: dict[Any, str]) -> dict[Any, str]:
    return {channel: text for channel, text in found.items() if "once" not in channel}


@both
def test_an_answer_is_read(spelt: Any) -> None:
    stream = spelt(ANSWER)
    assert once(documents.texts(CODEC, stream)) == {
        ("text", "heard"): "my words",
        ("reasoning", 0): "hm",
        ("text", "spoken"): "Let me see",
        ("text", 0): "done",
    }
    assert documents.calls(CODEC, stream) == [("f1", "look", False), ("f2", "send", False)]
    read = readings(CODEC, stream)
    for document, reading in zip(stream, read, strict=False):
        left = [path for path in unsaid(document, reading) if path[-1] != "name"]
        assert left == []
    assert [index for index, reading in enumerate(read) if reading.end] == [14, 16]
    assert (read[14].stop_reason, read[14].usage) == ("turnComplete", Usage(input=1, output=2))
    assert read[12].keeps == "H2"
    assert ("text", "heard") in read[2].closes
    assert ("text", 0) in read[13].closes
    assert [channel for channel, _ in read[11].when_edited] == [("text", 0)]


def test_an_interrupted_answer_is_over_for_its_texts() -> None:
    (_, interrupted, _) = readings(CODEC, [parts({"text": "a"}), content(interrupted=True)])
    assert (list(interrupted.closes), interrupted.stop_reason, interrupted.end) == ([("text", 0)], "interrupted", False)


NOTICE = {"modelTurn": {"role": "model", "parts": [{"text": "NO"}]}}


@both
def test_calls_are_cut(spelt: Any) -> None:
    assert documents.cut(CODEC, [spelt(CALLS)], {LOOK: "NO", SEND: "NO"}) == [content(**NOTICE, turnComplete=True)]
    notice, rest = documents.cut(CODEC, [spelt(CALLS)], {LOOK: "NO"})
    assert notice == content(**NOTICE)
    ((calls,),) = (each.values() for each in rest.values())
    assert [each["id"] for each in calls] == ["f2"]
    both_denied = documents.cut(CODEC, [spelt(CALLS)], {LOOK: "A", SEND: "B"})
    assert both_denied[0]["serverContent"]["modelTurn"]["parts"] == [{"text": "A\n\nB"}]


def test_a_cut_leaves_what_else_a_message_says() -> None:
    beside = CALLS | {"usageMetadata": {"promptTokenCount": 1}}
    notice, rest = documents.cut(CODEC, [beside], {LOOK: "NO", SEND: "NO"})
    assert (notice, rest["usageMetadata"]) == (content(**NOTICE), beside["usageMetadata"])
    assert rest["toolCall"] == {}
    in_turn = parts({"text": "t"}, {"functionCall": {"name": "f", "args": {}}})
    assert documents.cut(CODEC, [in_turn], {LOOK: "NO"}) == [content(**NOTICE), parts({"text": "t"})]
    assert documents.cut(CODEC, ANSWER, {}) == ANSWER


def test_a_refusal_is_an_error_to_google_s_sdk() -> None:
    (raw,) = CODEC.socket_refusal(403, "no") if CODEC.socket_refusal else ()
    told = orjson.loads(raw)
    assert not told.keys() & {field.alias for field in types.LiveServerMessage.model_fields.values()}
    with pytest.raises(errors.ClientError) as refused:
        errors.APIError.raise_error(told["code"], told, None)
    assert (refused.value.code, refused.value.message, refused.value.status) == (403, "no", "PERMISSION_DENIED")


def test_its_own_message_is_read_back() -> None:
    (event,) = CODEC.message_stream(None, "t")
    document = orjson.loads(event.data)
    assert once(documents.texts(CODEC, [document])) == {("text", 0): "t"}
    assert readings(CODEC, [document])[0].end
    assert orjson.loads(CODEC.message("m", "t")) == document
    assert [part.text for part in CODEC.read_response(document).parts] == ["t"]


@given(st.data())
def test_any_value_in_any_place(data: st.DataObject) -> None:
    sent = data.draw(st.sampled_from([SETUP, TURNS, HEARD, TYPED, RESULTS]))
    document = documents.put(sent, data.draw(st.sampled_from(documents.places(sent))), data.draw(ANY_JSON))
    request = CODEC.read_request(document)
    assert unread(document, request) == []
    assert misplaced(document, [part[:2] for part in request.parts]) == []
    CODEC.begins(document)
    stream = documents.put(ANSWER, data.draw(st.sampled_from(documents.places(ANSWER))), data.draw(ANY_JSON))
    stream = stream if isinstance(stream, list) else [stream]
    read = readings(CODEC, stream)
    for one, reading in zip(stream, read, strict=False):
        assert [path for path in unsaid(one, reading) if path[-1:] != ("name",)] == []
        assert misplaced(one, [fragment[1:] for fragment in reading.fragments]) == []
    documents.cut(CODEC, stream, {item.channel: "NO" for reading in read for item in reading.opens})
    documents.edited(CODEC, stream, "done", "***")
