"""The addon behind real TLS: who may speak, what is read, what passes untouched, how each refusal looks."""

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import orjson
import pytest
import zstandard
from mitmproxy import http

from proxy.messages import replace_headers
from tests.behind import CHAT, Running, answer, asking, post, saying, serving
from tests.judging import REDACT
from tests.wire import openai_answer, openai_stream

SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token


async def test_a_request_is_redacted_and_its_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    body = saying("fine, thanks")
    async with serving(tmp_path, REDACT, answer(body, "x-kept: yes")) as running:
        assert await post(running, asking(f"key {SECRET}")) == (200, body)
        [request] = running.requests
    assert SECRET.encode() not in request
    assert b"[REDACTED:github_token]" in request


async def test_untouched_headers_and_bytes_reach_upstream_as_they_were(tmp_path: Path) -> None:
    body = b'{ "model":"gpt-5",  "messages":[] }'
    async with serving(tmp_path, REDACT, answer(b"{}")) as running:
        await post(running, body, "X-Odd-Case: a  b", "accept-encoding: gzip, br", "authorization: Bearer t")
        [request] = running.requests
    head, _, sent = request.partition(b"\r\n\r\n")
    assert sent == body
    for line in (b"X-Odd-Case: a  b", b"accept-encoding: gzip, br", b"authorization: Bearer t"):
        assert line in head


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
PLAIN: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("coding", CODINGS)
async def test_compressed_bodies_are_read_both_ways(tmp_path: Path, coding: str) -> None:
    down = answer(CODINGS[coding](saying(f"use {SECRET}")), f"content-encoding: {coding}")
    async with serving(tmp_path, REDACT, down) as running:
        up = CODINGS[coding](asking(f"key {SECRET}"))
        status, body = await post(running, up, f"content-encoding: {coding}")
        [request] = running.requests
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "use [REDACTED:github_token]"
    head, _, sent = request.partition(b"\r\n\r\n")
    assert b"content-encoding" not in head
    assert json.loads(sent)["messages"][0]["content"] == "key [REDACTED:github_token]"


@pytest.mark.parametrize("coding", CODINGS)
async def test_compressed_bodies_without_findings_stay_byte_for_byte(tmp_path: Path, coding: str) -> None:
    packed = CODINGS[coding](saying("nothing here"))
    async with serving(tmp_path, REDACT, answer(packed, f"content-encoding: {coding}")) as running:
        up = CODINGS[coding](asking("hello"))
        assert await post(running, up, f"content-encoding: {coding}") == (200, packed)
        assert running.requests[0].endswith(up)


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_compressed_stream_stays_a_stream_in_its_coding(tmp_path: Path, coding: str) -> None:
    packed = CODINGS[coding](openai_stream(["use ", SECRET[:7], SECRET[7:], " now"]))
    down = answer(packed, f"content-encoding: {coding}", kind="text/event-stream")
    async with serving(tmp_path, REDACT, down) as running:
        status, body = await post(running, asking("go", stream=True))
    assert status == 200
    assert openai_answer(PLAIN[coding](body)).text == "use [REDACTED:github_token] now"


async def test_garbage_under_a_coding_is_refused_without_dialling(tmp_path: Path) -> None:
    async with serving(tmp_path, REDACT, answer(b"{}")) as running:
        status, body = await post(running, b"no gzip at all", "content-encoding: gzip")
        assert not running.requests
    assert status == 400
    assert "message" in json.loads(body)["error"]


async def test_a_bomb_is_refused(tmp_path: Path) -> None:
    policy = REDACT + "limits: {request_body: 100KB}\n"
    async with serving(tmp_path, policy, answer(b"{}")) as running:
        status, _ = await post(running, gzip.compress(bytes(5_000_000)), "content-encoding: gzip")
        assert not running.requests
    assert status == 413


async def test_a_body_over_the_cap_is_refused_in_the_provider_s_shape(tmp_path: Path) -> None:
    policy = REDACT + "limits: {request_body: 1KB}\n"
    async with serving(tmp_path, policy, answer(b"{}")) as running:
        status, body = await post(running, asking("x" * 2000))
        assert not running.requests
    assert status == 413
    assert "limits.request_body" in json.loads(body)["error"]["message"]


async def test_a_response_over_the_cap_never_arrives(tmp_path: Path) -> None:
    policy = REDACT + "limits: {response_body: 1KB}\n"
    async with serving(tmp_path, policy, answer(saying("x" * 2000))) as running:
        status, body = await post(running, asking("hi"))
    assert status == 502
    assert "limits.response_body" in json.loads(body)["error"]["message"]


async def test_what_nothing_reads_passes_untouched(tmp_path: Path) -> None:
    body = bytes(range(256)) * 40
    async with serving(tmp_path, REDACT, answer(body, kind="application/octet-stream")) as running:
        assert await post(running, f"form={SECRET}".encode(), path="/upload") == (200, body)
        assert running.requests[0].endswith(f"form={SECRET}".encode())


