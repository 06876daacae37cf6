"""Recordings as HTTP Archive 1.2 (`.har`), as browsers and proxies export them."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from proxy.replay.recordings import Message, Recording, RecordingError


def read(path: Path) -> Iterator[Recording]:
    """Every entry of a file, in order."""
    try:
        entries = orjson.loads(path.read_bytes())["log"]["entries"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise RecordingError(f"{path}: not an HTTP Archive") from error
    for number, entry in enumerate(entries, 1):
        where = f"{path}:{number}"
        try:
            yield _recording(where, entry)
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"{where}: not an entry of an HTTP Archive ({type(error).__name__})") from error


def _recording(where: str, entry: Mapping[str, Any]) -> Recording:
    request, response = entry["request"], entry["response"]
    return Recording(
        id=where,
        source=where,
        method=request["method"],
        url=request["url"],
        headers=_headers(request["headers"]),
        body=_text(request.get("postData") or {}),
        status=int(response.get("status") or 0),
        answer_headers=_headers(response["headers"]),
        answer=_text(response.get("content") or {}),
        messages=_messages(entry.get("_webSocketMessages") or ()),
    )


def _headers(listed: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """HAR stores bodies decoded (§ content), whatever the header still says."""
    plain: dict[str, str] = {}
    for header in listed:
        name = header["name"].lower()
        plain[name] = f"{plain[name]}, {header['value']}" if name in plain else header["value"]
    plain.pop("content-encoding", None)
    return plain


def _text(content: Mapping[str, Any]) -> bytes:
    text = content.get("text") or ""
    return base64.b64decode(text) if content.get("encoding") == "base64" else text.encode("utf-8", "surrogatepass")


def _messages(listed: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Chrome's extension: type send or receive, opcode 1 text, 2 binary (base64)."""
    return tuple(
        Message(
            item["type"] == "send",
            base64.b64decode(item["data"]) if item.get("opcode") == 2 else item["data"].encode("utf-8"),
        )
        for item in listed
    )
