"""Reversible placeholders without a vault: an HMAC of the value under the deployment's key.

The same value gives the same placeholder on every turn, worker and restart, so prompt caches keep hitting, and the
request being answered holds every value its response may need restored. Only that lives here; which findings are
pseudonymised is policy, how spans are spliced is `redact`.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from typing import Final

CODE_LENGTH: Final = 10
"""Base32 characters of the code: 50 bits, so two values of one request practically never share a placeholder."""

_LOOSE: Final = re.compile(r"PII\\*_([a-z0-9]+(?:\\*_[a-z0-9]+)*?)\\*_([a-z2-7]{10})(?![a-z0-9])", re.IGNORECASE)
"""Kind and code in whatever a model left of a placeholder (`⟪PII_email_…⟫`, `PII\\_EMAIL\\_…`)."""


class Pseudonyms:
    """The placeholders of one exchange: made on the way up, restored on the way down."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.values: dict[str, str] = {}
        """What each code stands for."""

    def __len__(self) -> int:
        return len(self.values)

    def placeholder(self, kind: str, value: str) -> str:
        """The placeholder of `value`, remembered for `restore`."""
        digest = hmac.digest(self._key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), "sha256")
        code = base64.b32encode(digest[:10]).decode().lower()[:CODE_LENGTH]
        self.values[code] = value
        return f"⟪PII_{kind}_{code}⟫"

    def adopt(self, values: Mapping[str, str]) -> None:
        """Know the placeholders of an earlier exchange too, which the provider remembers."""
        self.values.update(values)

    def restore(self, found: str) -> str | None:
        """The value behind a placeholder as a model wrote it, or None where this exchange made no such one."""
        match = _LOOSE.search(found)
        return self.values.get(match[2].lower()) if match else None
