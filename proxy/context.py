"""Who speaks to whom in one exchange, and the building of its events: identity, session, run, turn, ids.

No policy, no bytes: `exchange` and `guard` ask for an event and fill in what they read.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ulid import ULID

from proxy.codecs import Part
from proxy.codecs import Request as ReadRequest
from proxy.events import Agent, Event, EventPart, Flow, Point, Request
from proxy.sessions import Kept

SESSION_HEADERS: Final = (
    "x-claude-code-session-id",
    "session-id",
    "x-session-id",
)
"""Headers in which agent CLIs send their own session id. (The Gemini CLI names its installation, and no session.)"""


def new_id() -> str:
    """A fresh ULID."""
    return str(ULID())


TOLD_APART_BY: Final = 4096
"""Characters of a prompt that name its session and run: enough to tell prompts apart, and a book costs no more."""


def fingerprint(*texts: str | bytes) -> str:
    """Sixteen hex digits that stay the same for the same texts."""
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        digest.update(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()


@dataclass(slots=True)
class Context:
    """What every event of one exchange has in common. Session, run and turn are known once the request is read."""

    agent: Agent
    flow: Flow
    provider: str | None = None
    format: str | None = None
    model: str | None = None
    session: str = ""
    run: str = ""
    turn: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    def read(self, request: ReadRequest, kept: Kept | None = None) -> None:
        """Take over what the request says of model, session, run and turn.

        `kept`: what is known of the answer it goes on with; such a request carries only what is new.
        """
        self.model = request.model or self.model
        self.turn = request.turn + (kept.turn if kept else 0)
        own = next((self.headers[name] for name in SESSION_HEADERS if self.headers.get(name)), request.session)
        prompts = [part.text[:TOLD_APART_BY] for part in request.parts if part.role == "user" and part.kind == "text"]
        self.session = own or (kept.session if kept else fingerprint(self.agent.id, *prompts[:1]))
        if kept is None:
            self.run = fingerprint(self.session, str(len(prompts)), *prompts[-1:])
        else:
            self.run = fingerprint(self.session, kept.run, *prompts[-1:]) if prompts else kept.run

    def event(self, point: Point, intent: str, **fields: Any) -> Event:
        """A new event at `point`. `intent` names what is being done, so that a retry has the same invocation key."""
        return Event(
            id=new_id(),
            invocation_key=fingerprint(self.agent.id, self.session, point, intent),
            point=point,
            time=time.time(),
            agent=self.agent,
            session={"id": self.session},
            run={"id": self.run},
            turn=self.turn,
            flow=self.flow,
            provider=self.provider,
            format=self.format,
            model=self.model,
            **fields,
        )


def event_part(part: Part) -> EventPart:
    """A part as events show it."""
    return EventPart(role=part.role, kind=part.kind, text=part.text)


def request_view(request: ReadRequest) -> Request:
    """A model request as policies see it."""
    shown = [(part, event_part(part)) for part in request.parts if not part.sealed]
    return Request(
        system=tuple(view for part, view in shown if part.role == "system"),
        messages=tuple(view for part, view in shown if part.role not in ("system", "other")),
        tools=tuple(request.tools),
        new_parts=tuple(view for part, view in shown if part.new and part.role in ("user", "tool")),
        params={"stream": request.stream, "max_output": request.max_output},
    )


def parts_view(parts: Sequence[Part]) -> tuple[EventPart, ...]:
    """The unsealed parts of a response as policies see them."""
    return tuple(event_part(part) for part in parts if not part.sealed)
