"""The official MCP client on its ways to the server of `mcp_server`: each transport, straight or through midstream."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from proxy.demo.served import serving
from tests.sdk.lines import Line
from tests.sdk.mcp_server import HOST, Seen, mcp_server
from tests.sdk.tunnel import tunnel
from tests.serving import AGENT, TOKEN

WAYS = {
    "streams": ("/mcp", "legacy"),
    "documents": ("/json/mcp", "legacy"),
    "streams of 2026": ("/mcp", "2026-07-28"),
    "documents of 2026": ("/json/mcp", "2026-07-28"),
    "2024": ("/old/sse", "legacy"),
}
"""Path and negotiation of each transport."""

KEPT = "/kept/mcp"
"""Where streams can be resumed."""


@dataclass(frozen=True)
class Ways:
    """A running server, and how it is reached."""

    server: Seen
    straight: Line
    through: Callable[[str], Line]
    """Through a midstream with this policy; started once."""


@contextmanager
def running(make_folder: Callable[[str], Path]) -> Iterator[Ways]:
    """The server, and as many midstreams as there are policies."""
    made: dict[str, Line] = {}
    with ExitStack() as stack:
        server = stack.enter_context(mcp_server(make_folder("mcp")))

        def through(policy: str) -> Line:
            if policy not in made:
                folder = make_folder("midstream")
                (folder / "policy.yaml").write_text(policy)
                told = ([folder / "policy.yaml"], server.address, server.ca_file, folder / "state")
                served = stack.enter_context(serving(*told, hosts=[HOST]))
                made[policy] = Line(served.proxy_url(AGENT, TOKEN), served.ca_file)
            return made[policy]

        yield Ways(server, Line(stack.enter_context(tunnel(server.port)), server.ca_file), through)


def http(line: Line, headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
    """As the SDK makes it, on our way."""
    return httpx2.AsyncClient(
        headers=headers, timeout=timeout or 30, auth=auth, verify=line.trust, proxy=line.proxy, trust_env=False
    )


@asynccontextmanager
async def client(line: Line, transport: str, *, path: str | None = None, **options: Any) -> AsyncIterator[Client]:
    """A client that is connected. `path`: another than the transport's usual one."""
    usual, mode = WAYS[transport]
    url = f"https://{HOST}{path or usual}"
    async with http(line) as sender:
        way: Any = streamable_http_client(url, http_client=sender)
        if transport == "2024":
            way = sse_client(url, httpx_client_factory=lambda *given, **named: http(line, *given, **named))
        async with Client(way, mode=mode, **options) as connected:
            yield connected


async def call(line: Line, transport: str, tool: str, **arguments: Any) -> CallToolResult:
    """One call of a client of its own."""
    async with client(line, transport) as connected:
        return await connected.call_tool(tool, arguments)


def text(result: CallToolResult) -> str:
    """What a result says."""
    return "".join(block.text for block in result.content if block.type == "text")
