"""Gemini: each part of wire-formats §4 in both spellings, whole answers, calls without ids, what midstream says."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import Key
from proxy.codecs.gemini import ADMIN, CODEC, EMBEDDING
from proxy.codecs.gemini.names import camel
from proxy.codecs.gemini.writer import UNSIGNED
from proxy.codecs.splicing import TextChange, splice
from proxy.decision import TextEdit
from proxy.events import Usage
from tests.codecs import documents
from tests.codecs.documents import ANY_JSON, misplaced, unread

PARTS: list[dict[str, Any]] = [
    {"text": "thinking", "thought": True},
    {"text": "see", "thoughtSignature": "S1"},
    {"text": "", "thoughtSignature": "S2"},
    {
        "functionCall": {"name": "Read", "args": {"path": ".env", "a@b.example": 4111111111111111, "type": "x"}},
        "thoughtSignature": "S3",
    },
    {"functionCall": {"id": "c2", "name": "Write", "args": {"path": "y"}}},
    {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}, "id": "t1"}, "thoughtSignature": "S4"},
    {
        "toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {"search_suggestions": "<b>h</b>"}, "id": "t1"},
        "thoughtSignature": "S5",
    },
    {"executableCode": {"language": "PYTHON", "code": "print(1)", "id": "e1"}, "thoughtSignature": "S6"},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n", "id": "e1"}},
    {"inlineData": {"mimeType": "text/plain", "data": "cGxhaW4=", "displayName": "shown"}},
    {
        "fileData": {"mimeType": "image/png", "fileUri": "https://files.example/f"},
        "videoMetadata": {"startOffset": "1s"},
    },
    {"audioTranscription": {"text": "heard"}, "mediaResolution": {"level": "HIGH"}},
    {"brandNew": {"deep": {"body": "unknown"}}},
]
RESULTS: list[dict[str, Any]] = [
    {"functionResponse": {"name": "Read", "response": {"error": "out", "k-1": "v"}}},
    {
        "functionResponse": {
            "id": "c2",
            "name": "Write",
            "response": {"output": "done"},
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}, {"fileData": {"fileUri": "gs://x/y"}}],
        }
    },
]
REQUEST: dict[str, Any] = {
    "systemInstruction": {"parts": {"text": "sys"}},
    "tools": [
        {"functionDeclarations": [{"name": "Read", "description": "reads", "parameters": {"type": "OBJECT"}}]},
        {"googleSearch": {}},
    ],
    "generationConfig": {"maxOutputTokens": 9, "stopSequences": ["END"], "responseMimeType": "application/json"},
    "cachedContent": "cachedContents/x",
    "labels": {"team": "blue"},
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": PARTS},
        {"role": "user", "parts": [*RESULTS, {"text": "new"}]},
    ],
}


def snake(value: Any) -> Any:
    """A document in the other spelling; members of arguments and results are nobody's to rename."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {name: "".join("_" + c.lower() if c.isupper() else c for c in name) for name in value}
    return {names[n]: item if n in ("args", "response") else snake(item) for n, item in value.items()}


both = pytest.mark.parametrize("spelt", [lambda value: value, snake], ids=["camel", "snake"])


@both
def test_a_request_is_read(spelt: Any) -> None:
    document = spelt(REQUEST)
    request = CODEC.read_request(document)
    assert unread(document, request) == []
    assert misplaced(document, [part[:2] for part in request.parts]) == []
    assert (request.model, request.stream, request.max_output, request.turn) == (None, False, 9, 1)
    assert list(request.tools) == ["Read"]
    said = {part.text: part for part in request.parts}
    sealed = ("thinking", "S1", "S2", "S3", "S4", "S5", "S6", "Read", "AA", "GOOGLE_SEARCH_WEB")
    assert all(said[text].sealed for text in sealed)
    read = ("see", ".env", "q", "<b>h</b>", "print(1)", "1\n", "shown", "heard", "unknown", "out", "reads", "new")
    assert not any(said[text].sealed for text in read)
    assert [
        (said[t].role, said[t].kind, said[t].new)
        for t in ("sys", "hi", "thinking", "see", ".env", "q", "1\n", "cGxhaW4=", "reads", "out", "gs://x/y", "new")
    ] == [
        ("system", "text", False),
        ("user", "text", False),
        ("assistant", "reasoning", False),
        ("assistant", "text", False),
        ("assistant", "tool_call", False),
        ("assistant", "tool_call", False),
        ("tool", "tool_result", False),
        ("assistant", "media", False),
        ("system", "tool_definition", False),
        ("tool", "tool_result", True),
        ("tool", "media", True),
        ("user", "text", True),
    ]
    assert said["a@b.example"].path[-1] == Key("a@b.example")
    assert said["4111111111111111"].kind == "tool_call"
    assert said["k-1"].path[-1] == Key("k-1")


