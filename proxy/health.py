"""Liveness and readiness on the proxy's own port: what `GET /healthz` and `GET /readyz` answer. Pure.

Only requests to the proxy itself count (origin-form, RFC 9112 §3.2.1): what is meant for another host is traffic.
"""

from typing import NamedTuple


class Health(NamedTuple):
    """An answer: HTTP status and JSON body."""

    status: int
    body: bytes


def answer(path: str, *, ready: bool) -> Health | None:
    """What a request for `path` to the proxy itself gets; None where it asks for something else.

    /healthz is 200 as long as anything can answer; /readyz is 503 while draining.
    """
    match path.partition("?")[0]:
        case "/healthz":
            return Health(200, b'{"status":"alive"}\n')
        case "/readyz":
            return Health(200, b'{"status":"ready"}\n') if ready else Health(503, b'{"status":"draining"}\n')
        case _:
            return None
