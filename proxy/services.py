"""What one proxy process holds for all its flows: policy with what was compiled for it, store, audit log, counts.

Opened once, reloaded whole (an invalid policy keeps the last good one), closed after every settlement is done. What is
done with them in a flow is the addon's.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy.audit.log import AuditError, AuditLocked, AuditLog
from proxy.audit.records import decision_record, lifecycle_record
from proxy.books import Books
from proxy.config import Config, ConfigError
from proxy.decision import Decision
from proxy.detectors import Detectors
from proxy.detectors.history import FindingCache
from proxy.effects.budget import Budgets
from proxy.events import Agent, Event
from proxy.exchange import Exchange
from proxy.identity import Agents, Known
from proxy.judge import Runtime
from proxy.lifecycle import end_sessions
from proxy.policy import Policy, load
from proxy.session import Session
from proxy.sessions import Sessions
from proxy.store import Store, open_store

logger = logging.getLogger(__name__)

MOST_WRITERS: Final = 64
"""Processes that may share a state directory, each with an audit file of its own."""
SESSIONS_SECONDS: Final = 60.0
"""How often sessions are looked through for those that have ended."""
KEY_FILE: Final = "key"
KEY_BYTES: Final = 32
CACHED_TEXTS: Final = 65_536
"""Texts of which the findings are remembered; each costs some 100 bytes."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Everything that one policy revision decides with. A flow keeps the one it began under."""

    runtime: Runtime
    agents: Agents
    budgets: Budgets

    @property
    def policy(self) -> Policy:
        """The policy of this revision."""
        return self.runtime.policy


class Services:
    """State of one proxy process."""

    def __init__(self, config: Config, key: bytes, store: Store, audit: AuditLog) -> None:
        self._config = config
        self._key = key
        self._store = store
        self.books = Books(audit)
        self._sessions = Sessions()
        self.ready = True
        """Whether new traffic is welcome: `/readyz`."""
        self.serving = self._in_force(self._compile())

    @classmethod
    async def open(cls, config: Config) -> "Services":
        """Load the policy, open store and audit log. Raises PolicyError, ConfigError, StoreError or AuditError."""
        load(config.policies)  # what is wrong with the policy is said before anything is opened or made
        key = deployment_key(config.state)
        audit = open_audit(config.state)
        try:
            store = await open_store(config.store, config.state)
            try:
                return cls(config, key, store, audit)
            except BaseException:
                await store.close()
                raise
        except BaseException:
            audit.close()
            raise

    async def reload(self) -> None:
        """Put the policy files as they are now into force. Raises PolicyError and changes nothing if they are wrong.

        Compiling takes a second at worst: it is done on another thread, and traffic goes on under the old revision.
        """
        self.serving = self._in_force(await asyncio.to_thread(self._compile))

    def _in_force(self, serving: Serving) -> Serving:
        policy = serving.policy
        self.books.audit.append(lifecycle_record("policy_loaded", revision=policy.revision, rules=len(policy.rules)))
        return serving

    async def watch_sessions(self) -> None:
        """Tell of sessions that have ended, until cancelled."""
        while True:
            await asyncio.sleep(SESSIONS_SECONDS)
            end_sessions(self.serving.runtime)

    async def close(self) -> None:
        """Finish what is being settled, then close store and audit log."""
        self.ready = False
        end_sessions(self.serving.runtime, 0)
        await self.books.settled()
        await self._store.close()
        self.books.audit.append(lifecycle_record("stopped"))
        self.books.audit.close()

    def session(self, exchange: Exchange, serving: Serving) -> Session:
        """The bookkeeping of one exchange."""
        return Session(self.books, exchange, serving.budgets)

    def passed(self) -> None:
        """A request to a host that nothing inspects."""
        self.books.totals["uninspected"] += 1

    def refused(self, agent: Agent, host: str) -> None:
        """A host was refused before anything was read."""
        self.books.totals["denied"] += 1
        self.books.audit.append(lifecycle_record("host_refused", agent=agent.id, host=host))

    def summary(self) -> dict[str, Any]:
        """What has happened so far: counts and names only."""
        return self.books.summary()

    def _compile(self) -> Serving:
        config, policy = self._config, load(self._config.policies)
        settings = policy.detectors
        detectors = Detectors.load(
            pii_kinds=settings.pii.kinds,
            injection_threshold=settings.injection.threshold,
            entropy=settings.secret.entropy,
            cache_dir=config.cache,
        )
        cache = FindingCache(detectors, self._key, CACHED_TEXTS)
        runtime = Runtime(policy, detectors, cache, self._key, self._decided, sessions=self._sessions)
        return Serving(runtime, _agents(policy, config), Budgets(policy.budgets, self._store))

    def _decided(self, event: Event, decision: Decision) -> None:
        self.books.audit.append(decision_record(event, decision))


def open_audit(state: Path) -> AuditLog:
    """The first audit file that no other process writes: each has a chain of its own. Raises AuditError."""
    for number in range(MOST_WRITERS):
        try:
            return AuditLog(state / "audit" / f"worker-{number}.jsonl")
        except AuditLocked:
            continue
    raise AuditError(f"{state / 'audit'}: {MOST_WRITERS} processes write here already")


def deployment_key(state: Path) -> bytes:
    """The key of this state directory (0600), made on first use: pseudonyms and finding hashes depend on it."""
    path = state / KEY_FILE
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ConfigError(f"--state: {path} is not a key of {KEY_BYTES} bytes; remove it to have a new one made")
    return key


def _make_key(path: Path) -> None:
    """Written whole under another name first, then linked: two processes that start at once end up with one key."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def _agents(policy: Policy, config: Config) -> Agents:
    labels = {entry.id: dict(entry.labels) for entry in policy.agents.list}
    tokens = {entry.id: entry.token_sha256 for entry in policy.agents.list if entry.token_sha256}
    own = {entry.agent: entry.token_sha256 for entry in config.credentials}  # what `run` gave its child comes first
    known = [Known(Agent(id=name, labels=labels.get(name, {})), token) for name, token in {**tokens, **own}.items()]
    required = policy.agents.require_identity or bool(own)
    return Agents(known, required=required, fallback=config.agent)
