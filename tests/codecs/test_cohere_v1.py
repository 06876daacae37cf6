"""Cohere's first chat and generate: each part of wire-formats §7, each event, and what midstream says itself."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from proxy.codecs import Key, cohere_v1
from proxy.codecs.framings import Event, Frame
from proxy.codecs.framings.lines import Lines
from proxy.codecs.framings.sse import Sse, encode
from proxy.codecs.splicing import Remove
from proxy.events import Usage
from tests.codecs import framed, recorded
from tests.codecs.framed import REDACT, SECRET, changed, cut, denied_result, deny, injected, lines

CODEC, GENERATE = cohere_v1.CODEC, cohere_v1.GENERATE

CALL: dict[str, Any] = {"name": "rain", "parameters": {"city": "Köln", "a@b.example": 4111111111111111}}
REQUEST: dict[str, Any] = {
    "model": "command-r",
    "message": "go on",
    "preamble": "sys",
    "stream": True,
    "max_tokens": 9,
    "conversation_id": "conv",
    "connectors": [{"id": "web-search", "options": {"site": "example.org"}}],
    "documents": [{"title": "T", "snippet": "snip"}],
    "tools": [{"name": "rain", "description": "tells", "parameter_definitions": {"city": {"description": "where"}}}],
    "chat_history": [
        {"role": "SYSTEM", "message": "more sys"},
        {"role": "User", "message": "hi"},
        {"role": "CHATBOT", "message": "I look", "tool_calls": [CALL]},
        {"role": "TOOL", "tool_results": [{"call": CALL, "outputs": [{"out": "wet"}]}]},
        {"role": "Chatbot", "message": "It rains"},
        {"role": "brand new", "message": "odd", "body": {"deep": "text"}},
        "odd entry",
    ],
    "tool_results": [{"call": CALL, "outputs": [{"out": "dry"}, {"n": 123456789}]}, "odd result"],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output, request.turn, request.follows) == (
        "command-r",
        True,
        9,
        2,
        "conv",
    )
    assert list(request.tools) == ["rain"]
    said = {part.text: part for part in request.parts}
    texts = ("sys", "more sys", "hi", "I look", "wet", "It rains", "odd", "snip", "go on", "dry", "123456789", "where")
    assert [(said[text].role, said[text].kind, said[text].new) for text in texts] == [
        ("system", "text", False),
        ("system", "text", False),
        ("user", "text", False),
        ("assistant", "text", False),
        ("tool", "tool_result", False),
        ("assistant", "text", False),
        ("other", "text", True),
        ("user", "text", True),
        ("user", "text", True),
        ("tool", "tool_result", True),
        ("tool", "tool_result", True),
        ("system", "tool_definition", False),
    ]
    assert said["a@b.example"].path[-1] == Key("a@b.example")


def test_results_know_their_call_and_take_a_notice() -> None:
    request = CODEC.read_request(REQUEST)
    old, new = request.results
    assert [(result.name, result.new, result.content) for result in (old, new)] == [
        ("rain", False, ("chat_history", 3, "tool_results", 0, "outputs")),
        ("rain", True, ("tool_results", 0, "outputs")),
    ]
    assert request.calls[new.call_id] == ("rain", CALL["parameters"])
    assert old.call_id != new.call_id
    assert [request.parts[index].text for index in new.parts] == ["dry", "123456789"]
    denied = denied_result(CODEC, REQUEST, 1)
    assert denied["tool_results"][0] == {"call": CALL, "outputs": [{"output": "NO"}]}


def test_a_prompt_is_read() -> None:
    document = {"prompt": "Once", "model": "command", "stop_sequences": ["END"], "num_generations": 2}
    request = GENERATE.read_request(document)
    assert recorded.unread(document, request) == []
    assert [(part.text, part.role) for part in request.parts] == [("END", "other"), ("Once", "user")]


ANSWER: dict[str, Any] = {
    "response_id": "r",
    "generation_id": "g",
    "conversation_id": "conv",
    "text": "I look",
    "chat_history": [
        {"role": "USER", "message": "hi"},
        {"role": "CHATBOT", "message": "I look", "tool_calls": [CALL, {"name": "b", "parameters": {}}]},
    ],
    "finish_reason": "COMPLETE",
    "tool_calls": [CALL, {"name": "b", "parameters": {}}],
    "citations": [{"start": 0, "end": 1, "text": "I", "document_ids": ["d0"]}],
    "documents": [{"id": "d0", "snippet": "snip"}],
    "search_queries": [{"text": "query", "generation_id": "g"}],
    "meta": {
        "api_version": {"version": "1"},
        "warnings": ["old model"],
        "billed_units": {"input_tokens": 1, "output_tokens": 2},
        "tokens": {"input_tokens": 10, "output_tokens": 20},
        "cached_tokens": 4,
    },
}


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert recorded.unread(ANSWER, response) == []
    assert [(call.name, call.arguments) for call in response.calls] == [("rain", CALL["parameters"]), ("b", {})]
    first = [response.parts[index].path for index in response.calls[0].parts]
    assert {path[0] for path in first} == {"tool_calls", "chat_history"}
    assert response.usage == Usage(input=10, output=20, cache_read=4)
    assert (response.stop_reason, response.keeps) == ("COMPLETE", "conv")
    goes = {(response.parts[part].path, change) for part, change in response.when_edited}
    assert goes == {
        (("text",), Remove(("citations",))),
        (("chat_history", 1, "message"), Remove(("citations",))),
    }


def test_a_generation_is_read() -> None:
    document = {
        "id": "i",
        "prompt": "Once",
        "generations": [
            {"id": "g", "text": "upon", "finish_reason": "MAX_TOKENS", "token_likelihoods": [{"token": "upon"}]},
            {"id": "h", "text": "more", "finish_reason": "COMPLETE"},
        ],
        "meta": {"billed_units": {"input_tokens": 1, "output_tokens": 2}},
    }
    response = GENERATE.read_response(document)
    assert recorded.unread(document, response) == []
    assert (response.stop_reason, response.usage) == ("MAX_TOKENS", Usage(input=1, output=2))
    goes = [(response.parts[part].text, change) for part, change in response.when_edited]
    assert goes == [("upon", Remove(("generations", 0, "token_likelihoods")))]


@pytest.mark.parametrize(
    ("cuts", "kept", "notice"),
    [
        ({}, ["rain", "b"], ""),
        ({0: "NO"}, ["b"], "\n\nNO"),
        ({1: "NO b", 0: "NO a"}, [], "\n\nNO a\n\nNO b"),
    ],
)
def test_cut_calls(cuts: dict[int, str], kept: list[str], notice: str) -> None:
    """Of the history too: clients send it back as it is."""
    answer = cut(CODEC, ANSWER, cuts)
    for holder, text in ((answer, "text"), (answer["chat_history"][-1], "message")):
        assert [call["name"] for call in holder["tool_calls"]] == kept
        assert holder[text] == "I look" + notice


def test_a_notice_finds_its_place() -> None:
    assert cut(CODEC, {"text": "", "tool_calls": [CALL]}, {0: "NO"}) == {"text": "NO", "tool_calls": []}
    assert cut(CODEC, {"tool_calls": [CALL]}, {0: "NO"}) == {"text": "NO", "tool_calls": []}


# streams


def event(kind: str, **members: Any) -> dict[str, Any]:
    return {"is_finished": kind == "stream-end", "event_type": kind, **members}


def piece(index: int, **delta: Any) -> dict[str, Any]:
    return event("tool-calls-chunk", tool_call_delta={"index": index, **delta})


SEARCHED = {"search_query": {"text": "query"}, "document_ids": ["d0"], "connector": {"id": "web"}}
DOCUMENTS: list[dict[str, Any]] = [
    event("stream-start", generation_id="g"),
    event("search-queries-generation", search_queries=[{"text": "query", "generation_id": "g"}]),
    event("search-results", search_results=[SEARCHED], documents=[{"id": "d0", "snippet": "snip"}]),
    event("text-generation", text="I "),
    event("tool-calls-chunk", text="look"),
    piece(0, name="rain"),
    piece(0, parameters='{"city": "Kö'),
    piece(0, parameters='ln", "a@b.example": 4111111111111111}'),
    piece(1, name="b"),
    piece(1, parameters="{}"),
    event("tool-calls-generation", text="I look", tool_calls=ANSWER["tool_calls"]),
    event("citation-generation", citations=ANSWER["citations"]),
    event("stream-end", finish_reason="COMPLETE", response=ANSWER),
]
STREAM = lines(*DOCUMENTS)


def client(raw: bytes) -> dict[str, Any]:
    """What a client makes of it, as it streams and as it takes everything from the end."""
    told: dict[str, Any] = {"text": "", "calls": [], "chunks": {}, "cited": []}
    for line in raw.splitlines():
        document = orjson.loads(line)
        kind = document["event_type"]
        if kind in ("text-generation", "tool-calls-chunk"):
            told["text"] += document.get("text", "")
        if kind == "tool-calls-chunk" and "tool_call_delta" in document:
            delta = document["tool_call_delta"]
            call = told["chunks"].setdefault(delta["index"], ["", ""])
            call[0] += delta.get("name", "")
            call[1] += delta.get("parameters", "")
        elif kind == "tool-calls-generation":
            told["calls"] += [call["name"] for call in document["tool_calls"]]
        elif kind == "citation-generation":
            told["cited"] += document["citations"]
        elif kind == "stream-end":
            told["end"] = document["response"]
    return told


def rewritten(raw: bytes, cuts: dict[Any, str]) -> bytes:
    framing, writer, out = Lines(), CODEC.stream_writer(), b""
    for frame, document, reading in framed.readings(CODEC, Lines(), raw)[:-1]:
        new = writer.rewrite(frame, document, reading, cuts)
        out += frame.raw if new is None else b"".join(framing.encode(each) for each in new)
    return out


def test_a_stream_is_read() -> None:
    read = framed.readings(CODEC, Lines(), STREAM)
    assert framed.texts(read) == {
        ("text", 0): "I look",
        ("tool_call", 0): '{"city": "Köln", "a@b.example": 4111111111111111}',
        ("tool_call", 1): "{}",
    }
    last = {item.channel: item for _, _, reading in read for item in reading.opens}
    assert [(item.name, item.arguments, item.after_text) for item in last.values()] == [
        ("rain", CALL["parameters"], True),
        ("b", {}, True),
    ]
    for _, document, reading in read:
        framed.consistent(CODEC, document, reading)
    (end,) = [reading for _, _, reading in read if reading.stop_reason]
    assert (end.stop_reason, end.usage, end.end, end.keeps) == (
        "COMPLETE",
        Usage(input=10, output=20, cache_read=4),
        True,
        "conv",
    )
    assert list(end.calls) == [("tool_call", 0), ("tool_call", 1)]
    assert [item.path for item in end.repeats] == [("response", "text"), ("response", "chat_history", 1, "message")]


def test_calls_close_when_they_were_told_for_the_last_time() -> None:
    read = framed.readings(CODEC, Lines(), STREAM)
    calls = [
        [channel for channel in reading.closes if channel in (("tool_call", 0), ("tool_call", 1))]
        for *_, reading in read
    ]
    assert calls[:-2] == [[]] * (len(read) - 2)
    assert calls[-2] == [("tool_call", 0), ("tool_call", 1)]
    cut_short = framed.readings(CODEC, Lines(), lines(*DOCUMENTS[:8]))
    assert ("tool_call", 0) in cut_short[-1][2].closes


@pytest.mark.parametrize(
    ("denied", "kept", "notice"),
    [((), [0, 1], ""), ((0,), [1], "\n\nNO 0"), ((1,), [0], "\n\nNO 1"), ((0, 1), [], "\n\nNO 0\n\nNO 1")],
)
def test_calls_are_cut_wherever_they_are_told(denied: tuple[int, ...], kept: list[int], notice: str) -> None:
    out = rewritten(STREAM, {("tool_call", index): f"NO {index}" for index in denied})
    told = client(out)
    names = [ANSWER["tool_calls"][index]["name"] for index in kept]
    assert (told["text"], told["calls"], sorted(told["chunks"])) == ("I look" + notice, names, kept)
    for holder, text in ((told["end"], "text"), (told["end"]["chat_history"][-1], "message")):
        assert [call["name"] for call in holder["tool_calls"]] == names
        assert holder[text] == "I look" + notice
    assert denied or out == STREAM


def test_calls_that_come_only_whole_or_only_at_the_end_are_cut() -> None:
    end = DOCUMENTS[-1]
    for before in ([], [event("tool-calls-generation", tool_calls=ANSWER["tool_calls"])]):
        told = client(rewritten(lines(*before, end), {("tool_call", 0): "NO a", ("tool_call", 1): "NO b"}))
        assert (told["text"], told["calls"], told["end"]["tool_calls"]) == ("NO a\n\nNO b", [], [])


def test_what_a_plan_says_beside_a_cut_piece_stays() -> None:
    raw = lines(piece(0, name="b", text="plan") | {"text": "!"}, DOCUMENTS[-1])
    out = rewritten(raw, {("tool_call", 0): "NO"})
    assert [orjson.loads(line).get("text") for line in out.splitlines()[:2]] == ["!", "plan"]


def test_as_server_sent_events_it_reads_alike() -> None:
    raw = b"".join(encode(document["event_type"], orjson.dumps(document)) for document in DOCUMENTS)
    assert framed.texts(framed.readings(CODEC, Sse(), raw)) == framed.texts(framed.readings(CODEC, Lines(), STREAM))
    frame = Frame(b"", "tool-calls-chunk", orjson.dumps(DOCUMENTS[5] | {"text": "t"}))
    reader = CODEC.stream_reader()
    document = orjson.loads(frame.data)
    new = CODEC.stream_writer().rewrite(frame, document, reader.read(document), {("tool_call", 0): "NO"})
    said = {"is_finished": False, "event_type": "text-generation", "text": "t"}
    assert new == [Event("text-generation", orjson.dumps(said))]


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        (event("debug", prompt="whole prompt"), ["whole prompt"]),
        (event("stream-error", err="broke", finish_reason="ERROR"), ["broke"]),
        (event("brand-new", body={"deep": "t"}), ["t"]),
        (event("tool-calls-chunk", tool_call_delta="t", text=5), ["t"]),
        (event("tool-calls-generation", tool_calls="t"), ["t"]),
        (event("text-generation", text=["t"]), ["t"]),
        ({"text": "t", "is_finished": False}, ["t"]),
        ({"message": "an error"}, ["an error"]),
        (["t"], ["t"]),
    ],
)
def test_other_events_are_read(document: Any, texts: list[str]) -> None:
    assert [fragment.text for fragment in CODEC.stream_reader().read(document).fragments] == texts


GENERATED = {
    "id": "i",
    "prompt": "Once",
    "generations": [
        {"id": "g", "index": 1, "text": "more", "finish_reason": "COMPLETE", "token_likelihoods": [{"token": "more"}]},
        {"id": "h", "index": 0, "text": "untold"},
    ],
}


def test_a_stream_of_generations_is_read() -> None:
    raw = lines(
        event("text-generation", text="mo", index=1),
        {"text": "re", "index": 1, "is_finished": False},
        event("stream-end", finish_reason="COMPLETE", response=GENERATED),
    )
    read = framed.readings(GENERATE, Lines(), raw)
    assert framed.texts(read) == {("text", 1): "more"}
    (end,) = [reading for _, _, reading in read if reading.stop_reason]
    for _, document, reading in read:
        framed.consistent(GENERATE, document, reading)
    path = ("response", "generations", 0)
    assert [(item.channel, item.path) for item in end.repeats] == [(("text", 1), (*path, "text"))]
    assert list(end.when_edited) == [(("text", 1), Remove((*path, "token_likelihoods")))]


# through the guard


def test_denied_calls_leave_a_stream_however_it_is_cut() -> None:
    told = client(framed.delivered(deny("rain", "b"), "cohere_v1", STREAM))
    assert (told["calls"], told["chunks"], told["end"]["tool_calls"]) == ([], {}, [])
    assert told["text"].count("not here") == told["end"]["text"].count("not here") == 2
    kept = client(framed.delivered(deny("other"), "cohere_v1", STREAM))
    assert (kept["calls"], kept["end"]) == (["rain", "b"], ANSWER)


def test_every_copy_of_a_text_is_edited_alike() -> None:
    text = f"the key is {SECRET}, keep it"
    answer = {
        "text": text,
        "chat_history": [{"role": "USER", "message": "hi"}, {"role": "CHATBOT", "message": text}],
        "citations": [{"start": 0, "end": 3, "text": "the"}],
    }
    raw = lines(
        event("text-generation", text=text[:20]),
        event("text-generation", text=text[20:]),
        event("citation-generation", citations=answer["citations"]),
        event("stream-end", finish_reason="COMPLETE", response=answer),
    )
    told = client(framed.delivered(REDACT, "cohere_v1", raw))
    assert SECRET not in told["text"]
    assert told["end"] == {
        "text": told["text"],
        "chat_history": [{"role": "USER", "message": "hi"}, {"role": "CHATBOT", "message": told["text"]}],
    }
    assert told["cited"] == []


def test_every_copy_of_an_argument_is_edited_alike() -> None:
    calls = [{"name": "a", "parameters": {"key": SECRET}}]
    answer = {"text": "", "tool_calls": calls, "chat_history": [{"role": "CHATBOT", "tool_calls": calls}]}
    raw = lines(
        piece(0, name="a"),
        piece(0, parameters='{"key": "' + SECRET[:9]),
        piece(0, parameters=SECRET[9:] + '"}'),
        event("tool-calls-generation", tool_calls=calls),
        event("stream-end", finish_reason="COMPLETE", response=answer),
    )
    out = framed.delivered(REDACT, "cohere_v1", raw)
    told = client(out)
    assert SECRET.encode() not in out
    (edited,) = told["end"]["tool_calls"]
    assert orjson.loads(told["chunks"][0][1]) == edited["parameters"]
    assert told["end"]["chat_history"][0]["tool_calls"] == [edited]


# what midstream says itself


def test_inject_goes_where_the_user_speaks() -> None:
    assert injected(CODEC, {"message": "hi"})["message"] == "hi\n\nX"
    assert injected(CODEC, {"message": ""})["message"] == "X"
    assert injected(GENERATE, {"prompt": "Once"})["prompt"] == "Once\n\nX"
    results = {"message": "", "tool_results": [{"call": CALL, "outputs": [{"out": "dry"}]}]}
    assert injected(CODEC, results)["tool_results"][0]["outputs"] == [{"out": "dry"}, {"output": "X"}]
    again = {"message": "hi", "tool_results": [{"call": CALL, "outputs": []}]}
    assert injected(CODEC, again)["message"] == "hi\n\nX"
    for document in ({}, {"message": "", "tool_results": ["odd"]}):
        with pytest.raises(ValueError, match="no place"):
            CODEC.inject(document, "X")


def test_its_own_words_are_read_back() -> None:
    assert orjson.loads(CODEC.refusal(400, "no")) == {"message": "no"}
    for codec in (CODEC, GENERATE):
        response = codec.read_response(orjson.loads(codec.message("m", "t")))
        assert (response.parts[0].text, response.stop_reason) == ("t", "COMPLETE")
        framing = Lines()
        raw = b"".join(framing.encode(each) for each in codec.message_stream(None, "t"))
        read = framed.readings(codec, Lines(), raw)
        assert framed.texts(read) == {("text", 0): "t"}
        assert [reading.stop_reason for *_, reading in read if reading.stop_reason] == ["COMPLETE"]


# anything

NAMES = """role message text tool_calls tool_results call outputs name parameters chat_history citations generations
    token_likelihoods index meta tokens response tool_call_delta finish_reason documents event_type q"""
ANYTHING = framed.anything(NAMES.split(), ("USER", "CHATBOT", "TOOL", "stream-end"))
KINDS = """stream-start search-queries-generation search-results text-generation citation-generation tool-calls-chunk
    tool-calls-generation stream-end debug"""


@given(ANYTHING)
@settings(max_examples=200, deadline=None)
def test_any_json_in_any_place_is_read(value: Any) -> None:
    members = ("message", "preamble", "chat_history", "tool_results", "tools", "documents", "prompt", "conversation_id")
    for document in (value, *({name: value} for name in members)):
        framed.reads_requests(CODEC, document)
    for role in ("USER", "CHATBOT", "TOOL"):
        entry = {"role": role, "message": value, "tool_calls": [value], "tool_results": [value]}
        framed.reads_requests(CODEC, {"chat_history": [entry, value]})
    answers = [value, {"text": "t", "tool_calls": [value], "chat_history": [value], "citations": value}]
    answers += [{"generations": [value], "meta": value}, {"text": value, "chat_history": value, "tool_calls": value}]
    for answer in answers:
        framed.reads_responses(CODEC, answer)
    for kind in KINDS.split():
        framed.reads_events(CODEC, [event(kind, **{name: value}) for name in NAMES.split() if name != "event_type"])
        framed.reads_events(CODEC, [{"text": "t"}, *(event(kind, response=answer) for answer in answers)])
    framed.reads_events(CODEC, [value, event("tool-calls-generation", tool_calls=[value])])


def test_a_rewrite_of_nothing_changes_nothing() -> None:
    assert rewritten(STREAM, {}) == STREAM
    assert changed(ANSWER, lambda parsed: CODEC.cut_calls(parsed, CODEC.read_response(parsed), {})) == ANSWER
