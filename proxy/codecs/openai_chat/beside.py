"""What stands beside the deltas of one choice of a stream and repeats them, or counts in their text."""

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.codecs import Json, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.openai_chat.calls import Calls
from proxy.codecs.openai_chat.messages import read_message, with_offsets
from proxy.codecs.splicing import Remove
from proxy.codecs.walk import Parts, array, table

_CALLS: Final = frozenset({"tool_calls"})


class Beside:
    """Log-probabilities, whole messages (Perplexity's say all so far), annotations with offsets."""

    def __init__(self, channels: Channels, number: int, calls: Calls) -> None:
        self._channels = channels
        self._number = number
        self._calls = calls

    def copies(self, said: Said, members: Mapping[str, Json], path: Path, *, after_text: bool) -> None:
        """What a chunk's choice, at `path`, says beside its delta."""
        copies = [(*path, name) for name in ("logprobs", "message") if members.get(name) is not None]
        if not copies:
            return
        bases = {base for base in self._channels.open_bases() if base[1] == self._number} | {("text", self._number)}
        channels = [self._channels.growing(base) for base in sorted(bases, key=str)]
        said.when_edited += [(channel, Remove(copy)) for channel in channels for copy in copies]
        message = members.get("message")
        if message is not None:
            self._message(said, message, (*path, "message"), after_text)

    def _message(self, said: Said, message: Json, path: Path, after_text: bool) -> None:
        """Its calls are the same as the deltas', or are told here only."""
        members = table(message)
        calls = array(members.get("tool_calls"))
        told = self._calls.told() if calls else set()
        for index, call in enumerate(calls):
            here = (*path, "tool_calls", index)
            known = isinstance(call, dict) and self._calls.whole(said, call, here, told, after_text=after_text)
            if not known:
                self._channels.walked(said, call, here, "tool_call")
        parts = Parts()
        rest = {name: value for name, value in members.items() if not (calls and name in _CALLS)}
        read_message(parts, rest if members else message, path)
        self._channels.once(parts.out, said)

    def annotations(self, said: Said, value: Sequence[Json], path: Path) -> None:
        """Citations whose offsets count in the text go where it was edited."""
        channel = self._channels.growing(("text", self._number))
        self._channels.walked(said, value, path)
        said.when_edited += [(channel, Remove((*path, index))) for index in with_offsets(value)]
