"""Whether an AWS signature binds a request's body, so that an edited one needs a new signature.

Source: AWS General Reference, "Create a signed AWS API request": the canonical request ends with the SHA-256 of the
payload, or with one of the words that leave the payload out. Nothing is signed or checked here.
"""

from collections.abc import Iterable
from typing import Final

_SCHEMES: Final = ("aws4-hmac-sha256", "aws4-ecdsa-p256-sha256")
"""Signature version 4, and 4A (over regions)."""

_UNSIGNED: Final = frozenset({"unsigned-payload", "streaming-unsigned-payload-trailer"})


def signed_body(headers: Iterable[tuple[str, str]], query: str = "") -> bool:
    """Whether a signature in the headers, or in the URL's query (a presigned request), is over the body.

    Bearer tokens (Bedrock API keys) sign nothing. A signature without `x-amz-content-sha256` is over the body's sum.
    """
    given = [(name.lower(), value.strip().lower()) for name, value in headers]
    if any(name == "x-amz-content-sha256" and value in _UNSIGNED for name, value in given):
        return False
    if any(name == "authorization" and value.startswith(_SCHEMES) for name, value in given):
        return True
    asked = query.lower()
    return "x-amz-signature=" in asked and not any(f"x-amz-content-sha256={word}" in asked for word in _UNSIGNED)
