"""What a recording holds: one exchange, or one connection's messages. Data only; files are read beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


class RecordingError(ValueError):
    """A file, or an entry of it, that cannot be read as a recording. The message says where."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a connection that carries many (WebSocket, stdio)."""

    from_client: bool
    content: bytes


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded exchange. Bodies are the bytes as they were on the wire, under their content-encoding if any."""

    id: str
    source: str
    """File and entry, for people."""
    method: str
    url: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = b""
    status: int = 0
    """0: no answer was recorded."""
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    answer: bytes = b""
    messages: Sequence[Message] = ()

    @property
    def host(self) -> str:
        """The host the exchange was with."""
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        """Path and query."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def lowered(headers: Mapping[str, object]) -> dict[str, str]:
    """Headers by lower-case name; lines of one name are one list (RFC 9110 §5.3)."""
    plain: dict[str, str] = {}
    for name, value in headers.items():
        values = value if isinstance(value, list) else [value]
        plain[name.lower()] = ", ".join(str(one) for one in values)
    return plain
