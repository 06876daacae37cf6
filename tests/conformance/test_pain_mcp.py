"""Tool servers: what users of this field's tools ran into (pain-points.md, row 12), and what the protocol asks for.

The official SDK's client and server, through the running proxy, real TLS on both sides. What every transport has in
common is tests/sdk/test_mcp.py's.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from mcp_types import CreateMessageResult, ElicitResult, TextContent

from tests.behind import answer, serving
from tests.sdk.lines import Line
from tests.sdk.mcp_server import HOST, Seen
from tests.sdk.mcp_ways import KEPT, WAYS, Ways, call, client, http, running, text
from tests.serving import GUARDED, IDENTITY, REASON

# Assembled, so that no scanner takes this file for a leak: the shape of a key, of no account.
SECRET = "AKIA" + "QX5TN3ZD7KLV2WRM"
GONE = "[REDACTED:aws_access_key_id]"
SILENT = """version: 1
rules:
  - {id: nothing, at: [pre_tool_execution, post_tool_execution, post_llm_response], find: [secret, pii], verdict: deny}
  - {id: nobody, at: [pre_tool_execution, post_tool_execution], tools: ["*/nothing-of-the-kind"], verdict: deny}
"""
"""Looks at everything and finds nothing."""
RULES = f"""{GUARDED}
  - {{id: by-name, at: pre_tool_execution, tools: [stand-in/work], verdict: deny, reason: {REASON}}}
  - {{id: by-host, at: pre_tool_execution, tools: ["{HOST}/ask_user"], verdict: deny, reason: {REASON}}}
  - {{id: later, at: post_tool_execution, tools: ["*/payroll_later"], verdict: deny, reason: {REASON}}}
"""
CLOSED = f"""version: 1
unrecognised: deny
{IDENTITY}
rules:
  - {{id: secrets, at: [pre_tool_execution, post_tool_execution], find: [secret], verdict: deny, reason: {REASON}}}
"""


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with running(tmp_path_factory.mktemp) as ways:
        yield ways


@pytest.fixture
def server(ways: Ways) -> Seen:
    """The server, as when it was started."""
    ways.server.reset()
    return ways.server


@pytest.fixture
def guarded(ways: Ways, server: Seen) -> Line:
    """The way through a midstream that redacts, strips and denies."""
    return ways.through(RULES)


each_way = pytest.mark.parametrize("transport", WAYS)


@each_way
async def test_arguments_and_structured_content_are_scanned_both_ways(
    guarded: Line, server: Seen, transport: str
) -> None:
    """Row 12 (litellm 35142, aisix 979)."""
    server.secret = SECRET
    async with client(guarded, transport) as connected:
        echoed = await connected.call_tool("echo", {"text": f"Use {SECRET}."})
        leaked = await connected.call_tool("leak", {})
    assert server.called == [("echo", f"Use {GONE}."), ("leak", None)]
    assert not [body for body in server.bodies if SECRET.encode() in body]
    assert text(echoed) == f"You said: Use {GONE}."
    assert leaked.structured_content == {"note": f"Use {GONE} today."}
    assert json.loads(text(leaked)) == leaked.structured_content


async def _confide(line: Line, transport: str, asked: list[str]) -> Any:
    """Adds to `asked` what the user and the client's model are asked. Both answer with the secret."""

    async def elicit(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"answer": f"Yes, {SECRET} is."})

    async def sample(_: Any, params: Any) -> CreateMessageResult:
        asked.extend([params.messages[0].content.text, params.system_prompt])
        said = TextContent(text=f"It says {SECRET}.")
        return CreateMessageResult(role="assistant", content=said, model="a-model")

    async with client(line, transport, elicitation_callback=elicit, sampling_callback=sample) as connected:
        return await connected.call_tool("confide", {})


