"""OpenAI Assistants: every object and event that carries a text, calls in pieces and whole, runs that are denied."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs.framings import Frame
from proxy.codecs.openai_assistants import CODEC, THREADS
from proxy.codecs.splicing import Replace, splice
from proxy.events import Usage
from tests.codecs.documents import ANY_JSON, calls, cut, edited, misplaced, places, put, readings, texts, unread, unsaid

TOOLS = [
    {"type": "function", "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}}},
    {"type": "code_interpreter"},
]
ASSISTANT = {
    "id": "a",
    "object": "assistant",
    "model": "gpt-4",
    "instructions": "be kind",
    "tools": TOOLS,
    "name": "Bo",
}
USER_MESSAGE = {"role": "user", "content": "hi", "attachments": [{"file_id": "f", "tools": [{"type": "file_search"}]}]}
PARTS_MESSAGE = {
    "role": "user",
    "content": [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        {"type": "image_file", "image_file": {"file_id": "f"}},
    ],
}
NOTE = {"type": "file_citation", "text": "[0]", "start_index": 1, "end_index": 4, "file_citation": {"file_id": "f"}}
MESSAGE = {
    "id": "m",
    "object": "thread.message",
    "role": "assistant",
    "status": "completed",
    "content": [
        {"type": "text", "text": {"value": "It is Ada", "annotations": [NOTE]}},
        {"type": "refusal", "refusal": "no"},
        {"type": "image_file", "image_file": {"file_id": "f"}},
    ],
}


def function(index: int, arguments: str = '{"a":1}') -> dict[str, Any]:
    return {"id": f"c{index}", "type": "function", "function": {"name": f"f{index}", "arguments": arguments}}


def run(*calls: Any, status: str = "requires_action", **more: Any) -> dict[str, Any]:
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": list(calls)}} if calls else None
    head = {"id": "r", "object": "thread.run", "created_at": 5, "failed_at": None, "model": "gpt-4", "tools": TOOLS}
    return head | {"status": status, "instructions": "be kind", "required_action": action, "last_error": None} | more


USED = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_token_details": {"cached_tokens": 3}}
CODE = {
    "id": "k",
    "type": "code_interpreter",
    "code_interpreter": {"input": "1+1", "outputs": [{"type": "logs", "logs": "two"}, {"type": "image", "image": {}}]},
}
SEARCH = {
    "id": "s",
    "type": "file_search",
    "file_search": {"results": [{"file_name": "n.txt", "content": [{"type": "text", "text": "found"}]}]},
}
ANSWERED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}", "output": "result"}}
STEP = {
    "id": "s1",
    "object": "thread.run.step",
    "status": "completed",
    "step_details": {"type": "tool_calls", "tool_calls": [CODE, SEARCH, ANSWERED]},
}
CREATION = {"type": "message_creation", "message_creation": {"message_id": "m"}}
OUTPUTS = {"tool_outputs": [{"tool_call_id": "c0", "output": "foggy"}, {"tool_call_id": "c1", "output": "12"}]}
REQUESTS: list[dict[str, Any]] = [
    ASSISTANT,
    {"messages": [USER_MESSAGE, PARTS_MESSAGE], "metadata": {"mail": "a@b.example"}},
    USER_MESSAGE,
    PARTS_MESSAGE,
    {
        "assistant_id": "a",
        "instructions": "new",
        "additional_instructions": "more",
        "additional_messages": [USER_MESSAGE],
    },
    {"assistant_id": "a", "thread": {"messages": [USER_MESSAGE]}, "stream": True, "max_completion_tokens": 16},
    OUTPUTS,
    {"metadata": {"modified": "true"}},
]
ANSWERS: list[dict[str, Any]] = [
    ASSISTANT,
    MESSAGE,
    STEP,
    STEP | {"step_details": CREATION},
    run(function(0), function(1)),
    run(status="failed", last_error={"code": "server_error", "message": "boom"}),
    {"object": "list", "data": [MESSAGE, STEP, run(function(0))], "first_id": "m", "has_more": False},
    {"error": {"message": "no such thread", "type": "invalid_request_error"}},
    {"id": "t", "object": "thread", "tool_resources": {"file_search": {"vector_store_ids": ["vs_1"]}}},
]


def label(document: Any) -> str:
    return "-".join(document)[:30]


@pytest.mark.parametrize("document", REQUESTS, ids=label)
def test_every_request_is_read_whole(document: Any) -> None:
    request = CODEC.read_request(document)
    assert unread(document, request) == []
    assert misplaced(document, [(part.path, part.text) for part in request.parts]) == []


def test_a_request_says_whose_each_text_is() -> None:
    said = {part.text: (part.role, part.kind) for part in CODEC.read_request(REQUESTS[4]).parts}
    assert said["hi"] == ("user", "text")
    assert said["new"] == said["more"] == ("system", "text")
    assert {part.text: part.sealed for part in CODEC.read_request(PARTS_MESSAGE).parts}["data:image/png;base64,AA"]
    assert list(CODEC.read_request(ASSISTANT).tools) == ["f"]
    asked = CODEC.read_request(REQUESTS[5])
    assert (asked.stream, asked.max_output) == (True, 16)


def test_outputs_are_results() -> None:
    request = CODEC.read_request(OUTPUTS)
    found = [
        (result.call_id, result.content, [request.parts[i].text for i in result.parts]) for result in request.results
    ]
    assert found == [
        ("c0", ("tool_outputs", 0, "output"), ["foggy"]),
        ("c1", ("tool_outputs", 1, "output"), ["12"]),
    ]
    changed = splice(orjson.dumps(OUTPUTS), CODEC.deny_result(OUTPUTS, request.results[0], "NO"))
    assert orjson.loads(changed)["tool_outputs"][0]["output"] == "NO"


@pytest.mark.parametrize("document", ANSWERS, ids=label)
def test_every_answer_is_read_whole(document: Any) -> None:
    response = CODEC.read_response(document)
    assert unread(document, response) == []
    assert misplaced(document, [(part.path, part.text) for part in response.parts]) == []


def test_calls_are_those_a_run_waits_for_and_those_of_the_provider() -> None:
    told = [(call.call_id, call.name, call.by_provider) for call in CODEC.read_response(ANSWERS[6]).calls]
    assert told == [("k", "code_interpreter", True), ("s", "file_search", True), ("c0", "f0", False)]
    assert CODEC.read_response(run(function(0))).calls[0].arguments == {"a": 1}
    assert CODEC.read_response(STEP).calls[0].arguments == {"input": "1+1"}


def test_what_tools_gave_back_is_told_as_such() -> None:
    kinds = {part.text: part.kind for part in CODEC.read_response(STEP).parts}
    assert kinds["two"] == kinds["found"] == kinds["result"] == "tool_result"
    assert kinds["1+1"] == "tool_call"


def test_a_run_tells_its_usage_and_why_it_stopped() -> None:
    response = CODEC.read_response(run(status="completed", usage=USED))
    assert (response.model, response.stop_reason) == ("gpt-4", "completed")
    assert response.usage == Usage(input=9, output=4, cache_read=3)
    assert CODEC.read_response(run(status="queued")).stop_reason is None


def test_notes_on_a_text_go_when_it_is_edited() -> None:
    response = CODEC.read_response(MESSAGE)
    (changed,) = response.when_edited
    assert response.parts[changed[0]].text == "It is Ada"
    assert changed[1] == Replace(("content", 0, "text", "annotations"), b"[]")


def test_a_run_whose_call_is_denied_failed() -> None:
    document = {"object": "list", "data": [run(function(0), function(1)), run(function(2))]}
    response = CODEC.read_response(document)
    changed = orjson.loads(splice(orjson.dumps(document), CODEC.cut_calls(document, response, {1: "NO"})))
    first, second = changed["data"]
    assert (first["status"], first["required_action"], first["failed_at"]) == ("failed", None, 5)
    assert first["last_error"] == {"code": "server_error", "message": "NO"}
    assert second == run(function(2))


# streams


def delta(kind: str, key: str, **members: Any) -> dict[str, Any]:
    return {"id": key, "object": f"thread.{kind}.delta", "delta": members}


def said(text: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return delta("message", "m", content=[{"index": index, "type": "text", "text": {"value": text} | more}])


def piece(index: int, kind: str, call_id: str | None = None, **inner: Any) -> dict[str, Any]:
    call = {"index": index, "type": kind, kind: inner} | ({"id": call_id} if call_id else {})
    return delta("run.step", "s1", step_details={"type": "tool_calls", "tool_calls": [call]})


BEGUN = MESSAGE | {"status": "in_progress", "content": []}
SPOKEN = [
    run(status="in_progress"),
    BEGUN,
    said("It is ", annotations=[]),
    said("Ada", annotations=[NOTE]),
    delta("message", "m", content=[{"index": 1, "type": "refusal", "refusal": "no"}]),
    delta("message", "m", content=[{"index": 2, "type": "image_file", "image_file": {"file_id": "f"}}]),
    MESSAGE,
    run(status="completed", usage=USED),
]
TEXT = ("text", "m", "content", 0, "text", "value")


def test_a_message_is_one_text_however_often_it_is_told() -> None:
    found = texts(CODEC, SPOKEN)
    assert found[TEXT] == "It is Ada"
    assert found["text", "m", "content", 1, "refusal"] == "no"
    read = readings(CODEC, SPOKEN)
    assert TEXT in read[6].closes
    assert TEXT in [fragment.channel for fragment in read[6].repeats]
    assert (read[7].stop_reason, read[7].usage, read[7].model) == (
        "completed",
        Usage(input=9, output=4, cache_read=3),
        "gpt-4",
    )
    assert all(unsaid(document, reading) == [] for document, reading in zip(SPOKEN, read[:-1], strict=True))


def test_an_edit_is_made_in_every_copy() -> None:
    out = edited(CODEC, SPOKEN, "Ada", "***")
    assert b"Ada" not in orjson.dumps(out)
    assert out[6]["content"][0]["text"] == {"value": "It is ***", "annotations": []}
    assert out[3]["delta"]["content"][0]["text"] == {"value": "***", "annotations": []}


def test_what_a_run_says_of_itself_is_told_once() -> None:
    assert list(texts(CODEC, SPOKEN).values()).count("be kind") == 1


CALLING = [
    STEP | {"status": "in_progress", "step_details": {"type": "tool_calls", "tool_calls": []}},
    piece(0, "function", "c0", name="f0", arguments="", output=None),
    piece(0, "function", arguments='{"a"'),
    piece(0, "function", arguments=":1}"),
    piece(1, "function", "c1", name="f1", arguments=""),
    piece(1, "function", arguments='{"a":1}'),
    run(function(0), function(1)),
]
FIRST, SECOND = (("tool_call", "s1", "step_details", "tool_calls", index) for index in (0, 1))


def test_calls_grow_and_a_run_names_them_again() -> None:
    assert calls(CODEC, CALLING) == [("c0", "f0", False), ("c1", "f1", False)]
    found = texts(CODEC, CALLING)
    assert (found[FIRST], found[SECOND]) == ('{"a":1}', '{"a":1}')
    last = readings(CODEC, CALLING)[6]
    assert list(last.calls) == [FIRST, SECOND]
    assert {FIRST, SECOND} <= set(last.closes)
    assert [fragment.channel for fragment in last.repeats if fragment.channel[0] == "tool_call"] == [FIRST, SECOND]
    assert last.stop_reason == "requires_action"


def test_a_run_that_alone_names_its_calls() -> None:
    assert calls(CODEC, CALLING[6:]) == [("c0", "f0", False), ("c1", "f1", False)]
    assert list(texts(CODEC, CALLING[6:]).values()).count('{"a":1}') == 2


def test_calls_that_were_answered_are_none_to_decide() -> None:
    answered = STEP | {"step_details": {"type": "tool_calls", "tool_calls": [ANSWERED]}}
    assert calls(CODEC, [answered]) == []
    assert "result" in texts(CODEC, [answered]).values()


def test_code_of_the_provider_grows_and_comes_again() -> None:
    logs = {"index": 0, "type": "logs", "logs": "tw"}
    documents = [
        piece(0, "code_interpreter", "k", input="", outputs=[]),
        piece(0, "code_interpreter", input="1+"),
        piece(0, "code_interpreter", input="1"),
        piece(0, "code_interpreter", outputs=[logs]),
        piece(0, "code_interpreter", outputs=[logs | {"logs": "o"}, {"index": 1, "type": "image", "image": {}}]),
        STEP,
    ]
    assert calls(CODEC, documents)[0] == ("k", "code_interpreter", True)
    found = texts(CODEC, documents)
    assert found[FIRST] == "1+1"
    assert found["tool_result", *FIRST[1:], "code_interpreter", "outputs", 0, "logs"] == "two"
    assert "found" in found.values()
    read = readings(CODEC, documents)
    assert {FIRST, ("tool_result", *FIRST[1:], "code_interpreter", "outputs", 0, "logs")} <= {
        fragment.channel for fragment in read[5].repeats
    }
    assert all(
        unsaid(document, reading) == []
        for document, reading in zip(documents, read[:-1], strict=True)
        if "delta" in document
    )


def test_a_stream_whose_call_is_denied_ends_in_a_failed_run() -> None:
    out = cut(CODEC, CALLING, {FIRST: "NO"})
    assert out[:-1] == [CALLING[0], *CALLING[4:6]]
    assert (out[-1]["status"], out[-1]["required_action"], out[-1]["last_error"]["message"]) == ("failed", None, "NO")
    both = cut(CODEC, CALLING, {FIRST: "NO", SECOND: "NEVER"})
    assert both[:-1] == CALLING[:1]
    assert both[-1]["last_error"]["message"] == "NO\n\nNEVER"
    assert cut(CODEC, CALLING, {}) == CALLING


def test_the_event_of_a_failed_run_is_named_so() -> None:
    reader, writer = CODEC.stream_reader(), CODEC.stream_writer()
    reading = reader.read(CALLING[6])
    raw = orjson.dumps(CALLING[6])
    events = writer.rewrite(
        Frame(raw, "thread.run.requires_action", raw), CALLING[6], reading, {reading.calls[0]: "NO"}
    )
    assert events is not None
    assert [event.name for event in events] == ["thread.run.failed"]


def test_one_of_two_calls_in_one_event() -> None:
    both = [
        {"index": i, "id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for i in (0, 1)
    ]
    document = delta("run.step", "s1", step_details={"type": "tool_calls", "tool_calls": both})
    (out,) = cut(CODEC, [document], {FIRST: "NO"})
    assert out["delta"]["step_details"]["tool_calls"] == both[1:]


@pytest.mark.parametrize("document", [*REQUESTS, *ANSWERS, *SPOKEN, *CALLING, {"message": "boom"}, None, []], ids=str)
@given(value=ANY_JSON, where=st.integers(0, 1000))
def test_any_value_in_any_place_is_read(document: Any, value: Any, where: int) -> None:
    every = places(document)
    odd = put(document, every[where % len(every)], value)
    for read in (CODEC.read_request(odd), CODEC.read_response(odd)):
        assert unread(odd, read) == []
        assert misplaced(odd, [(part.path, part.text) for part in read.parts]) == []
        assert len({part.path for part in read.parts}) == len(read.parts)
    reading, _ = readings(CODEC, [odd])
    assert [path for path in unsaid(odd, reading) if path[-1] != "name"] == []
    assert misplaced(odd, [(f.path, f.text) for f in [*reading.fragments, *reading.repeats]]) == []
    cut(CODEC, [odd], {channel: "NO" for _, channel in reading.entries})


# midstream's own words


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (USER_MESSAGE, ("content",)),
        (PARTS_MESSAGE, ("content", 3, "text")),
        (REQUESTS[1], ("messages", 2, "content")),
        (REQUESTS[4], ("additional_messages", 1, "content")),
        (REQUESTS[5], ("thread", "messages", 1, "content")),
        ({"assistant_id": "a"}, ("additional_messages", 0, "content")),
    ],
)
def test_a_text_is_put_after_what_the_request_says(document: Any, place: tuple[Any, ...]) -> None:
    value = orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "note")))
    for step in place:
        value = value[step]
    assert value in ("note", "hi\n\nnote")


@pytest.mark.parametrize("document", [OUTPUTS, ASSISTANT, {"role": "user"}, []])
def test_a_request_without_messages_has_no_place(document: Any) -> None:
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject(document, "note")


def test_what_midstream_says_is_read_as_an_answer() -> None:
    response = CODEC.read_response(orjson.loads(CODEC.message("m", "denied")))
    assert (response.parts[-1].text, response.stop_reason) == ("denied", "failed")
    events = CODEC.message_stream("m", "denied")
    documents = [orjson.loads(event.data) for event in events[:-1]]
    assert texts(CODEC, documents)["text", "msg_midstream", "content", 0, "text", "value"] == "denied"
    assert (events[-1].name, events[-1].data) == ("done", b"[DONE]")


def test_only_runs_are_the_models() -> None:
    assert (CODEC.is_model, THREADS.is_model, THREADS.name) == (True, False, "openai_threads")


def test_ten_thousand_calls_at_once() -> None:
    documents = [piece(n, "function", f"c{n}", name="f", arguments="{}") for n in range(10_000)]
    documents.append(STEP | {"step_details": {"type": "tool_calls", "tool_calls": [CODE] * 10_000}})
    documents.append(run(*(function(n, "{}") for n in range(10_000))))
    assert len(calls(CODEC, documents)) == 10_000
