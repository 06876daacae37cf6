"""Every way mitmproxy is known to fail open, injected: nothing unscanned may reach the client, or upstream too early.

One test per row of what was found on stock mitmproxy 12: there each of these delivers, or hangs.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http

from proxy.layer.hooks import GUARD
from tests import net
from tests.proxied import HOST, proxied

SECRET = b"unscanned-bytes"
WHOLE = net.answering(net.ok(SECRET))


class Fault:
    """An addon with one hook that fails."""

    def __init__(self, hook: str, exc: type[BaseException], *, awaits: bool) -> None:
        async def later(_flow: object) -> None:
            await asyncio.sleep(0)
            raise exc

        def now(_flow: object) -> None:
            raise exc

        setattr(self, hook, later if awaits else now)


class Answering(Fault):
    """Says what a failed hook's client gets."""

    def hook_failed(self, _name: str, flow: http.HTTPFlow, _exc: BaseException) -> bool:
        flow.response = http.Response.make(500, b"could not be decided")
        return False


class Opening(Fault):
    """A policy that says open."""

    def hook_failed(self, _name: str, _flow: http.HTTPFlow, _exc: BaseException) -> bool:
        return True


FLOW_HOOKS = ["requestheaders", "request", "responseheaders", "response"]
FAULTS = [(exc, awaits) for exc in (RuntimeError, asyncio.CancelledError) for awaits in (False, True)]


@pytest.mark.parametrize("hook", FLOW_HOOKS)
@pytest.mark.parametrize(("exc", "awaits"), FAULTS)
async def test_an_exception_in_a_hook_delivers_nothing(
    tmp_path: Path, hook: str, exc: type[BaseException], awaits: bool
) -> None:
    async with proxied(tmp_path, Fault(hook, exc, awaits=awaits), WHOLE) as proxy, proxy.client() as client:
        await client.send("POST", "/v1/chat", b"{}")
        assert await client.everything() == b""
        assert proxy.upstream.connections == (0 if hook.startswith("request") else 1)


@pytest.mark.parametrize("hook", FLOW_HOOKS)
@pytest.mark.parametrize(("exc", "awaits"), FAULTS)
async def test_the_addon_may_answer_for_a_failed_hook(
    tmp_path: Path, hook: str, exc: type[BaseException], awaits: bool
) -> None:
    async with proxied(tmp_path, Answering(hook, exc, awaits=awaits), WHOLE) as proxy, proxy.client() as client:
        await client.send("POST", "/v1/chat", b"{}")
        assert await client.response() == (500, b"could not be decided")


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_a_policy_may_say_open(tmp_path: Path, hook: str) -> None:
    async with proxied(tmp_path, Opening(hook, RuntimeError, awaits=True), WHOLE) as proxy, proxy.client() as client:
        await client.send("POST", "/v1/chat", b"{}")
        assert await client.response() == (200, SECRET)


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_an_http2_client_sees_a_reset_stream(tmp_path: Path, hook: str) -> None:
    async with (
        proxied(tmp_path, Fault(hook, RuntimeError, awaits=True), WHOLE) as proxy,
        proxy.client(HOST, "h2") as connection,
    ):
        client = net.H2Client(connection)
        stream = await client.send("POST", "/v1/chat", b"{}")
        await client.until(lambda: client.answers[stream].reset)
        assert client.answers[stream] == net.H2Answer(reset=True)


@pytest.mark.parametrize(
    "hook", ["tls_clienthello", "tls_start_client", "next_layer", "http_connected", "http_connect"]
)
async def test_a_failed_connection_hook_ends_the_connection(tmp_path: Path, hook: str) -> None:
    async with proxied(tmp_path, Fault(hook, RuntimeError, awaits=False), WHOLE) as proxy:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with proxy.client() as client:
                await client.send("POST", "/v1/chat", b"{}")
                await client.response()
        assert proxy.upstream.connections == 0


