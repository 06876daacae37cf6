"""Cohere's chat, second version: each part of wire-formats §7, each event of its streams, and what midstream says."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from proxy.codecs import Key, cohere_v2, trees
from proxy.codecs.framings.sse import Sse
from proxy.codecs.splicing import Remove
from proxy.events import Usage
from tests.codecs import framed, recorded
from tests.codecs.framed import REDACT, SECRET, cut, denied_result, deny, injected
from tests.codecs.streams import events, rewritten, said, stream

CODEC = cohere_v2.CODEC


def function(name: str, arguments: Any, call_id: str = "c0") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


CITATION: dict[str, Any] = {
    "start": 0,
    "end": 3,
    "text": "It ",
    "content_index": 1,
    "type": "TEXT_CONTENT",
    "sources": [
        {"type": "document", "id": "d0", "document": {"id": "d0", "title": "T", "a@b.example": "deep"}},
        {"type": "tool", "id": "c0:0", "tool_output": {"out": "rain"}},
    ],
}
REQUEST: dict[str, Any] = {
    "model": "command",
    "stream": True,
    "max_tokens": 9,
    "stop_sequences": ["END"],
    "response_format": {"type": "json_object", "json_schema": {"description": "a shape"}},
    "documents": ["plain", {"id": "d0", "data": {"title": "T", "n": 4111111111111111}}, {"data": '{"t": "inner"}'}, 5],
    "tools": [{"type": "function", "function": {"name": "rain", "description": "tells", "parameters": {}}}],
    "messages": [
        {"role": "system", "content": "sys"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "u"}}]},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "see"}],
            "tool_plan": "I look",
            "tool_calls": [function("rain", '{"city": "Köln"}')],
            "citations": [CITATION],
        },
        {
            "role": "tool",
            "tool_call_id": "c0",
            "content": [
                {"type": "text", "text": "out"},
                {"type": "document", "document": {"id": "1", "data": {"rows": "row"}}},
                {"type": "document", "document": {"data": '{"s": "json row"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "c9", "content": "bare"},
        {"role": "user", "content": [{"type": "brand_new", "body": {"deep": "text"}}, "odd"]},
    ],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output, request.turn) == ("command", True, 9, 1)
    assert list(request.tools) == ["rain"]
    assert dict(request.calls) == {"c0": ("rain", {"city": "Köln"})}
    said = {part.text: part for part in request.parts}
    assert [(said[t].role, said[t].kind, said[t].new) for t in ("sys", "hi", "see", "hm", "I look", "out", "row")] == [
        ("system", "text", False),
        ("user", "text", False),
        ("assistant", "text", False),
        ("assistant", "reasoning", False),
        ("assistant", "reasoning", False),
        ("tool", "tool_result", True),
        ("tool", "tool_result", True),
    ]
    assert said["rain"].kind == "tool_result"
    assert (said["4111111111111111"].role, said["4111111111111111"].path[-1]) == ("user", "n")
    assert said["a@b.example"].path[-1] == Key("a@b.example")
    assert all(said[text].json for text in ('{"city": "Köln"}', '{"t": "inner"}', '{"s": "json row"}'))
    assert not any(said[text].json for text in ("plain", "bare"))


def test_results_name_their_call_and_take_a_notice() -> None:
    request = CODEC.read_request(REQUEST)
    first, second = request.results
    assert (first.call_id, first.name, first.new) == ("c0", "rain", True)
    assert {"out", "row", '{"s": "json row"}'} <= {request.parts[index].text for index in first.parts}
    assert (second.call_id, second.name) == ("c9", "")
    assert denied_result(CODEC, REQUEST)["messages"][3] == {"role": "tool", "tool_call_id": "c0", "content": "NO"}


ANSWER: dict[str, Any] = {
    "id": "i",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "tool_plan": "I look",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "It rains"}],
        "tool_calls": [function("a", "{}", "c0"), function("b", '{"x":1}', "c1")],
        "citations": [CITATION, CITATION | {"type": "PLAN"}, {"start": 0, "end": 1, "text": "I"}],
    },
    "usage": {
        "billed_units": {"input_tokens": 1, "output_tokens": 2},
        "tokens": {"input_tokens": 10, "output_tokens": 20},
        "cached_tokens": 4,
    },
}


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert recorded.unread(ANSWER, response) == []
    assert [(call.call_id, call.name, call.arguments) for call in response.calls] == [
        ("c0", "a", {}),
        ("c1", "b", {"x": 1}),
    ]
    assert (response.stop_reason, response.usage) == ("TOOL_CALL", Usage(input=10, output=20, cache_read=4))


def test_what_was_billed_counts_where_nothing_else_does() -> None:
    billed = {"usage": {"billed_units": {"input_tokens": 1, "output_tokens": 2}}}
    assert CODEC.read_response(billed).usage == Usage(input=1, output=2)
    assert CODEC.read_response({"usage": {}}).usage is None


def test_a_citation_goes_with_the_text_it_counts_in() -> None:
    response = CODEC.read_response(ANSWER)
    goes = {(response.parts[part].text, change) for part, change in response.when_edited}
    path = ("message", "citations")
    assert goes == {
        ("It rains", Remove((*path, 0))),
        ("I look", Remove((*path, 1))),
        ("It rains", Remove((*path, 2))),
    }


def test_log_probabilities_go_with_any_text() -> None:
    document = ANSWER | {"logprobs": [{"text": "It", "token_ids": [1], "logprobs": [0.1]}]}
    response = CODEC.read_response(document)
    assert recorded.unread(document, response) == []
    with_text = {index for index, part in enumerate(response.parts) if part.path[0] == "message"}
    assert {part for part, change in response.when_edited if change == Remove(("logprobs",))} == with_text


@pytest.mark.parametrize("given", ["", "null", " null ", None])
def test_a_call_without_arguments(given: Any) -> None:
    document = {"message": {"tool_calls": [function("a", given)]}}
    assert CODEC.read_response(document).calls[0].arguments == {}


@pytest.mark.parametrize(
    ("cuts", "names", "stop", "texts"),
    [
        ({}, ["a", "b"], "TOOL_CALL", ["It rains"]),
        ({0: "NO"}, ["b"], "TOOL_CALL", ["It rains", "NO"]),
        ({1: "NO b", 0: "NO a"}, [], "COMPLETE", ["It rains", "NO a", "NO b"]),
    ],
)
def test_cut_calls(cuts: dict[int, str], names: list[str], stop: str, texts: list[str]) -> None:
    answer = cut(CODEC, ANSWER, cuts)
    message = answer["message"]
    assert [call["function"]["name"] for call in message.get("tool_calls", [])] == names
    assert ("tool_calls" in message) == bool(names)
    assert answer["finish_reason"] == stop
    assert [block["text"] for block in message["content"] if block["type"] == "text"] == texts


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, [{"type": "text", "text": "NO"}]),
        ({"content": None}, [{"type": "text", "text": "NO"}]),
        ({"content": ""}, "NO"),
        ({"content": "so"}, "so\n\nNO"),
    ],
)
def test_a_notice_finds_its_place(content: Any, expected: Any) -> None:
    document = {"message": {"role": "assistant", **content, "tool_calls": [function("a", "{}")]}}
    assert cut(CODEC, document, {0: "NO"})["message"] == {"role": "assistant", "content": expected}


# streams


def event(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    head: dict[str, Any] = {"type": kind} if index is None else {"type": kind, "index": index}
    return head | ({"delta": {"message": message}} if message else {})


def text_block(index: int, *pieces: str, of: str = "text") -> list[dict[str, Any]]:
    deltas = [event("content-delta", index, content={of: piece}) for piece in pieces]
    return [event("content-start", index, content={"type": of, of: ""}), *deltas, event("content-end", index)]


def call_events(index: int, name: str, *pieces: str) -> list[dict[str, Any]]:
    deltas = [event("tool-call-delta", index, tool_calls={"function": {"arguments": piece}}) for piece in pieces]
    start = event("tool-call-start", index, tool_calls=function(name, "", f"c{index}"))
    return [start, *deltas, event("tool-call-end", index)]


BEGIN = {
    "type": "message-start",
    "id": "i",
    "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}},
}
USAGE = {"tokens": {"input_tokens": 5, "output_tokens": 7}}


def end(reason: str, **more: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE, **more}}


DOCUMENTS: list[dict[str, Any]] = [
    BEGIN,
    *text_block(0, "h", "m", of="thinking"),
    event("tool-plan-delta", tool_plan="I "),
    event("tool-plan-delta", tool_plan="look"),
    *text_block(1, "It", " rains"),
    event("citation-start", 0, citations=CITATION),
    event("citation-end", 0),
    *call_events(0, "a"),
    *call_events(1, "b", '{"x":', "1}"),
    end("TOOL_CALL"),
]
STREAM = stream(*DOCUMENTS, named=True) + b"data: [DONE]\n\n"


def client(raw: bytes) -> dict[str, Any]:
    """What Cohere's guide to streaming makes of it; blocks and calls are numbered from 0 without a gap."""
    message: dict[str, Any] = {"plan": "", "content": [], "calls": [], "citations": [], "finish": None}
    for frame in events(raw):
        if frame.data == b"[DONE]":
            continue
        document = orjson.loads(frame.data)
        assert frame.name == document["type"]
        kind, told = document["type"], document.get("delta", {}).get("message", {})
        if kind == "content-start":
            assert document["index"] == len(message["content"])
            message["content"].append("")
        elif kind == "content-delta":
            message["content"][document["index"]] += told["content"].get("text") or told["content"].get("thinking")
        elif kind == "tool-plan-delta":
            message["plan"] += told["tool_plan"]
        elif kind == "tool-call-start":
            assert document["index"] == len(message["calls"])
            message["calls"].append([told["tool_calls"]["function"]["name"], ""])
        elif kind == "tool-call-delta":
            message["calls"][document["index"]][1] += told["tool_calls"]["function"]["arguments"]
        elif kind == "citation-start":
            message["citations"].append(told["citations"]["text"])
        elif kind == "message-end":
            message["finish"] = document["delta"]["finish_reason"]
    return message


