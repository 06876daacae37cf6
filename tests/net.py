"""Real sockets for tests: a throwaway CA, a raw TLS upstream scripted by a coroutine, and raw h1 and h2 clients.

Nothing of mitmproxy and nothing of the product's logic is here, so that what arrives is judged by other code.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

type Address = tuple[str, int]
type Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; of b"" the last one."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@dataclass(frozen=True)
class Authority:
    """A CA that lives for one test session."""

    key: ec.EllipticCurvePrivateKey
    cert: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return _key_pem(self.key)

    def server_context(self, folder: Path, *names: str, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
        """A server's TLS context with a leaf for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        sans = [_general(name) for name in names]
        leaf = (
            _builder(names[0], self.cert.subject, key)
            .add_extension(x509.SubjectAlternativeName(sans), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        file = folder / f"leaf-{names[0]}.pem"
        file.write_bytes(_key_pem(key) + leaf.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.set_alpn_protocols(list(alpn))
        return context

    def client_context(self, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
        """A client's TLS context that trusts this CA only."""
        context = ssl.create_default_context(cadata=self.pem.decode())
        context.set_alpn_protocols(list(alpn))
        return context


def make_authority(name: str) -> Authority:
    """A fresh P-256 CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    cert = (
        _builder(name, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, cert)


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


# -- upstream ---------------------------------------------------------------------------------------------------------


@dataclass
class Upstream:
    """A raw server. Counts connections, keeps the names asked for (SNI), and tells when a connection ended."""

    address: Address = ("", 0)
    connections: int = 0
    names: list[str | None] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    failures: list[BaseException] = field(default_factory=list)


@contextlib.asynccontextmanager
async def upstream(script: Script, tls: ssl.SSLContext | None) -> AsyncIterator[Upstream]:
    """Serve every connection by `script`. What the script raises (besides a lost connection) fails the test."""
    state = Upstream()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except BaseException as exc:
            state.failures.append(exc)
        finally:
            state.ended.set()
            writer.transport.abort()

    if tls is not None:
        tls.sni_callback = lambda _connection, name, _context: state.names.append(name)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    state.address = server.sockets[0].getsockname()[:2]
    try:
        yield state
    finally:
        server.close()
        server.close_clients()
    assert state.failures == []


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One HTTP/1 request: head and body (Content-Length only)."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)


def answering(response: bytes) -> Script:
    """A script that gives the same bytes to every request of a connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(response)
            await writer.drain()

    return script


def ok(body: bytes) -> bytes:
    """A whole 200 response."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


# -- clients ----------------------------------------------------------------------------------------------------------


@dataclass
class Client:
    """A connection to `host` through the proxy, TLS in a CONNECT tunnel."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    host: str

    async def send(self, method: str, path: str, body: bytes = b"", headers: Sequence[str] = ()) -> None:
        """One request, whole."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.host}", *headers]
        if body:
            lines.append(f"content-length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()

    async def response(self) -> tuple[int, bytes]:
        """One response: status and body. Raises where the body does not end as it should."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return status, await self._chunks()
        length = lower.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return status, await self.reader.readexactly(int(length or 0))

    async def head(self) -> bytes:
        """The head of a response."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def piece(self) -> bytes:
        """The next chunk of a chunked body."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def _chunks(self) -> bytes:
        pieces = []
        while data := await self.piece():
            pieces.append(data)
        return b"".join(pieces)

    async def everything(self) -> bytes:
        """All bytes until the connection ends, however it ends."""
        received = bytearray()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await self.reader.read(65536):
                received += data
        return bytes(received)

    def abort(self) -> None:
        """Leave at once."""
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def client(proxy: Address, host: str, trust: ssl.SSLContext, port: int = 443) -> AsyncIterator[Client]:
    """Through the proxy to host:port, with TLS."""
    reader, writer = await asyncio.open_connection(*proxy)
    try:
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
        await writer.start_tls(trust, server_hostname=host)
        yield Client(reader, writer, host)
    finally:
        writer.transport.abort()


@dataclass
class H2Answer:
    """What one stream of an HTTP/2 connection received."""

    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: bool = False


class H2Client:
    """A small HTTP/2 client over a `Client` connection."""

    def __init__(self, connection: Client) -> None:
        self._io = connection
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self.answers: dict[int, H2Answer] = {}

    async def send(self, method: str, path: str, body: bytes = b"") -> int:
        """One request; returns its stream."""
        stream = self._h2.get_next_available_stream_id()
        names = [(":method", method), (":path", path), (":scheme", "https"), (":authority", self._io.host)]
        self._h2.send_headers(stream, names, end_stream=not body)
        if body:
            self._h2.send_data(stream, body, end_stream=True)
        self.answers[stream] = H2Answer()
        await self._flush()
        return stream

    async def reset(self, stream: int) -> None:
        """Leave one stream."""
        self._h2.reset_stream(stream, 8)  # CANCEL
        await self._flush()

    async def until(self, done: Callable[[], bool]) -> None:
        """Receive until the condition holds or the connection ends."""
        while not done():
            data = await self._io.reader.read(65536)
            if not data:
                return
            for event in self._h2.receive_data(data):
                self._take(event)
            await self._flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            headers = {str(name): str(value) for name, value in event.headers}
            self.answers[event.stream_id].status = int(headers[":status"])
        elif isinstance(event, h2.events.DataReceived):
            self.answers[event.stream_id].body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.answers[event.stream_id].ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.answers[event.stream_id].reset = True

    async def _flush(self) -> None:
        self._io.writer.write(self._h2.data_to_send())
        await self._io.writer.drain()
