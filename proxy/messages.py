"""mitmproxy's requests and responses, read and written: what the addon's hooks need to know of one message.

Functions of one flow or message each. What is decided about it, and when, is the addon's and what stands behind it.
"""

from collections.abc import Mapping

import orjson
from mitmproxy import http

from proxy.codecs import providers
from proxy.identity import REALM
from proxy.recorder import Tape


def plain(headers: http.Headers) -> dict[str, str]:
    """Headers by lower-case name, read once: mitmproxy's own look-ups search all of them each time.

    Lines of one name are one list (RFC 9110 §5.3): a second content-encoding must not hide the first.
    """
    plain: dict[str, str] = {}
    for raw_name, raw_value in headers.fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        plain[name] = f"{plain[name]}, {value}" if name in plain else value
    return plain


def is_for_us(flow: http.HTTPFlow) -> bool:
    """Whether the proxy itself is asked (origin-form, RFC 9112 §3.2.1): a probe, or somebody's browser."""
    own = flow.client_conn.sockname
    return flow.request.port == own[1] and flow.request.host in (own[0], "localhost")


def route_of(flow: http.HTTPFlow, headers: Mapping[str, str]) -> providers.Route | None:
    """The provider's row for this flow: by where it goes, and by every name it goes by."""
    request = flow.request
    for host in dict.fromkeys((request.host, request.pretty_host, flow.client_conn.sni or request.host)):
        route = providers.match(host, request.method, request.path, headers)
        if route is not None:
            return route
    return None


def replace_body(message: http.Message, body: bytes) -> None:
    """Put an edited body in, no longer under any content-encoding."""
    message.headers.pop("content-encoding", None)
    message.headers.pop("transfer-encoding", None)
    message.raw_content = body
    message.headers["content-length"] = str(len(body))


def replace_headers(message: http.Message, values: Mapping[str, str | None]) -> None:
    """Write headers anew, by lower-case name, each in its place; None takes one out."""
    fields: list[tuple[bytes, bytes]] = []
    written: set[str] = set()
    for raw_name, raw_value in message.headers.fields:
        name = raw_name.decode("latin-1").lower()
        value = values.get(name)
        if name not in values:
            fields.append((raw_name, raw_value))
        elif value is not None and name not in written:
            fields.append((raw_name, value.encode("latin-1")))
            written.add(name)
    message.headers.fields = tuple(fields)


def problem(status: int, detail: str, flow: http.HTTPFlow) -> http.Response:
    """A refusal where no provider's shape applies: RFC 9457 problem details."""
    title = "Refused by midstream"
    body = orjson.dumps(
        {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            "instance": flow.id,
        }
    )
    return http.Response.make(status, body, {"content-type": "application/problem+json"})


def credentials_required(given: bool) -> http.Response:
    """407 with what to do (RFC 9110 §15.5.8). `given`: credentials came, but were wrong."""
    said = "were not accepted" if given else "are required"
    body = f"[midstream] Proxy credentials {said}. Set HTTPS_PROXY=http://AGENT:TOKEN@HOST:PORT.\n".encode()
    return http.Response.make(407, body, {"proxy-authenticate": f'Basic realm="{REALM}"', "content-type": "text/plain"})


def tape_of(flow: http.HTTPFlow, most: int) -> Tape:
    """What a recorder keeps of a request, before anything of it is changed. `most`: bytes of answer."""
    request = flow.request
    return Tape(flow.id, request.method, request.pretty_url, plain(request.headers), most, request.raw_content or b"")


def hear_answer(tape: Tape, response: http.Response, *, whole: bool) -> None:
    """The answer's head, and its body where it was not heard piece by piece."""
    tape.status, tape.answer_headers = response.status_code, plain(response.headers)
    if whole:
        tape.hear(response.raw_content or b"")
