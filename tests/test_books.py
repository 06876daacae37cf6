"""What is booked in the background is finished before the books are closed."""

import asyncio
from pathlib import Path

from proxy.audit.log import AuditLog
from proxy.books import Books


async def test_work_that_has_just_ended_is_settled(tmp_path: Path) -> None:
    """Its callbacks have not run yet: waiting for them without a turn of the loop would never end."""
    books = Books(AuditLog(tmp_path / "audit.jsonl"))
    ended = asyncio.Event()

    async def work() -> None:
        ended.set()

    books.spawn(work())
    await ended.wait()
    await books.settled()
    books.audit.close()


async def test_work_that_begins_more_work_is_settled_with_it(tmp_path: Path) -> None:
    books = Books(AuditLog(tmp_path / "audit.jsonl"))
    done: list[int] = []

    async def work(left: int) -> None:
        await asyncio.sleep(0)
        if left:
            books.spawn(work(left - 1))
        done.append(left)

    books.spawn(work(3))
    await books.settled()
    assert done == [3, 2, 1, 0]
    books.audit.close()