async def test_unrecognised_hosts_are_denied_where_the_policy_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, "unrecognised: deny\n" + REDACT, answer(b"{}")) as running:
        status, body = await post(running, b"x", path="/upload")
        assert not running.requests
    assert status == 403
    assert json.loads(body)["title"] == "Refused by midstream"


AGENTS = """
version: 1
agents:
  require_identity: true
  list: [{id: builder, token_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}]
"""  # the token is "test"


async def connect(running: Running, *headers: str) -> bytes:
    async with running.plain() as client:
        lines = ["CONNECT api.example.com:443 HTTP/1.1", "host: api.example.com:443", *headers, "", ""]
        client.writer.write("\r\n".join(lines).encode())
        return await client.head()


async def test_identity_is_required_on_the_tunnel(tmp_path: Path) -> None:
    good = base64.b64encode(b"builder:test").decode()
    bad = base64.b64encode(b"builder:guess").decode()
    async with serving(tmp_path, AGENTS, answer(b"{}")) as running:
        missing = await connect(running)
        assert missing.startswith(b"HTTP/1.1 407")
        assert b'basic realm="midstream"' in missing.lower()
        assert (await connect(running, f"proxy-authorization: Basic {bad}")).startswith(b"HTTP/1.1 407")
        assert (await connect(running, f"proxy-authorization: Basic {good}")).startswith(b"HTTP/1.1 200")
        assert not running.requests


async def test_the_proxy_answers_probes_itself(tmp_path: Path) -> None:
    async with serving(tmp_path, AGENTS, answer(b"{}")) as running, running.plain() as client:
        host, port = running.proxy.address
        for path, expected in (("/readyz", 200), ("/healthz", 200), ("/else", 404)):
            client.writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
            assert (await client.response())[0] == expected


async def test_websockets_to_a_model_are_refused_with_the_status_that_falls_back(tmp_path: Path) -> None:
    headers = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: AAAA"]
    async with serving(tmp_path, REDACT, answer(b"{}")) as running, running.proxy.client() as client:
        await client.send("POST", CHAT, b"", headers)
        assert (await client.response())[0] == 426
        assert not running.requests


async def test_websockets_to_hosts_that_nothing_inspects_pass(tmp_path: Path) -> None:
    key = base64.b64encode(b"0123456789abcdef").decode()
    # RFC 6455 §1.3: the accept value is the hash of the key and this constant.
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
    lines = ["HTTP/1.1 101 Switching", "connection: upgrade", "upgrade: websocket", f"sec-websocket-accept: {accept}"]
    switch = "\r\n".join([*lines, "", ""])
    hello = b"\x81\x05hello"
    headers = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", f"sec-websocket-key: {key}"]
    async with serving(tmp_path, REDACT, switch.encode() + hello) as running, running.proxy.client() as client:
        await client.send("GET", "/live", b"", headers)
        assert (await client.head()).startswith(b"HTTP/1.1 101")
        assert await client.reader.readexactly(len(hello)) == hello


async def test_an_unreachable_provider_is_said_in_its_own_shape(tmp_path: Path) -> None:
    async with serving(tmp_path, REDACT, answer(b"{}"), trust=False) as running:
        status, body = await post(running, asking("hi"))
    assert status == 502
    assert "gave no whole answer" in json.loads(body)["error"]["message"]


async def test_credentials_of_a_request_count_for_it_on_a_connection_that_several_share(tmp_path: Path) -> None:
    good = base64.b64encode(b"builder:test").decode()
    bad = base64.b64encode(b"builder:guess").decode()
    async with serving(tmp_path, AGENTS, answer(b"{}")) as running, running.plain() as client:
        host, port = running.proxy.address
        # Absolute-form requests to the proxy's own port are answered by itself, once it knows who asks for more.
        for credentials, expected in ((good, 502), (bad, 407)):
            lines = [
                "GET http://127.0.0.1:9/x HTTP/1.1",
                "host: 127.0.0.1:9",
                f"proxy-authorization: Basic {credentials}",
            ]
            client.writer.write("\r\n".join([*lines, "", ""]).encode())
            assert (await client.response())[0] == expected, (host, port)


async def test_a_header_that_repeats_the_body_goes_up_as_it_was_edited(tmp_path: Path) -> None:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "f", "arguments": {}}})
    headers = ["mcp-method: tools/call", f"Mcp-Param-Key: {SECRET}", "x-other: kept"]
    async with serving(tmp_path, REDACT, answer(b'{"jsonrpc":"2.0","id":1,"result":{}}')) as running:
        assert (await post(running, body, *headers, path="/mcp"))[0] == 200
    (sent,) = running.requests
    assert b"Mcp-Param-Key: [REDACTED:github_token]\r\n" in sent and b"x-other: kept\r\n" in sent
    assert SECRET.encode() not in sent


def test_a_header_is_written_anew_or_taken_out() -> None:
    fields = ((b"A", b"1"), (b"B", b"2"), (b"C", b"3"), (b"a", b"5"))
    request = http.Request.make("POST", "https://tools.example/", headers=fields)
    replace_headers(request, {"a": "4", "b": None})
    assert request.headers.fields[:2] == ((b"A", b"4"), (b"C", b"3"))
    assert "5" not in request.headers.values()
