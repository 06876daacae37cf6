"""The stream that waits: keepalives, other flows, aborts both ways, caps, refusals of what is too large."""

import asyncio
from pathlib import Path

import pytest
from mitmproxy import http

from proxy.hold import Limits
from proxy.layer.hooks import GUARD, MAX_BODY, MAX_RESPONSE
from tests import net
from tests.proxied import HOST, proxied

EVENT = b"data: call\n\n"


class Holding:
    """A guard that lets the first chunk go and holds the rest until it is released."""

    def __init__(self) -> None:
        self.held, self.waiting, self._kept = 0, False, b""
        self.asked, self.released, self.dropped = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.pings = 0

    def feed(self, data: bytes) -> bytes:
        if EVENT not in data:
            return data
        self._kept, self.waiting = data, True
        return b""

    def finish(self) -> bytes:
        return b""

    def keepalive(self) -> bytes:
        self.pings += 1
        return b": ping\n\n"

    async def decide(self) -> None:
        self.asked.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.dropped.set()
            raise
        self.waiting = False

    def resume(self) -> bytes:
        kept, self._kept = self._kept, b""
        return kept


class Guarding:
    """Guards what is asked for under /held, and counts errors."""

    def __init__(self, guard: object) -> None:
        self.guard = guard
        self.errors: asyncio.Queue[str] = asyncio.Queue()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        flow.response.stream = True
        if flow.request.path == "/held":
            flow.metadata[GUARD] = self.guard

    def error(self, flow: http.HTTPFlow) -> None:
        assert flow.error
        self.errors.put_nowait(flow.error.msg)


async def streaming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Three chunks; the second is the held one, the third is sent with it."""
    while True:
        await net.read_request(reader)
        writer.write(net.CHUNKED + net.chunk(b"data: text\n\n") + net.chunk(EVENT) + net.chunk(b""))
        await writer.drain()


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The held chunk, then an open stream until the proxy leaves."""
    await net.read_request(reader)
    writer.write(net.CHUNKED + net.chunk(EVENT))
    await reader.read()


async def test_a_held_stream_pings_while_other_flows_go_on_and_then_resumes(tmp_path: Path) -> None:
    guard = Holding()
    quick = Limits(keepalive_interval=0.01)
    async with (
        proxied(tmp_path, Guarding(guard), streaming, limits=quick) as proxy,
        proxy.client() as held,
        proxy.client() as other,
    ):
        await held.send("POST", "/held", b"{}")
        await held.head()
        assert await held.piece() == b": ping\n\n"
        assert await held.piece() == b": ping\n\n"
        await other.send("POST", "/other", b"{}")
        assert await other.response() == (200, b"data: text\n\n" + EVENT)
        guard.released.set()
        rest = b""
        while data := await held.piece():
            rest += data
        assert rest.replace(b": ping\n\n", b"") == b"data: text\n\n" + EVENT


async def test_fifteen_http2_streams_run_at_once_while_one_is_held(tmp_path: Path) -> None:
    guard = Holding()
    async with proxied(tmp_path, Guarding(guard), streaming) as proxy, proxy.client(HOST, "h2") as connection:
        client = net.H2Client(connection)
        held = await client.send("POST", "/held", b"{}")
        others = [await client.send("POST", "/other", b"{}") for _ in range(15)]
        await client.until(lambda: all(client.answers[stream].ended for stream in others))
        await guard.asked.wait()
        assert {bytes(client.answers[stream].body) for stream in others} == {b"data: text\n\n" + EVENT}
        assert EVENT not in client.answers[held].body
        guard.released.set()
        await client.until(lambda: client.answers[held].ended)
        assert client.answers[held].body == b"data: text\n\n" + EVENT


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
async def test_a_client_that_leaves_during_a_hold_ends_the_decision_and_upstream(tmp_path: Path, alpn: str) -> None:
    guard = Holding()
    addon = Guarding(guard)
    async with proxied(tmp_path, addon, hanging) as proxy, proxy.client(HOST, alpn) as connection:
        if alpn == "h2":
            client = net.H2Client(connection)
            stream = await client.send("POST", "/held", b"{}")
            await guard.asked.wait()
            await client.reset(stream)
        else:
            await connection.send("POST", "/held", b"{}")
            await guard.asked.wait()
            connection.abort()
        await proxy.upstream.ended.wait()
        await guard.dropped.wait()
        await addon.errors.get()
        assert addon.errors.empty()


async def test_an_upstream_that_breaks_during_a_hold_ends_it_and_nothing_held_leaves(tmp_path: Path) -> None:
    guard = Holding()

    async def breaking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED + net.chunk(EVENT))
        await guard.asked.wait()

    async with proxied(tmp_path, Guarding(guard), breaking) as proxy, proxy.client() as client:
        await client.send("POST", "/held", b"{}")
        received = await client.everything()
        assert EVENT not in received
        assert not received.endswith(b"0\r\n\r\n")
        await guard.dropped.wait()


async def test_a_hold_past_the_cap_aborts_the_flow(tmp_path: Path) -> None:
    guard = Holding()
    addon = Guarding(guard)

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED + net.chunk(EVENT))
        await guard.asked.wait()
        while True:
            writer.write(net.chunk(bytes(65536)))
            await writer.drain()

    small = Limits(max_held=1 << 20)
    async with proxied(tmp_path, addon, flooding, limits=small) as proxy, proxy.client() as client:
        await client.send("POST", "/held", b"{}")
        assert EVENT not in await client.everything()
        assert await addon.errors.get() == "more bytes were held back than allowed"


