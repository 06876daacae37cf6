"""Anthropic Messages: each block of wire-formats §3, each event of its streams, and what midstream says itself."""

from typing import Any

import orjson
import pytest

from proxy.codecs import Key, trees
from proxy.codecs.anthropic import CODEC
from proxy.codecs.splicing import splice
from proxy.events import Usage
from tests.codecs import recorded
from tests.codecs.streams import messages_message, readings, rewritten, said, stream, texts

TURN: list[dict[str, Any]] = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "S"},
            {"type": "redacted_thinking", "data": "R"},
            {"type": "text", "text": "see"},
            {
                "type": "tool_use",
                "id": "t1",
                "name": "Read",
                "input": {"path": ".env", "a@b.example": 4111111111111111, "type": "x"},
            },
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s1",
                "content": [{"type": "web_search_result", "title": "T", "encrypted_content": "E"}],
            },
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": [{"type": "text", "text": "out"}],
                "is_error": True,
            },
            {"type": "tool_result", "tool_use_id": "t1"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            {"type": "brand_new", "body": {"deep": "text"}, "cache_control": {"type": "ephemeral"}},
        ],
    },
]
REQUEST: dict[str, Any] = {
    "model": "claude",
    "stream": True,
    "max_tokens": 9,
    "metadata": {"user_id": '{"session_id": "s-1"}'},
    "system": [{"type": "text", "text": "sys", "cache_control": {"type": "ephemeral"}}],
    "tools": [
        {
            "name": "Read",
            "description": "reads",
            "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
        }
    ],
    "messages": [*TURN, {"role": "system", "content": "mid"}],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output, request.turn, request.session) == (
        "claude",
        True,
        9,
        1,
        "s-1",
    )
    assert list(request.tools) == ["Read"]
    assert request.calls["t1"][0] == "Read"
    said = {part.text: part for part in request.parts}
    assert all(said[text].sealed for text in ("hm", "S", "R", "E", "AA", "Read"))
    assert not any(said[text].sealed for text in ("see", ".env", "out", "plain", "T", "q"))
    assert [
        (said[t].role, said[t].kind, said[t].new)
        for t in ("sys", "hi", ".env", "out", "plain", "text", "mid", "T", "reads")
    ] == [
        ("system", "text", False),
        ("user", "text", False),
        ("assistant", "tool_call", False),
        ("tool", "tool_result", True),
        ("user", "text", True),
        ("other", "text", True),
        ("system", "text", True),
        ("tool", "tool_result", False),
        ("system", "tool_definition", False),
    ]
    base = ("messages", 1, "content", 3, "input")
    assert said["a@b.example"].path == (*base, Key("a@b.example"))
    assert said["4111111111111111"].path == (*base, "a@b.example")


def test_results_name_their_call() -> None:
    request = CODEC.read_request(REQUEST)
    earlier, result = request.results
    assert (earlier.call_id, earlier.name, earlier.new) == ("s1", "web_search", False)
    assert (result.call_id, result.name, result.is_error, result.new) == ("t1", "Read", True, True)
    assert result.content == ("messages", 2, "content", 0, "content")
    assert [request.parts[index].text for index in result.parts] == ["out"]


def test_a_prefill_is_new() -> None:
    request = CODEC.read_request({"messages": [*TURN, {"role": "assistant", "content": "I"}]})
    assert request.turn == 1
    assert [part.text for part in request.parts if part.new][-1] == "I"


@pytest.mark.parametrize(
    ("user", "session"),
    [("user_1_account__session_abc", "abc"), ("u", None), ("[]", None), (5, None), ('{"session_id":5}', None)],
)
def test_sessions(user: Any, session: str | None) -> None:
    assert CODEC.read_request({"metadata": {"user_id": user}}).session == session


@pytest.mark.parametrize(
    "document",
    [
        [],
        "x",
        1,
        None,
        {},
        {"messages": 1, "system": 1},
        {"messages": [1, None, "x", {"content": 1}, {"content": [1, "x"]}]},
    ],
)
def test_odd_documents_are_read(document: Any) -> None:
    assert recorded.unread(document, CODEC.read_request(document)) == []
    assert recorded.unread(document, CODEC.read_response(document)) == []


