"""Ollama's chat and generate: each part of wire-formats §9, each kind of line, and what midstream says itself."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from proxy.codecs import Key, ollama
from proxy.codecs.framings.lines import Lines
from proxy.codecs.splicing import Remove
from proxy.events import Usage
from tests.codecs import framed, recorded
from tests.codecs.framed import REDACT, SECRET, cut, denied_result, deny, injected, lines

CODEC, GENERATE = ollama.CODEC, ollama.GENERATE


def call(name: str, arguments: Any, **members: Any) -> dict[str, Any]:
    return {**members, "function": {"index": 0, "name": name, "arguments": arguments}}


REQUEST: dict[str, Any] = {
    "model": "qwen3",
    "format": {"type": "object", "properties": {"t": {"description": "a shape"}}},
    "options": {"stop": ["END"], "num_predict": 9},
    "keep_alive": "5m",
    "tools": [{"type": "function", "function": {"name": "rain", "description": "tells", "parameters": {}}}],
    "messages": [
        {"role": "system", "content": "sys"},
        {"role": "user", "content": "hi", "images": ["QUJD", "REVG"]},
        {
            "role": "assistant",
            "content": "see",
            "thinking": "hm",
            "tool_calls": [
                call("rain", {"city": "Köln", "a@b.example": 4111111111111111}, id="c0"),
                call("rain", {"city": "Bonn"}),
                call("wind", {"city": "Kiel"}),
            ],
        },
        {"role": "tool", "content": "windy", "tool_name": "wind"},
        {"role": "tool", "content": "wet", "tool_call_id": "c0"},
        {"role": "tool", "content": "lost", "tool_name": "unheard of"},
        {"role": "brand new", "content": "odd", "body": {"deep": "text"}},
    ],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output, request.turn) == ("qwen3", True, 9, 1)
    assert list(request.tools) == ["rain"]
    said = {part.text: part for part in request.parts}
    assert [(said[t].role, said[t].kind, said[t].new) for t in ("sys", "hi", "see", "hm", "Köln", "wet", "odd")] == [
        ("system", "text", False),
        ("user", "text", False),
        ("assistant", "text", False),
        ("assistant", "reasoning", False),
        ("assistant", "tool_call", False),
        ("tool", "tool_result", True),
        ("other", "text", True),
    ]
    assert said["QUJD"].kind == "media"
    assert said["QUJD"].sealed
    assert not said["see"].sealed
    assert said["a@b.example"].path[-1] == Key("a@b.example")


def test_results_find_their_call() -> None:
    request = CODEC.read_request(REQUEST)
    found = [request.calls.get(result.call_id, ("", {})) for result in request.results]
    assert [
        (result.name, arguments.get("city")) for result, (_, arguments) in zip(request.results, found, strict=True)
    ] == [
        ("wind", "Kiel"),
        ("rain", "Köln"),
        ("unheard of", None),
    ]
    assert denied_result(CODEC, REQUEST)["messages"][3]["content"] == "NO"
    unnamed = {
        "messages": [*REQUEST["messages"][:3], {"role": "tool", "content": "x"}, {"role": "tool", "content": "y"}]
    }
    read = CODEC.read_request(unnamed)
    assert [read.calls[result.call_id][1]["city"] for result in read.results] == ["Köln", "Bonn"]


@pytest.mark.parametrize(("given", "streams"), [({}, True), ({"stream": True}, True), ({"stream": False}, False)])
def test_streaming_is_the_default(given: Any, streams: bool) -> None:
    assert CODEC.read_request({"messages": [], **given}).stream is streams


def test_a_prompt_is_read() -> None:
    document = {
        "prompt": "Once",
        "suffix": "end",
        "system": "sys",
        "template": "{{ .Prompt }}",
        "images": ["QUJD"],
        "context": [1, 2],
        "raw": True,
        "format": "json",
    }
    request = GENERATE.read_request(document)
    assert recorded.unread(document, request) == []
    assert {(part.text, part.role, part.sealed) for part in request.parts if part.text != "json"} == {
        ("sys", "system", False),
        ("{{ .Prompt }}", "system", False),
        ("Once", "user", False),
        ("end", "user", False),
        ("QUJD", "user", True),
    }


END = {"done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 7, "total_duration": 9}
ANSWER: dict[str, Any] = {
    "model": "qwen3",
    "created_at": "2026-08-07T06:08:14.73237Z",
    "message": {
        "role": "assistant",
        "content": "see",
        "thinking": "hm",
        "tool_calls": [call("a", {"x": "y"}, id="c0"), call("b", {})],
    },
    **END,
}


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert recorded.unread(ANSWER, response) == []
    assert [(item.call_id, item.name, item.arguments) for item in response.calls] == [
        ("c0", "a", {"x": "y"}),
        ("", "b", {}),
    ]
    assert (response.model, response.stop_reason, response.usage) == ("qwen3", "stop", Usage(input=5, output=7))
    assert CODEC.read_response({"error": "no such model"}).parts[0].text == "no such model"


def test_a_generation_is_read() -> None:
    document = {
        "response": "upon",
        "thinking": "hm",
        "image": "QUJD",
        "logprobs": [{"token": "upon"}],
        "context": [1],
    } | END
    response = GENERATE.read_response(document)
    assert recorded.unread(document, response) == []
    assert [(part.text, part.kind, part.sealed) for part in response.parts] == [
        ("hm", "reasoning", False),
        ("upon", "text", False),
        ("QUJD", "media", True),
    ]
    assert {change for _, change in response.when_edited} == {Remove(("logprobs",))}


@pytest.mark.parametrize(
    ("cuts", "names", "content"),
    [
        ({}, ["a", "b"], "see"),
        ({0: "NO"}, ["b"], "see\n\nNO"),
        ({1: "NO b", 0: "NO a"}, [], "see\n\nNO a\n\nNO b"),
    ],
)
def test_cut_calls(cuts: dict[int, str], names: list[str], content: str) -> None:
    answer = cut(CODEC, ANSWER, cuts)
    message = answer["message"]
    assert [item["function"]["name"] for item in message.get("tool_calls", [])] == names
    assert (message["content"], answer["done_reason"]) == (content, "stop")


@pytest.mark.parametrize("content", [{}, {"content": ""}, {"content": None}])
def test_a_notice_finds_its_place(content: Any) -> None:
    document = {"message": {"role": "assistant", **content, "tool_calls": [call("a", {})]}}
    assert cut(CODEC, document, {0: "NO"})["message"] == {"role": "assistant", "content": "NO"}


# streams


def line(**message: Any) -> dict[str, Any]:
    head = {"model": "qwen3", "created_at": "2026-08-07T06:08:14.73237Z"}
    return {**head, "message": {"role": "assistant", "content": "", **message}, "done": False}


DOCUMENTS: list[dict[str, Any]] = [
    line(thinking="h"),
    line(thinking="m"),
    line(content="It"),
    line(content=" rains"),
    line(tool_calls=[call("a", {"x": "y"}, id="c0")]),
    line(content="and", tool_calls=[call("b", {}), call("c", {"z": "w"})]),
    line() | END,
]
STREAM = lines(*DOCUMENTS)


def client(raw: bytes) -> dict[str, Any]:
    """What ollama-python makes of it: it breaks lines wherever str.splitlines does, and takes no blank one."""
    told: dict[str, Any] = {"content": "", "thinking": "", "calls": [], "done": False}
    for each in raw.decode().splitlines():
        document = orjson.loads(each)
        message = document["message"]
        told["content"] += message.get("content") or ""
        told["thinking"] += message.get("thinking") or ""
        told["calls"] += [
            (item["function"]["name"], item["function"]["arguments"]) for item in message.get("tool_calls", [])
        ]
        assert not told["done"]
        told["done"] = document["done"]
    return told


def rewritten(raw: bytes, cuts: dict[Any, str]) -> bytes:
    framing, writer, out = Lines(), CODEC.stream_writer(), b""
    for frame, document, reading in framed.readings(CODEC, Lines(), raw)[:-1]:
        new = writer.rewrite(frame, document, reading, cuts)
        out += frame.raw if new is None else b"".join(framing.with_data(frame, each.data) for each in new)
    return out


def test_a_stream_is_read() -> None:
    read = framed.readings(CODEC, Lines(), STREAM)
    assert framed.texts(read) == {
        ("reasoning", 0): "hm",
        ("text", 0): "It rains",
        ("text", 0, "again", 1): "and",
    }
    opened = [item for _, _, reading in read for item in reading.opens]
    assert [(item.call_id, item.name, item.arguments, item.after_text) for item in opened] == [
        ("c0", "a", {"x": "y"}, True),
        ("", "b", {}, True),
        ("", "c", {"z": "w"}, True),
    ]
    for _, document, reading in read:
        framed.consistent(CODEC, document, reading)
    closes = [list(reading.closes) for *_, reading in read]
    assert closes[2] == [("reasoning", 0)]
    assert closes[4][:2] == [("text", 0), ("tool_call", 0)]
    last = read[-2][2]
    assert (last.model, last.stop_reason, last.usage, last.end) == ("qwen3", "stop", Usage(input=5, output=7), True)
    assert list(last.calls) == [("tool_call", index) for index in range(3)]


@pytest.mark.parametrize(
    ("denied", "names", "content"),
    [
        ((), "abc", "It rainsand"),
        ((0,), "bc", "It rains\n\nNO 0and"),
        ((1,), "ac", "It rainsand\n\nNO 1"),
        ((0, 1, 2), "", "It rains\n\nNO 0and\n\nNO 1\n\nNO 2"),
    ],
)
def test_calls_of_a_stream_are_cut(denied: tuple[int, ...], names: str, content: str) -> None:
    out = rewritten(STREAM, {("tool_call", index): f"NO {index}" for index in denied})
    told = client(out)
    assert ("".join(name for name, _ in told["calls"]), told["content"]) == (names, content)
    assert (told["thinking"], told["done"]) == ("hm", True)
    assert denied or out == STREAM


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        ({"error": "broke"}, ["broke"]),
        ({"message": {"role": "assistant", "content": ["t"], "thinking": ["h"]}}, ["h", "t"]),
        ({"message": {"tool_calls": "t"}}, ["t"]),
        ({"message": {"tool_calls": ["t"]}}, ["t"]),
        ({"message": "t"}, ["t"]),
        ({"image": "QUJD", "completed": 1}, ["QUJD"]),
        ({"brand_new": {"deep": "t"}}, ["t"]),
        (["t"], ["t"]),
        ("t", ["t"]),
    ],
)
def test_other_lines_are_read(document: Any, texts: list[str]) -> None:
    assert [fragment.text for fragment in CODEC.stream_reader().read(document).fragments] == texts


def test_an_image_is_sealed_and_log_probabilities_go_with_the_text() -> None:
    image = CODEC.stream_reader().read({"image": "QUJD"})
    assert list(image.sealed) == [image.fragments[0].channel]
    piece = CODEC.stream_reader().read(line(content="It") | {"logprobs": [{"token": "It"}]})
    assert list(piece.when_edited) == [(("text", 0), Remove(("logprobs",)))]
    assert [item.text for item in CODEC.stream_reader().read({"logprobs": [{"token": "t"}]}).fragments] == ["t"]


def test_a_stream_of_a_generation_is_read() -> None:
    raw = lines({"thinking": "hm"}, {"response": "up"}, {"response": "on"}, {"response": "", "context": [1]} | END)
    assert framed.texts(framed.readings(GENERATE, Lines(), raw)) == {("reasoning", 0): "hm", ("text", 0): "upon"}


# through the guard


def test_denied_calls_leave_a_stream_however_it_is_cut() -> None:
    told = client(framed.delivered(deny("a", "c"), "ollama", STREAM))
    assert [name for name, _ in told["calls"]] == ["b"]
    assert told["content"].count("not here") == 2


def test_a_secret_leaves_neither_text_nor_arguments() -> None:
    raw = lines(
        line(content="use " + SECRET[:9]),
        line(content=SECRET[9:]),
        line(tool_calls=[call("a", {"k": SECRET})]),
        line() | END,
    )
    out = framed.delivered(REDACT, "ollama", raw)
    told = client(out)
    assert SECRET.encode() not in out
    assert SECRET not in told["content"]
    assert (told["content"][:4], told["calls"][0][0], told["done"]) == ("use ", "a", True)


def test_a_lone_document_is_a_whole_answer() -> None:
    for end in (b"", b"\n"):
        out = framed.delivered(deny("a"), "ollama", orjson.dumps(ANSWER) + end)
        assert [item["function"]["name"] for item in orjson.loads(out)["message"]["tool_calls"]] == ["b"]


# what midstream says itself


def test_inject_extends_the_last_user_message_or_adds_one() -> None:
    assert injected(CODEC, {"messages": [{"role": "user", "content": "hi"}]})["messages"][0]["content"] == "hi\n\nX"
    after = injected(CODEC, {"messages": [{"role": "tool", "content": "out"}]})
    assert after["messages"][1:] == [{"role": "user", "content": "X"}]
    assert injected(GENERATE, {"prompt": "Once"}) == {"prompt": "Once\n\nX"}
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({}, "X")


def test_its_own_words_are_read_back() -> None:
    assert orjson.loads(CODEC.refusal(400, "no")) == {"error": "no"}
    for codec in (CODEC, GENERATE):
        response = codec.read_response(orjson.loads(codec.message("m", "t")))
        assert (response.model, [part.text for part in response.parts], response.stop_reason) == ("m", ["t"], "stop")
        framing = Lines()
        raw = b"".join(framing.encode(event) for event in codec.message_stream(None, "t"))
        read = framed.readings(codec, Lines(), raw)
        assert framed.texts(read) == {("text", 0): "t"}
        assert [reading.stop_reason for *_, reading in read if reading.stop_reason] == ["stop"]


# anything

NAMES = """role content thinking images tool_calls function arguments name tool_name tool_call_id message response done
    done_reason image logprobs error context model created_at id q"""
ANYTHING = framed.anything(NAMES.split(), ("user", "assistant", "tool"))


@given(ANYTHING)
@settings(max_examples=200, deadline=None)
def test_any_json_in_any_place_is_read(value: Any) -> None:
    members = ("messages", "tools", "prompt", "suffix", "system", "images", "context", "options", "stream", "format")
    for document in (value, *({name: value} for name in members)):
        framed.reads_requests(CODEC, document)
    for role in ("user", "assistant", "tool"):
        message = {"role": role, "content": value, "images": value, "tool_calls": [value]}
        framed.reads_requests(CODEC, {"messages": [message, value]})
    pieces = [{"message": value}, {"message": {"tool_calls": [value], "content": value}}, {"response": value}]
    answers = [value, *pieces, *({"message": {"content": "t"}, name: value} for name in ("logprobs", "image", "done"))]
    for answer in answers:
        framed.reads_responses(CODEC, answer)
    framed.reads_events(CODEC, answers)
    framed.reads_events(CODEC, [{"message": {name: value}} for name in NAMES.split()])
