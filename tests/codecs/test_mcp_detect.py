"""Recognising MCP and A2A by request line, headers and body; and the headers that repeat an MCP message."""

from typing import Any

import pytest

from proxy.codecs import jsonrpc
from proxy.codecs.a2a import detect as a2a
from proxy.codecs.mcp import detect as mcp
from proxy.codecs.mcp.mirrors import decoded, encoded, mirrored, said

JSON = {"content-type": "application/json; charset=utf-8"}
BOTH = JSON | {"accept": "application/json, text/event-stream"}
STREAM = {"accept": "text/event-stream"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/anything", BOTH),
        ("POST", "/", JSON | {"mcp-protocol-version": "2025-06-18"}),
        ("POST", "/", {"mcp-session-id": "s"}),
        ("POST", "/", {"mcp-method": "tools/call"}),
        ("GET", "/", {"mcp-session-id": "s"}),
        ("DELETE", "/", {"mcp-session-id": "s"}),
        ("GET", "/mcp", STREAM),
        ("GET", "/api/sse?key=1", STREAM),
        ("POST", "/mcp", JSON),
        ("POST", "/v1/%6dCP/", JSON),
        ("POST", "/mcp/tenant?x=1", JSON),
        ("POST", "/messages/?session_id=abc", JSON),
        ("POST", "/message?sessionId=abc", JSON),
    ],
)
def test_mcp_is_recognised(method: str, path: str, headers: dict[str, str]) -> None:
    assert mcp.is_mcp(method, path, headers)
    assert not a2a.is_a2a(method, path, headers)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/messages", JSON),
        ("POST", "/v1/threads/t/messages", JSON | STREAM),
        ("POST", "/mcp-registry", JSON),
        ("POST", "/mcp", {"content-type": "text/plain"}),
        ("POST", "/", JSON | {"accept": "*/*"}),
        ("GET", "/mcp", {"accept": "text/html"}),
        ("GET", "/events", STREAM),
        ("DELETE", "/mcp", {}),
        ("OPTIONS", "/mcp", {"mcp-session-id": "s"}),
    ],
)
def test_other_requests_are_not_mcp(method: str, path: str, headers: dict[str, str]) -> None:
    assert not mcp.is_mcp(method, path, headers)


@pytest.mark.parametrize(
    ("path", "headers", "legacy"),
    [
        ("/messages/?session_id=abc", JSON, True),
        ("/messages?sessionId=abc", BOTH, True),
        ("/messages", JSON, False),
        ("/mcp?session_id=abc", JSON, False),
        # The TypeScript SDK names the version on its old transport too.
        ("/messages?session_id=abc", JSON | {"mcp-protocol-version": "2025-06-18"}, True),
        ("/messages?session_id=abc", BOTH | {"mcp-protocol-version": "2025-06-18"}, False),
        ("/messages?session_id=abc", JSON | {"mcp-session-id": "s"}, False),
        ("/messages?session_id=abc", JSON | {"mcp-method": "ping"}, False),
    ],
)
def test_messages_of_the_old_transport(path: str, headers: dict[str, str], legacy: bool) -> None:
    assert mcp.is_legacy("POST", path, headers) is legacy
    assert not mcp.is_legacy("GET", path, headers)


@pytest.mark.parametrize(
    ("headers", "session"),
    [({"mcp-session-id": "s"}, "s"), ({"mcp-session-id": ""}, None), ({"mcp-session-id": "s, t"}, "s"), ({}, None)],
)
def test_sessions(headers: dict[str, str], session: str | None) -> None:
    assert mcp.session(headers) == session


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/", JSON | {"a2a-version": "1.0"}),
        ("POST", "/", {"content-type": "application/a2a+json"}),
        ("POST", "/v1/message:send", JSON),
        ("POST", "/tenant/message:stream", JSON),
        ("POST", "/v1/tasks/t-1:cancel", JSON),
        ("POST", "/a2a", JSON),
        ("POST", "/a2a/jsonrpc", JSON),
        ("GET", "/.well-known/agent-card.json", {}),
        ("GET", "/agent/.well-known/agent.json", {}),
        ("POST", "/hook", JSON | {"x-a2a-notification-token": "t"}),
    ],
)
def test_a2a_is_recognised(method: str, path: str, headers: dict[str, str]) -> None:
    assert a2a.is_a2a(method, path, headers)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/", JSON),
        ("POST", "/v1/messages:send", JSON),
        ("POST", "/message:send", {"content-type": "text/plain"}),
        ("GET", "/a2a", {}),
        ("OPTIONS", "/", {"a2a-version": "1.0"}),
    ],
)
def test_other_requests_are_not_a2a(method: str, path: str, headers: dict[str, str]) -> None:
    assert not a2a.is_a2a(method, path, headers)


def asks(method: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method}


@pytest.mark.parametrize(
    ("document", "as_mcp", "as_a2a"),
    [
        (asks("initialize"), True, False),
        (asks("server/discover"), True, False),
        ([{"jsonrpc": "2.0", "id": 1, "result": {}}, asks("tools/call")], True, False),
        (asks("message/send"), False, True),
        (asks("SendStreamingMessage"), False, True),
        (asks("tasks/get"), False, False),
        (asks("eth_call"), False, False),
        (asks(5), False, False),
        ({"method": "tools/call"}, True, False),  # as a lenient server may read it
        (asks("notifications/tasks/status"), True, False),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, False, False),
        ("tools/call", False, False),
        ([], False, False),
    ],
)
def test_bodies_show_their_protocol(document: Any, as_mcp: bool, as_a2a: bool) -> None:
    assert (mcp.speaks(document), a2a.speaks(document)) == (as_mcp, as_a2a)