@both
def test_results_find_their_call(spelt: Any) -> None:
    request = CODEC.read_request(spelt(REQUEST))
    one, two = request.results
    assert (one.name, one.is_error, one.new, one.content[-1]) == ("Read", True, True, "response")
    assert request.calls[one.call_id] == ("Read", REQUEST["contents"][1]["parts"][3]["functionCall"]["args"])
    assert (two.call_id, two.is_error) == ("c2", False)
    assert request.calls["c2"] == ("Write", {"path": "y"})
    assert [request.parts[index].text for index in two.parts] == ["Write", "done", "AA", "gs://x/y"]
    assert len(request.calls) == 2


def call(name: str, args: Any, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args}, **more}


def result(name: str, said: str, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"output": said}, **more}}


@pytest.mark.parametrize("role", ["user", "function", "model", None])
def test_results_without_ids_go_by_name_and_order(role: str | None) -> None:
    answers = {"parts": [result("b", "3"), result("a", "1"), result("a", "2"), result("c", "?")]}
    contents = [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [call("a", {"n": 1}), call("a", {"n": 2})]},
        {"role": "model", "parts": [call("b", {"n": 3})]},
        {**answers, "role": role} if role else answers,
    ]
    request = CODEC.read_request({"contents": contents})
    given_to = [request.calls[item.call_id][1] for item in request.results if item.call_id]
    assert given_to == [{"n": 3}, {"n": 1}, {"n": 2}]
    assert request.results[3].call_id == ""
    assert request.turn == 1


def test_a_call_has_the_same_id_in_its_answer_and_in_later_requests() -> None:
    parts = [call("a", {"n": 1, "m": 2}), call("a", {"n": 1, "m": 2}), call("a", {"n": 2})]
    answered = CODEC.read_response({"candidates": [{"content": {"role": "model", "parts": parts}}]})
    # Streamed answers come back as a content for each chunk, with members in another order.
    later = [{"role": "model", "parts": [call("a", {"m": 2, "n": 1})]}, {"role": "model", "parts": parts[1:]}]
    history = [{"role": "user", "parts": [{"text": "x"}]}, *later, {"role": "user", "parts": []}]
    request = CODEC.read_request({"contents": history * 2})
    assert list(request.calls) == [each.call_id for each in answered.calls]
    assert len(set(request.calls)) == 3
    assert request.turn == 2


@pytest.mark.parametrize(
    ("document", "roles"),
    [
        ({"contents": {"parts": {"text": "t"}}}, ["user"]),
        ({"contents": {"role": "user", "parts": [{"text": "t"}]}}, ["user"]),
        ({"contents": "t"}, ["user"]),
        ({"contents": ["t", {"text": "u"}]}, ["user", "user"]),
        ({"system_instruction": "t"}, ["system"]),
        ({"contents": [{"role": "narrator", "parts": [{"text": "t"}]}]}, ["other"]),
        ({"generateContentRequest": {"model": "models/g", "contents": [{"parts": [{"text": "t"}]}]}}, ["user"]),
        ({"requests": [{"model": "models/g", "content": {"parts": [{"text": "t"}]}, "title": "u"}]}, ["other", "user"]),
        ({"content": {"parts": [{"text": "t"}]}, "taskType": "X"}, ["other", "user"]),
        ({"instances": [{"content": "t", "task_type": "X"}]}, ["other", "other"]),
        ({"model": "m", "project": "p", "request": {"contents": [{"parts": [{"text": "t"}]}]}}, ["other", "user"]),
    ],
)
def test_every_shape_of_a_request(document: Any, roles: list[str]) -> None:
    request = CODEC.read_request(document)
    assert unread(document, request) == []
    assert [part.role for part in request.parts] == roles