def test_a_stream_is_read() -> None:
    read = framed.readings(CODEC, Sse(), STREAM)
    assert framed.texts(read) == {
        ("reasoning", 0): "hm",
        ("reasoning", "plan"): "I look",
        ("text", 1): "It rains",
        ("tool_call", 1, 2): '{"x":1}',
    }
    opened = [item for _, _, reading in read for item in reading.opens]
    assert [(item.call_id, item.name, item.after_text) for item in opened] == [("c0", "a", True), ("c1", "b", True)]
    for _, document, reading in read:
        framed.consistent(CODEC, document, reading)
    (last,) = [reading for _, _, reading in read if reading.stop_reason]
    assert (last.stop_reason, last.usage, last.end) == ("TOOL_CALL", Usage(input=5, output=7), True)
    assert list(last.calls) == [item.channel for item in opened]


def test_texts_close_as_soon_as_they_can() -> None:
    read = framed.readings(CODEC, Sse(), STREAM)
    closes = {document["type"] + str(document.get("index", "")): reading.closes for _, document, reading in read[:-1]}
    assert ("reasoning", 0) in closes["content-end0"]
    assert ("reasoning", "plan") in closes["content-start1"]
    assert ("text", 1) in closes["content-end1"]
    assert ("tool_call", 0, 2) in closes["tool-call-end0"]


