"""Requests and responses written so that a reader might miss what they hold, through the running proxy.

A request either goes up with the secret taken out, or not at all; of an answer the secret never comes down. Nothing of
it is ever written to the state folder.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from tests.behind import CHAT, Running, answer, asking, saying, serving
from tests.judging import REDACT
from tests.net import chunk
from tests.proxied import HOST
from tests.wire import openai_stream

TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
ESCAPED = "".join(f"\\u{ord(character):04x}" for character in TOKEN)
BODY = asking(f"the key {TOKEN}")
PACKED = gzip.compress(BODY)
CHUNKED = chunk(BODY) + chunk(b"")


async def received(running: Running, head: Sequence[str], body: bytes) -> bytes:
    """All bytes a client gets that sends exactly this."""
    async with running.proxy.client() as client:
        client.writer.write("\r\n".join([*head, "connection: close", "", ""]).encode() + body)
        return await client.everything()


def head(*headers: str, line: str = f"POST {CHAT} HTTP/1.1", host: str = HOST) -> list[str]:
    return [line, f"host: {host}", *headers]


def sized(body: bytes) -> str:
    return f"content-length: {len(body)}"


READ: dict[str, tuple[list[str], bytes]] = {
    "a coding, and identity after it": (
        head(sized(PACKED), "content-encoding: gzip", "content-encoding: identity"),
        PACKED,
    ),
    "identity, and a coding after it": (
        head(sized(PACKED), "content-encoding: identity", "content-encoding: gzip"),
        PACKED,
    ),
    "a coding in capitals": (head(sized(PACKED), "Content-Encoding: X-GZIP"), PACKED),
    "chunks": (head("transfer-encoding: chunked"), CHUNKED),
    "another host's name": (head(sized(BODY), host="files.example.com"), BODY),
    "absolute form": (head(sized(BODY), line=f"POST https://{HOST}{CHAT} HTTP/1.1", host="files.example.com"), BODY),
    "absolute form, plain http": (head(sized(BODY), line=f"POST http://{HOST}{CHAT} HTTP/1.1"), BODY),
    "an upgrade to h2c": (
        head(sized(BODY), "upgrade: h2c", "connection: upgrade, http2-settings", "http2-settings: AAMAAABkAAQAAP__"),
        BODY,
    ),
    "a detour in the path": (head(sized(BODY), line="POST /v1/x/../chat//completions HTTP/1.1"), BODY),
    "a content type that lies": (head(sized(BODY), "content-type: image/png"), BODY),
    "a byte order mark": (head(sized(b"\xef\xbb\xbf" + BODY)), b"\xef\xbb\xbf" + BODY),
}


@pytest.mark.parametrize("disguise", READ)
async def test_a_disguised_request_is_read(tmp_path: Path, disguise: str) -> None:
    async with serving(tmp_path, REDACT, answer(saying("fine"), "connection: close")) as running:
        got = await received(running, *READ[disguise])
        assert got.startswith(b"HTTP/1.1 200"), got[:200]
        (up,) = running.requests
    assert b"[REDACTED:github_token]" in up and TOKEN.encode() not in up
    assert not written(tmp_path)


def written(folder: Path) -> list[Path]:
    """Files of the state folder that hold the secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    return [path for path in files if TOKEN.encode() in path.read_bytes()]


def ambiguous(document: str) -> tuple[list[str], bytes]:
    body = document.replace("KEY", ESCAPED).encode()
    return head(sized(body)), body