async def test_a_failed_server_connect_hook_dials_nothing(tmp_path: Path) -> None:
    addon = Fault("server_connect", RuntimeError, awaits=True)
    async with proxied(tmp_path, addon, WHOLE) as proxy, proxy.client() as client:
        await client.send("POST", "/v1/chat", b"{}")
        assert (await client.response())[0] == 502
        assert proxy.upstream.connections == 0


async def test_a_failed_server_connected_hook_delivers_nothing(tmp_path: Path) -> None:
    addon = Fault("server_connected", RuntimeError, awaits=True)
    async with proxied(tmp_path, addon, WHOLE) as proxy, proxy.client() as client:
        await client.send("POST", "/v1/chat", b"{}")
        assert await client.everything() == b""


class Streaming:
    """Streams responses through a callable or a guard."""

    def __init__(self, stream: Callable[[http.HTTPFlow, bytes], Any] | None = None, guard: object = None) -> None:
        self._stream, self._guard = stream, guard
        self.failures: list[BaseException] = []
        self.errors = 0

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        stream = self._stream
        assert flow.response
        flow.response.stream = (lambda data: stream(flow, data)) if stream else True
        if self._guard is not None:
            flow.metadata[GUARD] = self._guard

    def midstream_guard_failed(self, failure: Any) -> None:
        self.failures.append(failure.exc)

    def error(self, _flow: http.HTTPFlow) -> None:
        self.errors += 1


def raising(_flow: http.HTTPFlow, data: bytes) -> bytes:
    if SECRET in data:
        raise RuntimeError
    return data


def nonsense(_flow: http.HTTPFlow, data: bytes) -> object:
    return 7 if SECRET in data else data


def killing(flow: http.HTTPFlow, data: bytes) -> bytes:
    if SECRET in data:
        flow.kill()  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    return data


class Paced:
    """An upstream that sends a first event, and the secret one once the first was received."""

    def __init__(self) -> None:
        self.received = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED + net.chunk(b"data: first\n\n"))
        await self.received.wait()
        writer.write(net.chunk(b"data: " + SECRET + b"\n\n") + net.chunk(b""))
        await reader.read()


@pytest.mark.parametrize("stream", [raising, nonsense, killing])
async def test_a_failing_or_killing_stream_callable_ends_the_stream_at_once(
    tmp_path: Path, stream: Callable[[http.HTTPFlow, bytes], Any]
) -> None:
    addon, script = Streaming(stream), Paced()
    async with proxied(tmp_path, addon, script) as proxy, proxy.client() as client:
        await client.send("POST", "/v1/chat", b"{}")
        await client.head()
        assert await client.piece() == b"data: first\n\n"
        script.received.set()
        assert await client.everything() == b""
        await proxy.upstream.ended.wait()
        assert addon.errors == 1
        assert len(addon.failures) == (0 if stream is killing else 1)


class Faulty:
    """A guard that passes everything on, and fails at one step."""

    def __init__(self, step: str) -> None:
        self.held, self.waiting, self._step = 0, False, step

    def _fail(self, step: str) -> None:
        if step == self._step:
            raise RuntimeError

    def feed(self, data: bytes) -> bytes:
        self.waiting = SECRET in data
        if self.waiting:
            self._fail("feed")
        return b"" if self.waiting else data

    def finish(self) -> bytes:
        self._fail("finish")
        return b""

    def keepalive(self) -> bytes:
        return b""

    async def decide(self) -> None:
        await asyncio.sleep(0)
        self._fail("decide")
        if self._step == "cancelled":
            raise asyncio.CancelledError
        self.waiting = False

    def resume(self) -> bytes:
        self._fail("resume")
        return b""


