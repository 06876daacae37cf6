"""WebSockets over raw connections, frame by frame, for tests of both of their sides.

The `websockets` library reads and writes here; what runs in the product is another one (wsproto).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tests.net import Client

_READ = 65536


class Message(NamedTuple):
    """A whole message, in the frames it came in."""

    frames: tuple[bytes, ...]
    is_text: bool

    @property
    def data(self) -> bytes:
        return b"".join(self.frames)

    @property
    def json(self) -> Any:
        return orjson.loads(self.data)


class Closed(NamedTuple):
    """How a connection ended. 1006: without a closing frame (RFC 6455 §7.1.5)."""

    code: int
    reason: str = ""


class Socket:
    """One side of an upgraded connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: ClientProtocol | ServerProtocol
    ) -> None:
        self._reader, self._writer = reader, writer
        self.protocol = protocol
        self._events: deque[Any] = deque(
            event for event in protocol.events_received() if not isinstance(event, Request)
        )
        self._frames: list[Frame] = []
        self.pongs: list[bytes] = []

    @property
    def deflates(self) -> bool:
        """Whether messages are compressed."""
        return bool(self.protocol.extensions)

    # sending

    async def send(self, *frames: str | bytes) -> None:
        """One message, text or binary as its first frame is, in these frames."""
        for index, frame in enumerate(frames):
            data, last = frame.encode() if isinstance(frame, str) else frame, index == len(frames) - 1
            if index:
                self.protocol.send_continuation(data, last)
            elif isinstance(frame, str):
                self.protocol.send_text(data, last)
            else:
                self.protocol.send_binary(data, last)
        await self.flush()

    async def tell(self, documents: Iterable[Any]) -> None:
        """A text message for each document."""
        for document in documents:
            await self.send(orjson.dumps(document).decode())

    async def ping(self, data: bytes) -> None:
        self.protocol.send_ping(data)
        await self.flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.protocol.send_close(code, reason)
        await self.flush()

    def abort(self) -> None:
        """Leave at once, without a word."""
        self._writer.transport.abort()

    async def flush(self) -> None:
        self._writer.write(b"".join(self.protocol.data_to_send()))
        await self._writer.drain()

    # receiving

    async def receive(self) -> Message | Closed:
        """The next message, or how the connection ended."""
        while True:
            event = await self.event()
            if not isinstance(event, Frame):
                return Closed(self.protocol.close_code or 1006, self.protocol.close_reason or "")
            if event.opcode is Opcode.PONG:
                self.pongs.append(bytes(event.data))
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._frames.append(event)
                if event.fin:
                    return self._whole()

    async def message(self) -> Message:
        """The next message, where there must be one."""
        came = await self.receive()
        assert isinstance(came, Message), came
        return came

    async def event(self) -> Request | Response | Frame | None:
        """The next thing of any kind; None at the end."""
        while not self._events:
            if self.protocol.state is State.CLOSED:
                return None
            await self._hear()
        event: Request | Response | Frame = self._events.popleft()
        return event

    async def _hear(self) -> None:
        try:
            data = await self._reader.read(_READ)
        except ConnectionError:
            data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        self._events += self.protocol.events_received()
        with contextlib.suppress(ConnectionError):
            await self.flush()

    def _whole(self) -> Message:
        frames, self._frames = self._frames, []
        return Message(tuple(bytes(frame.data) for frame in frames), frames[0].opcode is Opcode.TEXT)


class RefusedError(Exception):
    """The upgrade was answered with something else."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body.decode(errors='replace')}")
        self.status, self.body = status, body


async def connect(
    client: Client, path: str, headers: Sequence[tuple[str, str]] = (), *, deflate: bool = False
) -> Socket:
    """Upgrade a connection. RefusedError where the answer is not 101."""
    factories = [ClientPerMessageDeflateFactory()] if deflate else []
    protocol = ClientProtocol(parse_uri(f"wss://{client.host}{path}"), extensions=factories, max_size=None)
    request = protocol.connect()
    for name, value in headers:
        request.headers[name] = value
    protocol.send_request(request)
    socket = Socket(client.reader, client.writer, protocol)
    await socket.flush()
    response = await socket.event()
    assert isinstance(response, Response), response
    if protocol.handshake_exc is not None:
        raise RefusedError(response.status_code, bytes(response.body or b""))
    return socket


async def accept(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    deflate: bool = False,
    begun: Request | None = None,
    early: Iterable[str] = (),
) -> Socket:
    """Wait for the request to upgrade, and grant it. `begun`: it was read already. `early`: said in the same breath."""
    factories = [ServerPerMessageDeflateFactory()] if deflate else []
    protocol = ServerProtocol(extensions=factories, max_size=None)
    if begun is not None:
        protocol.receive_data(begun.serialize())
    socket = Socket(reader, writer, protocol)
    request = begun if begun is not None else await socket.event()
    assert isinstance(request, Request), request
    protocol.send_response(protocol.accept(request))
    for message in early:
        protocol.send_text(message.encode())
    await socket.flush()
    return socket
