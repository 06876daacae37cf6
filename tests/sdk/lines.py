"""The way of an SDK's client to the provider, as data: proxy, trust, and how many requests went over it."""

import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass
class Line:
    """A proxy to use and a CA to trust."""

    proxy: str
    ca_file: Path
    sent: int = 0
    """Requests that clients sent, their own retries included."""

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """TLS that trusts the CA and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    @property
    def httpx(self) -> dict[str, Any]:
        """Arguments of a synchronous httpx client, of whatever version, that goes this way."""
        return {
            "verify": self.trust,
            "proxy": self.proxy,
            "trust_env": False,
            "event_hooks": {"request": [self.count]},
        }

    def count(self, *_: object, **__: object) -> None:
        """Called for every request."""
        self.sent += 1
