"""A YAML file as plain data, and the line of everything in it. Knows YAML, not what a policy may say."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from proxy.policy.problems import PolicyError, Problem

type Location = tuple[int | str, ...]
"""Where a value stands: keys and list indexes from the root."""


class Place(NamedTuple):
    """Lines, from 1: of a key (or list item), and of the first line of its text."""

    line: int
    text: int


@dataclass(frozen=True, slots=True)
class Source:
    """One file, read."""

    file: str
    content: bytes
    data: Any = None
    places: dict[Location, Place] = field(default_factory=dict)

    def place(self, location: Location) -> Place:
        """Where `location` stands, or the nearest thing around it that has a line."""
        while location not in self.places and location:
            location = location[:-1]
        return self.places.get(location, Place(1, 1))

    def problem(self, location: Location, message: str, *, line: int | None = None) -> Problem:
        """A problem at `location`, named after the rule or budget it is in."""
        return Problem(self.file, line or self.place(location).line, self._subject(location), message)

    def _subject(self, location: Location) -> str:
        if len(location) < 2 or location[0] not in ("rules", "budgets"):
            return ""
        kind, index = location[:2]
        items = self.data.get(str(kind))
        item = items[index] if isinstance(items, list) and isinstance(index, int) and index < len(items) else None
        name = item.get("id") if isinstance(item, dict) else None
        return f"{str(kind)[:-1]} {name}" if isinstance(name, str) else f"{str(kind)[:-1]} {int(index) + 1}"


def read(path: Path, shown: str | None = None) -> tuple[Source, list[Problem]]:
    """Read one file. `shown` is its name in messages. Raises PolicyError where it has no data at all."""
    file = shown or str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyError([Problem(file, 0, "", f"cannot be read: {error.strerror}")]) from error
    return parse(content, file)


def parse(content: bytes, file: str, wanted: type = dict) -> tuple[Source, list[Problem]]:
    """Read YAML that came from `file`: the source, and what is wrong with its keys. Raises PolicyError as `read`."""
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        reader = _Reader(file)
        data = reader.value(node, ()) if node else None
    except yaml.YAMLError as error:
        raise PolicyError([_not_yaml(file, error)]) from error
    if data is None:
        raise PolicyError([Problem(file, 0, "", "is empty")])
    if not isinstance(data, wanted):
        kind = "a mapping of keys" if wanted is dict else "a list"
        raise PolicyError([Problem(file, 1, "", f"must be {kind}, not {describe(data)}")])
    return Source(file, content, data, reader.places), reader.problems


def describe(value: object) -> str:
    """The kind of a value in YAML's words."""
    words = {
        dict: "a mapping",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return words.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")


def _not_yaml(file: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Problem(file, mark.line + 1 if mark else 0, "", f"not YAML: {reason}")


class _Reader(yaml.constructor.SafeConstructor):
    """Makes plain data of nodes and writes down their lines."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file
        self.places: dict[Location, Place] = {}
        self.problems: list[Problem] = []
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, at: Location) -> Any:
        """The data of `node`, which stands at `at`."""
        line = node.start_mark.line + 1
        block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        self.places.setdefault(at, Place(line, line))
        self.places[at] = self.places[at]._replace(text=line + 1 if block else line)
        if node in self._open:
            raise yaml.constructor.ConstructorError(None, None, "a value that contains itself", node.start_mark)
        self._open.append(node)
        try:
            return self._made(node, at)
        finally:
            self._open.pop()

    def _made(self, node: yaml.Node, at: Location) -> Any:
        if isinstance(node, yaml.MappingNode):
            return dict(self._members(node, at))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*at, index)) for index, item in enumerate(node.value)]
        try:
            return self.construct_object(node)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error

    def _members(self, node: yaml.MappingNode, at: Location) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(self.value(key_node, (*at, "\0key"))), key_node.start_mark.line + 1
            if key in seen:
                self.problems.append(Problem(self.file, line, "", f"duplicate key '{key}', first in line {seen[key]}"))
                continue
            seen[key] = line
            self.places[(*at, key)] = Place(line, line)
            yield key, self.value(value_node, (*at, key))
