"""Google's Interactions API: each step of wire-formats §4.1, each event of its streams, and what midstream says."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs.framings import Frame
from proxy.codecs.gemini_interactions import CODEC
from proxy.codecs.splicing import splice
from proxy.events import Usage
from tests.codecs import documents
from tests.codecs.documents import ANY_JSON, misplaced, readings, unread, unsaid

STEPS: list[dict[str, Any]] = [
    {"type": "user_input", "content": [{"type": "text", "text": "hi"}]},
    {"type": "thought", "signature": "S1", "summary": [{"type": "text", "text": "hm"}]},
    {
        "type": "model_output",
        "content": [
            {"type": "text", "text": "see", "annotations": [{"type": "url_citation", "url": "u", "title": "t"}]},
            {"type": "image", "mime_type": "image/png", "data": "AA"},
            {"type": "video", "uri": "https://files.example/v"},
        ],
    },
    {"type": "function_call", "id": "c1", "name": "Read", "arguments": {"path": ".env"}},
    {"type": "google_search_call", "id": "g1", "arguments": {"queries": ["q"]}, "signature": "S2"},
    {"type": "google_search_result", "call_id": "g1", "result": [{"search_suggestions": "<b>"}], "signature": "S3"},
    {"type": "code_execution_call", "id": "e1", "arguments": {"language": "python", "code": "print(1)"}},
    {"type": "code_execution_result", "call_id": "e1", "result": "1\n"},
    {"type": "url_context_call", "id": "u1", "arguments": {"urls": ["https://a.example"]}},
    {"type": "url_context_result", "call_id": "u1", "result": [{"url": "https://a.example", "status": "ok"}]},
    {"type": "mcp_server_tool_call", "id": "m1", "name": "look", "server_name": "files", "arguments": {"x": "y"}},
    {"type": "mcp_server_tool_result", "call_id": "m1", "name": "look", "server_name": "files", "result": {"a": "b"}},
    {"type": "file_search_call", "id": "f1"},
    {"type": "file_search_result", "call_id": "f1", "result": [{"text": "found", "signature": "no seal"}]},
    {"type": "brand_new", "body": {"deep": "unknown"}},
]
RESULT: dict[str, Any] = {
    "type": "function_result",
    "call_id": "c1",
    "name": "Read",
    "result": [{"type": "text", "text": "out"}, {"type": "image", "data": "BB", "mime_type": "image/png"}],
}
REQUEST: dict[str, Any] = {
    "model": "gemini-3-pro",
    "stream": True,
    "system_instruction": "sys",
    "previous_interaction_id": "v1_x",
    "generation_config": {"max_output_tokens": 9, "thinking_level": "low"},
    "tools": [
        {"type": "function", "name": "Read", "description": "reads", "parameters": {}},
        {"type": "google_search"},
    ],
    "input": [*STEPS, RESULT],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output) == ("gemini-3-pro", True, 9)
    assert (request.follows, request.turn, list(request.tools)) == ("v1_x", 1, ["Read"])
    assert request.calls == {"c1": ("Read", {"path": ".env"})}
    (result,) = request.results
    assert (result.call_id, result.name, result.new, result.is_error) == ("c1", "Read", True, False)
    assert [request.parts[index].text for index in result.parts] == ["Read", "out", "BB"]
    said = {part.text: part for part in request.parts}
    assert all(said[text].sealed for text in ("S1", "hm", "S2", "S3", "AA", "BB", "Read"))
    assert not any(said[text].sealed for text in ("see", "q", "<b>", "print(1)", "1\n", "found", "no seal", "unknown"))
    assert [(said[t].role, said[t].kind, said[t].new) for t in ("sys", "hi", "hm", "see", ".env", "<b>", "out")] == [
        ("system", "text", False),
        ("user", "text", False),
        ("assistant", "reasoning", False),
        ("assistant", "text", False),
        ("assistant", "tool_call", False),
        ("tool", "tool_result", False),
        ("tool", "tool_result", True),
    ]


@pytest.mark.parametrize(
    ("given_input", "role", "turn"),
    [
        ("t", "user", 0),
        ({"type": "text", "text": "t"}, "user", 0),
        ([{"type": "text", "text": "t"}, {"type": "image", "uri": "u"}], "user", 0),
        ([{"type": "user_input", "content": "t"}], "user", 0),
        ([{"role": "user", "content": "t"}], "user", 0),
        (
            [{"role": "model", "content": [{"type": "text", "text": "t"}]}, {"role": "user", "content": "u"}],
            "assistant",
            1,
        ),
        (["t"], "user", 0),
    ],
)
def test_every_shape_of_an_input(given_input: Any, role: str, turn: int) -> None:
    document = {"agent": "deep-research", "input": given_input}
    request = CODEC.read_request(document)
    assert unread(document, request) == []
    assert next(part.role for part in request.parts if part.text == "t") == role
    assert (request.turn, request.model) == (turn, "deep-research")


ANSWER: dict[str, Any] = {
    "id": "v1_y",
    "object": "interaction",
    "status": "requires_action",
    "model": "gemini-3-pro",
    "steps": STEPS[1:],
    "usage": {
        "total_input_tokens": 1,
        "total_cached_tokens": 2,
        "total_output_tokens": 4,
        "total_thought_tokens": 8,
        "total_tool_use_tokens": 16,
    },
}


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert unread(ANSWER, response) == []
    assert (response.model, response.keeps, response.stop_reason) == ("gemini-3-pro", "v1_y", "requires_action")
    assert response.usage == Usage(input=17, output=12, cache_read=2)
    assert [(each.name, each.by_provider, each.server) for each in response.calls] == [
        ("Read", False, None),
        ("google_search", True, None),
        ("code_execution", True, None),
        ("url_context", True, None),
        ("look", True, "files"),
        ("file_search", True, None),
    ]
    assert [(each.call_id, each.name, each.server) for each in response.results] == [
        ("g1", "google_search", None),
        ("e1", "code_execution", None),
        ("u1", "url_context", None),
        ("m1", "look", "files"),
        ("f1", "file_search", None),
    ]
    ((part, change),) = response.when_edited
    assert response.parts[part].text == "see"
    out = orjson.loads(splice(orjson.dumps(ANSWER), [change]))
    assert out["steps"][1]["content"][0] == {"type": "text", "text": "see"}


def test_a_first_version_s_outputs_and_an_error_are_read() -> None:
    old = {"outputs": [{"type": "text", "text": "t"}, {"type": "function_call", "name": "f", "id": "c"}]}
    response = CODEC.read_response(old)
    assert ([part.text for part in response.parts][:1], len(response.calls)) == (["t"], 1)
    error = {"error": {"code": 400, "message": "m"}}
    assert [part.text for part in CODEC.read_response(error).parts] == ["m"]


def test_a_cut_call_becomes_a_step_of_the_model() -> None:
    response = CODEC.read_response(ANSWER)
    out = orjson.loads(splice(orjson.dumps(ANSWER), CODEC.cut_calls(ANSWER, response, {0: "NO"})))
    assert out["steps"][2] == {"type": "model_output", "content": [{"type": "text", "text": "NO"}]}
    assert out["status"] == "completed"
    two = ANSWER | {"steps": [STEPS[3], STEPS[3] | {"id": "c2"}]}
    kept = CODEC.cut_calls(two, CODEC.read_response(two), {1: "NO"})
    assert orjson.loads(splice(orjson.dumps(two), kept))["status"] == "requires_action"


# streams


def event(kind: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, **more, "event_type": f"step.{kind}"}


def delta(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return event("delta", index, delta={"type": kind, **more})


def whole(kind: str, **more: Any) -> dict[str, Any]:
    return {"interaction": {"id": "v1_y", "model": "g", **more}, "event_type": f"interaction.{kind}"}


STREAM = [
    whole("created", status="in_progress"),
    {"interaction_id": "v1_y", "status": "in_progress", "event_type": "interaction.status_update"},
    event("start", 0, step={"type": "thought"}),
    delta(0, "thought_summary", content={"type": "text", "text": "hm"}),
    delta(0, "thought_signature", signature="S"),
    event("stop", 0),
    event("start", 1, step={"type": "model_output"}),
    delta(1, "text", text="Let me"),
    delta(1, "text", text=" see"),
    delta(1, "text_annotation_delta", annotations=[{"type": "url_citation", "url": "u", "start_index": 1}]),
    event("stop", 1),
    event("start", 2, step={"type": "function_call", "id": "c1", "name": "a", "arguments": {}}),
    delta(2, "arguments_delta", arguments='{"x":'),
    delta(2, "arguments_delta", arguments='"1"}'),
    event("stop", 2),
    event("start", 3, step={"type": "function_call", "id": "c2", "name": "b", "arguments": {"y": "2"}}),
    event("stop", 3),
    event("start", 4, step={"type": "google_search_call", "id": "g1"}),
    delta(4, "google_search_call", arguments={"queries": ["q"]}, signature="T"),
    event("stop", 4),
    event("start", 5, step={"type": "google_search_result", "call_id": "g1", "signature": ""}),
    delta(5, "google_search_result", result=[{"search_suggestions": "<b>"}]),
    event("stop", 5),
    whole("completed", status="requires_action", usage={"total_input_tokens": 3, "total_output_tokens": 4}),
]


def once(found: dict[Any, str]) -> dict[Any, str]:
    return {channel: text for channel, text in found.items() if "once" not in channel}


def test_a_stream_is_read() -> None:
    assert once(documents.texts(CODEC, STREAM)) == {
        ("reasoning", 0): "hm",
        ("text", 1): "Let me see",
        ("tool_call", 2): '{"x":"1"}',
    }
    assert documents.calls(CODEC, STREAM) == [("c1", "a", False), ("c2", "b", False), ("g1", "google_search", True)]
    read = readings(CODEC, STREAM)
    opened = {item.channel: item for reading in read for item in reading.opens}
    assert [(item.arguments, item.after_text) for item in opened.values()] == [
        (None, True),
        ({"y": "2"}, True),
        ({"queries": ["q"]}, True),
    ]
    closes = [[channel for channel in reading.closes if "once" not in channel] for reading in read]
    assert [c for c in closes if c] == [
        [("reasoning", 0)],
        [("text", 1)],
        [("tool_call", 2)],
        [("tool_call", 3)],
        [("tool_call", 4)],
    ]
    assert ("reasoning", 0) in read[3].sealed
    (result,) = [each for reading in read for each in reading.results]
    assert (result.call_id, result.name) == ("g1", "google_search")
    assert [read[21].fragments[index].text for index in result.parts] == ["<b>"]
    last = read[-2]
    assert (last.stop_reason, last.keeps, last.model, last.end) == ("requires_action", "v1_y", "g", True)
    assert (last.usage, len(last.calls)) == (Usage(input=3, output=4), 2)
    for document, reading in zip(STREAM, read, strict=False):
        assert [path for path in unsaid(document, reading) if path[-1] not in ("name", "status")] == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"event_type": "error", "error": {"message": "m", "code": "c"}}, ["m", "c"]),
        ({"event_type": "brand.new", "x": {"y": "z"}}, ["z"]),
        (delta(0, "brand_new", body="b", deep={"a": "c"}), ["b", "c"]),
        (delta(0, "image", data="AA", mime_type="image/png"), ["AA"]),
        (delta(0, "audio", data="AA", mime_type="audio/pcm"), ["AA"]),
        (delta(0, "arguments_delta", arguments={"a": "b"}), ["b"]),
        (delta(0, "mcp_server_tool_result", name="n", result={"a": "b"}), ["n", "b"]),
        (delta(0, "text", text="t", extra="e"), ["t", "e"]),
        (event("start", 0, step={"type": "model_output", "content": [{"type": "text", "text": "t"}]}), ["t"]),
        (event("start", 0, step={"type": "thought", "summary": [{"text": "t"}]}), ["t"]),
        (event("start", 0, step="odd"), ["odd"]),
        ("text", ["text"]),
        (["a"], ["a"]),
        (5, []),
    ],
)
def test_other_events(document: Any, said: list[str]) -> None:
    assert [fragment.text for fragment in CODEC.stream_reader().read(document).fragments] == said


def view(stream: list[Any]) -> dict[str, Any]:
    """A client's view: its steps by index, and the status."""
    steps: dict[int, list[str]] = {}
    status = None
    for each in stream:
        kind, index = each["event_type"], each.get("index", 0)
        if kind == "step.start":
            assert index not in steps
            steps[index] = [each["step"]["type"], ""]
        elif kind == "step.delta":
            inner = each["delta"]
            steps[index][1] += inner.get("text") or (str(inner.get("arguments") or ""))
        status = (each.get("interaction") or each).get("status", status)
    return {"steps": [tuple(steps[index]) for index in sorted(steps)], "status": status}


