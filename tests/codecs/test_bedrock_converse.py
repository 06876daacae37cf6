"""Bedrock Converse: each block of wire-formats §5, each event of its streams, and what midstream says itself."""

from base64 import b64encode
from typing import Any

import orjson
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import Key, trees
from proxy.codecs.bedrock_converse import CODEC
from proxy.codecs.framings.event_stream import EventStream
from proxy.codecs.splicing import TextChange, splice
from proxy.decision import TextEdit
from proxy.events import Usage
from tests.codecs import recorded
from tests.codecs.any_json import anything, check_documents, check_events
from tests.codecs.event_frames import (
    chunk,
    chunks,
    client_answer,
    client_events,
    client_operation,
    event,
    grown,
    readings,
    rewritten,
    stream,
)

ANSWERED: list[dict[str, Any]] = [
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "S"}}},
    {"reasoningContent": {"reasoningText": {"text": "unsigned"}}},
    {"reasoningContent": {"redactedContent": "UkVE"}},
    {"text": "see"},
    {"toolUse": {"toolUseId": "t1", "name": "Read", "input": {"path": ".env", "a@b.example": 4111111111111111}}},
    {"toolUse": {"toolUseId": "s1", "name": "web", "input": {"query": "q"}, "type": "server_tool_use"}},
    {"toolResult": {"toolUseId": "s1", "content": [{"text": "found"}], "type": "web_result", "status": "success"}},
    {
        "citationsContent": {
            "content": [{"text": "said"}],
            "citations": [
                {
                    "title": "T",
                    "source": "src",
                    "sourceContent": [{"text": "quoted"}],
                    "location": {"web": {"url": "https://u", "domain": "d"}},
                }
            ],
        }
    },
]
ASKED: list[dict[str, Any]] = [
    {
        "toolResult": {
            "toolUseId": "t1",
            "content": [{"text": "out"}, {"json": {"text": "deep", "k-1": 5}}],
            "status": "error",
        }
    },
    {"toolResult": {"toolUseId": "t2", "content": [{"image": {"format": "png", "source": {"bytes": "AAAA"}}}]}},
    {
        "toolResult": {
            "toolUseId": "t3",
            "content": [{"document": {"format": "md", "name": "n3", "source": {"bytes": "aGk="}}}],
        }
    },
    {
        "toolResult": {
            "toolUseId": "t4",
            "content": [{"searchResult": {"source": "s4", "title": "t4!", "content": [{"text": "x4"}]}}],
        }
    },
    {"toolResult": {"toolUseId": "t5"}},
    {"image": {"format": "png", "source": {"bytes": "BBBB"}, "error": {"message": "bad"}}},
    {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/i", "bucketOwner": "1"}}}},
    {"video": {"format": "mp4", "source": {"bytes": "CCCC"}}},
    {"audio": {"format": "mp3", "source": {"bytes": "DDDD"}}},
    {"document": {"format": "pdf", "name": "doc", "context": "ctx", "source": {"bytes": "EEEE"}}},
    {"document": {"format": "txt", "name": "doc2", "source": {"text": "plain"}}},
    {"document": {"format": "txt", "name": "doc3", "source": {"content": [{"text": "piece"}]}}},
    {"guardContent": {"text": {"text": "guarded", "qualifiers": ["query"]}}},
    {"searchResult": {"source": "s", "title": "t", "content": [{"text": "hit"}], "citations": {"enabled": True}}},
    {"toolAddition": {"tool": {"type": "tool_reference", "name": "added", "serverName": "srv"}}},
    {"toolRemoval": {"tool": {"type": "tool_reference", "name": "removed"}}},
    {"brandNew": {"body": {"deep": "new text"}}},
    {"cachePoint": {"type": "default", "ttl": "5m"}},
]
REQUEST: dict[str, Any] = {
    "system": [{"text": "sys"}, {"guardContent": {"text": {"text": "sysguard"}}}, {"cachePoint": {"type": "default"}}],
    "messages": [
        {"role": "user", "content": [{"text": "hi"}]},
        {"role": "assistant", "content": ANSWERED},
        {"role": "user", "content": ASKED},
        {"role": "system", "content": [{"text": "mid"}]},
    ],
    "inferenceConfig": {"maxTokens": 9, "stopSequences": ["STOP"]},
    "toolConfig": {
        "tools": [
            {"toolSpec": {"name": "Read", "description": "reads", "inputSchema": {"json": {"type": "object"}}}},
            {"systemTool": {"name": "web"}},
            {"cachePoint": {"type": "default"}},
        ]
    },
    "promptVariables": {"who-is": {"text": "Ada"}},
    "requestMetadata": {"type": "tenant"},
    "additionalModelRequestFields": {"thinking": {"type": "enabled"}},
    "outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": '{"title":"schema"}', "name": "N"}}}},
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert recorded.misplaced(REQUEST, request) == []
    assert (request.max_output, request.turn, list(request.tools)) == (9, 1, ["Read", "web"])
    assert request.calls["t1"] == ("Read", {"path": ".env", "a@b.example": 4111111111111111})
    said = {part.text: part for part in request.parts}
    sealed = {text for text, part in said.items() if part.sealed}
    assert sealed == {"hm", "S", "UkVE", "AAAA", "BBBB", "CCCC", "DDDD", "EEEE", "Read", "web"}
    expected = {
        "sys": ("system", "text", False),
        "sysguard": ("system", "text", False),
        "hi": ("user", "text", False),
        "unsigned": ("assistant", "reasoning", False),
        ".env": ("assistant", "tool_call", False),
        "q": ("assistant", "tool_call", False),
        "found": ("tool", "tool_result", False),
        "quoted": ("assistant", "text", False),
        "out": ("tool", "tool_result", True),
        "deep": ("tool", "tool_result", True),
        "x4": ("tool", "tool_result", True),
        "bad": ("user", "media", True),
        "AAAA": ("tool", "media", True),
        "ctx": ("user", "text", True),
        "plain": ("user", "text", True),
        "piece": ("user", "text", True),
        "guarded": ("user", "text", True),
        "hit": ("user", "text", True),
        "added": ("system", "tool_definition", True),
        "removed": ("system", "tool_definition", True),
        "new text": ("other", "text", True),
        "mid": ("system", "text", True),
        "reads": ("system", "tool_definition", False),
        "tenant": ("other", "text", False),
        "Ada": ("other", "text", False),
    }
    assert {text: (said[text].role, said[text].kind, said[text].new) for text in expected} == expected
    base = ("messages", 1, "content", 4, "toolUse", "input")
    assert said["a@b.example"].path == (*base, Key("a@b.example"))
    assert said["4111111111111111"].path == (*base, "a@b.example")
    assert said['{"title":"schema"}'].json


