"""Calls of an answer that its provider keeps: the request that goes on with it brings their results, and not the calls.

So what each call was is remembered here; and which were cut out, as those wait there for a result all the same, though
no client saw them. What such a result looks like is the codecs' business (`Codec.answer_kept`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from proxy.codecs import OpenCall, Owed, Request, ToolCall
from proxy.sessions import Kept

_UNDONE: Final = frozenset({"failed", "cancelled", "error"})
"""Reasons to stop of answers that add nothing to their conversation, nor does their request."""


class KeptCalls:
    """The calls of one exchange's answer, and those of the answer that it goes on with."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, Mapping[str, Any]]] = {}
        """Name and arguments of each, by id. It grows while the answer comes."""
        self.owed: dict[str, Owed] = {}
        """Those that were cut out, by id. It grows while the answer is decided."""
        self._name: str | None = None
        self._before = Kept("", "", 0)

    def follow(self, request: Request, name: str, kept: Kept) -> Sequence[Owed]:
        """The request goes on with what the provider keeps under `name`: calls of it that nobody has answered yet."""
        self._name, self._before = name, kept
        answered = {result.call_id for result in request.results}
        return [owed for owed in kept.owed.values() if owed.call_id not in answered]

    def keep(self, name: str) -> None:
        """The answer is kept under `name`. Until it is complete, a conversation is where it was before."""
        if name == self._name:
            self.made |= self._before.calls
            self.owed |= self._before.owed

    def complete(self, stop_reason: str | None) -> None:
        """The answer is complete, and what its request answered is answered, unless it came to nothing."""
        if self._name is not None and stop_reason not in _UNDONE:
            for call_id in self._before.calls:
                self.made.pop(call_id, None)
            for call_id in self._before.owed:
                self.owed.pop(call_id, None)
        self._name = None

    def call(self, call: ToolCall | OpenCall, arguments: Mapping[str, Any]) -> None:
        """The answer makes a call; of a stream, it may be told again when its arguments are complete."""
        if call.call_id and not call.by_provider:
            self.made[call.call_id] = (call.name, arguments)

    def cut(self, call: ToolCall | OpenCall, notice: str) -> None:
        """A call does not reach the client."""
        if call.call_id and not call.by_provider:
            self.owed[call.call_id] = Owed(call.call_id, call.name, call.form, notice)