def test_code_assist_names_model_and_session() -> None:
    document = {"model": "gemini-3-pro", "user_prompt_id": "u", "request": {"session_id": "s", "contents": []}}
    request = CODEC.read_request(document)
    assert (request.model, request.session) == ("gemini-3-pro", "s")


def test_a_prefill_is_new() -> None:
    contents = [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]
    request = CODEC.read_request({"contents": contents})
    assert (request.turn, [part.new for part in request.parts]) == (0, [True, True])


def candidate(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", "index": 0, **more}


ANSWER: dict[str, Any] = {
    "candidates": [
        candidate(
            *PARTS,
            finishMessage="Model generated function call(s).",
            safetyRatings=[{"category": "HARM", "probability": "LOW"}],
            continuationToken="C",
        )
    ],
    "usageMetadata": {
        "promptTokenCount": 10,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 4,
        "toolUsePromptTokenCount": 2,
        "cachedContentTokenCount": 6,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}],
    },
    "modelVersion": "gemini-3-pro",
    "responseId": "r",
}


@both
def test_an_answer_is_read(spelt: Any) -> None:
    document = spelt(ANSWER)
    response = CODEC.read_response(document)
    assert unread(document, response) == []
    assert misplaced(document, [part[:2] for part in response.parts]) == []
    assert (response.model, response.stop_reason) == ("gemini-3-pro", "STOP")
    assert response.usage == Usage(input=12, output=7, cache_read=6)
    assert [(each.name, each.by_provider) for each in response.calls] == [
        ("Read", False),
        ("Write", False),
        ("GOOGLE_SEARCH_WEB", True),
        ("code_execution", True),
    ]
    assert response.calls[3].arguments == {"language": "PYTHON", "code": "print(1)"}
    assert [(each.call_id, each.name, each.is_error) for each in response.results] == [
        ("t1", "GOOGLE_SEARCH_WEB", False),
        ("e1", "code_execution", False),
    ]
    assert "<b>h</b>" in [response.parts[index].text for index in response.results[0].parts]
    said = {part.text: part for part in response.parts}
    assert said["C"].sealed
    assert not said["Model generated function call(s)."].sealed


def test_what_google_s_tools_give_back_without_an_id_goes_by_order() -> None:
    code = [{"executableCode": {"code": "1/0"}}, {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "E"}}]
    response = CODEC.read_response({"candidates": [candidate(*code, *code)]})
    assert [each.call_id for each in response.results] == [each.call_id for each in response.calls]
    assert all(each.is_error for each in response.results)
    assert not CODEC.read_request({"contents": [{"role": "model", "parts": code}]}).results


@pytest.mark.parametrize(
    ("document", "stop", "said"),
    [
        ({"candidates": [{"finishReason": "SAFETY", "index": 0}]}, "SAFETY", []),
        ({"candidates": [{"finishReason": 1}]}, "STOP", []),
        ({"candidates": [{"finishReason": 99}]}, "99", []),
        ({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}, "MAX_TOKENS", []),
        (
            {"promptFeedback": {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "why"}},
            "MODEL_ARMOR",
            ["MODEL_ARMOR", "why"],
        ),
        ({"error": {"code": 400, "message": "m", "status": "S", "details": [{"reason": "r"}]}}, None, ["m", "S", "r"]),
        ([{"error": {"code": 400, "message": "m", "status": "S"}}], None, ["m", "S"]),
        ({"response": {"candidates": [candidate({"text": "t"})]}, "traceId": "x"}, "STOP", ["t", "x"]),
        ({"totalTokens": 8, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}]}, None, []),
        ({"name": "cachedContents/x", "displayName": "d"}, None, ["cachedContents/x", "d"]),
    ],
)
def test_other_answers(document: Any, stop: str | None, said: list[str]) -> None:
    response = CODEC.read_response(document)
    assert unread(document, response) == []
    assert response.stop_reason == stop
    assert [part.text for part in response.parts] == said


