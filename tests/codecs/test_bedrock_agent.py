"""Bedrock's agents, knowledge bases and flows: what is asked, answered, traced, cited and returned to the client."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import trees
from proxy.codecs.bedrock_agent import CODEC, FLOW, RETRIEVAL
from proxy.codecs.codec import Codec
from proxy.codecs.framings.event_stream import EventStream
from proxy.codecs.splicing import Remove, splice
from proxy.events import Usage
from tests.codecs import recorded
from tests.codecs.any_json import anything, check_documents, check_events
from tests.codecs.event_frames import chunk, client_answer, client_events, event, grown, readings, rewritten, stream

AGENT = "bedrock-agent-runtime"
FUNCTION = {
    "functionResult": {
        "actionGroup": "g",
        "function": "get_time",
        "responseBody": {"TEXT": {"body": "noon"}},
        "responseState": "FAILURE",
    }
}
API = {
    "apiResult": {
        "actionGroup": "g",
        "apiPath": "/time",
        "httpMethod": "GET",
        "responseBody": {"application/json": {"body": '{"t":1}'}, "text/plain": {"body": "one"}},
    }
}
REQUEST: dict[str, Any] = {
    "inputText": "hi",
    "foundationModel": "amazon.nova-lite-v1:0",
    "instruction": "be kind",
    "actionGroups": [
        {"actionGroupName": "g", "functionSchema": {"functions": [{"name": "get_time", "description": "tells"}]}}
    ],
    "sessionState": {
        "conversationHistory": {
            "messages": [
                {"role": "user", "content": [{"text": "before"}]},
                {"role": "assistant", "content": [{"text": "answered"}]},
                {"role": "user", "content": [{"text": "after"}]},
            ]
        },
        "invocationId": "i-1",
        "returnControlInvocationResults": [FUNCTION, API, {"brandNew": {"x": "y"}}],
        "sessionAttributes": {"function": "attribute"},
        "promptSessionAttributes": {"who-is": "Ada"},
        "files": [{"name": "f", "source": {"byteContent": {"mediaType": "text/csv", "data": "AAAA"}}}],
    },
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert (request.model, request.stream, request.turn, list(request.tools)) == (
        "amazon.nova-lite-v1:0",
        True,
        1,
        ["get_time"],
    )
    said = {part.text: part for part in request.parts}
    assert [
        (said[text].role, said[text].kind, said[text].new) for text in ("hi", "be kind", "before", "after", "noon")
    ] == [
        ("user", "text", True),
        ("system", "text", True),
        ("user", "text", False),
        ("user", "text", True),
        ("tool", "tool_result", True),
    ]
    assert all(said[text].sealed for text in ("i-1", "/time", "GET"))
    assert not any(said[text].sealed for text in ("attribute", "Ada", "noon", "tells"))


def test_results_are_read_and_denied() -> None:
    request = CODEC.read_request(REQUEST)
    assert [(result.call_id, result.name, result.is_error) for result in request.results] == [
        ("i-1", "get_time", True),
        ("i-1", "/time", False),
    ]
    changes = [change for result in request.results for change in CODEC.deny_result(REQUEST, result, "NO")]
    out = orjson.loads(splice(orjson.dumps(REQUEST), changes))
    state = out["sessionState"]["returnControlInvocationResults"]
    assert state[0]["functionResult"]["responseBody"] == {"TEXT": {"body": "NO"}}
    assert state[1]["apiResult"]["responseBody"] == {"application/json": {"body": "NO"}, "text/plain": {"body": "NO"}}


def test_a_question_to_a_knowledge_base_is_read() -> None:
    document = {
        "input": {"text": "q"},
        "retrieveAndGenerateConfiguration": {"type": "KNOWLEDGE_BASE"},
        "sessionId": "s",
    }
    request = RETRIEVAL.read_request(document)
    assert recorded.unread(document, request) == []
    assert not request.stream
    assert next((part.text, part.role) for part in request.parts if not part.sealed) == ("q", "user")


def test_a_flows_input_is_read() -> None:
    document = {"inputs": [{"content": {"document": {"name": "x"}}, "nodeName": "n", "nodeOutputName": "document"}]}
    assert recorded.unread(document, FLOW.read_request(document)) == []


CITED = {
    "generatedResponsePart": {"textResponsePart": {"text": "Telos is", "span": {"start": 0, "end": 7}}},
    "retrievedReferences": [
        {"content": {"text": "paper"}, "location": {"type": "S3", "s3Location": {"uri": "s3://b/k"}}}
    ],
}
PART = ("generatedResponsePart", "textResponsePart", "span")


def test_a_knowledge_bases_answer_is_read() -> None:
    document = {
        "citations": [CITED, 5, {}],
        "output": {"text": "Telos is a language"},
        "sessionId": "s",
        "guardrailAction": "NONE",
    }
    response = RETRIEVAL.read_response(document)
    assert recorded.unread(document, response) == []
    assert [part.text for part in response.parts if part.role == "assistant"] == ["Telos is a language"]
    assert {"Telos is", "paper", "s3://b/k"} <= {part.text for part in response.parts}
    assert response.when_edited == [(0, Remove(("citations", 0, *PART)))]


# streams


def trace(**step: Any) -> dict[str, Any]:
    return {"trace": {"agentId": "A", "sessionId": "s", "trace": {"orchestrationTrace": step}}}


RETURNED = {
    "returnControl": {
        "invocationId": "i-1",
        "invocationInputs": [
            {
                "functionInvocationInput": {
                    "actionGroup": "g",
                    "function": "get_time",
                    "parameters": [{"name": "zone", "type": "string", "value": "UTC"}],
                }
            },
            {
                "apiInvocationInput": {
                    "actionGroup": "g",
                    "apiPath": "/time",
                    "httpMethod": "POST",
                    "requestBody": {
                        "content": {
                            "application/json": {"properties": [{"name": "at", "type": "string", "value": ".env"}]}
                        }
                    },
                }
            },
        ],
    }
}
STREAM = (
    stream(
        trace(modelInvocationInput={"text": '{"system":"be kind"}', "foundationModel": "m", "traceId": "t"}),
        trace(
            modelInvocationOutput={
                "metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}},
                "rawResponse": {"content": '{"answer":"x"}'},
                "reasoningContent": {"reasoningText": {"text": "sealed thought", "signature": "S"}},
            }
        ),
        trace(rationale={"text": "because", "traceId": "t"}),
        trace(
            invocationInput={"actionGroupInvocationInput": {"function": "f", "executionType": "LAMBDA", "verb": "get"}}
        ),
        trace(observation={"actionGroupInvocationOutput": {"text": "lambda said"}, "type": "ACTION_GROUP"}),
        trace(modelInvocationOutput={"metadata": {"usage": {"inputTokens": 1, "outputTokens": 1}}}),
    )
    + chunk(b"Telos is")
    + chunk(b" good", attribution={"citations": [CITED]})
    + stream(RETURNED, {"files": {"files": [{"name": "n", "type": "text/csv", "bytes": "AAAA"}]}})
)


def test_a_stream_is_read() -> None:
    assert grown(CODEC, STREAM) == {("text", 0): "Telos is good"}
    read = readings(CODEC, STREAM)
    once = {
        fragment.text: (fragment.channel[0], fragment.channel in reading.sealed)
        for _, _, reading in read
        for fragment in reading.fragments
    }
    expected = {
        '{"system":"be kind"}': ("tool_call", False),
        '{"answer":"x"}': ("tool_call", False),
        "sealed thought": ("reasoning", True),
        "because": ("reasoning", False),
        "lambda said": ("tool_result", False),
        "get": ("tool_call", False),
        "t": ("reasoning", True),
        "paper": ("text", False),
        "AAAA": ("media", True),
        "UTC": ("tool_call", False),
        ".env": ("tool_call", False),
    }
    assert {text: once[text] for text in expected} == expected
    assert [reading.usage for _, _, reading in read if reading.usage] == [
        Usage(input=3, output=4),
        Usage(input=4, output=5),
    ]
    assert [reading.model for _, _, reading in read if reading.model] == ["m"]
    assert [change for _, _, reading in read for change in reading.when_edited] == [
        (("text", 0), Remove(("attribution", "citations", 0, *PART)))
    ]
    assert read[-1][2].closes == [("text", 0)]


def test_calls_are_what_the_client_carries_out() -> None:
    opened = [opened for _, _, reading in readings(CODEC, STREAM) for opened in reading.opens]
    assert [(call.call_id, call.name, call.arguments, call.after_text) for call in opened] == [
        ("i-1", "get_time", {"zone": "UTC"}, True),
        ("i-1", "/time", {"at": ".env"}, True),
    ]


def view(raw: bytes) -> dict[str, Any]:
    """A client's view of an agent's answer."""
    events = client_events("InvokeAgent", raw, AGENT)
    text = b"".join(event["chunk"]["bytes"] for event in events if "chunk" in event).decode()
    returned = [event["returnControl"]["invocationInputs"] for event in events if "returnControl" in event]
    return {"text": text, "calls": [next(iter(item)) for items in returned for item in items]}


@pytest.mark.parametrize(
    ("cuts", "text", "calls"),
    [
        ({}, "Telos is good", ["functionInvocationInput", "apiInvocationInput"]),
        ({0: "NO"}, "Telos is good\n\nNO", ["apiInvocationInput"]),
        ({0: "NO", 1: "NEITHER"}, "Telos is good\n\nNO\n\nNEITHER", []),
    ],
)
def test_calls_are_cut(cuts: dict[int, str], text: str, calls: list[str]) -> None:
    out = rewritten(CODEC, STREAM, {("tool_call", 1, index): notice for index, notice in cuts.items()})
    assert view(out) == {"text": text, "calls": calls}
    if not cuts:
        assert out == STREAM


def test_an_answer_that_is_json_is_read() -> None:
    for raw, texts in (
        (chunk(b'{"answer": "x", "k-1": 123456789012}'), {"x", "k-1"}),
        (chunk(b'{"answer": '), {'{"answer": '}),
    ):
        ((_, _, reading), _) = readings(CODEC, raw)
        assert texts <= {fragment.text for fragment in reading.fragments}


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ({"text": "piece"}, ["piece"]),
        ({"message": "m", "resourceName": "r"}, ["m", "r"]),
        ({"content": {"document": {"x": "flow"}}, "nodeName": "n"}, ["flow", "n"]),
        ({"invocationInputs": ["odd", {"brandNew": {"x": "y"}}], "invocationId": "i"}, ["i", "odd", "y"]),
        ({"files": ["odd", {"bytes": 5, "name": "n"}]}, ["n", "odd"]),
        ({"trace": "odd"}, ["odd"]),
        ({"trace": {"failureTrace": {"failureReason": "why"}, "guardrailTrace": {"x": ["[odd"]}}}, ["[odd", "why"]),
        ({"trace": {"a@b.example": {"x": "y"}}}, ["a@b.example", "y"]),
        ({"bytes": "t", "p": "abc"}, ["t"]),
        ({"bytes": "t", "p": "secret"}, ["secret", "t"]),
        ("odd", ["odd"]),
        (5, []),
    ],
)
def test_other_events_are_read(said: Any, texts: list[str]) -> None:
    reading = CODEC.stream_reader().read(said)
    assert sorted(fragment.text for fragment in reading.fragments) == sorted(texts)


NAMES = [
    *("inputText", "input", "text", "sessionState", "conversationHistory", "messages", "role", "assistant", "content"),
    *("returnControlInvocationResults", "functionResult", "responseBody", "invocationInputs", "parameters", "name"),
    *("functionInvocationInput", "requestBody", "properties", "value", "trace", "observation", "rationale", "bytes"),
    *(
        "citations",
        "attribution",
        "generatedResponsePart",
        "textResponsePart",
        "span",
        "output",
        "files",
        "invocationId",
    ),
    *("modelInvocationOutput", "metadata", "usage", "actionGroups", "functionSchema", "functions", "p"),
]


@given(anything(NAMES))
def test_any_json_is_read(document: Any) -> None:
    check_documents(CODEC, document)


@given(st.lists(anything(NAMES), max_size=4))
def test_any_event_is_read(documents: list[Any]) -> None:
    check_events(CODEC, documents)


# what midstream says itself


@pytest.mark.parametrize(
    ("document", "path"), [({"inputText": "hi"}, ["inputText"]), ({"input": {"text": "hi"}}, ["input", "text"])]
)
def test_inject_ends_the_question(document: Any, path: list[str]) -> None:
    out = orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "X")))
    for step in path:
        out = out[step]
    assert out == "hi\n\nX"


@pytest.mark.parametrize("document", [{}, {"inputText": ""}, {"input": "odd"}, []])
def test_inject_needs_a_question(document: Any) -> None:
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject(document, "X")


def test_a_refusal_is_bedrocks() -> None:
    error = client_answer("InvokeAgent", CODEC.refusal(403, "no"), 403, AGENT)["Error"]
    assert error == {"Code": "AccessDeniedException", "Message": "no"}


@pytest.mark.parametrize(
    ("codec", "operation", "said"),
    [
        (CODEC, "InvokeAgent", [{"chunk": {"bytes": b"t"}}]),
        (RETRIEVAL, "RetrieveAndGenerateStream", [{"output": {"text": "t"}}]),
        (
            FLOW,
            "InvokeFlow",
            [
                {
                    "flowOutputEvent": {
                        "nodeName": "midstream",
                        "nodeType": "FlowOutputNode",
                        "content": {"document": "t"},
                    }
                },
                {"flowCompletionEvent": {"completionReason": "SUCCESS"}},
            ],
        ),
    ],
    ids=["agent", "retrieval", "flow"],
)
def test_its_own_streams(codec: Codec, operation: str, said: list[Any]) -> None:
    out = b"".join(EventStream().encode(one) for one in codec.message_stream(None, "t"))
    assert client_events(operation, out, AGENT) == said


def test_its_own_answer() -> None:
    raw = RETRIEVAL.message(None, "t")
    assert client_answer("RetrieveAndGenerate", raw, service=AGENT)["output"] == {"text": "t"}
    assert [part.text for part in RETRIEVAL.read_response(trees.parse(raw)).parts if part.role == "assistant"] == ["t"]


def test_an_event_without_a_payload_is_read() -> None:
    assert EventStream().feed(event("initial-response", b""))[0].data == b""