def test_results_name_their_call() -> None:
    request = CODEC.read_request(REQUEST)
    assert [(r.call_id, r.name, r.is_error, r.new) for r in request.results] == [
        ("t1", "Read", True, True),
        ("t2", "", False, True),
        ("t3", "", False, True),
        ("t4", "", False, True),
    ]
    first = request.results[0]
    assert first.content == ("messages", 2, "content", 0, "toolResult", "content")
    assert [request.parts[index].text for index in first.parts] == ["out", "deep", "k-1", "error"]


def test_a_denied_result_says_so() -> None:
    request = CODEC.read_request(REQUEST)
    out = orjson.loads(splice(orjson.dumps(REQUEST), CODEC.deny_result(REQUEST, request.results[0], "NO")))
    assert out["messages"][2]["content"][0] == {
        "toolResult": {"toolUseId": "t1", "content": [{"text": "NO"}], "status": "error"}
    }
    assert out["messages"][2]["content"][1:] == ASKED[1:]


def request_errors(document: Any) -> str:
    """What botocore finds wrong in a request."""
    report = ParamValidator().validate({"modelId": "m"} | document, client_operation("Converse").input_shape)
    return str(report.generate_report())


def test_what_is_put_into_a_request_is_valid() -> None:
    document = {"messages": [{"role": "user", "content": [*ASKED[:2], {"cachePoint": {"type": "default"}}]}]}
    raw = orjson.dumps(document)
    result = CODEC.read_request(document).results[0]
    out = splice(raw, [*CODEC.deny_result(document, result, "NO"), *CODEC.inject(document, "X")])
    assert request_errors(orjson.loads(out)) == ""
    assert orjson.loads(out)["messages"][0]["content"][2:] == [{"cachePoint": {"type": "default"}}, {"text": "X"}]


