"""Recordings as JSON lines, one exchange a line (`.jsonl`, `.jsonl.gz`): the shape of the shared corpus.

A line has id, request {method, url, headers, body_text | body_b64}, response {status, headers, body_text | body_b64,
content_encoding?} and, for connections, frames [{dir: sent | received, json | text | b64}].
"""

import base64
import binascii
import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from proxy.replay.recordings import Message, Recording, RecordingError, lowered

_GRPC_PREFIX = 5


def read(path: Path) -> Iterator[Recording]:
    """Every exchange of a file, in order."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                where = f"{path}:{number}"
                try:
                    yield _recording(where, orjson.loads(line))
                except (KeyError, TypeError, AttributeError, binascii.Error, orjson.JSONDecodeError) as error:
                    raise RecordingError(f"{where}: not a recorded exchange ({type(error).__name__})") from error


def _recording(where: str, record: Mapping[str, Any]) -> Recording:
    request, response = record["request"], record.get("response") or {}
    body, answer = _body(request), _body(response)
    messages: tuple[Message, ...] = ()
    frames = record.get("frames") or ()
    if record.get("framing") == "grpc":
        body, answer = (_grpc(frames, side) or rest for side, rest in (("sent", body), ("received", answer)))
    elif frames:
        messages = tuple(Message(frame["dir"] == "sent", _content(frame)) for frame in frames)
    return Recording(
        id=str(record.get("id") or where),
        source=where,
        method=request["method"],
        url=request["url"],
        headers=_headers(request),
        body=body,
        status=int(response.get("status") or 0),
        answer_headers=_headers(response),
        answer=answer,
        messages=messages,
    )


def _headers(message: Mapping[str, Any]) -> dict[str, str]:
    """The header of a coding stays on bodies that were stored decoded; `content_encoding` says what they really are."""
    headers = lowered(message.get("headers") or {})
    headers.pop("content-encoding", None)
    if coding := message.get("content_encoding"):
        headers["content-encoding"] = coding
    return headers


def _body(message: Mapping[str, Any]) -> bytes:
    if message.get("body_b64") is not None:
        return base64.b64decode(message["body_b64"])
    return (message.get("body_text") or "").encode("utf-8", "surrogatepass")


def _content(frame: Mapping[str, Any]) -> bytes:
    if frame.get("b64") is not None:
        return base64.b64decode(frame["b64"])
    if frame.get("text") is not None:
        return str(frame["text"]).encode("utf-8", "surrogatepass")
    return orjson.dumps(frame["json"])


def _grpc(frames: Any, side: str) -> bytes:
    """Length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message")."""
    contents = [_content(frame) for frame in frames if frame["dir"] == side]
    return b"".join(b"\0" + len(content).to_bytes(_GRPC_PREFIX - 1, "big") + content for content in contents)
