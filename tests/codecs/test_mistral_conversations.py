"""Mistral's conversations: each entry and each event of wire-formats §8, and what midstream says itself."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from proxy.codecs import mistral_conversations
from proxy.codecs.framings.sse import Sse
from proxy.codecs.splicing import Remove
from proxy.events import Usage
from proxy.stream_judge import StreamRefusedError
from tests.codecs import framed, recorded
from tests.codecs.framed import REDACT, SECRET, cut, denied_result, deny, injected
from tests.codecs.streams import events, rewritten, said, stream

CODEC = mistral_conversations.CODEC

THINKING: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "S"}
CALL: dict[str, Any] = {
    "object": "entry",
    "type": "function.call",
    "id": "e1",
    "tool_call_id": "c1",
    "name": "rain",
    "arguments": '{"city":"Köln"}',
    "model": "mistral-medium",
    "agent_id": "ag_1",
    "created_at": "2026-01-01T00:00:00Z",
    "confirmation_status": "pending",
}
RUN: dict[str, Any] = {
    "type": "tool.execution",
    "id": "e2",
    "name": "web_search",
    "arguments": '{"query":"rain"}',
    "info": {"found": "a page", "code": "print(1)"},
}
HANDOFF: dict[str, Any] = {
    "type": "agent.handoff",
    "previous_agent_id": "ag_1",
    "previous_agent_name": "first",
    "next_agent_id": "ag_2",
    "next_agent_name": "second",
}
SPOKEN: dict[str, Any] = {
    "type": "message.output",
    "role": "assistant",
    "content": [
        THINKING,
        {"type": "text", "text": "see"},
        {"type": "tool_reference", "tool": "web_search", "title": "T", "url": "u", "description": "snip"},
        {"type": "tool_file", "tool": "code_interpreter", "file_id": "f", "file_name": "plot.png"},
        {"type": "brand_new", "body": {"deep": "text"}},
        "odd",
    ],
}
REQUEST: dict[str, Any] = {
    "model": "mistral-medium",
    "conversation_id": "conv_1",
    "agent_id": "ag_1",
    "stream": True,
    "instructions": "sys",
    "completion_args": {"max_tokens": 9, "stop": ["END"]},
    "tools": [{"type": "web_search"}, {"type": "function", "function": {"name": "rain", "description": "tells"}}],
    "inputs": [
        {"type": "message.input", "role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "there"}, {"type": "image_url", "image_url": "u"}]},
        SPOKEN,
        CALL,
        RUN,
        HANDOFF,
        {"type": "function.result", "tool_call_id": "c1", "result": "wet"},
        {"type": "function.result", "tool_call_id": "c9", "result": "lost"},
        {"type": "brand.new", "body": {"deep": "other text"}},
        "odd entry",
    ],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output, request.turn, request.follows) == (
        "mistral-medium",
        True,
        9,
        4,
        "conv_1",
    )
    assert list(request.tools) == ["web_search", "rain"]
    assert request.calls["c1"] == ("rain", {"city": "Köln"})
    said = {part.text: part for part in request.parts}
    texts = ("sys", "hi", "there", "see", "hm", '{"city":"Köln"}', "a page", "wet", "other text", "tells")
    assert [(said[text].role, said[text].kind, said[text].new) for text in texts] == [
        ("system", "text", False),
        ("user", "text", False),
        ("user", "text", False),
        ("assistant", "text", False),
        ("assistant", "reasoning", False),
        ("assistant", "tool_call", False),
        ("tool", "tool_result", False),
        ("tool", "tool_result", True),
        ("other", "text", True),
        ("system", "tool_definition", False),
    ]
    assert all(said[text].sealed for text in ("hm", "S", "ag_1", "ag_2"))
    assert [(item.call_id, item.name, item.new) for item in request.results] == [("c1", "rain", True), ("c9", "", True)]
    assert denied_result(CODEC, REQUEST)["inputs"][6]["result"] == "NO"


@pytest.mark.parametrize("inputs", ["hi", [{"role": "user", "content": "hi"}]])
def test_plain_inputs_are_the_users(inputs: Any) -> None:
    (part,) = CODEC.read_request({"inputs": inputs}).parts
    assert (part.text, part.role, part.new) == ("hi", "user", True)


ANSWER: dict[str, Any] = {
    "object": "conversation.response",
    "conversation_id": "conv_1",
    "outputs": [SPOKEN, RUN, CALL, HANDOFF, CALL | {"tool_call_id": "c2", "name": "wind", "arguments": {"x": "y"}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 22, "connector_tokens": 10},
}


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert recorded.unread(ANSWER, response) == []
    assert [(call.call_id, call.name, call.arguments, call.by_provider) for call in response.calls] == [
        ("e2", "web_search", {"query": "rain"}, True),
        ("c1", "rain", {"city": "Köln"}, False),
        ("c2", "wind", {"x": "y"}, False),
    ]
    assert (response.model, response.usage, response.keeps) == ("mistral-medium", Usage(input=15, output=7), "conv_1")


def test_a_cut_call_becomes_a_message() -> None:
    assert cut(CODEC, ANSWER, {}) == ANSWER
    outputs = cut(CODEC, ANSWER, {1: "NO"})["outputs"]
    assert [entry["type"] for entry in outputs] == [
        "message.output",
        "tool.execution",
        "message.output",
        "agent.handoff",
        "function.call",
    ]
    assert outputs[2] == {
        "object": "entry",
        "type": "message.output",
        "id": "e1",
        "created_at": CALL["created_at"],
        "model": "mistral-medium",
        "agent_id": "ag_1",
        "role": "assistant",
        "content": "NO",
    }


# streams


def event(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, "created_at": "2026-01-01T00:00:00Z", **members}


def text(index: int, content: Any, within: int = 0) -> dict[str, Any]:
    head = {"id": f"e{index}", "output_index": index, "content_index": within, "model": "mistral-medium"}
    return event("message.output.delta", **head, role="assistant", content=content)


def call(index: int, name: str, arguments: Any) -> dict[str, Any]:
    head = {"id": f"e{index}", "output_index": index, "tool_call_id": f"c{index}", "agent_id": "ag_1"}
    return event("function.call.delta", **head, name=name, arguments=arguments)


STARTED = event("conversation.response.started", conversation_id="conv_1")
DONE = event("conversation.response.done", usage={"prompt_tokens": 5, "completion_tokens": 7})
STREAM = stream(
    STARTED,
    event("tool.execution.started", id="e0", output_index=0, name="web_search", arguments='{"query":'),
    event("tool.execution.delta", id="e0", output_index=0, name="web_search", arguments='"rain"}'),
    event("tool.execution.done", id="e0", output_index=0, name="web_search", info={"found": "a page"}),
    text(1, {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}),
    text(1, "It", 1),
    text(1, {"type": "text", "text": " rains"}, 1),
    text(1, {"type": "tool_reference", "tool": "web_search", "title": "T", "url": "u"}, 2),
    call(2, "a", '{"x":'),
    call(2, "a", "1}"),
    call(3, "b", ""),
    event("agent.handoff.started", id="e4", output_index=4, previous_agent_id="ag_1", previous_agent_name="first"),
    event("agent.handoff.done", id="e4", output_index=4, next_agent_id="ag_2", next_agent_name="second"),
    DONE,
    named=True,
)


def client(raw: bytes) -> list[tuple[str, str]]:
    """Entries as the SDK's run assembles them, by `output_index`: kind, and text or arguments."""
    entries: dict[int, list[str]] = {}
    for frame in events(raw):
        document = orjson.loads(frame.data)
        assert frame.name == document["type"]
        kind = document["type"].removesuffix(".delta")
        if kind in ("message.output", "function.call"):
            entry = entries.setdefault(document["output_index"], [kind, ""])
            assert entry[0] == kind
            piece = document.get("arguments", document.get("content"))
            entry[1] += piece if isinstance(piece, str) else piece.get("text", "")
    return [(kind, said) for _, (kind, said) in sorted(entries.items())]