def test_a_prefill_is_new() -> None:
    messages = [*REQUEST["messages"], {"role": "assistant", "content": [{"text": "I"}]}]
    request = CODEC.read_request({"messages": messages})
    assert request.turn == 1
    assert [part.text for part in request.parts if part.new][-1] == "I"


ODD = anything(
    [
        *("messages", "content", "role", "text", "toolUse", "toolResult", "document", "source", "bytes", "format"),
        *("output", "message", "input", "name", "contentBlockIndex", "delta", "start", "contentBlockDelta"),
        *("messageStop", "reasoningContent", "stopReason", "usage", "p", "toolConfig", "tools", "toolSpec"),
        *("outputConfig", "additionalModelResponseFields", "json", "txt", "system", "metadata", "signature"),
    ]
)


@given(ODD)
def test_any_json_is_read(document: Any) -> None:
    check_documents(CODEC, document)
    raw = orjson.dumps(document)
    parts = CODEC.read_request(CODEC.syntax.parse(raw)).parts
    changes = [TextChange(part.path, ()) for part in parts if isinstance(_at(document, part.path), str)]
    assert orjson.loads(CODEC.syntax.splice(raw, changes)) == document


def _at(document: Any, path: Any) -> Any:
    for step in path:
        document = None if isinstance(step, Key) else document[step]
    return document


@given(st.lists(ODD, max_size=4))
def test_any_event_is_read(documents: list[Any]) -> None:
    check_events(CODEC, documents)


# documents whose bytes are text


def document_of(kind: str, encoded: str) -> dict[str, Any]:
    block = {"document": {"format": kind, "name": "n", "source": {"bytes": encoded}}}
    return {"messages": [{"role": "user", "content": [block, {"text": "t"}]}]}


PLACE = ("messages", 0, "content", 0, "document", "source", "bytes")


def test_a_text_document_is_read_decoded() -> None:
    raw = orjson.dumps(document_of("csv", b64encode("key,Grüße".encode()).decode()))
    request = CODEC.read_request(CODEC.syntax.parse(raw))
    (part,) = (part for part in request.parts if part.path == PLACE)
    assert (part.text, part.sealed, part.kind) == ("key,Grüße", False, "text")
    edits = [TextChange(PLACE, [TextEdit(4, 9, "[x]")]), TextChange(PLACE, [TextEdit(0, 1, "K")])]
    out = CODEC.syntax.splice(raw, [*edits, TextChange(("messages", 0, "content", 1, "text"), [TextEdit(0, 1, "T")])])
    assert orjson.loads(out) == {
        "messages": [
            {
                "role": "user",
                "content": [
                    document_of("csv", b64encode(b"Key,[x]").decode())["messages"][0]["content"][0],
                    {"text": "T"},
                ],
            }
        ]
    }


@pytest.mark.parametrize(("kind", "encoded"), [("pdf", "aGk="), ("docx", "aGk="), ("txt", "no base64!")])
def test_other_documents_stay(kind: str, encoded: str) -> None:
    raw = orjson.dumps(document_of(kind, encoded))
    request = CODEC.read_request(CODEC.syntax.parse(raw))
    (part,) = (part for part in request.parts if part.path == PLACE)
    assert part.text == encoded
    assert part.sealed is (kind != "txt")


def test_bytes_that_are_no_text_come_back() -> None:
    raw = orjson.dumps(document_of("txt", b64encode(b"\xff\x00sk").decode()))
    out = CODEC.syntax.splice(raw, [TextChange(PLACE, [TextEdit(2, 4, "[]")])])
    assert out == orjson.dumps(document_of("txt", b64encode(b"\xff\x00[]").decode()))


# whole answers