WIDE = BODY.decode().encode("utf-16")
REFUSED: dict[str, tuple[list[str], bytes]] = {
    "a coding it is not in": (head(sized(BODY), "content-encoding: gzip"), BODY),
    "a coding nobody knows": (head(sized(BODY), "content-encoding: aes128gcm"), BODY),
    "two lengths": (head(sized(BODY), "content-length: 3"), BODY),
    "a length and chunks": (head(sized(BODY), "transfer-encoding: chunked"), CHUNKED),
    "coded chunks": (head("transfer-encoding: gzip, chunked"), chunk(PACKED) + chunk(b"")),
    "chunks by another name": (head("transfer-encoding: xchunked"), CHUNKED),
    "a header without a colon": (head(sized(BODY), "content-type"), BODY),
    "a name given twice": ambiguous('{"messages":[{"role":"user","content":"KEY"}],"messages":[]}'),
    "NaN": ambiguous('{"messages":[{"role":"user","content":"KEY"}],"temperature":NaN}'),
    "nesting without end": ambiguous(
        '{"messages":[{"role":"user","content":"KEY"}],"x":' + "[" * 5000 + "]" * 5000 + "}"
    ),
    "a comma too many": ambiguous('{"messages":[{"role":"user","content":"KEY"}],}'),
    "two documents": ambiguous('{"messages":[{"role":"user","content":"KEY"}]} {}'),
    "UTF-16": (head(sized(WIDE)), WIDE),
}


@pytest.mark.parametrize("disguise", REFUSED)
async def test_a_request_that_can_be_read_in_two_ways_does_not_go_up(tmp_path: Path, disguise: str) -> None:
    async with serving(tmp_path, REDACT, answer(saying("fine"))) as running:
        got = await received(running, *REFUSED[disguise])
        assert got.startswith(b"HTTP/1.1 400"), got[:200]
        assert running.requests == []
    assert not written(tmp_path)


STREAM = openai_stream(["the key ", TOKEN[:11], TOKEN[11:]])
ERROR = orjson.dumps({"error": {"message": f"bad key {TOKEN}"}})
ANSWERS: dict[str, bytes] = {
    "an error": answer(ERROR, status="500 Internal Server Error"),
    "an error page": answer(f"<p>{TOKEN}".encode(), status="502 Bad Gateway", kind="text/html"),
    "two codings": answer(gzip.compress(gzip.compress(saying(TOKEN))), "content-encoding: gzip, gzip"),
    "a coding it is not in": answer(saying(TOKEN), "content-encoding: gzip"),
    "a coding nobody knows": answer(saying(TOKEN), "content-encoding: foo"),
    "a stream not asked for": answer(STREAM, kind="text/event-stream"),
    "a stream that says it is coded": answer(STREAM, "content-encoding: gzip", kind="text/event-stream"),
    "lines that end in CR": answer(STREAM.replace(b"\n", b"\r"), kind="text/event-stream"),
    "a stream with a byte order mark": answer(b"\xef\xbb\xbf" + STREAM, kind="text/event-stream"),
    "no HTTP": f"{TOKEN}\r\n\r\n".encode(),
    "a header that is none": f"HTTP/1.1 200 OK\r\n{TOKEN}\r\n\r\n".encode(),
    "a length that is none": f"HTTP/1.1 200 OK\r\ncontent-length: {TOKEN}\r\n\r\n".encode(),
    "another protocol": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n" + TOKEN.encode(),
    "a body where there is none": b"HTTP/1.1 204 No Content\r\n\r\n" + saying(TOKEN),
    "a second answer": answer(saying("fine")) + answer(saying(TOKEN)),
}


@pytest.mark.parametrize("disguise", ANSWERS)
async def test_a_disguised_answer_brings_no_secret_down(tmp_path: Path, disguise: str) -> None:
    body = asking("hello")
    async with serving(tmp_path, REDACT, ANSWERS[disguise], close=True) as running:
        got = await received(running, head(sized(body), "content-type: application/json"), body)
        assert running.requests
    # Clients put a stream's pieces together.
    assert TOKEN.encode() not in got and TOKEN[11:].encode() not in got
    assert not written(tmp_path)


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gpt-5"])
async def test_no_credential_of_the_agent_is_written_down(tmp_path: Path, model: str) -> None:
    """Promise 5: the key for the provider is for the wire only."""
    body = asking("hello", model=model)
    headers = [f"authorization: Bearer {TOKEN}", f"x-api-key: {TOKEN}"]
    async with serving(tmp_path, REDACT, answer(saying("fine"), "connection: close")) as running:
        got = await received(running, head(sized(body), *headers), body)
        assert got.startswith(b"HTTP/1.1 200")
        (up,) = running.requests
    assert all(header.encode() in up for header in headers)
    assert not written(tmp_path)
