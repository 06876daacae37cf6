"""The stand-in provider over WebSocket: OpenAI's responses (developers.openai.com, "WebSocket mode").

Each message of a client is recorded as a request of its own, with the method `MESSAGE`, and answered by the scenario as
a POST would be. A scenario that answers the handshake (a GET) with a `Failure` refuses it.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request

from proxy.demo.answers import Answer, Failure, Received, says
from proxy.demo.connection import Upgraded
from proxy.demo.stand_in import StandIn
from tests.sdk.provider import openai
from tests.sockets import Message, accept

PATHS = ("/v1/responses",)
MESSAGE = "MESSAGE"


def speaking(stand_in: StandIn) -> Upgraded:
    """What takes the connections of this stand-in over."""

    async def upgraded(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if request.path.partition("?")[0] not in PATHS:
            return False
        if isinstance(stand_in.scenario(replace(request, body=b"{}")), Failure):
            return False
        begun = Request(request.path, Headers(request.headers))
        socket = await accept(reader, writer, deflate=True, begun=begun)
        request.status = 101
        while isinstance(message := await socket.receive(), Message):
            await socket.tell(_answers(stand_in, replace(request, method=MESSAGE, body=message.data)))
        request.outcome = "complete"
        request.finished.set()
        return True

    return upgraded


_NUMBERS = count(1)


def _answers(stand_in: StandIn, asked: Received) -> Iterator[dict[str, Any]]:
    stand_in.received(asked)
    if asked.json.get("type") != "response.create":
        return
    answer = says() if asked.json.get("generate") is False else stand_in.scenario(asked)
    if isinstance(answer, Failure):
        error = {"type": "invalid_request_error", "message": answer.message}
        yield {"type": "error", "status": answer.status, "error": error}
        return
    assert isinstance(answer, Answer)
    yield from openai.events(asked, answer, f"resp_standin{next(_NUMBERS)}")
