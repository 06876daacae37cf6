"""The Hyperscan prefilter: which patterns end where in a text. Only this module knows Hyperscan.

It says where to look and decides nothing. Block mode without start-of-match: with it a third of such patterns do not
compile, and a scan costs five times as much.
"""

import os
import tempfile
from collections.abc import Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from threading import Lock

import hyperscan


class Matcher:
    """Compiled patterns. Safe to share between threads; one scan at a time, as there is one scratch space."""

    def __init__(self, patterns: Sequence[tuple[str, bool]], cache_dir: Path | None, *, once: bool = False) -> None:
        """Compile (pattern, ignore case) pairs; with `once` each is reported at most once a scan.

        Raises hyperscan.error for a pattern it cannot compile. A database in `cache_dir` that is unreadable, or from
        another version or processor, is built anew; a directory that cannot be written raises OSError.
        """
        flags = [_flags(ignore_case, once) for _, ignore_case in patterns]
        expressions = [pattern.encode() for pattern, _ in patterns]
        told = repr((version("hyperscan"), expressions, flags)).encode()
        self.revision = blake2b(told, digest_size=16).hexdigest()
        self._database = _cached(cache_dir, self.revision, expressions, flags)
        # hyperscan 0.9.1 keeps no reference to what it is given: scratch and callback must live as long as we do.
        self._scratch = hyperscan.Scratch(self._database)
        self._hits: list[tuple[int, int]] = []
        self._callback = self._hit
        self._lock = Lock()

    def _hit(self, pattern: int, _start: int, end: int, _flags: int, _context: object) -> None:
        self._hits.append((pattern, end))

    def hits(self, text: str) -> Sequence[tuple[int, int]]:
        """(pattern index, end as character offset) of every match end, by offset. `text` has no lone surrogates."""
        data = text.encode()
        with self._lock:
            self._database.scan(data, match_event_handler=self._callback, scratch=self._scratch)
            if not self._hits:
                return ()
            hits, self._hits = self._hits, []
        return hits if len(data) == len(text) else _characters(data, sorted(hits, key=lambda hit: hit[1]))


def _flags(ignore_case: bool, once: bool) -> int:
    # UTF-8 mode, so that a negated class counts characters as Python does, not bytes.
    caseless = hyperscan.HS_FLAG_CASELESS if ignore_case else 0
    return hyperscan.HS_FLAG_UTF8 | caseless | (hyperscan.HS_FLAG_SINGLEMATCH if once else 0)


def _characters(data: bytes, hits: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same hits with byte offsets turned into character offsets; decodes the text once, piece by piece."""
    done, count, turned = 0, 0, []
    for pattern, end in hits:
        count += len(data[done:end].decode())
        done = end
        turned.append((pattern, count))
    return turned


def _compile(expressions: list[bytes], flags: list[int]) -> hyperscan.Database:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=expressions, ids=list(range(len(expressions))), flags=flags)
    return database


def _cached(directory: Path | None, revision: str, expressions: list[bytes], flags: list[int]) -> hyperscan.Database:
    if directory is None:
        return _compile(expressions, flags)
    path = directory / f"detectors-{revision}.hsdb"
    if (found := _load(path)) is not None:
        return found
    database = _compile(expressions, flags)
    _save(path, hyperscan.dumpb(database))
    return database


def _load(path: Path) -> hyperscan.Database | None:
    """A stored database, or None where there is none that can be used (Hyperscan checks version and processor)."""
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, body = stored[:16], stored[16:]
    # Hyperscan's own check is a CRC of the header's idea of the body; a torn file must not reach it.
    if blake2b(body, digest_size=16).digest() != digest:
        return None
    try:
        return hyperscan.loadb(body, mode=hyperscan.HS_MODE_BLOCK)
    except hyperscan.error:
        return None


def _save(path: Path, body: bytes) -> None:
    """Write beside and rename: another worker sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(blake2b(body, digest_size=16).digest() + body)
    Path(name).replace(path)
