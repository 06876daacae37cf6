"""Goes through the recordings: files on several cores, their lines in order, progress on a terminal.

Every process compiles the policies once. What is told of one exchange is `report`'s.
"""

import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from proxy.audit.records import decision_record
from proxy.decision import Decision
from proxy.detectors import Detectors
from proxy.detectors.history import FindingCache
from proxy.events import Agent, Event
from proxy.judge import Runtime
from proxy.policy import load
from proxy.replay import against, corpus, flows, har, report
from proxy.replay.player import Played, Player
from proxy.replay.recordings import Recording, RecordingError
from proxy.services import CACHED_TEXTS, deployment_key, open_audit

READERS: Final[Mapping[str, Callable[[Path], Iterator[Recording]]]] = {
    ".mitm": flows.read,
    ".flow": flows.read,
    ".flows": flows.read,
    ".har": har.read,
    ".jsonl": corpus.read,
    ".jsonl.gz": corpus.read,
}
_KEY: Final = b"midstream replay without a state"
"""The key of pseudonyms and hashes where no state directory is given: two replays are to say the same."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to replay under, and what to make of it."""

    policies: tuple[Path, ...]
    against: tuple[Path, ...] = ()
    seed: int | None = None
    emit: Path | None = None
    state: Path | None = None
    """Where the deployment's key and the audit log are."""
    audit: bool = False
    cache: Path | None = None
    agent: str = "replay"
    as_json: bool = False


class Told(NamedTuple):
    """What one exchange adds to the report."""

    line: bytes
    """The value for --json."""
    text: str
    failed: bool
    counts: Counter[str]


def files(paths: Iterable[str]) -> list[Path]:
    """The recordings named, and those in the folders named. RecordingError where one is none."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.iterdir()) if path.is_dir() else []
        found += [each for each in inside if _suffix(each)] if path.is_dir() else [path]
        if path.is_dir() and not any(map(_suffix, inside)):
            raise RecordingError(f"{path}: no recordings in this folder ({', '.join(READERS)})")
    for path in found:
        if not _suffix(path):
            raise RecordingError(f"{path}: not a recording ({', '.join(READERS)})")
        if not path.is_file():
            raise RecordingError(f"{path}: no such file")
    return found


def _suffix(path: Path) -> str | None:
    return next((suffix for suffix in READERS if path.name.endswith(suffix)), None)


def replay(paths: Sequence[Path], options: Options, cores: int | None = None) -> Iterator[Told]:
    """Every exchange of these files, in order."""
    cores = cores or len(os.sched_getaffinity(0))
    progress = _Progress()
    told: Iterator[Told]
    if cores == 1 or len(paths) == 1 or options.audit:
        work = _Work(options)
        told = (one for path in paths for one in work.file(path))
    else:
        told = _spread(paths, options, min(cores, len(paths)))
    for one in told:
        progress.note(one)
        yield one
    progress.end()


def _spread(paths: Sequence[Path], options: Options, cores: int) -> Iterator[Told]:
    """The largest files first, so that no core is left with one at the end; told in the order they were named."""
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_prepare, initargs=(options,)) as pool:
        largest = sorted(paths, key=lambda path: -path.stat().st_size)
        running = {path: pool.submit(_file, path) for path in largest}
        for path in paths:
            yield from running.pop(path).result()


_work: "list[_Work]" = []
"""Of a worker process: what it compiled when it started."""


def _prepare(options: Options) -> None:
    _work.append(_Work(options))


def _file(path: Path) -> list[Told]:
    return list(_work[0].file(path))


class _Work:
    """What one process replays with."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._key = deployment_key(options.state) if options.state else _KEY
        self._audit = open_audit(options.state) if options.audit and options.state else None
        self._detectors: dict[str, Detectors] = {}
        self._player, self._cache = self._compiled(options.policies)
        self._other = self._compiled(options.against)[0] if options.against else None
        gc.freeze()

    def _compiled(self, paths: Sequence[Path]) -> tuple[Player, FindingCache]:
        policy = load(paths)
        settings = policy.detectors
        detectors = Detectors.load(
            pii_kinds=settings.pii.kinds,
            injection_threshold=settings.injection.threshold,
            entropy=settings.secret.entropy,
            cache_dir=self._options.cache,
        )
        told: list[tuple[Event, Decision]] = []
        cache = FindingCache(detectors, self._key, CACHED_TEXTS)
        watch = partial(_append, told)
        runtime = Runtime(policy, detectors, cache, self._key, self._record, watch)
        return Player(runtime, told, Agent(id=self._options.agent), self._options.seed), cache

    def _record(self, event: Event, decision: Decision) -> None:
        if self._audit is not None:
            self._audit.append(decision_record(event, decision))

    def file(self, path: Path) -> Iterator[Told]:
        """Every exchange of one file."""
        suffix = _suffix(path)
        assert suffix is not None
        for recording in READERS[suffix](path):
            played = self._player.play(recording)
            if self._options.emit is not None:
                report.emit(played, self._options.emit)
            yield self._told(played) if self._other is None else self._compared(played, self._other.play(recording))
        ended = Counter(f"events.{event.point}" for event, _ in self._player.end())
        yield Told(b"", "", False, ended)

    def _told(self, played: Played) -> Told:
        line = orjson.dumps(report.view(played, self._cache)) if self._options.as_json else b""
        return Told(line, report.text(played), played.error is not None, report.counts(played))

    def _compared(self, after: Played, before: Played) -> Told:
        found, bodies = against.differences(before, after), against.bodies_differ(before, after)
        counted = report.counts(after)
        counted["differing"] = int(bool(found or bodies))
        if not counted["differing"]:
            return Told(b"", "", False, counted)
        value = report.difference_view(after, found, bodies=bodies)
        return Told(orjson.dumps(value), report.difference_text(after, found), True, counted)


def _append(told: list[tuple[Event, Decision]], event: Event, decision: Decision) -> None:
    told.append((event, decision))


class _Progress:
    """How far it has come, on a terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next = time.monotonic() + 0.5
        self._counts: Counter[str] = Counter()

    def note(self, told: Told) -> None:
        self._counts += told.counts
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.2
            done = self._counts
            sys.stderr.write(f"\rreplayed {done['exchanges']:,} exchanges, {done['bytes'] / 1e6:,.1f} MB ")
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")


def summed(told: Iterable[Told], into: Counter[str]) -> Iterator[Told]:
    """The same, adding up what it says."""
    for one in told:
        into.update(one.counts)
        yield one


def summary(total: Counter[str], *, compared: bool) -> tuple[dict[str, Any], str]:
    """The last line of the report, as a value and for people."""
    differing = total.pop("differing", 0)
    which = differing if compared else None
    return report.summary(total, which), report.summary_text(total, which)