@pytest.mark.parametrize("transport", [way for way in WAYS if way != "documents"])
async def test_questions_of_the_server_are_scanned_both_ways(guarded: Line, server: Seen, transport: str) -> None:
    """Elicitation and sampling: as requests of the server's own, and as parts of a result since 2026-07-28."""
    server.secret = SECRET
    asked: list[str] = []
    result = await _confide(guarded, transport, asked)
    assert asked == [f"Is {GONE} yours?", f"Sum up {GONE}.", f"Never say {GONE}."]
    assert text(result) == "Thanks."
    ((_, (word, summary)),) = server.called
    assert (word, summary.text) == (f"Yes, {GONE} is.", f"It says {GONE}.")
    assert not [body for body in server.bodies if SECRET.encode() in body]


each_back_channel = pytest.mark.parametrize("transport", ["streams", "2024"])
told_why = pytest.RaisesGroup(pytest.RaisesExc(MCPError, match=REASON), flatten_subgroups=True, allow_unwrapped=True)


@each_back_channel
async def test_a_denied_answer_leaves_no_server_waiting(ways: Ways, server: Seen, transport: str) -> None:
    """It goes up as an error, and so the call ends for which it was asked."""
    with told_why:
        await _confide(ways.through(CLOSED), transport, [])
    assert server.called == []
    assert not [body for body in server.bodies if SECRET.encode() in body]


@each_back_channel
async def test_a_denied_question_is_asked_without_its_text(ways: Ways, server: Seen, transport: str) -> None:
    """Nobody can tell the server so from here: the client is asked all the same, and told what was wrong."""
    server.secret = SECRET
    asked: list[str] = []
    with told_why:
        await _confide(ways.through(CLOSED), transport, asked)
    assert SECRET not in repr(asked)
    assert "was denied by rule secrets" in asked[0]


@each_way
async def test_other_denied_answers_are_errors_to_the_client(ways: Ways, server: Seen, transport: str) -> None:
    server.secret = SECRET
    async with client(ways.through(CLOSED), transport) as connected:
        with pytest.raises(MCPError, match=REASON):
            await connected.read_resource("note://one")
        with pytest.raises(MCPError, match=REASON):
            await connected.get_prompt("greet", {"name": SECRET})
        assert len((await connected.list_tools()).tools) > 5


async def test_a_denied_beginning_is_an_error_to_the_client(ways: Ways, server: Seen) -> None:
    policy = (
        f"version: 1\n{IDENTITY}\nrules:\n  - {{id: all, at: post_tool_execution, verdict: deny, reason: {REASON}}}\n"
    )
    for transport in ("streams", "documents"):
        with told_why:
            await call(ways.through(policy), transport, "echo", text="hi")
    assert server.called == []


@each_way
async def test_rules_name_servers_as_they_name_themselves_and_by_host(
    guarded: Line, server: Seen, transport: str
) -> None:
    async with client(guarded, transport) as connected:
        if "2026" in transport:  # nothing said its name yet
            await connected.read_resource("note://one")
        results = [await connected.call_tool(tool, {}) for tool in ("work", "ask_user")]
    assert [(result.is_error, REASON in text(result)) for result in results] == [(True, True), (True, True)]
    assert server.called == []


async def test_headers_that_repeat_arguments_follow_their_edits(guarded: Line, server: Seen) -> None:
    """The server compares them (2026-07-28)."""
    async with client(guarded, "streams of 2026") as connected:
        await connected.list_tools()
        for region in ("us-west", SECRET, f"Grüße {SECRET}"):
            result = await connected.call_tool("locate", {"region": region})
            assert not result.is_error
    assert server.called == [("locate", "us-west"), ("locate", GONE), ("locate", f"Grüße {GONE}")]


async def test_a_result_that_comes_after_a_new_start_is_known(guarded: Line, server: Seen) -> None:
    """The server breaks the stream off; the client asks again with the last event's id, on another connection."""
    async with client(guarded, "streams", path=KEPT) as connected:
        result = await connected.call_tool("payroll_later", {})
    assert result.is_error
    assert REASON in text(result)


@each_way
async def test_servers_are_spoken_to_where_nothing_unrecognised_may_be(
    ways: Ways, server: Seen, transport: str
) -> None:
    """Only their messages show that they are such servers: no list has their hosts."""
    assert text(await call(ways.through(CLOSED), transport, "echo", text="hi")) == "You said: hi"