async def test_a_guard_that_keeps_too_much_aborts_the_flow(tmp_path: Path) -> None:
    class Hoarding(Holding):
        def feed(self, data: bytes) -> bytes:
            self.held += len(data)
            return b""

    addon = Guarding(Hoarding())

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED)
        while True:
            writer.write(net.chunk(bytes(65536)))
            await writer.drain()

    small = Limits(max_held=1 << 20)
    async with proxied(tmp_path, addon, flooding, limits=small) as proxy, proxy.client() as client:
        await client.send("POST", "/held", b"{}")
        await client.everything()
        assert await addon.errors.get() == "more bytes were held back than allowed"


async def test_an_http2_client_that_does_not_read_is_aborted_at_the_cap(tmp_path: Path) -> None:
    addon = Guarding(None)

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED)
        while True:
            writer.write(net.chunk(bytes(65536)))
            await writer.drain()

    small = Limits(max_held=1 << 20)
    async with proxied(tmp_path, addon, flooding, limits=small) as proxy, proxy.client(HOST, "h2") as connection:
        await net.H2Client(connection).send("POST", "/other", b"{}")  # and never a window update
        assert await addon.errors.get() == "more bytes were held back than allowed"


class Bounded:
    """Sets both bounds, and answers in its own words."""

    def __init__(self, answers: bool = True) -> None:
        self._answers = answers
        self.responses: list[int] = []

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        flow.metadata[MAX_BODY] = flow.metadata[MAX_RESPONSE] = 1000

    def body_too_large(self, flow: http.HTTPFlow) -> None:
        if self._answers:
            flow.response = http.Response.make(413, b'{"error": "large"}')

    def response_too_large(self, flow: http.HTTPFlow) -> None:
        if self._answers:
            flow.response = http.Response.make(502, b'{"error": "large"}')

    def response(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        self.responses.append(flow.response.status_code)


CHUNKED_UPLOAD = b"POST / HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_request_body_over_the_limit_is_refused_without_dialling(
    tmp_path: Path, declared: bool, answers: bool
) -> None:
    addon = Bounded(answers)
    async with proxied(tmp_path, addon, net.answering(net.ok(b"no"))) as proxy, proxy.client() as client:
        if declared:
            await client.send("POST", "/", bytes(100_000))
        else:
            client.writer.write(CHUNKED_UPLOAD + net.chunk(bytes(600)) * 100 + net.chunk(b""))
        status, body = await client.response()
        assert status == 413
        assert (body == b'{"error": "large"}') is answers
        assert await client.everything() == b""  # and the connection is closed properly
        assert proxy.upstream.connections == 0
        assert addon.responses == [413]


async def test_an_http2_body_over_the_limit_is_refused_and_the_connection_goes_on(tmp_path: Path) -> None:
    addon = Bounded()
    async with (
        proxied(tmp_path, addon, net.answering(net.ok(b"fine"))) as proxy,
        proxy.client(HOST, "h2") as connection,
    ):
        client = net.H2Client(connection)
        large = await client.send("POST", "/", bytes(10_000))
        await client.until(lambda: client.answers[large].ended)
        small = await client.send("POST", "/", b"{}")
        await client.until(lambda: client.answers[small].ended)
        assert client.answers[large] == net.H2Answer(413, bytearray(b'{"error": "large"}'), ended=True)
        assert client.answers[small] == net.H2Answer(200, bytearray(b"fine"), ended=True)


async def test_a_body_at_the_limit_passes(tmp_path: Path) -> None:
    async with proxied(tmp_path, Bounded(), net.answering(net.ok(bytes(1000)))) as proxy, proxy.client() as client:
        await client.send("POST", "/", bytes(1000))
        assert await client.response() == (200, bytes(1000))


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_response_body_over_the_limit_is_refused(tmp_path: Path, declared: bool, answers: bool) -> None:
    addon = Bounded(answers)
    chunked = net.CHUNKED + net.chunk(bytes(600)) * 4 + net.chunk(b"")
    script = net.answering(net.ok(bytes(5000)) if declared else chunked)
    async with proxied(tmp_path, addon, script) as proxy, proxy.client() as client:
        for _ in range(2):  # the client's connection stays good
            await client.send("POST", "/", b"{}")
            status, body = await client.response()
            assert (status, body == b'{"error": "large"}') == (502, answers)
        assert addon.responses == [502, 502]


async def test_a_response_replaced_at_its_headers_is_sent_instead_of_upstreams(tmp_path: Path) -> None:
    class Replacing:
        def responseheaders(self, flow: http.HTTPFlow) -> None:
            flow.response = http.Response.make(400, b"replaced")

    async with proxied(tmp_path, Replacing(), net.answering(net.ok(b"original"))) as proxy, proxy.client() as client:
        await client.send("POST", "/", b"{}")
        assert await client.response() == (400, b"replaced")


async def test_an_upstream_that_is_not_trusted_is_a_502_in_the_addons_words(tmp_path: Path) -> None:
    class Wording:
        def upstream_failed(self, flow: http.HTTPFlow) -> None:
            assert flow.error
            flow.response = http.Response.make(502, flow.error.msg.encode())

    async with (
        proxied(tmp_path, Wording(), net.answering(net.ok(b"no")), trust=False) as proxy,
        proxy.client() as client,
    ):
        await client.send("POST", "/", b"{}")
        status, body = await client.response()
        assert status == 502
        assert b"certificate" in body.lower()
