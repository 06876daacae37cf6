"""Signatures of calls at Google's OpenAI-compatible endpoints: `extra_content.google.thought_signature`, or `vertex`.

Of calls beside each other only the first is signed, and a history whose first call is not is refused ("Function call
is missing a thought_signature", openhuman 3548, pi 6733). Where the signed call is cut out, the next one gets the
signature that Google documents for calls without any, as in `gemini.writer`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from proxy.codecs import Json, Path
from proxy.codecs.gemini.writer import UNSIGNED
from proxy.codecs.splicing import Change, Replace
from proxy.codecs.walk import table

_EXTRA = "extra_content"
_SIGNATURE = "thought_signature"


class Entry(NamedTuple):
    """A call, or a piece of one, where it stands."""

    path: Path
    choice: str | int
    call: Mapping[str, Json]
    cut: bool
    begins: bool
    """The first piece of its call."""


class Signatures:
    """Which choices have lost the signature of their first call, and who made it."""

    def __init__(self) -> None:
        self._lost: dict[str | int, str] = {}

    def changes(self, entries: Iterable[Entry]) -> list[Change]:
        """Signatures for calls that stay behind one that is cut."""
        changes: list[Change] = []
        for path, choice, call, cut, begins in entries:
            signed = _signed(call)
            if cut and signed is not None:
                self._lost[choice] = signed
            elif not cut and begins and choice in self._lost:
                by = self._lost.pop(choice)
                if signed is None:
                    changes.append(_sign(path, call, by))
        return changes


def _signed(call: Mapping[str, Json]) -> str | None:
    extra = table(call.get(_EXTRA))
    return next((by for by, said in extra.items() if table(said).get(_SIGNATURE)), None)


def _sign(path: Path, call: Mapping[str, Json], by: str) -> Change:
    said = {_SIGNATURE: UNSIGNED}
    if isinstance(call.get(_EXTRA), dict):
        return Replace((*path, _EXTRA, by), orjson.dumps({**table(call[_EXTRA].get(by)), **said}))
    return Replace((*path, _EXTRA), orjson.dumps({by: said}))
