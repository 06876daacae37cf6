"""Who speaks: proxy credentials against the policy's agents. Nothing of flows or policies' rules lives here."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

from proxy.events import Agent

REALM = "midstream"


class Known(NamedTuple):
    """An agent that may come in with a token. `token_sha256` in lower-case hex."""

    agent: Agent
    token_sha256: str


class Agents:
    """The agents of one policy revision, and whether anybody else may come in."""

    def __init__(self, known: Iterable[Known], *, required: bool, fallback: str | None = None) -> None:
        self._known = {entry.agent.id: entry for entry in known}
        self._required = required
        self._fallback = fallback

    def identify(self, proxy_authorization: str | None, address: str) -> Agent | None:
        """The agent behind these credentials (a `Proxy-Authorization` value, RFC 7617), or None: answer 407.

        Without credentials it is the configured fallback (a sidecar's one agent) or the client's address, unless
        identity is required. Where agents are listed, credentials that are wrong never fall back to anything.
        """
        if proxy_authorization is None:
            return None if self._required else Agent(id=self._fallback or address)
        name, token = _basic(proxy_authorization)
        if name is None:
            return None
        entry = self._known.get(name)
        if entry is not None:
            digest = hashlib.sha256(token.encode()).hexdigest()
            return entry.agent if hmac.compare_digest(digest, entry.token_sha256) else None
        return None if self._known or self._required else Agent(id=name)


def _basic(value: str) -> tuple[str | None, str]:
    scheme, _, encoded = value.strip().partition(" ")
    if scheme.lower() != "basic":
        return None, ""
    try:
        name, colon, token = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, ""
    return (name, token) if name and colon else (None, "")
