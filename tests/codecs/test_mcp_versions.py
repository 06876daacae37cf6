"""MCP's five versions: every method of each, as the official types describe it, is read and stays valid when denied.

The types are the Python SDK's (`mcp_types`), generated from the schemas 2024-11-05 to 2026-07-28.
"""

from typing import Any

import orjson
import pytest
from mcp_types import methods
from mcp_types.jsonrpc import JSONRPCError, jsonrpc_message_adapter

from proxy.codecs import trees
from proxy.codecs.mcp import CODEC as MCP
from proxy.codecs.splicing import splice
from tests.codecs import recorded

NOTICE = "[midstream] denied"
SECRET = "a text to be found"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": SECRET, "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
TEXT = {"type": "text", "text": SECRET}
ABOUT = {"name": "n", "version": "1", "description": SECRET}
LISTEN = {"toolsListChanged": True, "resourceSubscriptions": [SECRET]}
CACHED = {"ttlMs": 0, "cacheScope": "private"}
SCHEMA = {"type": "object", "properties": {"q": {"type": "string", "description": SECRET}}}

CLIENT_PARAMS: dict[str, Any] = {
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": SECRET}},
    "initialize": {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": ABOUT},
    "logging/setLevel": {"level": "info"},
    "ping": {},
    "prompts/get": {"name": "p", "arguments": {"a": SECRET}},
    "prompts/list": {"cursor": "c"},
    "resources/list": {"cursor": "c"},
    "resources/read": {"uri": f"file:///{SECRET}"},
    "resources/subscribe": {"uri": f"file:///{SECRET}"},
    "resources/templates/list": {"cursor": "c"},
    "resources/unsubscribe": {"uri": f"file:///{SECRET}"},
    "server/discover": {},
    "subscriptions/listen": {"notifications": LISTEN},
    "tools/call": {"name": "t", "arguments": {"a": [SECRET]}},
    "tools/list": {"cursor": "c"},
}
CLIENT_NOTICES: dict[str, Any] = {
    "notifications/cancelled": {"requestId": 1, "reason": SECRET},
    "notifications/initialized": {},
    "notifications/progress": {"progressToken": 1, "progress": 1, "message": SECRET},
    "notifications/roots/list_changed": {},
}
CLIENT_RESULTS: dict[str, Any] = {
    "elicitation/create": {"action": "accept", "content": {"a": SECRET}},
    "ping": {},
    "roots/list": {"roots": [{"uri": f"file:///{SECRET}"}]},
    "sampling/createMessage": {"role": "assistant", "content": TEXT, "model": "m"},
}
SERVER_PARAMS: dict[str, Any] = {
    "elicitation/create": {"message": SECRET, "requestedSchema": SCHEMA},
    "ping": {},
    "roots/list": {},
    "sampling/createMessage": {"messages": [{"role": "user", "content": TEXT}], "systemPrompt": SECRET, "maxTokens": 5},
}
SERVER_NOTICES: dict[str, Any] = {
    "notifications/cancelled": {"requestId": 1, "reason": SECRET},
    "notifications/elicitation/complete": {"elicitationId": "e"},
    "notifications/message": {"level": "info", "data": SECRET},
    "notifications/progress": {"progressToken": 1, "progress": 1, "message": SECRET},
    "notifications/prompts/list_changed": {},
    "notifications/resources/list_changed": {},
    "notifications/resources/updated": {"uri": f"file:///{SECRET}"},
    "notifications/subscriptions/acknowledged": {"notifications": LISTEN},
    "notifications/tools/list_changed": {},
}
SERVER_RESULTS: dict[str, Any] = {
    "completion/complete": {"completion": {"values": [SECRET]}},
    "initialize": {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": ABOUT, "instructions": SECRET},
    "logging/setLevel": {},
    "ping": {},
    "prompts/get": {"description": SECRET, "messages": [{"role": "user", "content": TEXT}]},
    "prompts/list": CACHED | {"prompts": [{"name": "p", "description": SECRET}]},
    "resources/list": CACHED | {"resources": [{"uri": f"file:///{SECRET}", "name": "r"}]},
    "resources/read": CACHED | {"contents": [{"uri": "file:///a", "text": SECRET}]},
    "resources/subscribe": {},
    "resources/templates/list": CACHED | {"resourceTemplates": [{"uriTemplate": "file:///{p}", "name": SECRET}]},
    "resources/unsubscribe": {},
    "server/discover": CACHED
    | {"supportedVersions": ["2026-07-28"], "capabilities": {}, "serverInfo": ABOUT, "instructions": SECRET},
    "subscriptions/listen": {"_meta": {"io.modelcontextprotocol/subscriptionId": "1"}},
    "tools/call": {"content": [TEXT], "structuredContent": {"a": SECRET}},
    "tools/list": CACHED | {"tools": [{"name": "t", "description": SECRET, "inputSchema": SCHEMA}]},
}


def asked(method: str, version: str) -> dict[str, Any]:
    params = CLIENT_PARAMS[method] | ({"_meta": META} if version >= "2026-07-28" else {})
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def answered(method: str, version: str) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "result": SERVER_RESULTS[method] | ({"resultType": "complete"} if version >= "2026-07-28" else {}),
    }


def told(method: str, params: Any, *, waits: bool) -> dict[str, Any]:
    return {"jsonrpc": "2.0", **({"id": 1} if waits else {}), "method": method, "params": params}


def tells(document: dict[str, Any]) -> bool:
    return SECRET in orjson.dumps(document).decode()


def check_up(document: dict[str, Any]) -> None:
    read = MCP.read_request(document)
    assert recorded.unread(document, read) == []
    assert len(read.makes) == (tells(document) or document.get("method") == "tools/call")
    assert any(SECRET in part.text for part in read.parts if not part.sealed) == tells(document)


def denied(document: dict[str, Any]) -> dict[str, Any]:
    read = MCP.read_response(document)
    assert recorded.unread(document, read) == []
    assert len(read.results) == tells(document)
    changes = [change for result in read.results for change in MCP.deny_result(document, result, NOTICE)]
    left: dict[str, Any] = trees.parse(splice(orjson.dumps(document), changes))
    assert not tells(left)
    jsonrpc_message_adapter.validate_python(left)
    return left


@pytest.mark.parametrize(("method", "version"), sorted(methods.CLIENT_REQUESTS))
def test_a_clients_request(method: str, version: str) -> None:
    document = asked(method, version)
    methods.validate_client_request(method, version, document["params"])
    check_up(document)


@pytest.mark.parametrize(("method", "version"), sorted(methods.CLIENT_REQUESTS))
def test_the_answer_to_a_denied_request(method: str, version: str) -> None:
    assert MCP.answer_calls is not None
    document = asked(method, version)
    read = MCP.read_request(document)
    left = orjson.loads(MCP.answer_calls(document, read, dict.fromkeys(range(len(read.makes)), NOTICE)))
    if "result" in left:
        methods.validate_server_result(method, version, left["result"])
    else:
        JSONRPCError.model_validate(left)
    assert ("result" in left) == (method == "tools/call")


@pytest.mark.parametrize(("method", "version"), sorted(methods.CLIENT_NOTIFICATIONS))
def test_a_clients_notification(method: str, version: str) -> None:
    params = CLIENT_NOTICES[method]
    methods.validate_client_notification(method, version, params)
    check_up(told(method, params, waits=False))


@pytest.mark.parametrize(("method", "version"), sorted(methods.CLIENT_RESULTS))
def test_a_clients_answer(method: str, version: str) -> None:
    result = CLIENT_RESULTS[method]
    methods.validate_client_result(method, version, result)
    document = {"jsonrpc": "2.0", "id": 1, "result": result}
    check_up(document)
    assert [call.name for call in MCP.read_request(document).makes] == ([method] if result else [])


@pytest.mark.parametrize(("method", "version"), sorted(methods.SERVER_RESULTS))
def test_a_servers_answer(method: str, version: str) -> None:
    document = answered(method, version)
    methods.validate_server_result(method, version, document["result"])
    left = denied(document)
    if "result" in left:
        methods.validate_server_result(method, version, left["result"])


@pytest.mark.parametrize(("method", "version"), sorted(methods.SERVER_REQUESTS))
def test_a_servers_request(method: str, version: str) -> None:
    params = SERVER_PARAMS[method]
    methods.parse_server_request(method, version, params)
    left = denied(told(method, params, waits=True))
    methods.parse_server_request(method, version, left["params"])


@pytest.mark.parametrize(("method", "version"), sorted(methods.SERVER_NOTIFICATIONS))
def test_a_servers_notification(method: str, version: str) -> None:
    params = SERVER_NOTICES[method]
    methods.parse_server_notification(method, version, params)
    left = denied(told(method, params, waits=False))
    methods.parse_server_notification(method, version, left["params"])


@pytest.mark.parametrize("method", sorted(methods.INPUT_REQUIRED_METHODS))
def test_a_result_that_asks_for_input(method: str) -> None:
    result = {
        "resultType": "input_required",
        "requestState": "sealed",
        "inputRequests": {
            "a-1": {"method": "elicitation/create", "params": SERVER_PARAMS["elicitation/create"]},
            "b-2": {"method": "sampling/createMessage", "params": SERVER_PARAMS["sampling/createMessage"]},
        },
    }
    methods.validate_server_result(method, "2026-07-28", result)
    document = {"jsonrpc": "2.0", "id": 1, "result": result}
    sealed = [part.text for part in MCP.read_response(document).parts if part.sealed]
    assert {"sealed", "a-1", "b-2"} <= set(sealed)
    assert "error" in denied(document)


def test_batches_are_of_one_version_and_read_in_all() -> None:
    batch = [asked("tools/call", "2025-03-26"), asked("prompts/get", "2025-03-26") | {"id": "1"}]
    assert [(call.name, call.call_id) for call in MCP.read_request(batch).makes] == [("t", "1"), ("prompts/get", '"1"')]
    answers = [answered("tools/call", "2025-03-26"), answered("prompts/get", "2025-03-26") | {"id": "1"}]
    assert [result.call_id for result in MCP.read_response(answers).results] == ["1", '"1"']