async def test_what_only_looks_like_them_is_not(ways: Ways, server: Seen) -> None:
    async with http(ways.through(CLOSED), {"accept": "application/json, text/event-stream"}) as sender:
        refused = await sender.post(f"https://{HOST}/mcp", json={"text": "Look what I know."})
        spoken = await sender.post(f"https://{HOST}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert refused.status_code == 403
    assert "no codec can read" in refused.text
    assert spoken.json()["jsonrpc"] == "2.0"  # answered by the server, which wants a session first
    assert len(server.bodies) == 1


TYPE = "content-type: application/json"
ACCEPT = "accept: application/json, text/event-stream"
VERSION = "mcp-protocol-version: 2025-11-25"
SESSION = "mcp-session-id: 1868a90c"
ACCEPTED = answer(b"Accepted", status="202 Accepted", kind="text/plain")
CALLED = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name":"f","arguments":{"a":"\\u00e9"}}}'
PROGRESS = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.50}}'
RESULT = (
    b'{ "jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"\\u00e9"}],"structuredContent":{"n":1.0}}}'
)
LOST = b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}'
EVENTS = (
    b"id: 1\nretry: 3000\ndata: \n\n: ping\n\nevent: message\r\nid: 2_1763731200123\r\ndata: " + PROGRESS + b"\r\n\r\n"
    b"data:" + RESULT.replace(b",", b",\ndata:") + b"\n\n"
)
STREAM = answer(EVENTS, SESSION, kind="text/event-stream")

EXCHANGES: dict[str, tuple[str, bytes, list[str], bytes]] = {
    "a stream": ("POST", CALLED, [TYPE, ACCEPT, VERSION, SESSION], STREAM),
    "a document": ("POST", CALLED, [TYPE, ACCEPT], answer(RESULT)),
    "a batch": ("POST", b"[" + CALLED + b" ,\n" + PROGRESS + b"]", [TYPE, ACCEPT], answer(b"[ " + RESULT + b"]")),
    "a notification": ("POST", PROGRESS, [TYPE, ACCEPT, VERSION, SESSION], answer(b"", status="202 Accepted")),
    "an answer": (
        "POST",
        RESULT,
        [TYPE, ACCEPT, SESSION],
        answer(b"Accepted", status="202 Accepted", kind="text/plain"),
    ),
    "listening": ("GET", b"", ["accept: text/event-stream", VERSION, SESSION], STREAM),
    "resuming": ("GET", b"", ["accept: text/event-stream", SESSION, "last-event-id: 2_1763731200123"], STREAM),
    "no listening": ("GET", b"", ["accept: text/event-stream", SESSION], answer(b"", status="405 Method Not Allowed")),
    "the end": ("DELETE", b"", [VERSION, SESSION], answer(b"", status="204 No Content")),
    "an expired session": ("POST", CALLED, [TYPE, ACCEPT, SESSION], answer(LOST, status="404 Not Found")),
    "a page": ("POST", CALLED, [TYPE, ACCEPT, SESSION], answer(b"<html>", status="502 Bad Gateway", kind="text/html")),
    "a challenge": ("POST", CALLED, [TYPE, ACCEPT], answer(b'{"error":"invalid_token"}', status="401 Unauthorized")),
}


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("policy", [SILENT, SILENT.replace("rules:", "unrecognised: deny\nrules:")])
async def test_untouched_is_identical(tmp_path: Path, exchange: str, policy: str) -> None:
    method, body, headers, said = EXCHANGES[exchange]
    status, content = int(said[9:12]), said.partition(b"\r\n\r\n")[2]
    async with serving(tmp_path, policy, said) as running, running.proxy.client() as sender:
        await sender.send(method, "/mcp", body, headers)
        assert await sender.response() == (status, content)
    head, _, got = running.requests[0].partition(b"\r\n\r\n")
    assert got == body
    assert head.decode().split("\r\n")[2 : 2 + len(headers)] == headers
