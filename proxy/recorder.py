"""`--record`: inspected exchanges as flow files that `replay` and mitmproxy read, redacted unless told otherwise.

Redaction is a replay under a policy that takes out everything that detectors find (`replay/recorded.yaml`), by the
objects that serve traffic. What could not be read is not written. The addon says what happened; nothing is decided.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mitmproxy import connection, http, websocket
from mitmproxy.io import FlowWriter
from wsproto.frame_protocol import Opcode

from proxy.decision import Decision
from proxy.detectors import Detectors
from proxy.detectors.history import FindingCache
from proxy.events import Agent, Event
from proxy.hold import StreamGuard
from proxy.judge import Runtime
from proxy.policy import load
from proxy.replay.player import Played, Player
from proxy.replay.recordings import Message, Recording

logger = logging.getLogger(__name__)

REDACTED: Final = "[REDACTED]"
_SECRET_HEADERS: Final = ("authorization", "cookie", "set-cookie", "proxy-authorization")
_SECRET_WORDS: Final = ("key", "token", "secret", "signature", "credential", "password")
_CACHED: Final = 4096


@dataclass(slots=True)
class Tape:
    """One exchange while it happens: what came in, from either side, before anything was decided."""

    id: str
    method: str
    url: str
    headers: Mapping[str, str]
    most: int
    """Bytes of answer that are kept; a longer one is not recorded."""
    body: bytes = b""
    status: int = 0
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    answer: bytearray = field(default_factory=bytearray)
    messages: list[Message] = field(default_factory=list)

    def hear(self, data: bytes) -> None:
        """More of the answer came."""
        if len(self.answer) <= self.most:
            self.answer += data

    @property
    def whole(self) -> bool:
        """Whether everything was kept."""
        return len(self.answer) <= self.most

    def recording(self) -> Recording:
        """What was heard."""
        return Recording(
            id=self.id,
            source=self.id,
            method=self.method,
            url=self.url,
            headers=self.headers,
            body=self.body,
            status=self.status,
            answer_headers=self.answer_headers,
            answer=bytes(self.answer),
            messages=tuple(self.messages),
        )


class Heard:
    """A stream's guard, with a tape that hears what goes into it."""

    def __init__(self, guard: StreamGuard, tape: Tape) -> None:
        self._guard = guard
        self._tape = tape

    def feed(self, data: bytes) -> bytes:
        """See `StreamGuard`."""
        self._tape.hear(data)
        return self._guard.feed(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._guard, name)


class Recorder:
    """Writes exchanges to one file, in the order they end."""

    def __init__(self, path: Path, *, redacts: bool, cache_dir: Path | None = None) -> None:
        """Opens the file (0600), which is overwritten. OSError where it cannot be."""
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._writer = FlowWriter(self._file)  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        self._player = _redactor(cache_dir) if redacts else None
        self._turn = asyncio.Lock()

    async def keep(self, tape: Tape) -> None:
        """Write one exchange. What is wrong with it is said in the log, never to the client."""
        if not tape.whole:
            logger.warning("flow %s is too large to be recorded", tape.id)
            return
        async with self._turn:
            await asyncio.to_thread(self._write, tape.recording())

    def _write(self, recording: Recording) -> None:
        if self._player is not None:
            played = self._player.play(recording)
            if played.error is not None or played.route is None:
                logger.warning("flow %s is not recorded: it could not be read, so not redacted", recording.id)
                return
            recording = _redacted(played)
        self._writer.add(_flow(recording))
        self._file.flush()

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()


def _redactor(cache_dir: Path | None) -> Player:
    with as_file(files("proxy.replay").joinpath("recorded.yaml")) as path:
        policy = load([path])
    detectors = Detectors.load(cache_dir=cache_dir)
    told: list[tuple[Event, Decision]] = []
    key = os.urandom(32)
    runtime = Runtime(policy, detectors, FindingCache(detectors, key, _CACHED), key, lambda event, decision: None)
    return Player(runtime, told, Agent(id="recorder"), None)


def _redacted(played: Played) -> Recording:
    recording = played.recording
    answer_headers = _bare(recording.answer_headers)
    headers = _bare(recording.headers)
    if played.up.changed:
        headers.pop("content-encoding", None)
    if played.down.changed:
        answer_headers.pop("content-encoding", None)
    return Recording(
        id=recording.id,
        source=recording.source,
        method=recording.method,
        url=_bare_url(recording.url),
        headers=headers,
        body=played.up.sent if not recording.messages else recording.body,
        status=recording.status,
        answer_headers=answer_headers,
        answer=played.down.sent if not recording.messages else recording.answer,
        messages=tuple(played.passed),
    )


def _bare(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: REDACTED if _is_secret(name) else value for name, value in headers.items()}


def _is_secret(name: str) -> bool:
    return name in _SECRET_HEADERS or any(word in name for word in _SECRET_WORDS)


def _bare_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.query:
        return url
    query = [(name, REDACTED if _is_secret(name.lower()) else value) for name, value in parse_qsl(parts.query, True)]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _flow(recording: Recording) -> http.HTTPFlow:
    nowhere = ("127.0.0.1", 0)
    flow = http.HTTPFlow(
        connection.Client(peername=nowhere, sockname=nowhere), connection.Server(address=(recording.host, 443))
    )
    flow.request = http.Request.make(recording.method, recording.url, b"", http.Headers(_fields(recording.headers)))
    flow.request.raw_content = recording.body
    if recording.status:
        flow.response = http.Response.make(recording.status, b"", http.Headers(_fields(recording.answer_headers)))
        flow.response.raw_content = recording.answer
    if recording.messages:
        flow.websocket = websocket.WebSocketData(
            messages=[websocket.WebSocketMessage(Opcode.TEXT, m.from_client, m.content) for m in recording.messages]
        )
    return flow


def _fields(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()]