def test_calls_of_a_stream_are_cut() -> None:
    out = view(documents.cut(CODEC, STREAM, {("tool_call", 2): "NO a", ("tool_call", 3): "NO b"}))
    assert out["steps"][2:4] == [("model_output", "\n\nNO a"), ("model_output", "\n\nNO b")]
    assert out["status"] == "completed"
    one = view(documents.cut(CODEC, STREAM, {("tool_call", 3): "NO"}))
    assert one["steps"][2:4] == [("function_call", '{"x":"1"}'), ("model_output", "\n\nNO")]
    assert one["status"] == "requires_action"
    assert documents.cut(CODEC, STREAM, {}) == STREAM


def test_a_new_event_is_named_as_its_own() -> None:
    reader, writer = CODEC.stream_reader(), CODEC.stream_writer()
    start = STREAM[15]
    frame = Frame(b"", "step.start", orjson.dumps(start))
    rewritten = writer.rewrite(frame, start, reader.read(start), {("tool_call", 3): "NO"})
    assert [new.name for new in rewritten or ()] == ["step.start", "step.delta"]


def test_the_whole_interaction_repeats_its_steps() -> None:
    repeated = [
        {"type": "thought", "summary": [{"type": "text", "text": "hm"}]},
        {"type": "model_output", "content": [{"type": "text", "text": "Let me see"}]},
        {"type": "function_call", "id": "c1", "name": "a", "arguments": {"x": "1"}},
    ]
    stream = [*STREAM[:-1], whole("completed", status="requires_action", steps=repeated)]
    (copy,) = readings(CODEC, stream)[-2].repeats
    assert (copy.channel, copy.text) == (("text", 1), "Let me see")
    cut = documents.cut(CODEC, stream, {("tool_call", 2): "NO", ("tool_call", 3): "NO"})[-1]["interaction"]
    assert cut["steps"][2]["type"] == "model_output"
    assert cut["status"] == "completed"