@pytest.mark.parametrize(
    ("denied", "content", "calls", "finish"),
    [
        ((), ["hm", "It rains"], [["a", ""], ["b", '{"x":1}']], "TOOL_CALL"),
        ((0,), ["hm", "It rains", "\n\nNO 0"], [["b", '{"x":1}']], "TOOL_CALL"),
        ((1,), ["hm", "It rains", "\n\nNO 1"], [["a", ""]], "TOOL_CALL"),
        ((0, 1), ["hm", "It rains", "\n\nNO 0", "\n\nNO 1"], [], "COMPLETE"),
    ],
)
def test_calls_of_a_stream_are_cut(denied: tuple[int, ...], content: list[str], calls: Any, finish: str) -> None:
    out = rewritten(CODEC, STREAM, {("tool_call", index, 2): f"NO {index}" for index in denied})
    told = client(out)
    assert (told["content"], told["calls"], told["finish"]) == (content, calls, finish)
    assert (told["plan"], told["citations"]) == ("I look", ["It "])
    assert denied or out == STREAM


def test_what_follows_a_cut_call_is_numbered_on() -> None:
    cited = event("citation-start", 0, citations=CITATION | {"content_index": 0})
    raw = stream(
        BEGIN, *call_events(0, "a"), *text_block(0, "so"), cited, *call_events(1, "b"), end("TOOL_CALL"), named=True
    )
    out = rewritten(CODEC, raw, {("tool_call", 0, 0): "NO"})
    told = client(out)
    assert (told["content"], told["calls"]) == (["NO", "so"], [["b", ""]])
    assert [
        orjson.loads(frame.data)["delta"]["message"]["citations"]["content_index"]
        for frame in events(out)
        if frame.name == "citation-start"
    ] == [1]


