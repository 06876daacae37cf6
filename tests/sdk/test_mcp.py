"""The official MCP SDK, client and server, through midstream: each transport, and the protocol before and of 2026."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitResult

from proxy.demo.served import serving
from tests.sdk.conftest import PERMIT_ALL, Lines
from tests.sdk.contract import SECRET
from tests.sdk.lines import Line
from tests.sdk.mcp_server import HOST, Seen, mcp_server
from tests.sdk.tunnel import tunnel
from tests.serving import AGENT, GUARDED, NOTICE, REASON, TOKEN

WAYS = {
    "streams": ("/mcp", "legacy"),
    "documents": ("/json/mcp", "legacy"),
    "streams of 2026": ("/mcp", "2026-07-28"),
    "documents of 2026": ("/json/mcp", "2026-07-28"),
    "2024": ("/old/sse", "legacy"),
}
"""Path and negotiation of each transport."""


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with mcp_server(tmp_path_factory.mktemp("mcp")) as server:
        yield server


@pytest.fixture
def server(_server: Seen) -> Seen:
    """The server, as when it was started."""
    _server.reset()
    return _server


@pytest.fixture(scope="module")
def straight(_server: Seen) -> Iterator[Line]:
    """The way to the server with nothing between."""
    with tunnel(_server.port) as url:
        yield Line(url, _server.ca_file)


@pytest.fixture(scope="module")
def lines(_server: Seen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lines]:
    """`lines(policy)`: the way through a midstream with that policy, started once."""
    made: dict[str, Line] = {}
    with ExitStack() as stack:

        def through(policy: str) -> Line:
            if policy not in made:
                folder = tmp_path_factory.mktemp("midstream")
                (folder / "policy.yaml").write_text(policy)
                told = ([folder / "policy.yaml"], _server.address, _server.ca_file, folder / "state")
                served = stack.enter_context(serving(*told, hosts=[HOST]))
                made[policy] = Line(served.proxy_url(AGENT, TOKEN), served.ca_file)
            return made[policy]

        yield through


@pytest.fixture(params=WAYS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


def _http(line: Line, headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
    """As the SDK makes it, on our way."""
    return httpx2.AsyncClient(
        headers=headers, timeout=timeout or 30, auth=auth, verify=line.trust, proxy=line.proxy, trust_env=False
    )


@asynccontextmanager
async def _client(line: Line, transport: str, **options: Any) -> AsyncIterator[Client]:
    path, mode = WAYS[transport]
    url = f"https://{HOST}{path}"
    async with _http(line) as http:
        way: Any = streamable_http_client(url, http_client=http)
        if transport == "2024":
            way = sse_client(url, httpx_client_factory=lambda *given, **named: _http(line, *given, **named))
        async with Client(way, mode=mode, **options) as client:
            yield client


async def _call(line: Line, transport: str, tool: str, **arguments: Any) -> CallToolResult:
    async with _client(line, transport) as client:
        return await client.call_tool(tool, arguments)


def _text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if block.type == "text")


async def _everything(line: Line, transport: str) -> list[Any]:
    """What a client learns of the server by asking for all it has."""
    steps: list[Any] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    async with _client(line, transport) as client:
        answers = [
            await client.list_tools(),
            await client.list_resources(),
            await client.list_prompts(),
            await client.call_tool("echo", {"text": "Grüße “to” \U0001f600.\n"}),
            await client.call_tool("echo", {"wrong": 1}),
            await client.call_tool("nothing of the kind", {}),
            await client.call_tool("work", {}, progress_callback=progress),
            await client.read_resource("note://one"),
            await client.get_prompt("greet", {"name": "Ada"}),
        ]
        return [client.protocol_version, client.server_info, steps, *(answer.model_dump() for answer in answers)]


async def test_all_is_as_without_midstream(straight: Line, lines: Lines, server: Seen, transport: str) -> None:
    direct = await _everything(straight, transport)
    sent = list(server.bodies)
    server.reset()
    assert await _everything(lines(PERMIT_ALL), transport) == direct
    assert server.bodies == sent


async def test_nothing_to_find_changes_nothing(straight: Line, lines: Lines, server: Seen, transport: str) -> None:
    assert await _everything(lines(GUARDED), transport) == await _everything(straight, transport)


async def test_a_secret_in_arguments_does_not_go_up(lines: Lines, server: Seen, transport: str) -> None:
    result = await _call(lines(GUARDED), transport, "echo", text=f"The key is {SECRET}, keep it.")
    assert not result.is_error
    ((_, text),) = server.called
    assert text.startswith("The key is [REDACTED") and text.endswith(", keep it.")
    assert not [body for body in server.bodies if SECRET.encode() in body]
    assert _text(result) == f"You said: {text}"


async def test_a_secret_in_a_result_does_not_come_down(lines: Lines, server: Seen, transport: str) -> None:
    """Neither in its text, which is JSON here, nor in the structured content that says the same."""
    server.secret = SECRET
    result = await _call(lines(GUARDED), transport, "leak")
    assert SECRET not in repr(result)
    assert result.structured_content is not None
    note = result.structured_content["note"]
    assert note.startswith("Use [REDACTED") and note.endswith(" today.")
    assert note in _text(result)


async def test_a_secret_in_resources_and_prompts_does_not_come_down(lines: Lines, server: Seen, transport: str) -> None:
    server.secret = SECRET
    async with _client(lines(GUARDED), transport) as client:
        read = await client.read_resource("note://one")
        got = await client.get_prompt("greet", {"name": "Ada"})
    assert SECRET not in repr(read) + repr(got)
    assert "Note: [REDACTED" in repr(read)
    assert "Greet Ada with [REDACTED" in repr(got)


async def test_a_secret_in_progress_does_not_come_down(lines: Lines, server: Seen) -> None:
    server.secret = SECRET
    told: list[str | None] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with _client(lines(GUARDED), "streams") as client:
        result = await client.call_tool("work", {}, progress_callback=progress)
    assert _text(result) == "Done."
    assert len(told) == 2
    assert all(message and "with [REDACTED" in message for message in told)


@pytest.mark.parametrize("transport", ["streams", "2024"])
async def test_a_question_of_the_server_is_answered(lines: Lines, server: Seen, transport: str) -> None:
    """The server asks in the middle of a call, and the client answers by a request of its own."""
    server.secret = SECRET
    asked = []

    async def elicit(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"answer": "It is mine."})

    async with _client(lines(GUARDED), transport, elicitation_callback=elicit) as client:
        result = await client.call_tool("ask_user", {})
    assert _text(result) == "You answered: It is mine."
    assert asked[0].startswith("Is [REDACTED")
    assert server.called == [("ask_user", "It is mine.")]


async def test_a_denied_call_is_a_result_that_says_so(lines: Lines, server: Seen, transport: str) -> None:
    """The model can read it; the server was never called. The session goes on.

    In 2024 the answer comes on another connection: the server gives one to what it was sent instead.
    """
    async with _client(lines(GUARDED), transport) as client:
        denied = await client.call_tool("read_file", {"path": "/srv/app/.env"})
        permitted = await client.call_tool("read_file", {"path": "/srv/app/README.md"})
    assert denied.is_error
    assert NOTICE in _text(denied)
    assert not permitted.is_error
    assert server.called == [("read_file", "/srv/app/README.md")]
    assert not [body for body in server.bodies if b".env" in body]


async def test_a_denied_result_is_one_that_says_so(lines: Lines, server: Seen, transport: str) -> None:
    result = await _call(lines(GUARDED), transport, "payroll")
    assert server.called == [("payroll", None)]
    assert result.is_error
    assert REASON in _text(result)
    assert "everybody earns" not in repr(result)


async def test_an_injected_instruction_does_not_come_down(lines: Lines, server: Seen, transport: str) -> None:
    result = await _call(lines(GUARDED), transport, "browse")
    assert "Opening hours" in _text(result) and "Closed on Sundays" in _text(result)
    assert "Ignore all previous" not in repr(result)
