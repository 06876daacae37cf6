"""OpenAI Chat: each field of wire-formats §1, each deviation of its streams, and everything midstream says itself."""

from typing import Any

import orjson
import pytest

from proxy.codecs import Key, trees
from proxy.codecs.openai_chat import CODEC
from proxy.codecs.splicing import Remove, splice
from proxy.events import Usage
from tests.codecs import recorded
from tests.codecs.streams import chat_message, readings, rewritten, said, stream, texts

REQUEST: dict[str, Any] = {
    "model": "gpt-5",
    "stream": True,
    "max_completion_tokens": 100,
    "user": "u-1",
    "metadata": {"mail": "a@b.example", "sk-live-123": "v"},
    "messages": [
        {"role": "developer", "content": "sys"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "signed", "signature": "S"},
                {"type": "reasoning.encrypted", "data": "E"},
            ],
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"p": ".env"}'}},
                {"id": "c2", "type": "custom", "custom": {"name": "exec", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "result"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "files"}]},
        {
            "role": "user",
            "content": [
                {"type": "brand_new", "body": {"deep": "text"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,BB", "filename": "n.pdf"}},
            ],
        },
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "does f",
                "parameters": {"type": "object", "properties": {"p": {"type": "string", "description": "path"}}},
            },
        },
        {"type": "custom", "custom": {"name": "exec"}},
    ],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output, request.turn) == ("gpt-5", True, 100, 1)
    assert list(request.tools) == ["f", "exec"]
    assert request.calls == {"c1": ("f", {"p": ".env"}), "c2": ("exec", {"input": "ls"})}
    said = {part.text: part for part in request.parts}
    assert [
        (said[t].role, said[t].kind, said[t].sealed, said[t].new) for t in ("sys", "hi", "hm", "result", "text")
    ] == [
        ("system", "text", False, False),
        ("user", "text", False, False),
        ("assistant", "reasoning", False, False),
        ("tool", "tool_result", False, True),
        ("other", "text", False, True),
    ]
    assert all(
        said[text].sealed for text in ("signed", "S", "E", "data:image/png;base64,AA", "data:application/pdf;base64,BB")
    )
    assert said['{"p": ".env"}'].json
    assert not said["ls"].json
    assert said["sk-live-123"].path == ("metadata", Key("sk-live-123"))
    assert said["does f"].kind == "tool_definition"


def test_results_name_their_call() -> None:
    request = CODEC.read_request(REQUEST)
    found = [(r.call_id, r.name, r.content, [request.parts[i].text for i in r.parts], r.new) for r in request.results]
    assert found == [
        ("c1", "f", ("messages", 3, "content"), ["result"], True),
        ("c2", "exec", ("messages", 4, "content"), ["files"], True),
    ]


@pytest.mark.parametrize(
    "document", [[], "x", 1, None, {}, {"messages": 1}, {"messages": [1, None, "x", {"tool_calls": 1}]}]
)
def test_odd_requests_are_read(document: Any) -> None:
    assert recorded.unread(document, CODEC.read_request(document)) == []


@pytest.mark.parametrize(
    "text",
    ['{"p": ".env", "x": NaN}', '{"p": ".env", "x": "\\ud800"}', '{"p": "a", "p": ".env"}', '{"p": ".env", "x": "\n"}'],
)
def test_arguments_that_some_client_could_read_are_read(text: str) -> None:
    document = {"choices": [{"message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": text}}]}}]}
    assert CODEC.read_response(document).calls[0].arguments["p"] == ".env"