def test_calls_in_a_list_are_read_alike() -> None:
    """`tool_calls` is one object in every recording; a list must not hide a call."""
    raw = stream(
        event("tool-call-start", 0, tool_calls=[function("a", "{"), function("b", {"x": "y"}, "c1"), "odd"]),
        event("tool-call-delta", 0, tool_calls=[{"function": {"arguments": "}"}}]),
        end("TOOL_CALL"),
        named=True,
    )
    read = framed.readings(CODEC, Sse(), raw)
    last = {item.channel: item for _, _, reading in read for item in reading.opens}
    assert [(item.name, item.arguments) for item in last.values()][:2] == [("a", None), ("b", {"x": "y"})]
    assert framed.texts(read)[("tool_call", 0, 0)] == "{}"
    out = rewritten(CODEC, raw, {("tool_call", 1, 0): "NO"})
    first = [orjson.loads(frame.data) for frame in events(out)]
    kept = [document for document in first if document["type"] == "tool-call-start"]
    assert [call["function"]["name"] for call in kept[0]["delta"]["message"]["tool_calls"][:1]] == ["a"]
    assert b'"b"' not in out


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        ({"type": "debug", "prompt": "whole prompt"}, ["whole prompt"]),
        (end("ERROR", error="broke"), ["broke"]),
        ({"type": "brand-new", "delta": {"message": {"content": {"text": "t"}}}}, ["t"]),
        ({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"other": "t"}}}}, ["t"]),
        ({"type": "content-delta", "index": 0, "delta": {"message": {"content": "t"}}}, ["t"]),
        ({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": ["t"]}}}, ["t"]),
        ({"type": "citation-start", "delta": {"message": {"citations": [{"text": "t"}, "u"]}}}, ["t", "u"]),
        ({"message": "an error"}, ["an error"]),
        (["t"], ["t"]),
        ("t", ["t"]),
    ],
)
def test_other_events_are_read(document: Any, texts: list[str]) -> None:
    assert [fragment.text for fragment in CODEC.stream_reader().read(document).fragments] == texts


def test_log_probabilities_of_a_piece_go_with_its_text() -> None:
    piece = event("content-delta", 0, content={"text": "It"}) | {"logprobs": {"text": "It", "token_ids": [1]}}
    reading = CODEC.stream_reader().read(piece)
    assert list(reading.when_edited) == [(("text", 0), Remove(("logprobs",)))]


# through the guard


def test_denied_calls_leave_a_stream_however_it_is_cut() -> None:
    told = client(framed.delivered(deny("a", "b"), "cohere_v2", STREAM))
    assert (told["calls"], told["finish"], len(told["content"])) == ([], "COMPLETE", 4)
    assert all("not here" in text for text in told["content"][2:])