ANSWER: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"text": "see"},
                {"toolUse": {"toolUseId": "s1", "name": "web", "input": {}, "type": "server_tool_use"}},
                {
                    "toolResult": {
                        "toolUseId": "s1",
                        "content": [{"text": "found"}],
                        "status": "error",
                        "type": "web_result",
                    }
                },
                {"toolUse": {"toolUseId": "t1", "name": "a", "input": {}}},
                {"toolUse": {"toolUseId": "t2", "name": "b", "input": {"x": 1}, "type": "tool_use"}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {
        "inputTokens": 1,
        "cacheWriteInputTokens": 2,
        "cacheReadInputTokens": 4,
        "outputTokens": 8,
        "totalTokens": 15,
    },
    "metrics": {"latencyMs": 1},
    "additionalModelResponseFields": {"stop_sequence": "END"},
    "trace": {
        "guardrail": {
            "modelOutput": ["blocked"],
            "outputAssessments": {
                "g1-id": [{"sensitiveInformationPolicy": {"piiEntities": [{"match": "a@b.example"}]}}]
            },
        }
    },
}


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert recorded.unread(ANSWER, response) == []
    assert response.usage == Usage(input=7, output=8, cache_read=4, cache_write=2)
    assert response.stop_reason == "tool_use"
    assert [(call.call_id, call.name, call.by_provider) for call in response.calls] == [
        ("s1", "web", True),
        ("t1", "a", False),
        ("t2", "b", False),
    ]
    (result,) = response.results
    assert (result.call_id, result.name, result.is_error) == ("s1", "web", True)
    assert result.content == ("output", "message", "content", 2, "toolResult", "content")
    assert "found" in {response.parts[index].text for index in result.parts}
    said = {part.text for part in response.parts if not part.sealed}
    assert {"see", "blocked", "a@b.example", "g1-id", "END"} <= said


def test_novas_token_counts() -> None:
    used = {"inputTokens": 5.0, "outputTokens": 2, "cacheReadInputTokenCount": 3, "cacheWriteInputTokenCount": 1}
    assert CODEC.read_response({"usage": used}).usage == Usage(input=9, output=2, cache_read=3, cache_write=1)


@pytest.mark.parametrize(
    ("cuts", "kinds", "stop"),
    [
        ({1: "NO"}, ["text", "toolUse", "toolResult", "text", "toolUse"], "tool_use"),
        ({1: "NO", 2: "NO"}, ["text", "toolUse", "toolResult", "text", "text"], "end_turn"),
    ],
)
def test_cut_calls(cuts: dict[int, str], kinds: list[str], stop: str) -> None:
    response = CODEC.read_response(ANSWER)
    raw = splice(orjson.dumps(ANSWER), CODEC.cut_calls(ANSWER, response, cuts))
    cut = client_answer("Converse", raw)
    assert [next(iter(block)) for block in cut["output"]["message"]["content"]] == kinds
    assert cut["output"]["message"]["content"][3] == {"text": "NO"}
    assert cut["stopReason"] == stop
    assert request_errors({"messages": [cut["output"]["message"]]}) == ""


# streams


def start(index: int, **what: Any) -> dict[str, Any]:
    return {"contentBlockStart": {"contentBlockIndex": index, "start": what, "p": "abc"}}


