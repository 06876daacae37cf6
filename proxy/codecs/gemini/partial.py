"""Arguments that arrive piece by piece (Vertex' `streamFunctionCallArguments`), put together by their JSONPath.

Only the putting together lives here; which call a piece belongs to is `streamed_calls`' business.
"""

import re
from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json
from proxy.codecs.gemini.names import member
from proxy.codecs.walk import word

MAX_STEPS: Final = 64
"""Steps of a path that is followed. What goes deeper is an argument under the path's own text."""

_STEP = re.compile(r"\.([^.\[\]'\"]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*+)'\]|\[\"((?:[^\"\\]|\\.)*+)\"\]", re.DOTALL)
_VALUES: Final = ("numberValue", "boolValue", "nullValue")


class Arguments:
    """The arguments of one call so far."""

    def __init__(self) -> None:
        self._leaves: dict[str, tuple[list[str] | None, Json]] = {}
        """By path, in order: the pieces of a string, or another value."""
        self._open: set[str] = set()

    def add(self, piece: Mapping[str, Json]) -> None:
        """An element of `partialArgs`."""
        path = word(member(piece, "jsonPath")) or "$"
        text = member(piece, "stringValue")
        if isinstance(text, str):
            strings = self._leaves.get(path, (None, None))[0] if path in self._open else None
            if strings is None:
                self._leaves[path] = ([text], None)
            else:
                strings.append(text)
        elif path not in self._leaves or path not in self._open:
            given = [member(piece, name) for name in _VALUES]
            self._leaves[path] = (None, next((value for value in given if value is not None), None))
        self._open.discard(path)
        if member(piece, "willContinue") is True:
            self._open.add(path)

    def value(self, given: Mapping[str, Json]) -> dict[str, Json]:
        """Everything as one object, over what the call was `given` whole."""
        root: dict[str | int, Json] = {}
        for path, (strings, other) in self._leaves.items():
            _put(root, path, "".join(strings) if strings is not None else other)
        return {**given, **{str(name): _settled(item) for name, item in root.items()}}


class _Node(dict[str | int, Json]):
    """An object or array in the making: an array may have gaps as large as a path claims."""


def _put(root: dict[str | int, Json], path: str, value: Json) -> None:
    steps = _steps(path)
    node = root
    for step in steps[:-1]:
        inner = node.get(step)
        if not isinstance(inner, _Node):
            inner = node[step] = _Node()
        node = inner
    node[steps[-1]] = value


def _steps(path: str) -> list[str | int]:
    """The steps of a path, which has only names and indexes (RFC 9535 §2.3.1, §2.3.3); else the path as one name."""
    steps: list[str | int] = []
    position = 1
    while path.startswith("$") and position < len(path) and len(steps) < MAX_STEPS:
        match = _STEP.match(path, position)
        if match is None:
            break
        name, index, single, double = match.groups()
        quoted = single if single is not None else double
        steps.append(int(index) if index is not None else name if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = match.end()
    return steps if steps and position == len(path) else [path]


def _settled(value: Json) -> Json:
    if not isinstance(value, _Node):
        return value
    if all(isinstance(step, int) for step in value):
        return [_settled(value[step]) for step in sorted(value, key=int)]
    return {str(name): _settled(item) for name, item in value.items()}
