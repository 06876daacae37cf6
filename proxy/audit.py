"""The audit log: JSON lines, each with the hash of the one before, one file and one writer per worker.

A line is the record with `seq`, `prev` (the hash of the line before) and, last, `hash`: SHA-256 over the line as it
stands without that member. Only records built by the functions here can be appended, and those take names, positions
and keyed hashes, never text (promise 5). What is decided, and when, is not known here.

An append is one write(2) to an O_APPEND file before it returns: it survives kill -9 of the process, and with `durable`
(fdatasync) the loss of power.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import orjson

from proxy.decision import Decision
from proxy.events import Event, FindingRef, Flow, Usage

GENESIS: Final = "0" * 64
"""`prev` of the first record."""
_HASH_MEMBER: Final = b',"hash":"'
_TAIL_SIZE: Final = len(_HASH_MEMBER) + 64 + len(b'"}')
_NAME_LIMIT: Final = 200
"""Longest name from the wire (model, tool, host …) that a record takes."""


class AuditError(Exception):
    """The audit log cannot be kept: it is locked by another writer, damaged, or cannot be written."""


class AuditLocked(AuditError):  # noqa: N818 - a state, not a failure: another file may be free
    """Another process writes this file."""


class Record(NamedTuple):
    """What may be appended. Made by the functions below, so that no text of a body gets in."""

    kind: str
    fields: Mapping[str, Any]


class Problem(NamedTuple):
    """Something wrong with an audit file."""

    line: int
    """Counted from 1."""
    message: str


# Records


def decision_record(event: Event, decision: Decision) -> Record:
    """A decision on one event: who, where, which rules, which findings by kind, position and keyed hash."""
    rule = decision.rule
    return Record(
        "decision",
        {
            "event": event.id,
            "invocation_key": event.invocation_key,
            "point": event.point,
            "agent": _name(event.agent.id),
            "session": _name(event.session.get("id")),
            "run": _name(event.run.get("id")),
            "turn": event.turn,
            "flow": _flow(event),
            "provider": event.provider,
            "format": event.format,
            "model": _name(event.model),
            "tool": _tool(event),
            "decision": decision.id,
            "verdict": decision.verdict,
            "rule": None if rule is None else {"id": rule.id, "file": rule.file, "line": rule.line},
            "matched": [matched.id for matched in decision.matched],
            "reason": decision.reason,
            "status": decision.status,
            "edits": len(decision.edits),
            "injected": len(decision.inject),
            "failures": [{"rule": failed.rule.id, "open": failed.open} for failed in decision.failures],
            "findings": [_finding(finding) for finding in event.findings],
        },
    )


def exchange_record(
    *,
    flow: Flow,
    names: Mapping[str, str | None],
    status: int | None,
    refused: bool,
    usage: Usage | None,
    nano_usd: int,
    counts: Mapping[str, Mapping[str, int]],
) -> Record:
    """One request and its answer, as a whole. `names`: agent, session, run, model …; `counts`: kinds and rules."""
    return Record(
        "exchange",
        {
            "flow": _place(flow, known=names.get("provider") is not None),
            **{key: _name(value) for key, value in names.items()},
            "status": status,
            "refused": refused,
            "usage": None if usage is None else usage.model_dump(),
            "nano_usd": nano_usd,
            **{key: dict(value) for key, value in counts.items()},
        },
    )


def budget_record(
    *, agent: str, flow: str, budget: str, verdict: str, status: int | None = None, retry_after: int | None = None
) -> Record:
    """A budget denied (`deny`) or warned (`warn`) about the request of flow id `flow`."""
    names = {"agent": _name(agent), "flow": flow, "budget": budget, "verdict": verdict}
    return Record("budget", names | {"status": status, "retry_after": retry_after})


def failure_record(*, component: str, error: BaseException, policy: str, flow: str | None = None) -> Record:
    """A component failed and its failure policy (`open` or `closed`) took effect.

    Only the error's type is recorded: its message may quote what was being read.
    """
    return Record("failure", {"component": component, "error": type(error).__name__, "policy": policy, "flow": flow})


def lifecycle_record(what: str, **names: str | int | None) -> Record:
    """The process itself: `started`, `stopped`, `policy_loaded` … with names such as version or revision."""
    return Record(
        "lifecycle", {"what": what} | {key: _name(v) if isinstance(v, str) else v for key, v in names.items()}
    )


def _name(text: str | None) -> str | None:
    """A name from the wire, at a length that names nothing but a name; lone surrogates made writable."""
    return None if text is None else text[:_NAME_LIMIT].encode("utf-8", "replace").decode()


def _flow(event: Event) -> dict[str, str | None]:
    """Queries carry keys (`?key=…`), so do paths of hosts that are no provider (`/bot<token>/`): neither is kept."""
    return _place(event.flow, known=event.provider is not None)


def _place(flow: Flow, *, known: bool) -> dict[str, str | None]:
    path = flow.path.split("?", 1)[0] if known else None
    return {"id": flow.id, "host": _name(flow.host), "method": _name(flow.method), "path": _name(path)}


def _tool(event: Event) -> dict[str, str | None] | None:
    """The tool by name; never its arguments or result."""
    tool = event.tool
    if tool is None:
        return None
    names = {"call_id": tool.call_id, "name": tool.name, "server": tool.server}
    return {"transport": tool.transport} | {key: _name(value) for key, value in names.items()}


def _finding(finding: FindingRef) -> dict[str, Any]:
    return {
        "part": finding.part,
        "class": finding.cls,
        "kind": finding.kind,
        "rule": finding.rule,
        "start": finding.start,
        "end": finding.end,
        "score": finding.score,
        "hash": finding.hash,
    }


# Writing


class AuditLog:
    """The one writer of one audit file. Not for several threads."""

    def __init__(self, path: Path, *, durable: bool = False, clock: Callable[[], float] = time.time) -> None:
        """Open or continue the file, and lock it.

        A torn last line (the machine lost power while it was written) is moved to a file beside it and recorded.
        Raises AuditError where another process writes this file, or its last record is not whole.
        """
        self._path = path
        self._durable = durable
        self._clock = clock
        self._seq, self._prev = 0, GENESIS
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AuditError(f"audit log {path}: {error.strerror}") from error
        try:
            self._lock()
            self._continue()
            if durable:
                _sync_folder(path.parent)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, record: Record) -> None:
        """Write one record; when this returns, the record survives the process. Raises AuditError where it cannot."""
        line, digest = _line(self._seq + 1, self._prev, self._clock(), record)
        self._write(line)
        self._seq += 1
        self._prev = digest

    def close(self) -> None:
        """Let go of file and lock. Closing twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AuditLocked(f"audit log {self._path}: another process writes it") from error

    def _continue(self) -> None:
        last, torn = _last_line(self._fd)
        self._seq, self._prev = self._head(last)
        if torn:
            self._set_aside(torn)

    def _head(self, last: bytes) -> tuple[int, str]:
        """seq and hash of the last record."""
        if not last:
            return 0, GENESIS
        record = _parse(last)
        if isinstance(record, str):
            raise AuditError(
                f"audit log {self._path}: the last record is damaged ({record}); look at it with `midstream audit"
                " verify`, then move the file aside to begin a new chain"
            )
        return record["seq"], record["hash"]

    def _set_aside(self, torn: bytes) -> None:
        aside = self._path.with_name(f"{self._path.name}.torn-{self._seq + 1}")
        aside.write_bytes(torn)
        os.ftruncate(self._fd, os.fstat(self._fd).st_size - len(torn))
        self.append(lifecycle_record("torn_line_moved", file=aside.name, size=len(torn)))

    def _write(self, line: bytes) -> None:
        if self._fd < 0:
            raise AuditError(f"audit log {self._path}: closed")
        try:
            written = os.write(self._fd, line)
        except OSError as error:  # nothing was written: the chain stands, and the next record may fit again
            raise AuditError(f"audit log {self._path}: {error.strerror}") from error
        try:
            if written != len(line):  # a full disk takes a part; what is not whole is not kept
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                raise AuditError(f"audit log {self._path}: no room for a record")
            if self._durable:
                os.fdatasync(self._fd)
        except OSError as error:  # what the file holds now is not known: nothing more is written to it
            self.close()
            raise AuditError(f"audit log {self._path}: {error.strerror}; closed") from error