ANSWER: dict[str, Any] = {
    "type": "message",
    "model": "claude",
    "content": [
        {"type": "text", "text": "see"},
        {"type": "tool_use", "id": "t1", "name": "a", "input": {}},
        {"type": "tool_use", "id": "t2", "name": "b", "input": {"x": 1}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 1, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": 8},
}


def test_usage_counts_everything_that_went_in() -> None:
    assert CODEC.read_response(ANSWER).usage == Usage(input=7, output=8, cache_read=4, cache_write=2)


@pytest.mark.parametrize(
    ("cuts", "types", "stop"),
    [({0: "NO"}, ["text", "text", "tool_use"], "tool_use"), ({0: "NO", 1: "NO"}, ["text"] * 3, "end_turn")],
)
def test_cut_calls(cuts: dict[int, str], types: list[str], stop: str) -> None:
    response = CODEC.read_response(ANSWER)
    cut = orjson.loads(splice(orjson.dumps(ANSWER), CODEC.cut_calls(ANSWER, response, cuts)))
    assert [block["type"] for block in cut["content"]] == types
    assert cut["stop_reason"] == stop
    assert cut["content"][1] == {"type": "text", "text": "NO"}


# streams


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **what: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": what}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


BEGIN = {
    "type": "message_start",
    "message": {
        "model": "claude",
        "content": [],
        "usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 1},
    },
}
END = (
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
)
STREAM = stream(
    BEGIN,
    start(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="hm"),
    delta(0, type="signature_delta", signature="S"),
    stop(0),
    {"type": "ping"},
    start(1, type="text", text=""),
    delta(1, type="text_delta", text="Let me"),
    delta(1, type="text_delta", text=" see"),
    stop(1),
    start(2, type="tool_use", id="t1", name="a", input={}),
    delta(2, type="input_json_delta", partial_json=""),
    delta(2, type="input_json_delta", partial_json='{"x":'),
    delta(2, type="input_json_delta", partial_json="1}"),
    stop(2),
    start(3, type="tool_use", id="t2", name="b", input={}),
    delta(3, type="input_json_delta", partial_json="{}"),
    stop(3),
    *END,
    named=True,
)


def test_a_stream_is_read() -> None:
    found = texts(CODEC, STREAM)
    assert {channel: text for channel, text in found.items() if "once" not in channel} == {
        ("reasoning", 0): "hm",
        ("text", 1): "Let me see",
        ("tool_call", 2): '{"x":1}',
        ("tool_call", 3): "{}",
    }
    read = [reading for _, _, reading in readings(CODEC, STREAM)]
    assert any(("reasoning", 0) in reading.sealed for reading in read)
    assert [(c.call_id, c.name, c.arguments, c.after_text) for r in read for c in r.opens] == [
        ("t1", "a", None, True),
        ("t2", "b", None, True),
    ]
    assert [reading.usage for reading in read if reading.usage][-1] == Usage(input=3, output=7, cache_read=2)
    closes = [list(reading.closes) for reading in read]
    assert [c for c in closes if c and "once" not in c[0]] == [
        [("reasoning", 0)],
        [("text", 1)],
        [("tool_call", 2)],
        [("tool_call", 3)],
    ]
    assert read[-2].end


def test_both_calls_of_a_stream_are_cut() -> None:
    out = messages_message(rewritten(CODEC, STREAM, {("tool_call", 2): "NO a", ("tool_call", 3): "NO b"}))
    assert out["blocks"][2:] == [("text", "\n\nNO a"), ("text", "\n\nNO b")]
    assert out["stop"] == "end_turn"


@pytest.mark.parametrize("cut", [2, 3])
def test_a_call_that_stays_keeps_the_reason(cut: int) -> None:
    out = messages_message(rewritten(CODEC, STREAM, {("tool_call", cut): "NO"}))
    assert [kind for kind, _ in out["blocks"][2:]] == (["text", "tool_use"] if cut == 2 else ["tool_use", "text"])
    assert out["stop"] == "tool_use"


def test_without_cuts_nothing_is_rewritten() -> None:
    assert rewritten(CODEC, STREAM, {}) == STREAM


def test_a_call_whole_in_its_start() -> None:
    raw = stream(BEGIN, start(0, type="tool_use", id="t", name="a", input={"p": ".env"}), stop(0), *END, named=True)
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert read[1].opens[0].arguments == {"p": ".env"}
    assert [fragment.text for fragment in read[1].fragments] == [".env"]
    out = messages_message(rewritten(CODEC, raw, {("tool_call", 0): "NO"}))
    assert out == {"blocks": [("text", "NO")], "stop": "end_turn"}


def test_a_message_whole_in_its_start() -> None:
    message = {
        "model": "m",
        "content": [
            {"type": "text", "text": "t"},
            {"type": "tool_use", "id": "t", "name": "a", "input": {"p": ".env"}},
        ],
        "stop_reason": "tool_use",
    }
    raw = stream({"type": "message_start", "message": message}, named=True)
    (_, _, reading), _ = readings(CODEC, raw)
    (opened,) = reading.opens
    assert opened.arguments == {"p": ".env"}
    assert opened.channel in reading.closes
    assert sorted(fragment.text for fragment in reading.fragments) == [".env", "t"]
    (event,) = rewritten(CODEC, raw, {opened.channel: "NO"}).split(b"\n\n")[:1]
    out = orjson.loads(event.partition(b"data: ")[2])["message"]
    assert out["content"][1]["type"] == "text"
    assert out["stop_reason"] == "end_turn"


def test_a_second_message_start_changes_nothing() -> None:
    doubled = STREAM.replace(b"event: ping", stream(BEGIN, named=True).rstrip(b"\n") + b"\n\nevent: ping", 1)
    strip = {c: t for c, t in texts(CODEC, doubled).items() if "once" not in c}
    assert strip == {c: t for c, t in texts(CODEC, STREAM).items() if "once" not in c}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, ["m"]),
        ({"type": "brand_new", "x": {"y": "z"}}, ["z"]),
        (delta(0, type="brand_new_delta", body="b"), ["b"]),
        (delta(0, type="citations_delta", citation={"type": "c", "cited_text": "t"}), ["t"]),
        (start(0, type="web_fetch_tool_result", content={"url": "u"}), ["u"]),
        (start(0, type="server_tool_use", id="s", name="n", input={"query": "q"}), ["q"]),
        (start(0, type="brand_new", body={"deep": "text"}), ["text"]),
        (start(0, type="text", text="given", citations=[{"cited_text": "c"}]), ["given", "c"]),
        (delta(0, type="text_delta", text="t", extra="e"), ["t", "e"]),
        ({"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"}}, ["END"]),
        ({"type": "ping", "note": "n"}, ["n"]),
        ("text", ["text"]),
        (["a"], ["a"]),
        (5, []),
    ],
)
def test_other_events_are_read(event: Any, said: list[str]) -> None:
    reading = CODEC.stream_reader().read(event)
    assert [fragment.text for fragment in reading.fragments] == said


