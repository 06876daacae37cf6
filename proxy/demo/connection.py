"""One HTTP/1.1 connection of the stand-in, over h11: requests in turn, chunk by chunk answers, cuts and aborts.

What is answered is decided elsewhere (`replies`).
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import h11

from proxy.demo.answers import Raw, Received

_READ = 65536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: close() sends RST, so the peer cannot take the end for an orderly one."""


type Upgraded = Callable[[Received, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Takes a connection over whose client asks for another protocol; False: nothing was sent, it is answered as HTTP."""


class AbortedError(Exception):
    """The scenario resets the connection here."""


class Connection:
    """One client connection: requests in turn, each answered before the next is read."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        record: Callable[[Received], None],
        answer: Callable[[Received], Raw],
        upgraded: Upgraded | None = None,
    ) -> None:
        """`record` is told of every request before `answer` is asked what goes back."""
        self._reader, self._writer = reader, writer
        self._record, self._answer_to, self._upgraded = record, answer, upgraded
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        """Until either side closes. Raises ConnectionError, h11.RemoteProtocolError, ssl.SSLError or AbortedError."""
        while (request := await self._next_request()) is not None:
            self._record(request)
            if await self._is_taken_over(request):
                return
            try:
                await self._answer(request)
            finally:
                request.outcome = request.outcome or "client_gone"
                request.finished.set()
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _is_taken_over(self, request: Received) -> bool:
        if self._upgraded is None or request.header("upgrade") is None:
            return False
        return await self._upgraded(request, self._reader, self._writer)

    async def _next_request(self) -> Received | None:
        """The next whole request; None when the client closed the connection between two."""
        head, body = None, bytearray()
        while True:
            match event := self._http.next_event():
                case h11.Request():
                    head = event
                case h11.Data():
                    body += event.data
                case h11.EndOfMessage():
                    assert head is not None
                    return _received(head, bytes(body))
                case h11.ConnectionClosed() | h11.PAUSED:
                    return None
                case _:
                    await self._read_more()

    async def _read_more(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        self._http.receive_data(await self._reader.read(_READ))

    async def _answer(self, request: Received) -> None:
        """Send the answer, unless the client goes away first: then stop at once, as providers do."""
        sending = asyncio.create_task(self._send_answer(request))
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() and not self._reader.at_eof():
                await sending  # what was read is the start of the next request
        finally:
            sending.cancel()
            watching.cancel()
            results = await asyncio.gather(sending, watching, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _watch(self) -> None:
        if data := await self._reader.read(_READ):
            self._http.receive_data(data)

    async def _send_answer(self, request: Received) -> None:
        reply = self._answer_to(request)
        streamed = not any(name.lower() == "content-length" for name, _ in reply.headers)
        headers = [*reply.headers, ("date", "Thu, 01 Jan 2026 00:00:00 GMT")]
        headers += [("transfer-encoding", "chunked")] * streamed
        request.status = reply.status
        await self._send(h11.Response(status_code=reply.status, headers=headers))
        async for chunk in _paced(reply):
            if request.method != "HEAD":
                request.sent += chunk
                await self._send(h11.Data(data=chunk))
        if reply.cut is not None and reply.cut.how == "abort":
            request.outcome = "cut"
            self._reset()
        await self._send(h11.EndOfMessage())
        request.outcome = "cut" if reply.cut is not None else "complete"

    def _reset(self) -> None:
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        raise AbortedError

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()


def _received(head: h11.Request, body: bytes) -> Received:
    headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]
    host = next((value for name, value in headers if name == "host"), "")
    return Received(head.method.decode("ascii"), head.target.decode("ascii"), host, headers, body)


async def _paced(reply: Raw) -> AsyncIterator[bytes]:
    chunks = reply.chunks if reply.cut is None else reply.chunks[: reply.cut.after]
    for index, chunk in enumerate(chunks):
        if reply.before is not None:
            await reply.before(index)
        yield chunk
