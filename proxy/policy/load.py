"""Files and folders to one policy: found, read, checked, merged. All mistakes are reported together."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from proxy.conditions import Condition, ConditionError, compile_condition, suggest
from proxy.decision import RuleRef
from proxy.detectors.rules import rules, signals
from proxy.policy.explain import explained
from proxy.policy.language import AgentEntry, Budget, Document, Rule
from proxy.policy.problems import PolicyError, Problem
from proxy.policy.rules import ReadyRule, contradictions, ready
from proxy.policy.source import Location, Source, read

LISTS: Final[tuple[Location, ...]] = (("rules",), ("budgets",), ("disable",), ("agents", "list"))
"""What several files may each add to. Everything else may be said once, or everywhere alike."""


def policy_files(path: Path) -> list[Path]:
    """`path` itself, or the policy files in and under a folder by name; tests beside them are none."""
    if not path.is_dir():
        return [path]
    found = sorted(file for pattern in ("*.yaml", "*.yml") for file in path.rglob(pattern))
    return [file for file in found if not is_test(file)]


def is_test(path: Path) -> bool:
    """Whether a file holds a policy's tests."""
    return path.name.endswith((".test.yaml", ".test.yml"))


class Loader:
    """Reads all files of one policy and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.sources: list[Source] = []
        self.documents: list[tuple[Source, Document]] = []

    def read(self, paths: Iterable[Path]) -> None:
        """Read and check every file, each for itself."""
        for path in paths:
            files = policy_files(path)
            if not files:
                self.problems.append(Problem(str(path), 0, "", "no policy files (*.yaml) in this folder"))
            for file in files:
                self._read_file(file)

    def _read_file(self, file: Path) -> None:
        try:
            source, problems = read(file)
        except PolicyError as error:
            self.problems += error.problems
            return
        self.problems += problems
        self.sources.append(source)
        try:
            self.documents.append((source, Document.model_validate(source.data)))
        except ValidationError as error:
            self.problems += explained(source, error, Document)

    def settings(self) -> Document:
        """The settings of all files as one document without lists; differing ones are problems."""
        merged: dict[str, Any] = {"version": 1}
        first: dict[Location, tuple[Source, Any]] = {}
        for source, document in self.documents:
            for location, value in _leaves(source.data, Document):
                earlier, said = first.setdefault(location, (source, value))
                if said != value:
                    name, place = ".".join(map(str, location)), earlier.place(location).line
                    self.problems.append(source.problem(location, f"{name} differs from {earlier.file}:{place}"))
                _put(merged, location, _get(document, location))
        return Document.model_validate(merged)

    def named(self) -> Iterator[tuple[Source, Location, Rule | Budget]]:
        """Every rule and budget that is not disabled, in order."""
        disabled = self._disabled()
        for source, location, item in self._all():
            if item.id not in disabled:
                yield source, location, item

    def _all(self) -> Iterator[tuple[Source, Location, Rule | Budget]]:
        for source, document in self.documents:
            for index, rule in enumerate(document.rules):
                yield source, ("rules", index), rule
            for index, budget in enumerate(document.budgets):
                yield source, ("budgets", index), budget

    def _disabled(self) -> set[str]:
        known = {item.id: source for source, _, item in self._all()}
        for source, document in self.documents:
            for index, name in enumerate(document.disable):
                at = ("disable", index)
                if name not in known:
                    self.problems.append(source.problem(at, f"no rule or budget '{name}'{suggest(name, known)}"))
        return {name for _, document in self.documents for name in document.disable}

    def check_ids(self) -> None:
        """Find ids that are used twice."""
        seen: dict[str, str] = {}
        for source, location, item in self._all():
            place = f"{source.file}:{source.place((*location, 'id')).line}"
            if (first := seen.setdefault(item.id, place)) != place:
                self.problems.append(source.problem((*location, "id"), f"duplicate id, first at {first}"))

    def agents(self) -> tuple[AgentEntry, ...]:
        """The known agents of all files."""
        return tuple(agent for _, document in self.documents for agent in document.agents.list)

    def check_agents(self) -> None:
        """Find agents that are named twice."""
        seen: dict[str, str] = {}
        for source, document in self.documents:
            for index, agent in enumerate(document.agents.list):
                at: Location = ("agents", "list", index, "id")
                place = f"{source.file}:{source.place(at).line}"
                if (first := seen.setdefault(agent.id, place)) != place:
                    self.problems.append(source.problem(at, f"duplicate agent '{agent.id}', first at {first}"))

    def ready_rule(self, source: Source, location: Location, rule: Rule, settings: Document) -> ReadyRule:
        """A rule made ready; its mistakes are kept."""
        self.problems += [source.problem((*location, key), message) for key, message in contradictions(rule)]
        self.problems += [source.problem((*location, "find"), text) for text in _never_found(rule, settings)]
        ref = RuleRef(rule.id, source.file, source.place(location).line)
        return ready(rule, ref, self._condition(source, (*location, "when"), rule), settings.failure)

    def _condition(self, source: Source, location: Location, rule: Rule) -> Condition | None:
        if rule.when is None:
            return None
        try:
            return compile_condition(rule.when, rule.at)
        except ConditionError as error:
            place = source.place(location)
            # A quoted or plain text over several lines is folded, so only a block says where its lines are.
            line = place.text + error.line if place.text != place.line else place.line
            self.problems.append(source.problem(location, str(error), line=line))
            return None

    def check_limits(self, source: Source, location: Location, budget: Budget) -> None:
        """Find limits of nothing."""
        if not budget.limit:
            self.problems.append(source.problem((*location, "limit"), "limit needs usd, tokens or requests"))
        for name, value in budget.limit.items():
            if name != "usd" and isinstance(value, float):
                self.problems.append(source.problem((*location, "limit", name), f"limit {name} must be a whole number"))

    def revision(self) -> str:
        """SHA-256, in hex, of the contents of all files in order."""
        digest = hashlib.sha256()
        for source in self.sources:
            digest.update(len(source.content).to_bytes(8) + source.content)
        return digest.hexdigest()

    def finish(self) -> None:
        """Raises PolicyError where anything was wrong."""
        if self.problems:
            raise PolicyError(list(dict.fromkeys(self.problems)))


def _never_found(rule: Rule, settings: Document) -> Iterator[str]:
    """Kinds that no detector finds: such a rule would rest for ever without a word."""
    for name in rule.find or ():
        cls, _, kind = name.partition("/")
        if not kind:
            continue
        if cls == "pii" and kind not in settings.detectors.pii.kinds:
            yield f"find {name} can never fire: detectors.pii.kinds does not have {kind}"
        elif kind not in (known := _kinds(cls)):
            yield f"unknown kind of {cls} '{kind}'{suggest(kind, known)}"


@cache
def _kinds(cls: str) -> frozenset[str]:
    """The kinds of findings of a class, as the detectors' own data name them."""
    if cls == "injection":
        return frozenset(signal.group for signal in signals())
    return frozenset(rule.kind for rule in rules(cls))


# settings as locations


def _leaves(data: Mapping[str, Any], model: type[BaseModel], at: Location = ()) -> Iterator[tuple[Location, Any]]:
    for name, info in model.model_fields.items():
        here = (*at, name)
        if name not in data or here in LISTS or here == ("version",):
            continue
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(data[name], kind, here)
        else:
            yield here, data[name]


def _get(document: BaseModel, location: Location) -> Any:
    value: Any = document
    for name in location:
        value = getattr(value, str(name))
    return value


def _put(data: dict[str, Any], location: Location, value: Any) -> None:
    for name in location[:-1]:
        data = data.setdefault(str(name), {})
    data[str(location[-1])] = value
