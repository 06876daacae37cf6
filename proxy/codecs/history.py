"""A request's messages, told one after the other: their parts, calls and results, and which of them are new.

Only what formats with a list of `messages` share lives here; what a message says is the codecs' business.
"""

from collections.abc import Callable, Mapping

from proxy.codecs import Json, Path, ToolCall, ToolResult
from proxy.codecs.walk import Parts, array, table


class History:
    """What is known of a request so far."""

    def __init__(self, messages: Json) -> None:
        """`messages`: the request's member of that name, as it came."""
        # A last message of the assistant's is a prefill: the client's words, and new.
        earlier = enumerate(array(messages)[:-1])
        spoken = [index for index, message in earlier if table(message).get("role") == "assistant"]
        self._messages = messages
        self._boundary = spoken[-1] if spoken else -1
        self.turn = len(spoken)
        """Number of assistant messages so far."""
        self.parts = Parts()
        self.parts.new = self._boundary < 0
        self.calls: dict[str, tuple[str, Mapping[str, Json]]] = {}
        """By call id: name and arguments."""
        self.results: list[ToolResult] = []

    def read(self, read_message: Callable[["History", Json, Path], None]) -> None:
        """Have every message read, in order."""
        for index, message in enumerate(array(self._messages)):
            self.parts.new = index > self._boundary
            read_message(self, message, ("messages", index))
        if not isinstance(self._messages, list):
            self.parts.walk(self._messages, ("messages",), "other", "text")

    def called(self, call: ToolCall) -> None:
        """A call of the history: a result names only its id."""
        self.calls[call.call_id] = (call.name, call.arguments)

    def name_of(self, call_id: str, otherwise: str = "") -> str:
        """The tool that was called."""
        return self.calls[call_id][0] if call_id in self.calls else otherwise