def test_a_stream_is_read() -> None:
    read = framed.readings(CODEC, Sse(), STREAM)
    assert framed.texts(read) == {
        ("tool_call", 0): '{"query":"rain"}',
        ("reasoning", 1, 0): "hm",
        ("text", 1, 1): "It rains",
        ("tool_call", 2): '{"x":1}',
    }
    opened = [item for _, _, reading in read for item in reading.opens]
    assert [(item.call_id, item.name, item.by_provider, item.after_text) for item in opened] == [
        ("e0", "web_search", True, False),
        ("c2", "a", False, True),
        ("c3", "b", False, True),
    ]
    for _, document, reading in read:
        framed.consistent(CODEC, document, reading)
    closes = [list(reading.closes) for *_, reading in read]
    assert closes[3][0] == ("tool_call", 0)
    assert ("text", 1, 1) in closes[8]
    assert closes[10][0] == ("tool_call", 2)
    last = read[-2][2]
    assert (last.usage, last.end, read[0][2].keeps) == (Usage(input=5, output=7), True, "conv_1")
    assert list(last.calls) == [("tool_call", 0), ("tool_call", 2), ("tool_call", 3)]


@pytest.mark.parametrize(
    ("denied", "entries"),
    [
        ((), [("message.output", "It rains"), ("function.call", '{"x":1}'), ("function.call", "")]),
        ((2,), [("message.output", "It rains"), ("message.output", "NO 2"), ("function.call", "")]),
        ((2, 3), [("message.output", "It rains"), ("message.output", "NO 2"), ("message.output", "NO 3")]),
    ],
)
def test_calls_of_a_stream_are_cut(denied: tuple[int, ...], entries: Any) -> None:
    out = rewritten(CODEC, STREAM, {("tool_call", index): f"NO {index}" for index in denied})
    assert client(out) == entries
    assert denied or out == STREAM


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    pieces = [("c1", "a", "{"), ("c1", "a", "}"), ("c2", "b", {"x": "y"})]
    deltas = [event("function.call.delta", id=i, tool_call_id=i, name=n, arguments=a) for i, n, a in pieces]
    read = framed.readings(CODEC, Sse(), stream(STARTED, *deltas, DONE, named=True))
    opened = [item for _, _, reading in read for item in reading.opens]
    assert [(item.call_id, item.name, item.arguments) for item in opened] == [
        ("c1", "a", None),
        ("c2", "b", {"x": "y"}),
    ]
    assert len({item.channel for item in opened}) == 2


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        (event("conversation.response.error", message="broke", code=500), ["broke"]),
        (event("brand.new", body={"deep": "t"}), ["t"]),
        (text(0, [{"type": "text", "text": "t"}, "u"]), ["t", "u"]),
        (text(0, {"type": "thinking", "thinking": "t"}), ["t"]),
        (text(0, 5), []),
        ({"object": "error", "message": "m"}, ["m"]),
        (["t"], ["t"]),
        ("t", ["t"]),
    ],
)
def test_other_events_are_read(document: Any, texts: list[str]) -> None:
    assert [fragment.text for fragment in CODEC.stream_reader().read(document).fragments] == texts


