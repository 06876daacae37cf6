"""How audit records hang together, and whether a file of them still does.

A line is the record with `seq`, `prev` (the hash of the line before) and, last, `hash`: SHA-256 over the line as it
stands without that member. Nothing is written here.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from proxy.audit.records import Record

GENESIS: Final = "0" * 64
"""`prev` of the first record."""
_HASH_MEMBER: Final = b',"hash":"'
_TAIL_SIZE: Final = len(_HASH_MEMBER) + 64 + len(b'"}')


class Problem(NamedTuple):
    """Something wrong with an audit file."""

    line: int
    """Counted from 1."""
    message: str


def line_of(seq: int, prev: str, now: float, record: Record) -> tuple[bytes, str]:
    """A record as its line, and the line's hash."""
    body = orjson.dumps({"seq": seq, "prev": prev, "time": now, "kind": record.kind, **record.fields})
    digest = hashlib.sha256(body).hexdigest()
    return b'%b,"hash":"%b"}\n' % (body[:-1], digest.encode()), digest


def parse(line: bytes) -> dict[str, Any] | str:
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
        record = parse(line[:-1])
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