@pytest.mark.parametrize("step", ["feed", "decide", "cancelled", "resume", "finish"])
@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
async def test_a_failing_guard_delivers_nothing_of_what_it_held(tmp_path: Path, step: str, alpn: str) -> None:
    addon, script = Streaming(guard=Faulty(step)), Paced()
    async with proxied(tmp_path, addon, script) as proxy, proxy.client(HOST, alpn) as connection:
        if alpn == "h2":
            client = net.H2Client(connection)
            answer = client.answers[await client.send("POST", "/v1/chat", b"{}")]
            await client.until(lambda: bool(answer.body))
            script.received.set()
            await client.until(lambda: answer.reset or answer.ended)
            assert (bytes(answer.body), answer.reset, answer.ended) == (b"data: first\n\n", True, False)
        else:
            await connection.send("POST", "/v1/chat", b"{}")
            await connection.head()
            assert await connection.piece() == b"data: first\n\n"
            script.received.set()
            assert await connection.everything() == b""
        await proxy.upstream.ended.wait()
        assert (len(addon.failures), addon.errors) == (1, 1)


class Keeping(Faulty):
    """A guard that holds all."""

    def feed(self, data: bytes) -> bytes:
        self.held += len(data)
        return b""


@pytest.mark.parametrize("ending", [b"not a chunk size\r\n", b"", b"0\r\nx-trailer: unscanned-bytes\r\n\r\n"])
async def test_an_upstream_that_breaks_off_is_not_a_clean_end(tmp_path: Path, ending: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED + net.chunk(SECRET) + ending)
        await writer.drain()
        writer.close()

    async with proxied(tmp_path, Streaming(guard=Keeping("never")), script) as proxy, proxy.client() as client:
        await client.send("POST", "/v1/chat", b"{}")
        received = await client.everything()
        assert SECRET not in received
        assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "head", [SECRET + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + SECRET, b"HTTP/1.1 200 OK\r\n" + SECRET + b" x: y\r\n\r\n"]
)
async def test_what_upstream_says_instead_of_http_is_not_quoted(tmp_path: Path, head: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(head)
        await writer.drain()
        writer.close()

    async with proxied(tmp_path, Streaming(), script) as proxy, proxy.client() as client:
        await client.send("POST", "/v1/chat", b"{}")
        status, body = await client.response()
        assert status == 502
        assert SECRET not in body


async def test_a_failing_request_hook_of_a_streamed_upload_delivers_no_answer(tmp_path: Path) -> None:
    class Uploads(Fault):
        def requestheaders(self, flow: http.HTTPFlow) -> None:
            flow.request.stream = True

    async with (
        proxied(tmp_path, Uploads("request", RuntimeError, awaits=True), WHOLE) as proxy,
        proxy.client() as client,
    ):
        await client.send("POST", "/v1/chat", b"{}")
        assert await client.everything() == b""


@pytest.mark.parametrize("port", [443, 53, 22])
@pytest.mark.parametrize("hello", [b"\x00\x01\x02 not http at all\r\n\r\n", b"SSH-2.0-client\r\n\r\n"])
async def test_bytes_that_are_not_http_get_no_tunnel(tmp_path: Path, port: int, hello: bytes) -> None:
    async with proxied(tmp_path, Streaming(), WHOLE) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(f"CONNECT {HOST}:{port} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(hello)
        with contextlib.suppress(ConnectionError):
            assert SECRET not in await reader.read()
        assert proxy.upstream.connections == 0
        writer.transport.abort()


@pytest.mark.parametrize("protocol", ["telnet", "websocket"])
async def test_an_upgrade_that_nobody_inspects_carries_nothing(tmp_path: Path, protocol: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        head = f"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
        writer.write(head.encode() + SECRET)
        await reader.read()

    async with proxied(tmp_path, object(), script) as proxy, proxy.client() as client:
        upgrade = ["connection: upgrade", f"upgrade: {protocol}", "sec-websocket-version: 13"]
        await client.send("GET", "/", headers=upgrade)
        assert SECRET not in await client.everything()


async def test_a_stopped_proxy_is_a_closed_door(tmp_path: Path) -> None:
    async with proxied(tmp_path, object(), WHOLE) as proxy:
        await proxy.worker.stop()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*proxy.address)