def test_arguments_that_nobody_can_read() -> None:
    document = {
        "choices": [{"message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"p": '}}]}}]
    }
    assert CODEC.read_response(document).calls[0].arguments == {"input": '{"p": '}


def call(index: int, arguments: str = "{}") -> dict[str, Any]:
    return {"id": f"c{index}", "type": "function", "function": {"name": f"f{index}", "arguments": arguments}}


def answer(*calls: Any, content: Any = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "tool_calls": list(calls)}
    return {
        "model": "m",
        "choices": [
            {"index": 0, "message": message, "logprobs": {"content": [{"token": "a"}]}, "finish_reason": "tool_calls"}
        ],
    }


def test_usage_counts_the_cached_part() -> None:
    used = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    assert CODEC.read_response({"choices": [], "usage": used}).usage == Usage(input=10, output=3, cache_read=8)


def test_logprobs_go_with_an_edited_text() -> None:
    response = CODEC.read_response(answer(content="secret"))
    (index,) = [i for i, part in enumerate(response.parts) if part.text == "secret"]
    assert (index, Remove(("choices", 0, "logprobs"))) in list(response.when_edited)


@pytest.mark.parametrize("content", [None, "", "before", [{"type": "text", "text": "before"}]])
def test_all_calls_are_cut(content: Any) -> None:
    document = answer(call(0), call(1), content=content)
    raw = orjson.dumps(document)
    response = CODEC.read_response(document)
    cut = orjson.loads(splice(raw, CODEC.cut_calls(document, response, {0: "NO 0", 1: "NO 1"})))
    (choice,) = cut["choices"]
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "stop"
    text = choice["message"]["content"]
    if isinstance(content, list):
        assert text == [*content, {"type": "text", "text": "NO 0\n\nNO 1"}]
    else:
        assert text == (f"{content}\n\n" if content else "") + "NO 0\n\nNO 1"


def test_a_call_that_stays_keeps_the_reason() -> None:
    document = answer(call(0), call(1))
    cut = orjson.loads(
        splice(
            orjson.dumps(document),
            CODEC.cut_calls(document, CODEC.read_response(document), {0: "NO"}),
        )
    )
    assert [item["id"] for item in cut["choices"][0]["message"]["tool_calls"]] == ["c1"]
    assert cut["choices"][0]["finish_reason"] == "tool_calls"
    assert cut["choices"][0]["message"]["content"] == "NO"


# streams


def chunk(delta: dict[str, Any], finish: str | None = None, choice: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": "x", "model": "m", "choices": [{"index": choice, "delta": delta, "finish_reason": finish} | more]}


def piece(index: int | None, arguments: str = "", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {} if index is None else {"index": index}
    name = more.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"tool_calls": [made | more | {"function": function}]}


PARALLEL = stream(
    chunk({"role": "assistant", "content": None}),
    chunk({"content": "Let me "}),
    chunk({"content": "see."}),
    chunk(piece(0, id="c0", type="function", name="a")),
    chunk(piece(0, '{"x"')),
    chunk(piece(1, id="c1", type="function", name="b")),
    chunk(piece(0, ":1}", id="")),
    chunk(piece(1, '{"y":2}')),
    chunk({}, "tool_calls"),
    {"id": "x", "model": "m", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
)


def test_a_stream_is_read() -> None:
    assert texts(CODEC, PARALLEL) == {
        ("text", 0): "Let me see.",
        ("tool_call", 0, 0): '{"x":1}',
        ("tool_call", 0, 1): '{"y":2}',
    }
    read = [reading for _, _, reading in readings(CODEC, PARALLEL)]
    opened = [item for reading in read for item in reading.opens]
    assert [(item.call_id, item.name, item.after_text) for item in opened] == [("c0", "a", True), ("c1", "b", True)]
    assert [set(reading.closes) for reading in read if reading.stop_reason] == [
        {("tool_call", 0, 0), ("tool_call", 0, 1)}
    ]
    assert [reading.usage for reading in read if reading.usage] == [Usage(input=5, output=2)]
    assert read[-1].end


def test_both_calls_of_a_stream_are_cut() -> None:
    message = chat_message(rewritten(CODEC, PARALLEL, {("tool_call", 0, 0): "NO a", ("tool_call", 0, 1): "NO b"}))
    assert message == {"content": "Let me see.\n\nNO a\n\nNO b", "calls": {}, "finish": "stop"}


@pytest.mark.parametrize(("cut", "kept"), [(0, ["b", '{"y":2}']), (1, ["a", '{"x":1}'])])
def test_a_call_that_stays_in_a_stream_is_number_0(cut: int, kept: list[str]) -> None:
    message = chat_message(rewritten(CODEC, PARALLEL, {("tool_call", 0, cut): "NO"}))
    assert message == {"content": "Let me see.\n\nNO", "calls": {0: kept}, "finish": "tool_calls"}


def test_without_cuts_nothing_is_rewritten() -> None:
    assert rewritten(CODEC, PARALLEL, {}) == PARALLEL


def test_choices_are_independent() -> None:
    raw = stream(
        chunk(piece(0, "{}", id="c0", name="a"), choice=0),
        chunk(piece(0, "{}", id="c1", name="b"), choice=1),
        chunk({}, "tool_calls", choice=0),
        chunk({}, "tool_calls", choice=1),
    )
    out = rewritten(CODEC, raw, {("tool_call", 1, 0): "NO"})
    assert chat_message(out, 0) == {"content": "", "calls": {0: ["a", "{}"]}, "finish": "tool_calls"}
    assert chat_message(out, 1) == {"content": "NO", "calls": {}, "finish": "stop"}


def test_a_whole_call_with_its_reason_in_one_chunk() -> None:
    raw = stream(chunk({"role": "assistant"} | piece(0, '{"x":1}', id="c", name="a"), "tool_calls"))
    (_, _, reading), _ = readings(CODEC, raw)
    assert reading.closes == [("tool_call", 0, 0)]
    assert chat_message(rewritten(CODEC, raw, {("tool_call", 0, 0): "NO"})) == {
        "content": "NO",
        "calls": {},
        "finish": "stop",
    }


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(None, "{", id="c0", name="a"), piece(None, "}"), piece(None, "[]", id="c1", name="b")],
        [piece(0, "{", name="a"), piece(0, "}"), piece(1, "[]", name="b")],
        [piece(0, "{}", id="c0", name="a"), piece(0, "[]", id="c1", name="b")],
        [piece(0, "{", id="c0", name="a"), piece(0, "}", id="", type=None), piece(1, "[]", id="c1", name="b")],
    ],
    ids=["no index", "no id", "one index for all", "id emptied"],
)
def test_calls_of_vendors(pieces: list[dict[str, Any]]) -> None:
    raw = stream(*map(chunk, pieces), chunk({}, "tool_calls"))
    assert texts(CODEC, raw) == {("tool_call", 0, 0): "{}", ("tool_call", 0, 1): "[]"}


def test_an_argument_object_in_the_place_of_a_text() -> None:
    delta = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": {"p": ".env"}}}]}
    (_, _, reading), _ = readings(CODEC, stream(chunk(delta)))
    assert reading.opens[-1].arguments == {"p": ".env"}
    assert [fragment.text for fragment in reading.fragments] == [".env"]


def test_a_legacy_call_is_cut() -> None:
    raw = stream(
        chunk({"function_call": {"name": "f", "arguments": "{"}}),
        chunk({"function_call": {"arguments": "}"}}),
        chunk({}, "function_call"),
    )
    assert texts(CODEC, raw) == {("tool_call", 0, 0): "{}"}
    out = rewritten(CODEC, raw, {("tool_call", 0, 0): "NO"})
    assert b"function_call" not in out
    assert chat_message(out) == {"content": "NO", "calls": {}, "finish": "stop"}


def test_reasoning_ends_where_the_answer_begins() -> None:
    raw = stream(
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "so"}),
        chunk({"reasoning_content": "again"}),
        chunk({}, "stop"),
    )
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert list(read[1].closes) == [("reasoning", 0, "reasoning_content")]
    assert read[2].fragments[0].channel == ("reasoning", 0, "reasoning_content", "again", 1)


