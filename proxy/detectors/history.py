"""Findings of texts seen before: history is scanned once, although every turn sends it again.

Holds keyed hashes and findings, never a text. No policy lives here.
"""

from collections import OrderedDict
from collections.abc import Callable

from blake3 import blake3

from proxy.decision import Finding
from proxy.detectors import Detectors

_SMALL = 64
"""Below this many characters a scan is cheaper than a hash and an entry."""


class FindingCache:
    """`Detectors`' scans with a memory of `max_entries` texts, least recently used first out. One per thread."""

    def __init__(self, detectors: Detectors, key: bytes, max_entries: int) -> None:
        """`key` is the deployment's; 32 bytes are made of it. Raises ValueError for a limit below 1."""
        if max_entries < 1:
            raise ValueError(f"a cache of findings holds at least one entry, not {max_entries}")
        self._detectors = detectors
        self._key = blake3(key, derive_key_context="midstream finding cache v1 " + detectors.revision).digest()
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[bytes, str, frozenset[str]], tuple[Finding, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def scan(self, text: str, classes: frozenset[str]) -> tuple[Finding, ...]:
        """What `Detectors.scan` says of this text, remembered."""
        if len(text) < _SMALL:
            return self._detectors.scan(text, classes)
        return self._remembered("text", text, classes, lambda: self._detectors.scan(text, classes))

    def scan_tool_output(self, text: str, tool_names: frozenset[str]) -> tuple[Finding, ...]:
        """What `Detectors.scan_tool_output` says of this text with these tools offered, remembered."""
        return self._remembered(
            "tool output", text, tool_names, lambda: self._detectors.scan_tool_output(text, tool_names)
        )

    def _remembered(
        self, kind: str, text: str, question: frozenset[str], ask: Callable[[], tuple[Finding, ...]]
    ) -> tuple[Finding, ...]:
        # surrogatepass: JSON may hold lone surrogates, and two texts that differ in one must not share an entry.
        name = (blake3(text.encode("utf-8", "surrogatepass"), key=self._key).digest(), kind, question)
        if (known := self._entries.get(name)) is not None:
            self._entries.move_to_end(name)
            return known
        found = self._entries[name] = ask()
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return found