def delta(index: int, **what: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": what, "p": "abcd"}}


def stop(index: int) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": index, "p": "a"}}


def use(index: int, call_id: str, name: str, *pieces: str, **more: Any) -> list[dict[str, Any]]:
    begun = start(index, toolUse={"toolUseId": call_id, "name": name} | more)
    return [begun, *(delta(index, toolUse={"input": piece}) for piece in pieces), stop(index)]


EVENTS = [
    {"messageStart": {"role": "assistant", "p": "abcde"}},
    delta(0, reasoningContent={"text": "h"}),
    delta(0, reasoningContent={"text": "m"}),
    delta(0, reasoningContent={"signature": "S"}),
    stop(0),
    delta(1, text="Let me"),
    delta(1, text=" see"),
    stop(1),
    *use(2, "t1", "a", "", '{"x":', "1}"),
    *use(3, "t2", "b", "{}"),
    {"messageStop": {"stopReason": "tool_use"}},
    {
        "metadata": {
            "usage": {"inputTokens": 1, "outputTokens": 7, "totalTokens": 10, "cacheReadInputTokens": 2},
            "metrics": {"latencyMs": 3},
        }
    },
]
STREAM = stream(*EVENTS)
WRAPPED = chunks(*EVENTS)
"""As InvokeModel for Nova sends it."""


@pytest.mark.parametrize("raw", [STREAM, WRAPPED], ids=["converse", "nova"])
def test_a_stream_is_read(raw: bytes) -> None:
    assert grown(CODEC, raw) == {
        ("reasoning", 0): "hm",
        ("text", 1): "Let me see",
        ("tool_call", 2): '{"x":1}',
        ("tool_call", 3): "{}",
    }
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert any(("reasoning", 0) in reading.sealed for reading in read)
    assert [(c.call_id, c.name, c.arguments, c.after_text) for r in read for c in r.opens] == [
        ("t1", "a", None, True),
        ("t2", "b", None, True),
    ]
    assert [reading.usage for reading in read if reading.usage] == [Usage(input=3, output=7, cache_read=2)]
    assert [reading.stop_reason for reading in read if reading.stop_reason] == ["tool_use"]
    assert [c for reading in read for c in reading.closes if "once" not in c] == [
        ("reasoning", 0),
        ("text", 1),
        ("tool_call", 2),
        ("tool_call", 3),
    ]
    once = [f.text for r in read for f in r.fragments if "once" in f.channel]
    assert once == ["S"], "padding is no text"


def view(raw: bytes) -> dict[str, Any]:
    """A client's view of a Converse stream: blocks by index, as boto3's own examples assemble them."""
    blocks: dict[int, list[str]] = {}
    reason = None
    for said in client_events("ConverseStream", raw):
        if "contentBlockStart" in said:
            call = said["contentBlockStart"]["start"]["toolUse"]
            blocks[said["contentBlockStart"]["contentBlockIndex"]] = ["toolUse", call["name"] + " "]
        elif "contentBlockDelta" in said:
            for kind, value in said["contentBlockDelta"]["delta"].items():
                block = blocks.setdefault(said["contentBlockDelta"]["contentBlockIndex"], [kind, ""])
                assert block[0] == kind
                block[1] += value["input"] if kind == "toolUse" else str(value)
        elif "messageStop" in said:
            reason = said["messageStop"]["stopReason"]
    return {"blocks": [tuple(blocks[index]) for index in sorted(blocks) if index], "stop": reason}


def test_both_calls_of_a_stream_are_cut() -> None:
    out = rewritten(CODEC, STREAM, {("tool_call", 2): "NO a", ("tool_call", 3): "NO b"})
    assert view(out) == {
        "blocks": [("text", "Let me see"), ("text", "\n\nNO a"), ("text", "\n\nNO b")],
        "stop": "end_turn",
    }


@pytest.mark.parametrize("cut", [2, 3])
def test_a_call_that_stays_keeps_the_reason(cut: int) -> None:
    out = view(rewritten(CODEC, STREAM, {("tool_call", cut): "NO"}))
    assert [kind for kind, _ in out["blocks"]] == (
        ["text", "text", "toolUse"] if cut == 2 else ["text", "toolUse", "text"]
    )
    assert out["stop"] == "tool_use"


def test_calls_are_cut_out_of_wrapped_streams() -> None:
    out = rewritten(CODEC, WRAPPED, {("tool_call", 2): "NO a", ("tool_call", 3): "NO b"})
    framing = EventStream()
    said = [orjson.loads(frame.data) for frame in framing.feed(out)]
    assert {frame.name for frame in EventStream().feed(out)} == {"chunk"}
    unwrapped = stream(*said)
    assert view(unwrapped)["blocks"][1:] == [("text", "\n\nNO a"), ("text", "\n\nNO b")]
    assert view(unwrapped)["stop"] == "end_turn"


def test_without_cuts_nothing_is_rewritten() -> None:
    assert rewritten(CODEC, STREAM, {}) == STREAM


def test_blocks_interleave() -> None:
    begun = [start(0, toolUse={"toolUseId": "a", "name": "x"}), start(1, toolUse={"toolUseId": "b", "name": "y"})]
    pieces = [delta(1, toolUse={"input": "{"}), delta(0, toolUse={"input": "["}), delta(1, toolUse={"input": "}"})]
    raw = stream(*begun, *pieces, stop(1), stop(0), {"messageStop": {"stopReason": "tool_use"}})
    assert grown(CODEC, raw) == {("tool_call", 0): "[", ("tool_call", 1): "{}"}
    assert view(rewritten(CODEC, raw, {("tool_call", 1): "NO"}))["blocks"] == [("text", "NO")]


def test_blocks_that_nothing_stops_close_with_the_message() -> None:
    read = [
        reading for _, _, reading in readings(CODEC, stream(delta(0, text="a"), {"messageStop": {"stopReason": "x"}}))
    ]
    assert read[1].closes == [("text", 0)]
    read = [reading for _, _, reading in readings(CODEC, stream(delta(0, text="a")))]
    assert read[-1].closes == [("text", 0)]


def test_a_call_whose_input_comes_whole() -> None:
    raw = stream(start(0, toolUse={"toolUseId": "t", "name": "a"}), delta(0, toolUse={"input": {"p": ".env"}}), stop(0))
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert read[1].opens[0].arguments == {"p": ".env"}
    assert [fragment.text for fragment in read[1].fragments] == [".env"]
    raw = stream(start(0, toolUse={"toolUseId": "t", "name": "a", "input": {"p": ".env"}}), stop(0))
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert read[0].opens[0].arguments == {"p": ".env"}


def test_calls_of_the_providers_own_tools_are_told() -> None:
    raw = stream(
        *use(0, "s", "web", '{"q":"x"}', type="server_tool_use"),
        start(1, toolResult={"toolUseId": "s", "type": "web_result", "status": "success"}),
        delta(1, toolResult=[{"text": "found"}]),
        delta(1, toolResult=[{"text": "more"}, {"json": {"k": "v"}}]),
        stop(1),
        *use(2, "t", "mine", "{}"),
        {"messageStop": {"stopReason": "tool_use"}},
    )
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert [(opened.name, opened.by_provider) for reading in read for opened in reading.opens] == [
        ("web", True),
        ("mine", False),
    ]
    results = [
        (r.call_id, r.name, [reading.fragments[i].text for i in r.parts]) for reading in read for r in reading.results
    ]
    assert results == [("s", "web", ["found"]), ("s", "web", ["more", "v"])]
    assert [list(reading.calls) for reading in read if reading.stop_reason] == [[("tool_call", 2)]]
    (end,) = (
        e
        for e in client_events("ConverseStream", rewritten(CODEC, raw, {("tool_call", 2): "NO"}))
        if "messageStop" in e
    )
    assert end["messageStop"]["stopReason"] == "end_turn"


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ({"message": "m"}, ["m"]),
        ({"message": "m", "originalMessage": "o", "originalStatusCode": 500}, ["m", "o"]),
        ({"messageStop": {"stopReason": "end_turn", "additionalModelResponseFields": {"type": "END"}}}, ["END"]),
        ({"stopReason": "end_turn", "additionalModelResponseFields": {"delta": {"x": "END"}}}, ["END"]),
        ({"usage": {"inputTokens": 1}, "trace": {"guardrail": {"modelOutput": ["b"]}}}, ["b"]),
        ({"contentBlockIndex": 0, "start": {}}, []),
        ({"contentBlockIndex": 0, "start": {"image": {"format": "png"}}}, []),
        ({"contentBlockIndex": 0, "start": {"brandNew": {"x": "y"}}}, ["y"]),
        ({"contentBlockIndex": 0, "delta": {"citation": {"title": "T", "sourceContent": [{"text": "q"}]}}}, ["T", "q"]),
        (
            {"contentBlockIndex": 0, "delta": {"image": {"source": {"bytes": "AAAA"}, "error": {"message": "e"}}}},
            ["AAAA", "e"],
        ),
        ({"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": "R"}}}, ["R"]),
        ({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "t", "more": "u"}}}, ["t", "u"]),
        ({"contentBlockIndex": 0, "delta": {"brandNew": "grows"}}, ["grows"]),
        ({"contentBlockIndex": 0, "delta": {"brandNew": {"x": "y"}}}, ["y"]),
        ({"contentBlockIndex": 0, "delta": {"text": "t", "toolUse": {"input": "{", "x": "y"}}}, ["t", "{", "y"]),
        ({"contentBlockIndex": 0, "delta": {"toolResult": ["odd", {"text": 5, "z": "w"}]}}, ["odd", "w"]),
        ({"contentBlockIndex": 0, "delta": "odd", "start": ["odder"]}, ["odd", "odder"]),
        ({"contentBlockIndex": "odd"}, ["odd"]),
        ({"role": "assistant", "p": "secret"}, ["secret"]),
        ({"brandNew": {"x": "y"}}, ["y"]),
        (
            {"metadata": {"usage": {}}, "amazon-bedrock-trace": {"guardrail": {"modelOutput": ["b"]}}},
            ["amazon-bedrock-trace", "b"],
        ),
        ("text", ["text"]),
        (["a"], ["a"]),
        (5, []),
    ],
)
def test_other_events_are_read(said: Any, texts: list[str]) -> None:
    reading = CODEC.stream_reader().read(said)
    assert sorted(fragment.text for fragment in reading.fragments) == sorted(texts)