def test_annotations_go_with_an_edit() -> None:
    out = documents.edited(CODEC, STREAM, "see", "***")
    assert "text_annotation_delta" not in str(out)
    assert len(out) == len(STREAM) - 1
    assert documents.edited(CODEC, STREAM, "absent", "") == STREAM


# what midstream says itself

INPUT = {"type": "user_input", "content": [{"type": "text", "text": "X"}]}


@pytest.mark.parametrize(
    ("given_input", "after"),
    [
        ("a", "a\n\nX"),
        ({"type": "text", "text": "a"}, {"type": "text", "text": "a\n\nX"}),
        ([{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}, {"type": "text", "text": "X"}]),
        ([{"type": "user_input", "content": []}], [INPUT]),
        ([{"role": "user", "content": "a"}], [{"role": "user", "content": "a\n\nX"}]),
        ([RESULT], [RESULT, INPUT]),
        ([], [INPUT]),
    ],
)
def test_inject(given_input: Any, after: Any) -> None:
    document = {"input": given_input}
    assert orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "X")))["input"] == after


@pytest.mark.parametrize("document", [{}, {"input": 5}, {"input": {"type": "image"}}, {"input": [{"role": "user"}]}])
def test_inject_needs_an_input(document: Any) -> None:
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject(document, "X")


