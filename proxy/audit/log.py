"""The one writer of one audit file.

An append is one write(2) to an O_APPEND file before it returns: it survives kill -9 of the process, and with `durable`
(fdatasync) the loss of power. What a record says is the business of `records`.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.audit.chain import GENESIS, line_of, parse
from proxy.audit.records import Record, lifecycle_record


class AuditError(Exception):
    """The audit log cannot be kept: it is locked by another writer, damaged, or cannot be written."""


class AuditLocked(AuditError):  # noqa: N818 - a state, not a failure: another file may be free
    """Another process writes this file."""


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
        line, digest = line_of(self._seq + 1, self._prev, self._clock(), record)
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
        record = parse(last)
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


def _last_line(fd: int, block: int = 65536) -> tuple[bytes, bytes]:
    """The last whole line (without its end) and what follows it, reading from the end of the file."""
    start, tail = os.fstat(fd).st_size, b""
    while start > 0 and tail.count(b"\n") < 2:
        step = min(start, block)
        start -= step
        tail = os.pread(fd, step, start) + tail
    whole, end, torn = tail.rpartition(b"\n")
    return (whole.rpartition(b"\n")[2], torn) if end else (b"", tail)
