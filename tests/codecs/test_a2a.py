"""A2A: the messages and parts of versions 0.3 and 1.0, over JSON-RPC and REST, denials, and any JSON."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import Part, trees
from proxy.codecs.a2a import CODEC as A2A
from proxy.codecs.a2a.document import agent_of, endpoints_of
from proxy.codecs.splicing import splice
from tests.codecs import recorded

NOTICE = "[midstream] denied"
ERROR = {"code": -32010, "message": NOTICE}


def said(parts: tuple[Part, ...] | list[Part] | Any) -> list[str]:
    return [part.text for part in parts if not part.sealed]


def media(parts: Any) -> list[str]:
    return [part.text for part in parts if part.kind == "media"]


def request(method: str, params: Any, id_: Any = "r1") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


def answer(result: Any, id_: Any = "r1") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "result": result}


def message(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"kind": "message", "messageId": "m-1", "contextId": "c-1", "role": role, "parts": list(parts)}


PARTS: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({"kind": "text", "text": "t", "metadata": {"k": "v"}}, ["t", "v"], []),
    ({"kind": "data", "data": {"card": 4111111111111111, "x": ["y"]}}, ["4111111111111111", "y"], []),
    (
        {"kind": "file", "file": {"name": "a.pdf", "mimeType": "application/pdf", "bytes": "QUJD"}},
        ["a.pdf"],
        ["QUJD"],
    ),
    ({"kind": "file", "file": {"uri": "https://f.example/a"}}, ["https://f.example/a"], []),
    ({"text": "t"}, ["t"], []),
    ({"data": "any"}, ["any"], []),
    ({"raw": "QUJD", "filename": "a.png", "mediaType": "image/png"}, ["a.png"], ["QUJD"]),
    ({"url": "https://f.example/a", "mediaType": "image/png"}, ["https://f.example/a"], []),
    ({"file": {"fileWithBytes": "QUJD", "mediaType": "image/png"}}, [], ["QUJD"]),
    ({"raw": "no base64 at all"}, ["no base64 at all"], []),
    ({"kind": "brand_new", "body": {"deep": "w"}}, ["w"], []),
]


@pytest.mark.parametrize(("part", "texts", "sealed"), PARTS)
def test_parts_are_read_both_ways(part: dict[str, Any], texts: list[str], sealed: list[str]) -> None:
    for up in (request("message/send", {"message": message(part)}), {"message": message(part)}):
        read = A2A.read_request(up)
        assert (said(read.parts), media(read.parts)) == (texts, sealed)
        assert recorded.unread(up, read) == []
    for down in (
        answer(message(part, role="agent")),
        answer({"kind": "task", "id": "t", "artifacts": [{"artifactId": "a", "parts": [part]}], "history": []}),
        answer({"kind": "artifact-update", "taskId": "t", "artifact": {"parts": [part]}, "append": True}),
        {"task": {"id": "t", "status": {"state": "TASK_STATE_COMPLETED", "message": message(part)}}},
    ):
        response = A2A.read_response(down)
        assert (said(response.parts), media(response.parts)) == (texts, sealed)
        assert recorded.unread(down, response) == []
        (result,) = response.results
        assert len(result.parts) == len(texts) + len(sealed)


@pytest.mark.parametrize(
    ("document", "names", "texts"),
    [
        (request("message/send", {"message": message({"text": "hi"})}), ["message/send"], ["hi"]),
        (request("message/stream", {"message": message({"text": "hi"})}), ["message/stream"], ["hi"]),
        (
            request(
                "SendMessage", {"message": message({"text": "hi"}), "configuration": {"acceptedOutputModes": ["a/b"]}}
            ),
            ["SendMessage"],
            ["hi", "a/b"],
        ),
        (
            request(
                "tasks/pushNotificationConfig/set",
                {"taskId": "t", "pushNotificationConfig": {"url": "https://h.example", "token": "tok"}},
            ),
            ["tasks/pushNotificationConfig/set"],
            ["https://h.example", "tok"],
        ),
        (request("tasks/get", {"id": "t", "historyLength": 3}), [], []),
        (request("tasks/cancel", {"id": "t"}), [], []),
        (request("tasks/resubscribe", {"id": "t"}), [], []),
        (request("agent/getAuthenticatedExtendedCard", None), [], []),
        (request("ListTasks", {"contextId": "c", "pageToken": "p"}), [], []),
        ({"message": message({"text": "hi"})}, ["message"], ["hi"]),
        (answer({"text": "x"}), ["answer"], ["x"]),
        (
            [request("message/send", {"message": message({"text": "a"})}, 1), request("tasks/get", {"id": "t"}, 2)],
            ["message/send"],
            ["a"],
        ),
        ("text", ["message"], ["text"]),
        (5, [], []),
    ],
)
def test_what_a_client_sends(document: Any, names: list[str], texts: list[str]) -> None:
    read = A2A.read_request(document)
    assert [call.name for call in read.makes] == names
    assert said(read.parts) == texts
    assert recorded.unread(document, read) == []


CARD = {
    "name": "Planner",
    "description": "plans",
    "url": "https://a.example",
    "protocolVersion": "0.3.0",
    "skills": [{"id": "s", "name": "plan", "description": "plans trips", "tags": ["travel"], "examples": ["to Rome"]}],
    "signatures": [{"protected": "eyJ", "signature": "sig"}],
}


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        (answer({"kind": "status-update", "taskId": "t", "status": {"state": "working"}, "final": False}), []),
        (
            answer({"kind": "status-update", "status": {"state": "failed", "message": message({"text": "why"})}}),
            ["why"],
        ),
        (
            answer(
                {
                    "statusUpdate": {
                        "taskId": "t",
                        "status": {"state": "TASK_STATE_WORKING", "timestamp": "2026-01-01T00:00:00Z"},
                    }
                }
            ),
            [],
        ),
        (
            answer({"artifactUpdate": {"artifact": {"name": "n", "description": "d", "parts": [{"text": "x"}]}}}),
            ["n", "d", "x"],
        ),
        (answer({"tasks": [{"id": "t", "history": [message({"text": "x"})]}], "nextPageToken": "p"}), ["x"]),
        ({"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "m", "data": ["d"]}}, ["m", "d"]),
        (CARD, ["Planner", "plans", "https://a.example", "plan", "plans trips", "travel", "to Rome"]),
    ],
)
def test_what_an_agent_sends(document: Any, texts: list[str]) -> None:
    read = A2A.read_response(document)
    assert said(read.parts) == texts
    assert len(read.results) == bool(texts)
    assert recorded.unread(document, read) == []


def test_skills_are_definitions() -> None:
    kinds = {part.text: part.kind for part in A2A.read_response(CARD).parts}
    assert (kinds["plans"], kinds["plans trips"]) == ("tool_result", "tool_definition")


@pytest.mark.parametrize(
    ("document", "name"), [(CARD, "Planner"), (answer(CARD), "Planner"), (answer({"name": "a"}), None), ("x", None)]
)
def test_a_card_names_its_agent(document: Any, name: str | None) -> None:
    assert agent_of(document) == name


def test_a_card_says_where_its_agent_is_reached() -> None:
    card = {
        "url": "https://a.example/rpc",
        "additionalInterfaces": [{"url": "https://a.example/rest", "transport": "HTTP+JSON"}, {"transport": "GRPC"}],
        "supportedInterfaces": [{"url": "https://a.example/v1", "protocolBinding": "JSONRPC"}, "x"],
    }
    assert list(endpoints_of(card)) == list(endpoints_of(answer(card)))
    assert list(endpoints_of(card)) == ["https://a.example/rpc", "https://a.example/rest", "https://a.example/v1"]
    assert list(endpoints_of("x")) == list(endpoints_of({"url": 5, "supportedInterfaces": {}})) == []


def test_requests_are_known_by_their_ids() -> None:
    asked = {"jsonrpc": "2.0", "id": "a", "method": "tasks/get", "params": {"id": "t"}}
    assert A2A.read_request(asked).calls == {'"a"': ("tasks/get", {"id": "t"})}
    assert A2A.read_request({"message": {"parts": [{"text": "x"}]}}).calls == {}


@pytest.mark.parametrize(
    ("document", "left"),
    [
        (answer(message({"text": "x"})), {"jsonrpc": "2.0", "id": "r1", "error": ERROR}),
        (
            {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "m"}},
            {"jsonrpc": "2.0", "id": 1, "error": ERROR},
        ),
        ({"task": {"artifacts": [{"parts": [{"text": "x"}]}]}}, {"jsonrpc": "2.0", "id": None, "error": ERROR}),
        ([answer({"a": 1}), answer({"a": "x"}, 2)], [answer({"a": 1}), {"jsonrpc": "2.0", "id": 2, "error": ERROR}]),
    ],
)
def test_denied_answers_are_errors(document: Any, left: Any) -> None:
    (result,) = A2A.read_response(document).results
    assert trees.parse(splice(orjson.dumps(document), A2A.deny_result(document, result, NOTICE))) == left


def test_a_denied_message_is_answered_by_an_error() -> None:
    assert A2A.answer_calls is not None
    for document, id_ in (
        (request("message/send", {"message": message({"text": "x"})}, 0), 0),
        ({"message": {"text": "x"}}, None),
    ):
        told = orjson.loads(A2A.answer_calls(document, A2A.read_request(document), {0: NOTICE}))
        assert told == {"jsonrpc": "2.0", "id": id_, "error": ERROR}
    assert orjson.loads(A2A.refusal(400, NOTICE))["error"] == ERROR


def test_a_stream_is_read_message_by_message() -> None:
    reader = A2A.stream_reader()
    reading = reader.read(answer({"kind": "artifact-update", "artifact": {"parts": [{"kind": "text", "text": "x"}]}}))
    assert "x" in [fragment.text for fragment in reading.fragments]
    assert len(reading.closes) == len(reading.fragments)
    assert reader.finish().end


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["jsonrpc", "id", "method", "params", "result", "error", "parts", "text", "data", "raw", "kind"]
            )
            | st.text(max_size=6),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(ANY_JSON)
def test_any_json(document: Any) -> None:
    assert A2A.answer_calls is not None
    up = A2A.read_request(document)
    assert recorded.unread(document, up) == []
    assert recorded.misplaced(document, up) == []
    assert len({part.path for part in up.parts}) == len(up.parts)
    for index in range(len(up.makes)):
        assert NOTICE in A2A.answer_calls(document, up, {index: NOTICE}).decode()
    down = A2A.read_response(document)
    changes = [change for result in down.results for change in A2A.deny_result(document, result, NOTICE)]
    left = A2A.read_response(trees.parse(splice(orjson.dumps(document), changes)))
    assert set(said(left.parts)) <= {NOTICE} or not down.results
    agent_of(document)
