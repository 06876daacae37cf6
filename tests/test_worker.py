"""The embedding: listening, draining, dialling late and elsewhere, trusting, reading chunked bodies in one piece."""

import asyncio
import contextlib
from pathlib import Path

import h11
import pytest
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from proxy.http1 import CoalescingReader
from proxy.worker import Worker, WorkerError, WorkerSettings
from tests import net
from tests.proxied import HOST, authorities, proxied

WHOLE = net.answering(net.ok(b"fine"))


class Denying:
    def request(self, flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(400, b"denied")


async def test_a_denied_request_never_dials_upstream(tmp_path: Path) -> None:
    async with proxied(tmp_path, Denying(), WHOLE) as proxy, proxy.client() as client:
        await client.send("POST", "/", b"{}")
        assert await client.response() == (400, b"denied")
        assert proxy.upstream.connections == 0


async def test_connect_to_keeps_sni_and_host_and_reuses_the_connection(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await net.read_request(reader))
            writer.write(net.ok(b"fine"))

    async with proxied(tmp_path, object(), script, leaves=[HOST]) as proxy, proxy.client() as client:
        for _ in range(3):
            await client.send("GET", "/")
            assert await client.response() == (200, b"fine")
        assert proxy.upstream.names == [HOST]
        assert all(b"host: " + HOST.encode() in head for head in heads)


async def test_connect_to_may_name_a_port(tmp_path: Path) -> None:
    async with proxied(tmp_path, object(), WHOLE) as proxy:
        await proxy.worker.stop()
        routes: dict[tuple[str, int | None], net.Address] = {(HOST, 8443): proxy.upstream.address}
        worker = Worker(WorkerSettings(tmp_path, upstream_ca=tmp_path / "upstream.pem", connect_to=routes), object())
        address = await worker.start()
        async with net.client(address, HOST, authorities()[0].client_context(), port=8443) as client:
            await client.send("GET", "/")
            assert await client.response() == (200, b"fine")
        await worker.stop()


async def test_an_upstream_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    async with proxied(tmp_path, object(), WHOLE) as proxy:
        await proxy.worker.stop()
        routes: dict[tuple[str, int | None], net.Address] = {("other.example.com", None): proxy.upstream.address}
        worker = Worker(WorkerSettings(tmp_path, upstream_ca=tmp_path / "upstream.pem", connect_to=routes), object())
        address = await worker.start()
        async with net.client(address, "other.example.com", authorities()[0].client_context()) as client:
            await client.send("GET", "/")
            status, body = await client.response()
            assert status == 502
            assert b"fine" not in body
        await worker.stop()


async def test_a_request_for_the_proxy_itself_does_not_loop(tmp_path: Path) -> None:
    async with proxied(tmp_path, object(), WHOLE) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        target = f"127.0.0.1:{proxy.address[1]}"
        writer.write(f"GET http://{target}/ HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
        status, body = await net.Client(reader, writer, target).response()
        assert (status, b"proxy itself" in body) == (502, True)
        writer.transport.abort()


async def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    async with proxied(tmp_path, object(), WHOLE) as proxy:
        await proxy.worker.stop()
        taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(WorkerError, match=f"cannot listen on 127.0.0.1:{port}: "):
            await Worker(WorkerSettings(tmp_path, port=port), object()).start()
        taken.close()


async def test_a_missing_or_broken_ca_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="no certificate authority"):
        await Worker(WorkerSettings(tmp_path), object()).start()
    (tmp_path / "mitmproxy-ca.pem").write_text("nothing")
    with pytest.raises(WorkerError, match="cannot be read"):
        await Worker(WorkerSettings(tmp_path), object()).start()


async def test_a_broken_upstream_ca_is_one_clear_error(tmp_path: Path) -> None:
    async with proxied(tmp_path, object(), WHOLE) as proxy:
        await proxy.worker.stop()
        broken = tmp_path / "broken.pem"
        broken.write_text("nothing")
        with pytest.raises(WorkerError, match=r"broken\.pem holds no readable certificate"):
            await Worker(WorkerSettings(tmp_path, upstream_ca=broken), object()).start()


async def test_only_one_worker_runs_in_a_process(tmp_path: Path) -> None:
    async with proxied(tmp_path, object(), WHOLE):
        with pytest.raises(WorkerError, match="another worker"):
            await Worker(WorkerSettings(tmp_path), object()).start()


class Streams:
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        flow.response.stream = True


class Slow:
    """An upstream whose stream ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await net.read_request(reader)
        writer.write(net.CHUNKED + net.chunk(b"one"))
        self.begun.set()
        await self.end.wait()
        writer.write(net.chunk(b"two") + net.chunk(b""))
        await reader.read()


async def test_draining_lets_a_stream_finish_and_closes_the_idle(tmp_path: Path) -> None:
    slow = Slow()
    async with proxied(tmp_path, Streams(), slow) as proxy, proxy.client() as client, proxy.client() as idle:
        await client.send("POST", "/", b"{}")
        await slow.begun.wait()
        draining = asyncio.create_task(proxy.worker.drain(10))
        assert await idle.everything() == b""
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*proxy.address)
        slow.end.set()
        assert await client.response() == (200, b"onetwo")
        assert await draining == 0


async def test_draining_cuts_what_outlives_its_grace(tmp_path: Path) -> None:
    slow = Slow()
    async with proxied(tmp_path, Streams(), slow) as proxy, proxy.client() as client:
        await client.send("POST", "/", b"{}")
        await slow.begun.wait()
        assert await proxy.worker.drain(0.01) == 1
        assert b"two" not in await client.everything()
        slow.end.set()


async def test_stopping_waits_for_what_an_error_hook_still_settles(tmp_path: Path) -> None:
    settled: list[str] = []

    class Settling(Streams):
        async def error(self, _flow: http.HTTPFlow) -> None:
            for _ in range(10):
                await asyncio.sleep(0)
            settled.append("settled")

    slow = Slow()
    async with proxied(tmp_path, Settling(), slow) as proxy, proxy.client() as client:
        await client.send("POST", "/", b"{}")
        await slow.begun.wait()
        await proxy.worker.stop()
        assert settled == ["settled"]
        slow.end.set()


async def test_stopping_twice_is_stopping(tmp_path: Path) -> None:
    async with proxied(tmp_path, object(), WHOLE) as proxy:
        await proxy.worker.stop()
        await proxy.worker.stop()


async def test_the_addons_lifecycle_hooks_run_and_a_failing_one_is_no_start(tmp_path: Path) -> None:
    seen: list[str] = []

    class Lifecycle:
        async def running(self) -> None:
            seen.append("running")

        def done(self) -> None:
            seen.append("done")

    class Broken:
        def running(self) -> None:
            raise LookupError("no policy")

    async with proxied(tmp_path, Lifecycle(), WHOLE):
        pass
    assert seen == ["running", "done"]
    with pytest.raises(LookupError):
        await Worker(WorkerSettings(tmp_path), Broken()).start()


# -- chunked bodies ---------------------------------------------------------------------------------------------------


def read(reader: CoalescingReader | ChunkedReader, wire: bytes, cuts: list[int]) -> tuple[bytes, int, str]:
    """The body, in how many events it came, and how it ended."""
    buffer, body, events = ReceiveBuffer(), b"", 0
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        buffer += wire[start:end]
        while True:
            try:
                event = reader(buffer)
            except h11.ProtocolError:
                return body, events, "broken"
            if event is None:
                break
            if isinstance(event, h11.EndOfMessage):
                return body, events, "end"
            body, events = body + bytes(event.data), events + 1
    return body, events, "open"


CHUNKS = st.lists(st.binary(min_size=1, max_size=20), max_size=10)


@given(CHUNKS, st.sampled_from([b"0\r\n\r\n", b"", b"oops\r\n"]), st.lists(st.integers(0, 200), max_size=5))
def test_coalesced_reading_gives_the_same_bytes_and_end(chunks: list[bytes], ending: bytes, at: list[int]) -> None:
    wire = b"".join(net.chunk(data) for data in chunks) + ending
    cuts = sorted(min(cut, len(wire)) for cut in at)
    body, events, end = read(CoalescingReader(ChunkedReader()), wire, cuts)
    assert (body, end) == read(ChunkedReader(), wire, cuts)[::2]
    assert events <= len(cuts) + 1


async def test_a_burst_of_chunks_is_one_event_and_the_same_bytes(tmp_path: Path) -> None:
    pieces: list[bytes] = []

    class Counting:
        def responseheaders(self, flow: http.HTTPFlow) -> None:
            assert flow.response
            flow.response.stream = self.stream

        def stream(self, data: bytes) -> bytes:
            pieces.append(data)
            return data

    burst = b"".join(net.chunk(b"data: %d\n\n" % index) for index in range(100))
    script = net.answering(net.CHUNKED + burst + net.chunk(b""))
    async with proxied(tmp_path, Counting(), script) as proxy, proxy.client() as client:
        await client.send("POST", "/", b"{}")
        body = b"".join(b"data: %d\n\n" % index for index in range(100))
        assert await client.response() == (200, body)
        assert len(pieces) < 10


async def test_what_the_client_sends_reaches_upstream_byte_for_byte(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await net.read_request(reader))
        writer.write(net.ok(b"fine"))
        with contextlib.suppress(ConnectionError):
            await reader.read()

    async with proxied(tmp_path, object(), script) as proxy, proxy.client() as client:
        body = b'{"b" :1,  "a":"\\u00e9"}'
        await client.send("POST", "/v1?x=%41", body, headers=["X-Odd-Case: Kept  as is", "accept: */*"])
        assert await client.response() == (200, b"fine")
        expected = (
            f"POST /v1?x=%41 HTTP/1.1\r\nhost: {HOST}\r\nX-Odd-Case: Kept  as is\r\n"
            f"accept: */*\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        assert heads == [expected.encode() + body]
