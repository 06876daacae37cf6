"""Exchanges with tool servers without a network: requests routed by what they say, under one policy. For tests only."""

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.bodies import Outcome
from proxy.codecs import providers
from proxy.detectors.history import FindingCache
from proxy.events import Agent, Event, Flow
from proxy.inspection import Inspection
from proxy.judge import Runtime
from tests.judging import KEY, Recorded, detectors, policy

HOST = "tools.example"
STREAM = "text/event-stream"
JSON = "application/json"
POSTED = {"content-type": JSON, "accept": f"{JSON}, {STREAM}", "mcp-protocol-version": "2025-11-25"}
"""What a client of Streamable HTTP sends with every message."""
OLD = {"content-type": JSON}
"""What a client of HTTP+SSE does."""


class Wire:
    """What passes one proxy; it remembers from exchange to exchange."""

    def __init__(self, text: str, *, watched: bool = False) -> None:
        """`watched`: every event is told, not only those that a rule asks for."""
        cache = FindingCache(detectors(), KEY, 1000)
        self.recorded, self.told = Recorded(), Recorded()
        watch = self.told if watched else None
        self.runtime = Runtime(policy(text), detectors(), cache, KEY, self.recorded, watch)

    @property
    def events(self) -> list[Event]:
        """The events that were told."""
        return [event for event, _ in self.told]

    def begin(
        self,
        path: str = "/mcp",
        headers: Mapping[str, str] = POSTED,
        *,
        method: str = "POST",
        host: str = HOST,
        agent: str = "tester",
    ) -> Inspection:
        """An exchange whose headers came."""
        route = providers.match(host, method, path, headers)
        known = self.runtime.sessions.tool_servers.is_endpoint(host, path.partition("?")[0])
        route = route or (providers.MCP if known else None)
        assert route is not None
        flow = Flow(id="flow", host=host, method=method, path=path.partition("?")[0])
        query = path.partition("?")[2]
        return Inspection.begin(self.runtime, route, Agent(id=agent), flow, headers, counts=False, query=query)

    def listen(self, path: str = "/mcp", headers: Mapping[str, str] | None = None, **options: Any) -> Inspection:
        """A stream that the client opened to hear the server."""
        return self.begin(path, {"accept": STREAM, **(headers or {})}, method="GET", **options)


def up(inspection: Inspection, document: Any) -> Outcome:
    """What becomes of a request's body."""
    return inspection.request(raw(document))


def raw(document: Any) -> bytes:
    """A document as it travels."""
    return document if isinstance(document, bytes) else orjson.dumps(document)


def sent(inspection: Inspection, document: Any) -> Any:
    """The request as the server gets it, parsed."""
    outcome = up(inspection, document)
    assert outcome.refusal is None
    return orjson.loads(raw(document) if outcome.body is None else outcome.body)


def answered(inspection: Inspection, document: Any) -> Any:
    """The refusal that the client gets, parsed."""
    refusal = up(inspection, document).refusal
    assert refusal is not None
    return orjson.loads(refusal.body)


def whole(inspection: Inspection, document: Any, **headers: str) -> Any:
    """A JSON answer as the client gets it, parsed."""
    inspection.exchange.on_answer({name.replace("_", "-"): value for name, value in headers.items()})
    outcome = inspection.response(raw(document), JSON, "")
    if outcome.refusal is not None:
        return orjson.loads(outcome.refusal.body)
    return orjson.loads(raw(document) if outcome.body is None else outcome.body)


class Stream:
    """The stream of events that answers a request."""

    def __init__(self, inspection: Inspection, **headers: str) -> None:
        inspection.exchange.on_answer({name.replace("_", "-"): value for name, value in headers.items()})
        self._delivery = inspection.delivery(STREAM, "", None)

    def feed(self, data: bytes) -> bytes:
        """What the client gets of these bytes."""
        return self._delivery.feed(data)

    def finish(self) -> bytes:
        """What it gets at the end."""
        return self._delivery.finish()

    def event(self, document: Any) -> Any:
        """One message, as the client gets it, parsed."""
        out = self.feed(b"event: message\ndata: " + raw(document) + b"\n\n")
        assert out.startswith(b"event: message\ndata: ") and out.endswith(b"\n\n")
        return orjson.loads(out.partition(b"data: ")[2])


def request(method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
    """A request of the client's or the server's."""
    return {"jsonrpc": "2.0", "id": id, "method": method} | ({} if params is None else {"params": params})


def call(name: str, id: Any = 1, **arguments: Any) -> dict[str, Any]:
    """A tool call."""
    return request("tools/call", {"name": name, "arguments": arguments}, id)


def answer(result: Any, id: Any = 1) -> dict[str, Any]:
    """An answer to a request."""
    return {"jsonrpc": "2.0", "id": id, "result": result}


def result(text: str, id: Any = 1, **more: Any) -> dict[str, Any]:
    """A tool's result."""
    return answer({"content": [{"type": "text", "text": text}], **more}, id)
