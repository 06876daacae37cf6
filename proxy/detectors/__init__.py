"""Detectors recognise text: secrets, personal data, our own pseudonyms, injected instructions. They decide nothing.

`Detectors` is what the rest of midstream sees. Rules are data in the YAML files beside this one; `segment` says where a
text may be cut, `matcher` finds candidates, `windows` confirms them, `injection` weighs passages of tool results.
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Final, Self

from proxy.decision import Finding
from proxy.detectors.injection import Injections
from proxy.detectors.rules import rules
from proxy.detectors.scanner import Scanner
from proxy.detectors.stream import TextStream
from proxy.detectors.windows import Ruled

CLASSES: Final = frozenset({"secret", "pii", "pseudonym", "injection"})
PII_KINDS: Final = frozenset({"email", "phone", "card", "iban", "ssn", "ip"})


class Detectors:
    """Compiled detectors: immutable, to be shared by every flow of a process. Make one with `load`."""

    def __init__(self, scanner: Scanner, injections: Injections | None, revision: str) -> None:
        self._scanner = scanner
        self._injections = injections
        self.revision = revision
        """Changes whenever the same text might be found differently: part of every cache key."""

    @classmethod
    def load(
        cls,
        classes: Collection[str] = CLASSES,
        pii_kinds: Collection[str] = PII_KINDS,
        injection_threshold: float = 0.8,
        entropy: bool = True,
        cache_dir: Path | None = None,
    ) -> Self:
        """Read the rules and compile them, through `cache_dir` if there is one.

        `entropy` False leaves out the rules that rest on context and entropy alone. Raises ValueError for an unknown
        class or kind, or a threshold outside 0 … 1; pydantic.ValidationError for a bad rule file.
        """
        _known("class", classes, CLASSES)
        _known("kind of pii", pii_kinds, PII_KINDS)
        if not 0 < injection_threshold <= 1:
            raise ValueError(f"the injection threshold is above 0 and at most 1, not {injection_threshold}")
        ruled = [one for one in _ruled(classes, frozenset(pii_kinds)) if entropy or not one.rule.heuristic]
        injections = Injections(injection_threshold, cache_dir) if "injection" in classes else None
        return cls(Scanner(ruled, cache_dir), injections, _revision(ruled, injections))

    def scan(self, text: str, classes: frozenset[str]) -> tuple[Finding, ...]:
        """Findings of secret, pii and pseudonym in a whole text, sorted. Equals what any `stream` of it finds."""
        return self._scanner.whole(text, classes)

    def scan_tool_output(self, text: str, tool_names: Collection[str]) -> tuple[Finding, ...]:
        """Injected instructions in a tool's result: whole passages at or above the threshold, sorted.

        `tool_names` are the tools offered in the same request: a result that names one weighs more.
        """
        return self._injections.scan(text, tool_names) if self._injections else ()

    def stream(self, classes: frozenset[str]) -> TextStream:
        """A scan of one text that comes in pieces."""
        return TextStream(self._scanner, classes)


def _known(what: str, given: Iterable[str], known: frozenset[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise ValueError(f"unknown {what} {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def _ruled(classes: Collection[str], pii_kinds: frozenset[str]) -> Iterable[Ruled]:
    for cls in ("secret", "pii", "pseudonym"):
        if cls in classes:
            yield from (Ruled(cls, rule) for rule in rules(cls) if cls != "pii" or rule.kind in pii_kinds)


_CODE_REVISION = 1
"""Raised by hand when checks, windows or segmentation change what is found; the rules' own text is hashed."""


def _revision(ruled: Iterable[Ruled], injections: Injections | None) -> str:
    told = "\n".join(f"{one.cls} {one.rule.model_dump_json()}" for one in ruled)
    weighed = injections.revision if injections else ""
    return blake2b(f"{_CODE_REVISION}\n{told}\n{weighed}".encode(), digest_size=8).hexdigest()