@pytest.mark.parametrize(
    ("document", "shared"),
    [
        (asks("ping"), True),
        (asks("tasks/get"), True),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, True),
        ([asks("eth_call"), {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "no"}}], True),
        (asks("eth_call"), False),
        ({"id": 1, "result": {}}, False),
        ({"jsonrpc": "2.0"}, False),
        ({"model": "m", "messages": []}, False),
        ([], False),
    ],
)
def test_what_protocols_share_shows_that_it_is_one_of_them(document: Any, shared: bool) -> None:
    assert jsonrpc.shares(document) is shared


@pytest.mark.parametrize(
    ("document", "as_mcp", "as_a2a"),
    [
        (asks("tools/call"), True, True),
        ([asks("x/own"), {"jsonrpc": "2.0", "id": 1, "result": {}}], True, True),
        ([asks("tools/call"), {"method": "tools/call"}], False, False),
        ({"jsonrpc": "2.0", "id": 1}, False, False),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, False, False),
        ({"message": {"parts": []}}, False, True),  # A2A over REST has no envelope
        ({"method": "message/send"}, False, False),
        ([], False, False),
        ("text", False, False),
    ],
)
def test_documents_that_are_all_messages(document: Any, as_mcp: bool, as_a2a: bool) -> None:
    assert (jsonrpc.is_spoken(document), a2a.is_message(document)) == (as_mcp, as_a2a)


def test_headers_of_the_protocols_are_told_from_what_others_send_too() -> None:
    assert mcp.is_marked({"mcp-protocol-version": "2025-06-18"}) and not mcp.is_marked(BOTH)
    assert a2a.is_marked("POST", "/", JSON | {"a2a-version": "1.0"})
    assert a2a.is_marked("POST", "/v1/message:send", JSON)
    assert not a2a.is_marked("POST", "/a2a", JSON)


# mirrors


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("us-west1", "us-west1"),
        ("two words", "two words"),
        ("", ""),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ],
)
def test_values_are_encoded_as_the_transport_says(value: str, header: str) -> None:
    assert encoded(value) == header
    assert decoded(header) == value


@pytest.mark.parametrize("header", ["=?base64?!?=", "=?base64?/w==?=", "=?base64?", "plain"])
def test_what_is_not_encoded_is_taken_as_it_stands(header: str) -> None:
    assert decoded(header) == header


def call(**arguments: Any) -> dict[str, Any]:
    return asks("tools/call") | {"params": {"name": "sql", "arguments": arguments}}


HEADERS = {
    "mcp-method": "tools/call",
    "mcp-name": "sql",
    "mcp-param-region": "us-west1",
    "mcp-param-who": "=?base64?w6Q=?=",
    "mcp-param-card": "4111111111111111",
    "x-other": "us-west1",
}


def test_headers_follow_their_values() -> None:
    before = call(region="us-west1", deep={"who": "ä"}, card=4111111111111111, flag=True, other="x")
    after = call(region="[redacted]", deep={"who": "ö"}, card="[card]", flag=True, other="y")
    assert mirrored(HEADERS, before, after) == {
        "mcp-param-region": "[redacted]",
        "mcp-param-who": "=?base64?w7Y=?=",
        "mcp-param-card": "[card]",
    }


def test_what_headers_say_is_read_as_leniently_as_anybody_may() -> None:
    assert said(HEADERS) == {
        "mcp-name": "sql",
        "mcp-param-region": "us-west1",
        "mcp-param-who": "ä",
        "mcp-param-card": "4111111111111111",
    }
    # No padding, another case, two lines that were joined, no base64, no UTF-8.
    assert said({"mcp-param-a": "=?BASE64?c2VjcmU?="}) == {"mcp-param-a": "secre"}
    assert said({"mcp-param-a": "=?base64?YQ==?=, =?base64?Yg==?="}) == {"mcp-param-a": "a, b"}
    assert said({"mcp-param-a": "=?base64?a?="}) == {"mcp-param-a": "=?base64?a?="}
    assert said({"mcp-param-a": "=?base64?/w==?="}) == {"mcp-param-a": "�"}


def test_headers_of_what_did_not_change_stay() -> None:
    assert mirrored(HEADERS, call(region="us-west1"), call(region="us-west1")) == {}
    assert mirrored({}, call(region="a"), call(region="b")) == {}
    assert mirrored(HEADERS, "x", ["y"]) == {}


def test_a_header_of_a_value_that_is_gone_goes() -> None:
    assert mirrored(HEADERS, call(region="us-west1"), call()) == {"mcp-param-region": None}


def test_a_resource_is_named_by_its_address() -> None:
    before, after = ({"params": {"uri": f"file:///{who}"}} for who in ("alice", "⟪PII⟫"))
    told = mirrored({"mcp-name": "file:///alice"}, before, after)
    assert told == {"mcp-name": encoded("file:///⟪PII⟫")}
