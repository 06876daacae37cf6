"""The official MCP SDK, client and server, through midstream: each transport, and the protocol before and of 2026."""

from collections.abc import Iterator
from typing import Any

import pytest
from mcp_types import ElicitResult

from tests.sdk.conftest import PERMIT_ALL, Lines
from tests.sdk.contract import SECRET
from tests.sdk.lines import Line
from tests.sdk.mcp_server import Seen
from tests.sdk.mcp_ways import WAYS, Ways, call, client, running, text
from tests.serving import GUARDED, NOTICE, REASON


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
def straight(ways: Ways) -> Line:
    """The way to the server with nothing between."""
    return ways.straight


@pytest.fixture
def lines(ways: Ways) -> Lines:
    """`lines(policy)`: the way through a midstream with that policy."""
    return ways.through


@pytest.fixture(params=WAYS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


async def _everything(line: Line, transport: str) -> list[Any]:
    """What a client learns of the server by asking for all it has."""
    steps: list[Any] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    async with client(line, transport) as connected:
        answers = [
            await connected.list_tools(),
            await connected.list_resources(),
            await connected.list_prompts(),
            await connected.call_tool("echo", {"text": "Grüße “to” \U0001f600.\n"}),
            await connected.call_tool("echo", {"wrong": 1}),
            await connected.call_tool("nothing of the kind", {}),
            await connected.call_tool("work", {}, progress_callback=progress),
            await connected.read_resource("note://one"),
            await connected.get_prompt("greet", {"name": "Ada"}),
        ]
        return [connected.protocol_version, connected.server_info, steps, *(answer.model_dump() for answer in answers)]


async def test_all_is_as_without_midstream(straight: Line, lines: Lines, server: Seen, transport: str) -> None:
    direct = await _everything(straight, transport)
    sent = list(server.bodies)
    server.reset()
    assert await _everything(lines(PERMIT_ALL), transport) == direct
    assert server.bodies == sent


async def test_nothing_to_find_changes_nothing(straight: Line, lines: Lines, server: Seen, transport: str) -> None:
    assert await _everything(lines(GUARDED), transport) == await _everything(straight, transport)


async def test_a_secret_in_arguments_does_not_go_up(lines: Lines, server: Seen, transport: str) -> None:
    result = await call(lines(GUARDED), transport, "echo", text=f"The key is {SECRET}, keep it.")
    assert not result.is_error
    ((_, got),) = server.called
    assert got.startswith("The key is [REDACTED") and got.endswith(", keep it.")
    assert not [body for body in server.bodies if SECRET.encode() in body]
    assert text(result) == f"You said: {got}"


async def test_a_secret_in_a_result_does_not_come_down(lines: Lines, server: Seen, transport: str) -> None:
    """Neither in its text, which is JSON here, nor in the structured content that says the same."""
    server.secret = SECRET
    result = await call(lines(GUARDED), transport, "leak")
    assert SECRET not in repr(result)
    assert result.structured_content is not None
    note = result.structured_content["note"]
    assert note.startswith("Use [REDACTED") and note.endswith(" today.")
    assert note in text(result)


async def test_a_secret_in_resources_and_prompts_does_not_come_down(lines: Lines, server: Seen, transport: str) -> None:
    server.secret = SECRET
    async with client(lines(GUARDED), transport) as connected:
        read = await connected.read_resource("note://one")
        got = await connected.get_prompt("greet", {"name": "Ada"})
    assert SECRET not in repr(read) + repr(got)
    assert "Note: [REDACTED" in repr(read)
    assert "Greet Ada with [REDACTED" in repr(got)


async def test_a_secret_in_progress_does_not_come_down(lines: Lines, server: Seen) -> None:
    server.secret = SECRET
    told: list[str | None] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with client(lines(GUARDED), "streams") as connected:
        result = await connected.call_tool("work", {}, progress_callback=progress)
    assert text(result) == "Done."
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

    async with client(lines(GUARDED), transport, elicitation_callback=elicit) as connected:
        result = await connected.call_tool("ask_user", {})
    assert text(result) == "You answered: It is mine."
    assert asked[0].startswith("Is [REDACTED")
    assert server.called == [("ask_user", "It is mine.")]


async def test_a_denied_call_is_a_result_that_says_so(lines: Lines, server: Seen, transport: str) -> None:
    """The model can read it; the server was never called. The session goes on.

    In 2024 the answer comes on another connection: the server gives one to what it was sent instead.
    """
    async with client(lines(GUARDED), transport) as connected:
        denied = await connected.call_tool("read_file", {"path": "/srv/app/.env"})
        permitted = await connected.call_tool("read_file", {"path": "/srv/app/README.md"})
    assert denied.is_error
    assert NOTICE in text(denied)
    assert not permitted.is_error
    assert server.called == [("read_file", "/srv/app/README.md")]
    assert not [body for body in server.bodies if b".env" in body]


async def test_a_denied_result_is_one_that_says_so(lines: Lines, server: Seen, transport: str) -> None:
    result = await call(lines(GUARDED), transport, "payroll")
    assert server.called == [("payroll", None)]
    assert result.is_error
    assert REASON in text(result)
    assert "everybody earns" not in repr(result)


async def test_an_injected_instruction_does_not_come_down(lines: Lines, server: Seen, transport: str) -> None:
    result = await call(lines(GUARDED), transport, "browse")
    assert "Opening hours" in text(result) and "Closed on Sundays" in text(result)
    assert "Ignore all previous" not in repr(result)
