"""One inspected HTTP exchange from its headers to its end: decoded, decided, guarded, encoded again.

Bytes and plain headers only: `addon` drives it with live traffic, `replay` with recordings, so that both are decided by
the same objects. What is decided is `exchange`'s and `guard`'s.
"""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.bodies import UNTOUCHED, Outcome
from proxy.codecs import providers
from proxy.codecs.providers import Route
from proxy.codecs.sigv4 import signed_body
from proxy.context import Context
from proxy.delivery import Delivery
from proxy.encoding import BadEncoding, TooLarge, decode_body
from proxy.events import Agent, Flow
from proxy.exchange import Exchange
from proxy.judge import Runtime
from proxy.streamed import Streamed
from proxy.tool_exchange import ToolExchange

_STREAMS: Final = (
    "text/event-stream",
    "application/vnd.amazon.eventstream",
    "application/x-ndjson",
    "application/grpc",
)
_MEDIA: Final = ("image/", "audio/", "video/", "font/")


SIGNED: Final = (
    "[midstream] The policy changes this request, but its signature (AWS Signature Version 4) covers the body, so the"
    " provider would refuse it. Use a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK), or a policy that denies instead."
)


class Inspection:
    """One exchange on its way. `request` comes first, then `delivery` (a stream) or `response` (a whole body)."""

    def __init__(self, exchange: Exchange, *, streams: bool = False, query: str = "") -> None:
        """`streams`: the request's address already says that its answer is a stream. `query`: of its URL."""
        self.exchange = exchange
        self._streams = streams
        self._query = query
        self.size = 0
        """Bytes of the request, decoded."""

    @classmethod
    def begin(
        cls,
        runtime: Runtime,
        route: Route,
        agent: Agent,
        flow: Flow,
        headers: Mapping[str, str],
        *,
        counts: bool,
        query: str = "",
    ) -> "Inspection":
        """The inspection of a request to `route`. `headers` by lower-case name; `counts`: budgets need token counts."""
        codec = providers.codec(route.codec)
        context = Context(
            agent=agent,
            flow=flow,
            provider=route.provider,
            format=route.codec,
            model=route.model,
            headers=headers,
        )
        exchange: Exchange
        if codec.answer_calls is None:
            asks = counts and route.asks_usage
            exchange = Exchange(runtime, codec, context, asks_usage=asks, follows=route.follows)
        else:
            exchange = ToolExchange(runtime, codec, context, query=query, guess=route if route.guessed else None)
        return cls(exchange, streams=route.streams, query=query)

    def request(self, raw: bytes) -> Outcome:
        """Decide a request body as it came, under its content-encoding."""
        exchange = self.exchange
        headers = exchange.context.headers
        limit = exchange.policy.limits.request_body
        try:
            body = decode_body(raw, headers.get("content-encoding", ""), limit)
        except (BadEncoding, TooLarge) as error:
            status = 413 if isinstance(error, TooLarge) else 400
            return Outcome(refusal=exchange.refuse(status, f"[midstream] {error}"))
        if not body:
            return exchange.on_empty()
        outcome = exchange.on_request(body)
        self.size = len(body)
        if outcome.body is not None and signed_body(headers.items(), self._query):
            return Outcome(refusal=exchange.refuse(400, SIGNED))
        return outcome

    def streams(self, status: int, content_type: str) -> bool:
        """Whether the response is to be guarded as a stream. Content types lie: the guard looks at the first bytes."""
        if content_type.lower().startswith(_STREAMS):
            return True
        request = self.exchange.request
        asked = self._streams or (request is not None and request.stream)
        # A file of lines is asked for like any other, and typed as anything.
        return (asked or "lines" in self.exchange.codec.framings) and 200 <= status < 300

    def delivery(self, content_type: str, coding: str, opened: Callable[[Exception], None] | None) -> Delivery:
        """What drives a streamed response; see `Delivery`."""
        limit = self.exchange.policy.limits.response_body
        return Delivery(Streamed(self.exchange, content_type), coding, limit, opened)

    def response(self, raw: bytes, content_type: str, coding: str) -> Outcome:
        """Decide a whole response body as it came. Raises BadEncoding or TooLarge."""
        body = decode_body(raw, coding, self.exchange.policy.limits.response_body)
        media = content_type.lower().startswith(_MEDIA)
        if not body or (media and body.lstrip()[:1] not in (b"{", b"[")):
            return UNTOUCHED
        return self.exchange.on_response(body)
