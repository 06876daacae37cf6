"""Function calls and their ids: most of Gemini's have none, and results are matched to them by name and order.

An id is made from what is called, so that a call has the same one in the answer that makes it and in every later
request that repeats it; nothing here is ever written into a document.
"""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Mapping

from proxy.codecs import Json


class Ids:
    """Ids of the calls of one turn that came without any."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def of(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Name and digest; from the second equal call of the turn on, numbered."""
        said = json.dumps(arguments, sort_keys=True).encode()
        made = f"{name}-{hashlib.blake2b(said, digest_size=6).hexdigest()}"
        self._times[made] += 1
        times = self._times[made]
        return made if times == 1 else f"{made}-{times}"


class Unanswered:
    """The calls of a history that no result was seen for yet, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, deque[str]] = {}
        self._answered: set[str] = set()

    def called(self, name: str, call_id: str) -> None:
        """A call was made."""
        self._answered.discard(call_id)
        self._by_name.setdefault(name, deque()).append(call_id)

    def answered(self, name: str, call_id: str | None) -> str:
        """The id of the call that a result belongs to: its own, or that of the oldest open call of the name."""
        if call_id:
            self._answered.add(call_id)
            return call_id
        waiting = self._by_name.get(name, deque())
        while waiting:
            oldest = waiting.popleft()
            if oldest not in self._answered:
                self._answered.add(oldest)
                return oldest
        return ""