def _sync_folder(folder: Path) -> None:
    """A new file's name is durable only once its folder is (fsync(2))."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _line(seq: int, prev: str, now: float, record: Record) -> tuple[bytes, str]:
    body = orjson.dumps({"seq": seq, "prev": prev, "time": now, "kind": record.kind, **record.fields})
    digest = hashlib.sha256(body).hexdigest()
    return b'%b,"hash":"%b"}\n' % (body[:-1], digest.encode()), digest


def _last_line(fd: int, block: int = 65536) -> tuple[bytes, bytes]:
    """The last whole line (without its end) and what follows it, reading from the end of the file."""
    start, tail = os.fstat(fd).st_size, b""
    while start > 0 and tail.count(b"\n") < 2:
        step = min(start, block)
        start -= step
        tail = os.pread(fd, step, start) + tail
    whole, end, torn = tail.rpartition(b"\n")
    return (whole.rpartition(b"\n")[2], torn) if end else (b"", tail)


# Verifying


def verify(path: Path) -> list[Problem]:
    """What is wrong with an audit file: edits, removals, reorderings, a torn tail. Empty when the chain holds.

    A tail cut off at a line's end cannot be seen from the file alone. Raises OSError where it cannot be read.
    """
    with path.open("rb") as lines:
        return list(_problems(lines))


def _problems(lines: Iterator[bytes]) -> Iterator[Problem]:
    seq, prev = 0, GENESIS
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            yield Problem(number, "the line is torn: its end is missing")
            return
        record = _parse(line[:-1])
        if isinstance(record, str):
            yield Problem(number, record)
            seq += 1  # its successor's `prev` is what the line should have hashed to; only that can be compared
            prev = line[-_TAIL_SIZE - 1 :][len(_HASH_MEMBER) : -3].decode("ascii", "replace")
            continue
        if record["seq"] != seq + 1:
            yield Problem(number, f"record {seq + 1} should stand here, not {record['seq']}: removed or reordered")
        elif record["prev"] != prev:
            yield Problem(number, f"record {record['seq']} does not follow the one before it: that was replaced")
        seq, prev = record["seq"], record["hash"]


def _parse(line: bytes) -> dict[str, Any] | str:
    """A whole, unaltered record, or what is wrong with it."""
    body, tail = line[:-_TAIL_SIZE] + b"}", line[-_TAIL_SIZE:]
    if not tail.startswith(_HASH_MEMBER) or not tail.endswith(b'"}'):
        return "not an audit record"
    if hashlib.sha256(body).hexdigest().encode() != tail[len(_HASH_MEMBER) : -2]:
        return "the record was changed: its hash does not fit"
    try:
        record: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not an audit record"
    if (
        not isinstance(record, dict)
        or not isinstance(record.get("seq"), int)
        or not isinstance(record.get("prev"), str)
    ):
        return "not an audit record"
    return record