def test_an_empty_list_of_calls_ends_no_text() -> None:
    raw = stream(*(chunk({"content": text, "tool_calls": []}) for text in "ab"), chunk({}, "stop"))
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert [list(reading.closes) for reading in read[:3]] == [[], [], [("text", 0)]]


def test_a_call_under_both_names_is_read_under_both() -> None:
    call = {"index": 0, "id": "i", "function": {"name": "f", "arguments": "{}"}, "custom": {"input": "hidden"}}
    read = [reading for _, _, reading in readings(CODEC, stream(chunk({"tool_calls": [call]})))]
    assert [fragment.text for fragment in read[0].fragments] == ["{}", "hidden"]


def test_signed_reasoning_is_sealed() -> None:
    detail = {"type": "reasoning.text", "text": "t", "index": 0}
    (_, _, reading), _ = readings(CODEC, stream(chunk({"reasoning": "t", "reasoning_details": [detail]})))
    assert list(reading.sealed) == [("reasoning", 0, "text", 0)]


def test_copies_of_a_text_go_when_it_is_edited() -> None:
    more: dict[str, Any] = {
        "logprobs": {"content": [{"token": "a"}]},
        "message": {"role": "assistant", "content": "so far"},
    }
    (_, _, reading), _ = readings(CODEC, stream(chunk({"content": "far"}, **more)))
    assert list(reading.when_edited) == [
        (("text", 0), Remove(("choices", 0, "logprobs"))),
        (("text", 0), Remove(("choices", 0, "message"))),
    ]
    assert [fragment.text for fragment in reading.fragments] == ["far", "so far"]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"error": {"message": "m", "failed_generation": "g"}}, ["m", "g"]),
        ({"error": "e"}, ["e"]),
        (
            chunk(
                {
                    "content": [
                        {"type": "text", "text": "t"},
                        {"type": "thinking", "thinking": [{"type": "text", "text": "h"}]},
                    ]
                }
            ),
            ["t", "h"],
        ),
        (chunk({"audio": {"id": "a", "data": "AA", "transcript": "t"}}), ["t", "AA"]),
        (chunk({"annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}]}), ["u", "t"]),
        (chunk({"refusal": "r", "channel": "analysis"}), ["r", "analysis"]),
        ({"choices": [], "prompt_filter_results": [{"x": "y"}]}, ["y"]),
        ("text", ["text"]),
        (["a"], ["a"]),
        (5, []),
        ({"choices": "c"}, ["c"]),
        ({"choices": ["c", None]}, ["c"]),
        (chunk({"tool_calls": "t"}), ["t"]),
        (chunk({"obfuscation": "t"}) | {"obfuscation": "pad", "p": "abc"}, ["t"]),
    ],
)
def test_other_events_are_read(event: Any, said: list[str]) -> None:
    reading = CODEC.stream_reader().read(event)
    assert [fragment.text for fragment in reading.fragments] == said


# what midstream says itself


def test_inject_extends_the_last_user_message_or_adds_one() -> None:
    for content, expected in (
        ("hi", "hi\n\nX"),
        ([{"type": "text", "text": "hi"}], [{"type": "text", "text": "hi"}, {"type": "text", "text": "X"}]),
    ):
        document = {"messages": [{"role": "user", "content": content}]}
        out = orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "X")))
        assert out["messages"] == [{"role": "user", "content": expected}]
    raw = orjson.dumps(REQUEST | {"messages": REQUEST["messages"][:-1]})
    out_raw = splice(raw, CODEC.inject(orjson.loads(raw), "X"))
    assert orjson.loads(out_raw)["messages"][-1] == {"role": "user", "content": "X"}
    assert out_raw.startswith(raw[: raw.index(b'],"tools"')]) or len(out_raw) > len(raw)
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({}, "X")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "invalid_request_error"),
        (403, "permission_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (502, "server_error"),
        (503, "server_error"),
    ],
)
def test_refusals(status: int, kind: str) -> None:
    error = orjson.loads(CODEC.refusal(status, "no"))["error"]
    assert (error["message"], error["type"], error["param"]) == ("no", kind, None)


def test_its_own_messages_are_read_back() -> None:
    response = CODEC.read_response(trees.parse(CODEC.message("m", "t")))
    assert (response.model, [part.text for part in response.parts], response.stop_reason) == ("m", ["t"], "stop")
    assert chat_message(said(CODEC, "t")) == {"content": "t", "calls": {}, "finish": "stop"}