@pytest.mark.parametrize(
    ("document", "usage"),
    [
        ({"embeddings": [{"values": [0.5, 1.5]}], "usageMetadata": {"promptTokenCount": 7}}, Usage(input=7)),
        ({"predictions": [{"embeddings": {"statistics": {"token_count": 4.0}, "values": [0.5]}}] * 2}, Usage(input=8)),
        ({"embedding": {"values": [1, 2]}}, None),
    ],
)
def test_embeddings(document: Any, usage: Usage | None) -> None:
    response = EMBEDDING.read_response(document)
    assert (list(response.parts), response.usage) == ([], usage)


GROUNDED = candidate(
    {"text": "the secret is out"},
    logprobsResult={"chosenCandidates": [{"token": "the"}]},
    groundingMetadata={
        "webSearchQueries": ["q"],
        "searchEntryPoint": {"renderedContent": "<b>"},
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
        "groundingSupports": [{"segment": {"startIndex": 4, "endIndex": 10, "text": "secret"}}],
    },
    citationMetadata={"citations": [{"startIndex": 4, "endIndex": 10, "uri": "c"}]},
)


@both
def test_what_repeats_a_text_goes_when_the_text_was_edited(spelt: Any) -> None:
    document = spelt({"candidates": [GROUNDED]})
    response = CODEC.read_response(document)
    assert unread(document, response) == []
    changes = [change for part, change in response.when_edited if response.parts[part].text == "the secret is out"]
    out = orjson.loads(splice(orjson.dumps(document), changes))["candidates"][0]
    left = {camel(name) for name in out}
    assert left == {"content", "finishReason", "index", "groundingMetadata"}
    assert "secret" not in str(next(value for name, value in out.items() if camel(name) == "groundingMetadata"))
    assert {part.text for part in response.parts} >= {"q", "<b>", "u", "t", "secret", "c"}


def test_without_a_text_nothing_is_a_copy() -> None:
    document = {"candidates": [candidate(logprobsResult={"chosenCandidates": [{"token": "the"}]})]}
    response = CODEC.read_response(document)
    assert (list(response.when_edited), [part.text for part in response.parts]) == ([], ["the"])


# calls cut


def cut(parts: list[Any], cuts: dict[int, str]) -> list[Any]:
    document = {"candidates": [candidate(*parts)]}
    response = CODEC.read_response(document)
    out = orjson.loads(splice(orjson.dumps(document), CODEC.cut_calls(document, response, cuts)))
    assert out["candidates"][0]["finishReason"] == "STOP"
    return list(out["candidates"][0]["content"]["parts"])


def test_a_cut_call_becomes_a_text_in_its_place() -> None:
    parts = [{"text": "see"}, call("a", {}, thoughtSignature="S"), {"text": "end"}]
    assert cut(parts, {0: "NO"}) == [{"text": "see"}, {"text": "\n\nNO"}, {"text": "end"}]


def test_the_call_behind_a_signed_one_that_is_cut_needs_no_signature() -> None:
    parts = [call("a", {}, thoughtSignature="S"), call("b", {}), call("c", {})]
    assert cut(parts, {0: "NO"}) == [{"text": "NO"}, call("b", {}, thoughtSignature=UNSIGNED), call("c", {})]
    assert cut(parts, {1: "NO"}) == [parts[0], {"text": "NO"}, call("c", {})]
    assert cut(parts, {0: "NO", 1: "NO"})[2] == call("c", {}, thoughtSignature=UNSIGNED)
    assert cut(parts, {0: "A", 1: "B", 2: "C"}) == [{"text": "A"}, {"text": "\n\nB"}, {"text": "\n\nC"}]


