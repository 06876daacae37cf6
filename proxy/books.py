"""What one process keeps of its traffic: the audit log, counts for the summary, and work that must end before it does.

Counts and names only. What an exchange puts in is `session`'s; who opens and closes this, `services`'.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from proxy.audit.log import AuditLog


class Books:
    """The books of one process. Not for several threads."""

    def __init__(self, audit: AuditLog) -> None:
        self.audit = audit
        self.totals: Counter[str] = Counter()
        self.findings: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background that must be finished before the process ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until nothing is being booked any more."""
        while tasks := tuple(self._tasks):
            await asyncio.gather(*tasks, return_exceptions=True)
            # Where all were done already, gather returned without a turn of the loop, so no callback of theirs has run.
            self._tasks.difference_update(tasks)

    def summary(self) -> dict[str, Any]:
        """What has happened so far."""
        return {**self.totals, "findings": dict(self.findings), "rules": dict(self.rules)}
