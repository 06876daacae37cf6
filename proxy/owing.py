"""Calls that were cut out of an answer which its provider keeps, and that wait there for a result all the same.

The client never saw them, so the request that goes on with the answer is answered for it. What such a result looks like
is the codecs' business (`Codec.answer_kept`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.codecs import OpenCall, Owed, Request, ToolCall
from proxy.sessions import Kept

_UNDONE: Final = frozenset({"failed", "cancelled", "error"})
"""Reasons to stop of answers that add nothing to their conversation, nor does their request."""


class Owing:
    """What one exchange owes: of the answer it goes on with, and of its own."""

    def __init__(self) -> None:
        self.calls: dict[str, Owed] = {}
        """What a request owes that goes on with this answer, by call id. It grows while the answer is decided."""
        self._name: str | None = None
        self._before: Mapping[str, Owed] = {}

    def follow(self, request: Request, name: str, kept: Kept | None) -> Sequence[Owed]:
        """The request goes on with what the provider keeps under `name`: calls of it that nobody has answered yet."""
        self._name, self._before = name, kept.owed if kept else {}
        answered = {result.call_id for result in request.results}
        return [owed for owed in self._before.values() if owed.call_id not in answered]

    def keep(self, name: str) -> None:
        """The answer is kept under `name`. Until it is complete, a conversation owes what it owed before."""
        if name == self._name:
            self.calls |= self._before

    def complete(self, stop_reason: str | None) -> None:
        """The answer is complete, and what its request answered is answered, unless it came to nothing."""
        if stop_reason not in _UNDONE:
            for call_id in self._before:
                self.calls.pop(call_id, None)
        self._name = None

    def cut(self, call: ToolCall | OpenCall, notice: str) -> None:
        """A call does not reach the client."""
        if call.call_id and not call.by_provider:
            self.calls[call.call_id] = Owed(call.call_id, call.name, call.form, notice)
