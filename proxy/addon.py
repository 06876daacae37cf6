"""mitmproxy's hooks, routed: who speaks, which codec reads it, what becomes of request and response.

Short routing only: decisions are `exchange`'s and `guard`'s, waiting in a stream is `layer`'s, state is `services`'.
Loaded by mitmproxy's own tools (`mitmweb -s proxy/addon.py`) it is a proper addon for looking at flows, see `stock`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Final

from mitmproxy import connection, http

from proxy import health
from proxy.bodies import Refusal
from proxy.codecs import providers
from proxy.context import new_id
from proxy.events import Agent, Flow
from proxy.inspected import STATE, TAPE, Inspected
from proxy.inspection import Inspection
from proxy.layer.hooks import GUARD, MAX_BODY, MAX_RESPONSE, SOCKET, GuardFailure, SocketMessage
from proxy.messages import (
    credentials_required,
    hear_answer,
    is_for_us,
    plain,
    problem,
    replace_body,
    replace_headers,
    route_of,
    tape_of,
)
from proxy.recorder import Heard, Recorder, Tape
from proxy.services import Services
from proxy.upgrades import Upgrades

logger = logging.getLogger(__name__)

_FOR_US: Final = ("proxy-authorization", "proxy-connection")
"""Headers for this proxy alone (RFC 9110 §11.7.1)."""


class Addon(Upgrades):
    """One addon for everything: a second one would parse the body again and could not see the verdict."""

    def __init__(self, services: Services, recorder: Recorder | None = None) -> None:
        super().__init__(services, recorder)
        self._agents: dict[str, Agent] = {}

    # -- identity

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel begins: its credentials count for every request in it."""
        self._identify(flow, plain(flow.request.headers))

    def client_disconnected(self, client: connection.Client) -> None:
        """Forget who the client was."""
        self._agents.pop(client.id, None)

    def _identify(self, flow: http.HTTPFlow, headers: Mapping[str, str]) -> Agent | None:
        """The agent of this flow; None after answering 407."""
        given = headers.get("proxy-authorization")
        agent = self._agents.get(flow.client_conn.id) if given is None else None
        if agent is None:
            agent = self._services.serving.agents.identify(given, flow.client_conn.peername[0])
            if agent is None:
                flow.response = credentials_required(given is not None)
                return None
            self._agents[flow.client_conn.id] = agent
        for name in _FOR_US:
            if name in headers:
                del flow.request.headers[name]
        return agent

    # -- the request

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Decide who reads this flow, before a byte of its body is buffered or any upstream is dialled."""
        if is_for_us(flow):
            self._answer(flow)
            return
        headers = plain(flow.request.headers)
        agent = self._identify(flow, headers)
        if agent is None:
            return
        route = route_of(flow, headers) or self._learned(flow)
        if route is None:
            self._pass(flow, agent)
        else:
            self._inspect(flow, agent, headers, route)

    def _learned(self, flow: http.HTTPFlow) -> providers.Route | None:
        """Where a tool server asked for messages, they are tool calls, whatever the path looks like."""
        path = flow.request.path.partition("?")[0]
        known = self._services.serving.runtime.sessions.tool_servers.is_endpoint(flow.request.pretty_host, path)
        return providers.MCP if known else None

    def _answer(self, flow: http.HTTPFlow) -> None:
        answer = health.answer(flow.request.path, ready=self._services.ready)
        unknown = health.Health(404, b'{"error":"this is a proxy; of its own it serves /healthz and /readyz"}\n')
        status, body = answer or unknown
        flow.response = http.Response.make(status, body, {"content-type": "application/json"})

    def _pass(self, flow: http.HTTPFlow, agent: Agent) -> None:
        """A host that nobody here reads: through unbuffered, or denied."""
        if self._services.serving.policy.unrecognised == "deny":
            flow.response = problem(403, "The policy denies hosts that it does not recognise.", flow)
            self._services.refused(agent, flow.request.pretty_host)
        else:
            flow.request.stream = True
            self._services.passed()

    def _inspect(self, flow: http.HTTPFlow, agent: Agent, headers: Mapping[str, str], route: providers.Route) -> None:
        """Begin the exchange that reads this flow, under the policy of now."""
        serving = self._services.serving
        request = flow.request
        where = Flow(id=new_id(), host=request.pretty_host, method=request.method, path=request.path.partition("?")[0])
        counts = len(serving.budgets) > 0
        inspection = Inspection.begin(
            serving.runtime, route, agent, where, headers, counts=counts, query=request.path.partition("?")[2]
        )
        exchange = inspection.exchange
        flow.metadata[STATE] = Inspected(inspection, self._services.session(exchange, serving))
        flow.metadata[MAX_BODY] = serving.policy.limits.request_body
        flow.metadata[MAX_RESPONSE] = serving.policy.limits.response_body
        if route.codec is None and serving.policy.unrecognised == "deny":
            self._refuse(flow, exchange.refuse(403, "[midstream] The policy denies requests that no codec can read."))
        elif headers.get("upgrade", "").lower() == "websocket":
            if exchange.codec.socket_refusal is not None:
                self._read_messages(flow, route, agent, where, headers)
                return
            # 426 makes Codex fall back to POST after one try (clients-notes); an unread WebSocket would be a leak.
            self._refuse(flow, exchange.refuse(426, "[midstream] WebSocket is not inspected: use HTTP POST."))

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """The whole request is here: decide it, then reserve its budget."""
        state: Inspected | None = flow.metadata.get(STATE)
        if state is None or flow.response is not None:
            return None
        if self._recorder is not None:
            flow.metadata[TAPE] = tape_of(flow, state.exchange.policy.limits.response_body)
        outcome = state.inspection.request(flow.request.raw_content or b"")
        if outcome.refusal is not None:
            self._refuse(flow, outcome.refusal)
            return None
        if outcome.body is not None:
            replace_body(flow.request, outcome.body)
        if outcome.headers:
            replace_headers(flow.request, outcome.headers)
        size = state.inspection.size
        return self._reserve(flow, state, size) if size and state.session.budgeted else None

    async def _reserve(self, flow: http.HTTPFlow, state: Inspected, size: int) -> None:
        denied = await state.session.reserve(size)
        if denied is not None:
            self._refuse(flow, state.exchange.refuse(denied.status, denied.message, denied.headers))

    # -- the response

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stream what nothing reads, guard what streams, buffer the rest."""
        response = flow.response
        if response is None:
            return
        state: Inspected | None = flow.metadata.get(STATE)
        if state is None:
            response.stream = flow.request.stream
        elif not flow.metadata.get("midstream.refused"):
            kind = response.headers.get("content-type", "")
            state.exchange.on_answer(plain(response.headers))
            if state.inspection.streams(response.status_code, kind):
                self._guard(flow, response, state)

    def _guard(self, flow: http.HTTPFlow, response: http.Response, state: Inspected) -> None:
        policy = state.exchange.policy
        opened = state.session.failed_open if policy.failure == "open" else None
        headers = response.headers
        kind, coding = headers.get("content-type", ""), headers.get("content-encoding", "")
        delivery = state.inspection.delivery(kind, coding, opened)
        tape: Tape | None = flow.metadata.get(TAPE)
        flow.metadata[GUARD] = delivery if tape is None else Heard(delivery, tape)
        response.stream = True
        if response.headers.pop("content-length", None) is not None and flow.request.http_version == "HTTP/1.1":
            response.headers["transfer-encoding"] = "chunked"  # its length may change (RFC 9112 §6.1)

    def response(self, flow: http.HTTPFlow) -> None:
        """The whole response is here, or its stream has ended."""
        state: Inspected | None = flow.metadata.get(STATE)
        if state is None or flow.response is None:
            return
        tape: Tape | None = flow.metadata.get(TAPE)
        if tape is not None:
            hear_answer(tape, flow.response, whole=GUARD not in flow.metadata)
        if GUARD not in flow.metadata and not flow.metadata.get("midstream.refused"):
            self._decide_response(flow, flow.response, state)
        state.session.end(flow.response.status_code)
        if SOCKET not in flow.metadata:
            self._keep(flow)

    def _decide_response(self, flow: http.HTTPFlow, response: http.Response, state: Inspected) -> None:
        headers = response.headers
        kind, coding = headers.get("content-type", ""), headers.get("content-encoding", "")
        outcome = state.inspection.response(response.raw_content or b"", kind, coding)
        if outcome.refusal is not None:
            self._refuse(flow, outcome.refusal)
        elif outcome.body is not None:
            replace_body(response, outcome.body)

    # -- what goes wrong

    def error(self, flow: http.HTTPFlow) -> None:
        """The client left, upstream broke off, or the flow was killed."""
        state: Inspected | None = flow.metadata.get(STATE)
        if state is not None:
            state.session.end(None, reached=flow.server_conn.timestamp_tcp_setup is not None)
            self._keep(flow)

    def hook_failed(self, name: str, flow: object, error: BaseException) -> bool:
        """A hook raised. True lets the flow go on as it is, which only a policy with `failure: open` says."""
        if isinstance(flow, SocketMessage):
            return self._socket_failed(flow, error)
        if not isinstance(flow, http.HTTPFlow):
            return False
        state: Inspected | None = flow.metadata.get(STATE)
        policy = state.exchange.policy if state else self._services.serving.policy
        if policy.failure == "open" and state is not None and not isinstance(error, asyncio.CancelledError):
            state.session.failed_open(error)
            return True
        message = f"[midstream] This exchange could not be decided ({type(error).__name__}), so it was not let through."
        if state is not None:
            self._refuse(flow, state.exchange.refuse(500, message))
        else:
            flow.response = problem(500, message, flow)
        return False

    def midstream_guard_failed(self, failure: GuardFailure) -> None:
        """A stream was cut off, with what it held."""
        state: Inspected | None = failure.flow.metadata.get(STATE)
        if state is not None:
            state.session.cut_off(failure.exc)

    def body_too_large(self, flow: http.HTTPFlow) -> None:
        """A request body is over the policy's cap; upstream was not dialled."""
        self._refuse_size(flow, 413, "request", "request_body")

    def response_too_large(self, flow: http.HTTPFlow) -> None:
        """A buffered response body is over the policy's cap."""
        self._refuse_size(flow, 502, "response", "response_body")

    def _refuse_size(self, flow: http.HTTPFlow, status: int, what: str, limit: str) -> None:
        state: Inspected | None = flow.metadata.get(STATE)
        if state is not None:
            size = getattr(state.exchange.policy.limits, limit)
            message = f"[midstream] The {what} is larger than limits.{limit} of the policy, {size} bytes."
            self._refuse(flow, state.exchange.refuse(status, message))

    def upstream_failed(self, flow: http.HTTPFlow) -> None:
        """Upstream could not be reached, or not be trusted."""
        state: Inspected | None = flow.metadata.get(STATE)
        why = flow.error.msg if flow.error else "unknown"
        message = f"[midstream] {flow.request.pretty_host} gave no whole answer: {why}"
        if state is not None:
            self._refuse(flow, state.exchange.refuse(502, message, ()))
        else:
            flow.response = problem(502, message, flow)

    def _refuse(self, flow: http.HTTPFlow, refusal: Refusal) -> None:
        headers = {"content-type": "application/json", **dict(refusal.headers)}
        flow.metadata["midstream.refused"] = True
        flow.response = http.Response.make(refusal.status, refusal.body, headers)
        state: Inspected | None = flow.metadata.get(STATE)
        if state is not None:
            state.session.refused(refusal)


if __name__.startswith("__mitmproxy_script__"):  # loaded with -s: this copy of the module only hands over
    from proxy.stock import addons

    __all__ = ["addons"]