def test_signatures_are_sealed() -> None:
    for sealed in ({"signature": "S"}, {"redactedContent": "R"}):
        reading = CODEC.stream_reader().read({"contentBlockIndex": 0, "delta": {"reasoningContent": sealed}})
        assert [fragment.channel for fragment in reading.fragments] == list(reading.sealed)


def test_many_calls_are_read_in_time() -> None:
    raw = stream(*(event for index in range(10_000) for event in use(index, f"t{index}", "a", "{}")))
    assert len(grown(CODEC, raw)) == 10_000


def test_an_exception_is_an_event() -> None:
    raw = event("messageStart", b'{"role":"assistant"}') + EventStream().encode(
        EventStream().feed(chunk(b"{}"))[0]._replace(name="throttlingException", data=b'{"message":"slow"}')  # type: ignore[arg-type]  # any name and data
    )
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert [fragment.text for fragment in read[1].fragments] == ["slow"]


# what midstream says itself


def test_inject_ends_the_last_user_message() -> None:
    document = {
        "messages": [
            {"role": "user", "content": [{"text": "hi"}, {"cachePoint": {"type": "default"}}]},
            {"role": "assistant", "content": [{"text": "{"}]},
        ]
    }
    raw = orjson.dumps(document)
    out = splice(raw, CODEC.inject(document, "X"))
    assert orjson.loads(out)["messages"][0]["content"][1:] == [{"cachePoint": {"type": "default"}}, {"text": "X"}]
    at = raw.index(b']},{"role":"assistant"')
    assert out[:at] == raw[:at]


@pytest.mark.parametrize("messages", [[], [{"role": "user", "content": "odd"}], [{"role": "assistant", "content": []}]])
def test_inject_needs_a_user(messages: Any) -> None:
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({"messages": messages}, "X")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ValidationException"),
        (401, "UnrecognizedClientException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (429, "ThrottlingException"),
        (502, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ],
)
def test_refusals(status: int, code: str) -> None:
    error = client_answer("Converse", CODEC.refusal(status, "no"), status)["Error"]
    assert error == {"Code": code, "Message": "no"}


def test_its_own_messages_are_read_back() -> None:
    raw = CODEC.message("m", "t")
    response = CODEC.read_response(trees.parse(raw))
    assert ([part.text for part in response.parts], response.stop_reason) == (["t"], "end_turn")
    assert client_answer("Converse", raw)["output"]["message"]["content"] == [{"text": "t"}]
    out = b"".join(EventStream().encode(event) for event in CODEC.message_stream(None, "t"))
    said = client_events("ConverseStream", out)
    assert [next(iter(event)) for event in said] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert said[1]["contentBlockDelta"]["delta"] == {"text": "t"}