@pytest.mark.parametrize("signed", [{}, {"thought_signature": "T"}])
def test_a_signature_of_its_own_stays(signed: dict[str, str]) -> None:
    first = {"thoughtSignature": "S"} if signed else {}
    assert cut([call("a", {}, **first), call("b", {}, **signed)], {0: "NO"})[1] == call("b", {}, **signed)


def test_a_call_in_a_single_part_or_in_both_spellings() -> None:
    single = {"candidates": [{"content": {"parts": call("a", {})}}]}
    response = CODEC.read_response(single)
    out = splice(orjson.dumps(single), CODEC.cut_calls(single, response, {0: "NO"}))
    assert orjson.loads(out)["candidates"][0]["content"]["parts"] == {"text": "NO"}
    double = call("a", {}) | {"function_call": {"name": "b", "args": {}}}
    assert cut([double], {1: "NO"}) == [{"text": "NO"}]
    assert cut([double], {0: "A", 1: "B"}) == [{"text": "A\n\nB"}]


# text files


def test_a_text_file_is_read_and_edited_as_a_text() -> None:
    """Both alphabets of base64, as Google takes both; anything but text stays sealed."""
    text = "key: ~~~???>>>"
    encoded = [base64.b64encode(text.encode()).decode(), base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")]
    assert encoded[0] != encoded[1]
    blobs = [{"inlineData": {"mimeType": "text/plain; charset=utf-8", "data": each}} for each in encoded]
    image = {"inlineData": {"mimeType": "image/png", "data": encoded[0]}}
    result_of = {"functionResponse": {"name": "f", "response": {}, "parts": blobs[:1]}}
    raw = orjson.dumps({"contents": [{"role": "user", "parts": [*blobs, image, result_of]}]})
    document = CODEC.syntax.parse(raw)
    request = CODEC.read_request(document)
    found = [part for part in request.parts if part.text == text]
    assert [(part.kind, part.sealed, part.role) for part in found] == [
        ("media", False, "user"),
        ("media", False, "user"),
        ("media", False, "tool"),
    ]
    out = CODEC.syntax.splice(raw, [TextChange(part.path, [TextEdit(0, 3, "***")]) for part in found])
    again = CODEC.read_request(CODEC.syntax.parse(out))
    assert [part.text for part in again.parts if part.kind == "media"].count("***: ~~~???>>>") == 3
    assert encoded[0].encode() in out
    assert CODEC.syntax.splice(raw, []) == raw


# what midstream says itself


@pytest.mark.parametrize(
    ("contents", "last"),
    [
        ([{"role": "user", "parts": [{"text": "a"}]}], {"role": "user", "parts": [{"text": "a"}, {"text": "X"}]}),
        ([{"parts": {"text": "a"}}], {"parts": {"text": "a\n\nX"}}),
        ([{"role": "user", "parts": {"inlineData": {}}}], {"role": "user", "parts": [{"text": "X"}]}),
        ([{"role": "function", "parts": RESULTS}], {"role": "user", "parts": [{"text": "X"}]}),
        ([{"role": "user", "parts": RESULTS}], {"role": "user", "parts": [*RESULTS, {"text": "X"}]}),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_inject_ends_the_users_turn(contents: list[Any], last: Any, wrapped: bool) -> None:
    bare: dict[str, Any] = {"contents": contents}
    document = {"request": bare} if wrapped else bare
    out = orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "X")))
    assert (out["request"] if wrapped else out)["contents"][-1] == last