def test_a_signature_seals_the_thinking_it_comes_with_and_goes_with_one_before_it() -> None:
    reader = CODEC.stream_reader()
    assert list(reader.read(text(0, THINKING)).sealed)[:1] == [("reasoning", 0, 0)]
    late = reader.read(text(0, {"type": "thinking", "thinking": [], "signature": "S"}))
    assert list(late.when_edited) == [(("reasoning", 0, 0), Remove(("content", "signature")))]


# through the guard


def test_denied_calls_leave_a_stream_however_it_is_cut() -> None:
    entries = client(framed.delivered(deny("a"), "mistral_conversations", STREAM))
    assert [kind for kind, _ in entries] == ["message.output", "message.output", "function.call"]
    assert "not here" in entries[1][1]


def test_a_denied_call_that_the_provider_has_run_ends_the_stream() -> None:
    with pytest.raises(StreamRefusedError):
        framed.delivered(deny("web_search"), "mistral_conversations", STREAM)


def test_a_secret_leaves_neither_text_nor_arguments() -> None:
    halves = SECRET[:9], SECRET[9:]
    raw = stream(
        STARTED,
        text(0, "use " + halves[0]),
        text(0, {"type": "text", "text": halves[1]}),
        call(1, "a", '{"k":"' + halves[0]),
        call(1, "a", halves[1] + '"}'),
        DONE,
        named=True,
    )
    (_, spoken), (_, arguments) = client(framed.delivered(REDACT, "mistral_conversations", raw))
    assert spoken.startswith("use ")
    assert SECRET not in spoken + orjson.loads(arguments)["k"]


# what midstream says itself


def test_inject_extends_the_last_user_entry_or_adds_one() -> None:
    assert injected(CODEC, {"inputs": "hi"})["inputs"] == "hi\n\nX"
    places: list[tuple[Any, Any]] = [("hi", "hi\n\nX"), ([], [{"type": "text", "text": "X"}])]
    for content, expected in places:
        assert injected(CODEC, {"inputs": [{"role": "user", "content": content}]})["inputs"][0]["content"] == expected
    after = injected(CODEC, {"inputs": [{"type": "function.result", "tool_call_id": "c", "result": "wet"}]})
    assert after["inputs"][1:] == [{"object": "entry", "type": "message.input", "role": "user", "content": "X"}]
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({}, "X")


def test_its_own_words_are_read_back() -> None:
    assert orjson.loads(CODEC.refusal(400, "no"))["object"] == "error"
    response = CODEC.read_response(orjson.loads(CODEC.message("m", "t")))
    assert (response.model, [part.text for part in response.parts]) == ("m", ["t"])
    assert client(said(CODEC, "t")) == [("message.output", "t")]


# anything

NAMES = """type role content text thinking signature name arguments info result tool_call_id id agent_id inputs outputs
    conversation_id model output_index content_index usage q"""
KINDS = """message.input message.output function.call function.result tool.execution agent.handoff"""
EVENTS = """conversation.response.started conversation.response.done conversation.response.error message.output.delta
    function.call.delta tool.execution.started tool.execution.delta tool.execution.done agent.handoff.started"""
ANYTHING = framed.anything(NAMES.split(), ("user", "thinking", "text", "tool_reference"))


@given(ANYTHING)
@settings(max_examples=200, deadline=None)
def test_any_json_in_any_place_is_read(value: Any) -> None:
    members = [name for name in NAMES.split() if name != "type"]
    entries = [{"type": kind, **dict.fromkeys(members, value)} for kind in KINDS.split()]
    for document in (value, {"inputs": value, "tools": value, "instructions": value}, {"inputs": [value, *entries]}):
        framed.reads_requests(CODEC, document)
    for document in (value, {"outputs": value}, {"outputs": [value, *entries], "usage": value}):
        framed.reads_responses(CODEC, document)
    for kind in EVENTS.split():
        framed.reads_events(CODEC, [value, *({"type": kind, name: value} for name in members)])
        framed.reads_events(CODEC, [{"type": kind, **dict.fromkeys(members, value)}])
    for chunk in (value, [value], {"type": "thinking", "thinking": [value], "signature": value}):
        framed.reads_events(CODEC, [text(0, chunk), text(1, chunk)])