def test_a_citation_follows_only_a_text_that_was_not_edited() -> None:
    for words, cited in ((["It", " rains"], ["It "]), ([SECRET[:9], SECRET[9:] + " it"], [])):
        raw = stream(
            BEGIN,
            *text_block(0, *words),
            event("citation-start", 0, citations={"start": 0, "end": 3, "text": "It ", "sources": []}),
            event("citation-end", 0),
            end("COMPLETE"),
            named=True,
        )
        out = framed.delivered(REDACT, "cohere_v2", raw)
        assert client(out)["citations"] == cited
        assert out.count(b"event: citation-") == 2 * len(cited)
        assert SECRET.encode() not in out


# what midstream says itself


def test_inject_extends_the_last_user_message_or_adds_one() -> None:
    places: list[tuple[Any, Any]] = [("hi", "hi\n\nX"), ([], [{"type": "text", "text": "X"}])]
    for content, expected in places:
        document: Any = {"messages": [{"role": "user", "content": content}]}
        assert injected(CODEC, document)["messages"] == [{"role": "user", "content": expected}]
    tools = {"messages": [{"role": "tool", "content": "out"}]}
    assert injected(CODEC, tools)["messages"][1:] == [{"role": "user", "content": "X"}]
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({}, "X")


def test_its_own_words_are_read_back() -> None:
    assert orjson.loads(CODEC.refusal(400, "no")) == {"message": "no"}
    response = CODEC.read_response(trees.parse(CODEC.message("m", "t")))
    assert ([part.text for part in response.parts], response.stop_reason) == (["t"], "COMPLETE")
    raw = said(CODEC, "t")
    told = client(raw)
    assert (told["content"], told["finish"], raw.endswith(b"data: [DONE]\n\n")) == (["t"], "COMPLETE", True)


# anything

NAMES = [
    "role",
    "content",
    "type",
    "text",
    "thinking",
    "document",
    "data",
    "tool_plan",
    "tool_calls",
    "function",
    "arguments",
    "name",
    "citations",
    "sources",
    "tool_output",
    "message",
    "delta",
    "index",
    "content_index",
    "logprobs",
    "q",
]
ANYTHING = framed.anything(NAMES, ("user", "assistant", "tool", "thinking", "document", "PLAN"))
KINDS = [
    "message-start",
    "content-start",
    "content-delta",
    "content-end",
    "tool-plan-delta",
    "tool-call-start",
    "tool-call-delta",
    "tool-call-end",
    "citation-start",
    "citation-end",
    "message-end",
    "debug",
]


@given(ANYTHING)
@settings(max_examples=200, deadline=None)
def test_any_json_in_any_place_is_read(value: Any) -> None:
    for document in (value, {"messages": value, "documents": value, "tools": value}, {"messages": [value, value]}):
        framed.reads_requests(CODEC, document)
    for role in ("user", "assistant", "tool"):
        framed.reads_requests(CODEC, {"messages": [{"role": role, "content": [value], "tool_calls": [value]}]})
    for document in (
        value,
        {"message": value, "usage": value},
        {"message": {"content": [value], "citations": [value]}},
    ):
        framed.reads_responses(CODEC, document)
    framed.reads_events(CODEC, [value, *({"type": kind, "index": 0, "delta": value} for kind in KINDS)])
    members = ("content", "tool_plan", "tool_calls", "citations")
    every = [{"type": kind, "delta": {"message": {name: value}}} for kind in KINDS for name in members]
    framed.reads_events(CODEC, every)


def test_ten_thousand_calls_cost_linear_time() -> None:
    many = [document for index in range(10_000) for document in call_events(index, "a", "{}")]
    raw = stream(BEGIN, *many, end("TOOL_CALL"), named=True)
    out = rewritten(CODEC, raw, {("tool_call", index, 0): "NO" for index in range(1, 10_000, 2)})
    told = client(out)
    assert (len(told["calls"]), len(told["content"])) == (5_000, 5_000)