def test_a_denied_result_is_an_error() -> None:
    (result,) = CODEC.read_request(REQUEST).results
    out = orjson.loads(splice(orjson.dumps(REQUEST), CODEC.deny_result(REQUEST, result, "NO")))["input"][-1]
    assert (out["result"], out["is_error"]) == ("NO", True)


def test_its_own_messages_are_read_back() -> None:
    response = CODEC.read_response(orjson.loads(CODEC.message("m", "t")))
    assert (response.model, response.stop_reason) == ("m", "completed")
    assert "t" in [part.text for part in response.parts]
    *events, done = CODEC.message_stream(None, "t")
    assert view([orjson.loads(each.data) for each in events]) == {
        "steps": [("model_output", "t")],
        "status": "completed",
    }
    assert (done.name, done.data) == ("done", b"[DONE]")


@given(st.data())
def test_any_value_in_any_place_of_a_document(data: st.DataObject) -> None:
    request = documents.put(REQUEST, data.draw(st.sampled_from(documents.places(REQUEST))), data.draw(ANY_JSON))
    read = CODEC.read_request(request)
    assert unread(request, read) == []
    assert misplaced(request, [part[:2] for part in read.parts]) == []
    for result in read.results:
        splice(orjson.dumps(request), CODEC.deny_result(request, result, "NO"))
    answer = documents.put(ANSWER, data.draw(st.sampled_from(documents.places(ANSWER))), data.draw(ANY_JSON))
    response = CODEC.read_response(answer)
    assert unread(answer, response) == []
    assert misplaced(answer, [part[:2] for part in response.parts]) == []
    cuts = {index: "NO" for index, each in enumerate(response.calls) if not each.by_provider}
    splice(orjson.dumps(answer), CODEC.cut_calls(answer, response, cuts))


@given(st.data())
def test_any_value_in_any_place_of_a_stream(data: st.DataObject) -> None:
    stream = documents.put(STREAM, data.draw(st.sampled_from(documents.places(STREAM))), data.draw(ANY_JSON))
    stream = stream if isinstance(stream, list) else [stream]
    read = readings(CODEC, stream)
    opened: set[Any] = set()
    closed: set[Any] = set()
    for one, reading in zip(stream, read, strict=False):
        assert [path for path in unsaid(one, reading) if path[-1:] not in (("name",), ("status",))] == []
        assert misplaced(one, [fragment[1:] for fragment in reading.fragments]) == []
        assert not closed & {fragment.channel for fragment in reading.fragments}
        opened |= {fragment.channel for fragment in reading.fragments}
        closed |= set(reading.closes)
    assert opened <= closed | set(read[-1].closes)
    documents.cut(CODEC, stream, {item.channel: "NO" for reading in read for item in reading.opens})
    documents.edited(CODEC, stream, "see", "***")
