"""The server on the other side of one exchange: its name, which conversation it is, and the calls that it was sent.

What is remembered from exchange to exchange is `tool_servers`'; what is decided, `tool_exchange`'s.
"""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from proxy.codecs import Json, Request
from proxy.codecs.codec import ToolProtocol
from proxy.context import Context
from proxy.tool_servers import Called, Conversation, ToolServers


class Peer:
    """One exchange's view of its server."""

    def __init__(self, servers: ToolServers, protocol: ToolProtocol | None, context: Context, query: str) -> None:
        """`query`: of the request's URL."""
        self.protocol = protocol
        """What it speaks; None for tools that are asked over plain HTTP."""
        self.is_posted_to = False
        """This exchange is the stream on which it answers what is posted elsewhere."""
        self._servers = servers
        self._context = context
        self._address = _address(context.flow.path, query)
        self._said: Mapping[str, str] = {}
        self._calls: dict[str, Called] = {}
        self._values: Mapping[str, str] = {}
        self._answered: set[str] = set()
        self._asked_in = self.conversation

    @property
    def conversation(self) -> Conversation:
        """What its messages belong to: a session, else whatever is posted to one address."""
        context, session = self._context, None
        if self.protocol is not None:
            session = self.protocol.session(context.headers) or self.protocol.session(self._said)
        return Conversation(context.agent.id, context.flow.host, session or self._address)

    @property
    def name(self) -> str:
        """The server as policies name it: as it names itself, else its host."""
        conversation = self.conversation
        return self._servers.name(conversation.host, conversation.name) or conversation.host

    @property
    def answers_elsewhere(self) -> bool:
        """Whether its answer to this request comes on another connection."""
        flow = self._context.flow
        return self._servers.is_endpoint(flow.host, flow.path) or (
            self.protocol is not None
            and self.protocol.answered_elsewhere(flow.method, self._address, self._context.headers)
        )

    # what it says of itself

    def begins(self, headers: Mapping[str, str]) -> None:
        """Its answer begins: the headers may say which session it belongs to."""
        self._said = headers
        if self._calls and self.conversation != self._asked_in:
            self._asked_in = self.conversation
            self._remember()

    def asks_at(self, address: str) -> None:
        """It names the address that messages of this conversation are to be posted to (MCP's HTTP+SSE)."""
        flow = self._context.flow
        where = self._here(address.strip())
        if where is not None:
            self._address = _address(where.path, where.query)
            self.is_posted_to = True
            self._servers.learn(flow.host, where.path)

    def learn(self, document: Json) -> None:
        """A message of it may tell its name, and where else it is reached on this host."""
        name = self.protocol.server_of(document) if self.protocol else None
        if self.protocol is None or name is None:
            return
        conversation = self.conversation
        self._servers.named(conversation.host, conversation.name, name)
        for url in self.protocol.endpoints_of(document):
            where = self._here(url)
            if where is not None:
                self._servers.named(conversation.host, unquote(where.path) or "/", name)

    def _here(self, url: str) -> SplitResult | None:
        """A URL of the same host, absolute or from where this request went; None for any other."""
        flow = self._context.flow
        try:
            where = urlsplit(urljoin(f"https://{flow.host}{flow.path}", url))
        except ValueError:  # no URL at all
            return None
        return where if where.hostname == flow.host.lower() else None

    # what it is asked

    def sends(self, request: Request, size: int, values: Mapping[str, str], withheld: Mapping[str, str]) -> None:
        """A request goes up: its answers name only ids, and may come down another connection.

        `values`: its pseudonyms; `withheld`: the notices of those of its calls that go up as nothing, by id.
        """
        tools = {call.call_id for call in request.makes if not call.beside}
        share = size // max(1, len(request.calls))
        for call_id, (name, arguments) in request.calls.items():
            self._calls[call_id] = Called(name, arguments, share, {}, call_id not in tools, withheld.get(call_id))
        self._values = values
        self._remember()

    def _remember(self) -> None:
        for call_id, call in self._calls.items():
            known = replace(call, values=self._values) if self._values else call
            self._servers.called(self._asked_in, call_id, known)

    def call(self, call_id: str, name: str) -> Called | None:
        """The call that an answer belongs to: of this request, else of one before. `name`: what the answer says."""
        call = self._calls.get(call_id) or self._servers.call(self.conversation, call_id)
        if call is None or name not in ("", call.name):
            return None
        self._answered.add(call_id)
        return call

    def ends(self) -> None:
        """A whole answer was read: what it answered cannot come again."""
        for call_id in self._answered:
            self._calls.pop(call_id, None)
            self._servers.answered(self._asked_in, call_id)
        self._answered.clear()


def _address(path: str, query: str) -> str:
    return unquote(f"{path}?{query}" if query else path)