# what midstream says itself


@pytest.mark.parametrize(
    "content",
    ["hi", [{"type": "tool_result", "tool_use_id": "t", "content": "r", "cache_control": {"type": "ephemeral"}}]],
)
def test_inject_ends_the_last_user_message(content: Any) -> None:
    document = {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "{"}]}
    raw = orjson.dumps(document)
    out = splice(raw, CODEC.inject(document, "X"))
    last = orjson.loads(out)["messages"][0]["content"]
    assert last == ("hi\n\nX" if isinstance(content, str) else [*content, {"type": "text", "text": "X"}])
    at = raw.index(b'"},{' if isinstance(content, str) else b"]},{")
    assert out[:at] == raw[:at]


def test_inject_needs_a_user() -> None:
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({"messages": []}, "X")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (407, "authentication_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
    ],
)
def test_refusals(status: int, kind: str) -> None:
    document = orjson.loads(CODEC.refusal(status, "no"))
    assert document["type"] == "error"
    assert document["error"] == {"type": kind, "message": "no"}


def test_its_own_messages_are_read_back() -> None:
    response = CODEC.read_response(trees.parse(CODEC.message("m", "t")))
    assert (response.model, [part.text for part in response.parts], response.stop_reason) == ("m", ["t"], "end_turn")
    assert messages_message(said(CODEC, "t")) == {"blocks": [("text", "t")], "stop": "end_turn"}
