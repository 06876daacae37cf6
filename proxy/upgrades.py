"""The addon's hooks for WebSockets: messages to their exchange, and what becomes of them back to the layer.

One addon with `addon`, whose base this is; requests and responses are not known here.
"""

import asyncio
from collections.abc import Mapping

from mitmproxy import http

from proxy.codecs import providers
from proxy.context import new_id
from proxy.events import Agent, Flow
from proxy.exchange import Exchange
from proxy.inspected import TAPE
from proxy.inspection import Inspection
from proxy.layer.hooks import SOCKET, SocketMessage
from proxy.recorder import Recorder, Tape
from proxy.replay.recordings import Message
from proxy.services import Services
from proxy.session import Session
from proxy.socket_exchange import SocketExchange
from proxy.stream_judge import StreamRefusedError


class Upgrades:
    """What an addon does with upgraded connections."""

    def __init__(self, services: Services, recorder: Recorder | None) -> None:
        self._services = services
        self._recorder = recorder

    def _read_messages(
        self, flow: http.HTTPFlow, route: providers.Route, agent: Agent, where: Flow, headers: Mapping[str, str]
    ) -> None:
        """The messages of this flow are read, each answer as an exchange of its own."""
        serving = self._services.serving

        def begin() -> tuple[Exchange, Session]:
            fresh = where.model_copy(update={"id": new_id()})
            inspection = Inspection.begin(serving.runtime, route, agent, fresh, headers, counts=False)
            return inspection.exchange, self._services.session(inspection.exchange, serving)

        flow.metadata[SOCKET] = SocketExchange(begin, failure_open=serving.policy.failure == "open")

    async def midstream_socket(self, message: SocketMessage) -> None:
        """A WebSocket message waits for its decision."""
        socket: SocketExchange[Session] = message.flow.metadata[SOCKET]
        if message.closing:
            message.onward, message.back, message.close = socket.finish()
            return
        tape: Tape | None = message.flow.metadata.get(TAPE)
        if tape is not None:
            tape.messages.append(Message(message.from_client, message.content))
        try:
            passed = await socket.up(message.content) if message.from_client else socket.down(message.content)
        except StreamRefusedError as error:
            socket.now.session.cut_off(error)
            message.onward, message.close = socket.told(400, f"[midstream] This answer is cut off: {error}"), True
            return
        message.onward, message.back, message.close = passed

    def midstream_socket_end(self, flow: http.HTTPFlow) -> None:
        """An upgraded connection is over."""
        socket: SocketExchange[Session] | None = flow.metadata.get(SOCKET)
        if socket is not None:
            socket.close()
            self._keep(flow)

    def _socket_failed(self, message: SocketMessage, error: BaseException) -> bool:
        """True lets the message go on as it is; otherwise the connection ends with it undelivered."""
        socket: SocketExchange[Session] = message.flow.metadata[SOCKET]
        if socket.failure_open and message.from_client and not isinstance(error, asyncio.CancelledError):
            socket.now.session.failed_open(error)
            message.onward = (message.content,)
            return True
        socket.now.session.cut_off(error)
        self.midstream_socket_end(message.flow)  # its layer will not hear of the end
        return False

    def _keep(self, flow: http.HTTPFlow) -> None:
        tape: Tape | None = flow.metadata.pop(TAPE, None)
        if tape is not None and self._recorder is not None:
            self._services.books.spawn(self._recorder.keep(tape))
