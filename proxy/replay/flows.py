"""Recordings as mitmproxy's flow files (`.mitm`, `.flow`, `.flows`): HTTP exchanges and WebSocket messages."""

from collections.abc import Iterator
from pathlib import Path

from mitmproxy import http
from mitmproxy.exceptions import FlowReadException
from mitmproxy.io import FlowReader

from proxy.replay.recordings import Message, Recording, RecordingError


def read(path: Path) -> Iterator[Recording]:
    """Every HTTP flow of a file, in order."""
    with path.open("rb") as file:
        try:
            for number, flow in enumerate(FlowReader(file).stream(), 1):
                if isinstance(flow, http.HTTPFlow):
                    yield _recording(f"{path}:{number}", flow)
        except FlowReadException as error:
            raise RecordingError(f"{path}: not a flow file, or one that is cut off") from error


def _recording(where: str, flow: http.HTTPFlow) -> Recording:
    response = flow.response
    messages = flow.websocket.messages if flow.websocket else ()
    return Recording(
        id=flow.id,
        source=where,
        method=flow.request.method,
        url=flow.request.pretty_url,
        headers=_headers(flow.request.headers),
        body=flow.request.raw_content or b"",
        status=response.status_code if response else 0,
        answer_headers=_headers(response.headers) if response else {},
        answer=(response.raw_content or b"") if response else b"",
        messages=tuple(Message(message.from_client, message.content) for message in messages),
    )


def _headers(headers: http.Headers) -> dict[str, str]:
    plain: dict[str, str] = {}
    for raw_name, raw_value in headers.fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        plain[name] = f"{plain[name]}, {value}" if name in plain else value
    return plain
