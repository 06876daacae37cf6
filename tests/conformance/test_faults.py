"""Promise 3: whatever part of midstream breaks, nothing that was not judged is delivered. Every fault is injected here.

The upstream's answer and the request hold a marker; after a fault it must not have crossed the proxy.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.log import AuditError, AuditLog
from proxy.codecs import splicing, trees
from proxy.codecs.framings import sse
from proxy.codecs.openai_chat import document, stream
from proxy.detectors import history
from proxy.detectors.stream import TextStream
from proxy.exchange import Exchange
from proxy.judge import Judge
from proxy.store import StoreError
from proxy.store.sqlite import SqliteStore
from proxy.streamed import Streamed
from tests.behind import CHAT, JSON, Running, answer, asking, saying, serving
from tests.judging import REDACT
from tests.wire import openai_stream

UP, DOWN = "marker-that-must-not-go-up", "marker-that-must-not-come-down"
TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token

POLICY = REDACT + "budgets: [{id: day, per: agent, window: day, limit: {requests: 100}}]\n"


class InjectedError(RuntimeError):
    """The fault. No code of midstream's knows it."""


def breaking(*_: Any, **__: Any) -> Any:
    raise InjectedError("injected")


def refusing(*_: Any, **__: Any) -> Any:
    raise StoreError("injected")


def full(*_: Any, **__: Any) -> Any:
    raise AuditError("injected")


UPWARD: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "parser": (trees, "_quotes", breaking),
    "codec": (document, "History", breaking),
    "detector": (history.FindingCache, "scan", breaking),
    "engine": (Judge, "decide", breaking),
    "splice": (splicing, "survey", breaking),
    "edits": (Judge, "edits", breaking),
    "exchange": (Exchange, "on_request", breaking),
    "store": (SqliteStore, "reserve", refusing),
    "store bug": (SqliteStore, "reserve", breaking),
    "audit": (AuditLog, "append", full),
}


async def everything(running: Running, body: bytes, *headers: str) -> bytes:
    """All bytes a client of this request receives, until the end of the connection."""
    async with running.proxy.client() as client:
        await client.send("POST", CHAT, body, [*JSON, *headers, "connection: close"])
        return await client.everything()


@pytest.mark.parametrize("fault", UPWARD)
async def test_a_fault_on_the_way_up_lets_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async with serving(tmp_path, POLICY, answer(saying(DOWN))) as running:
        with monkeypatch.context() as patch:
            patch.setattr(*UPWARD[fault])
            received = await everything(running, asking(f"{UP} {TOKEN}"))
        assert not any(UP.encode() in request for request in running.requests)
        assert DOWN.encode() not in received
        assert received.startswith((b"HTTP/1.1 500", b"HTTP/1.1 503")), received[:200]


DOWNWARD: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "parser": (trees, "_quotes", breaking),
    "codec": (document, "read_message", breaking),
    "detector": (history.FindingCache, "scan", breaking),
    "engine": (Judge, "decide", breaking),
    "edits": (Judge, "edits", breaking),
    "exchange": (Exchange, "on_response", breaking),
}


@pytest.mark.parametrize("fault", DOWNWARD)
async def test_a_fault_on_the_way_down_lets_nothing_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async with serving(tmp_path, POLICY, answer(saying(f"{DOWN} {TOKEN}"))) as running:
        with monkeypatch.context() as patch:
            where, name, fail = DOWNWARD[fault]
            after_request(patch, where, name, fail)
            received = await everything(running, asking("hello"))
        assert running.requests
        assert DOWN.encode() not in received
        assert received.startswith(b"HTTP/1.1 500"), received[:200]


STREAMED: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "parser": (trees, "_quotes", breaking),
    "framing": (sse.Sse, "feed", breaking),
    "codec": (stream.Reader, "read", breaking),
    "detector": (TextStream, "feed", breaking),
    "engine": (Judge, "decide", breaking),
    "edits": (Judge, "edits", breaking),
    "guard": (Streamed, "feed", breaking),
    "guard's end": (Streamed, "finish", breaking),
}


@pytest.mark.parametrize("fault", STREAMED)
async def test_a_fault_in_a_stream_cuts_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    stream = openai_stream([f"{TOKEN} ", DOWN])
    body = answer(stream, kind="text/event-stream")
    async with serving(tmp_path, POLICY, body) as running:
        with monkeypatch.context() as patch:
            after_request(patch, *STREAMED[fault])
            received = await everything(running, asking("hello", stream=True))
        assert TOKEN.encode() not in received
        if fault != "guard's end":
            assert DOWN.encode() not in received
        assert not received.endswith(b"0\r\n\r\n"), "a cut stream must not end cleanly"


def after_request(patch: pytest.MonkeyPatch, where: Any, name: str, fail: Callable[..., Any]) -> None:
    """The fault begins when the request has been decided."""
    on_request = Exchange.on_request

    def and_then_break(self: Exchange, body: bytes) -> Any:
        outcome = on_request(self, body)
        patch.setattr(where, name, fail)
        return outcome

    patch.setattr(Exchange, "on_request", and_then_break)


async def test_a_stream_that_breaks_off_upstream_delivers_nothing_held(tmp_path: Path) -> None:
    stream = openai_stream(["before ", "that ", TOKEN[:20]])
    torn = stream[: stream.index(TOKEN[:20].encode()) + 24]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99999\r\n\r\n"
    async with serving(tmp_path, POLICY, head + torn, close=True) as running:
        received = await everything(running, asking("hello", stream=True))
    assert b"before" in received
    assert TOKEN[:20].encode() not in received
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("fault", ["codec", "detector", "engine"])
async def test_failure_open_lets_pass_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    async with serving(tmp_path, "failure: open\n" + POLICY, answer(saying(DOWN))) as running:
        with monkeypatch.context() as patch:
            patch.setattr(*UPWARD[fault])
            received = await everything(running, asking(UP))
        assert any(UP.encode() in request for request in running.requests)
        assert DOWN.encode() in received
    log = (tmp_path / "audit" / "worker-0.jsonl").read_text()
    assert '"policy":"open"' in log and "InjectedError" in log
    assert UP not in log and DOWN not in log


@pytest.mark.parametrize("fault", ["codec", "detector", "guard"])
async def test_failure_open_lets_a_stream_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    stream = openai_stream(["one ", "two ", "three"])
    async with serving(tmp_path, "failure: open\n" + POLICY, answer(stream, kind="text/event-stream")) as running:
        with monkeypatch.context() as patch:
            after_request(patch, *STREAMED[fault])
            received = await everything(running, asking("hello", stream=True))
    assert b"three" in received and received.endswith(b"0\r\n\r\n")