def test_inject_before_a_prefill_and_in_a_single_content() -> None:
    one = {"contents": {"parts": [{"text": "a"}]}}
    assert orjson.loads(splice(orjson.dumps(one), CODEC.inject(one, "X")))["contents"]["parts"][1] == {"text": "X"}
    two = {"contents": [{"parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]}
    assert orjson.loads(splice(orjson.dumps(two), CODEC.inject(two, "X")))["contents"][0]["parts"][1] == {"text": "X"}


@pytest.mark.parametrize(
    "document",
    [{}, {"contents": []}, {"contents": [{"role": "model"}]}, {"contents": {"parts": 1}}, {"contents": [{"role": []}]}],
)
def test_inject_needs_a_user(document: Any) -> None:
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject(document, "X")


@both
def test_a_denied_result_is_an_error(spelt: Any) -> None:
    document = spelt({"contents": [{"role": "user", "parts": RESULTS}]})
    raw = orjson.dumps(document)
    for item in CODEC.read_request(document).results:
        for denied in (CODEC.deny_result, ADMIN.deny_result):
            out = orjson.loads(splice(raw, denied(document, item, "NO")))
            part = out["contents"][0]["parts"][item.content[3]]
            (response,) = part.values()
            assert response["response"] == {"error": "NO"}
            assert "parts" not in response


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (407, "UNAUTHENTICATED"),
        (429, "RESOURCE_EXHAUSTED"),
        (502, "INTERNAL"),
        (503, "UNAVAILABLE"),
    ],
)
def test_refusals(status: int, name: str) -> None:
    assert orjson.loads(CODEC.refusal(status, "no")) == {"error": {"code": status, "message": "no", "status": name}}


def test_its_own_messages_are_read_back() -> None:
    response = CODEC.read_response(orjson.loads(CODEC.message("m", "t")))
    assert (response.model, [part.text for part in response.parts]) == ("m", ["t"])
    assert response.stop_reason == "STOP"
    (event,) = CODEC.message_stream(None, "t")
    assert documents.texts(CODEC, [orjson.loads(event.data)]) == {("text", 0): "t"}


# any JSON


@given(st.data())
def test_any_value_in_any_place_of_a_request(data: st.DataObject) -> None:
    document = documents.put(REQUEST, data.draw(st.sampled_from(documents.places(REQUEST))), data.draw(ANY_JSON))
    request = CODEC.read_request(document)
    assert unread(document, request) == []
    assert misplaced(document, [part[:2] for part in request.parts]) == []
    assert len({part.path for part in request.parts}) == len(request.parts)
    for item in request.results:
        splice(orjson.dumps(document), CODEC.deny_result(document, item, "NO"))


ANSWERS = {"candidates": [*ANSWER["candidates"], GROUNDED], "usageMetadata": ANSWER["usageMetadata"]}


@given(st.data())
def test_any_value_in_any_place_of_an_answer(data: st.DataObject) -> None:
    document = documents.put(ANSWERS, data.draw(st.sampled_from(documents.places(ANSWERS))), data.draw(ANY_JSON))
    response = CODEC.read_response(document)
    assert unread(document, response) == []
    assert misplaced(document, [part[:2] for part in response.parts]) == []
    mine = {index: "NO" for index, each in enumerate(response.calls) if not each.by_provider}
    splice(orjson.dumps(document), CODEC.cut_calls(document, response, mine))


@given(ANY_JSON)
def test_any_document(document: Any) -> None:
    assert unread(document, CODEC.read_request(document)) == []
    assert unread(document, EMBEDDING.read_response(document)) == []


def test_ten_thousand_calls_and_a_thousand_turns_stay_linear() -> None:
    many = [candidate(*(call("f", {"n": number}) for number in range(10_000)))]
    response = CODEC.read_response({"candidates": many})
    assert len({each.call_id for each in response.calls}) == 10_000
    document = {"candidates": many}
    out = orjson.loads(
        splice(orjson.dumps(document), CODEC.cut_calls(document, response, dict.fromkeys(range(9_999), "N")))
    )
    assert out["candidates"][0]["content"]["parts"][-1] == call("f", {"n": 9999})
    turns = [
        {"role": "model", "parts": [call("f", {"n": 1})]},
        {"role": "user", "parts": [result("f", "x")]},
    ] * 1000
    request = CODEC.read_request({"contents": turns})
    assert (request.turn, len(request.results), len(request.calls)) == (1000, 1000, 1)
