"""The YAML language of policies: what may be said (`language`), read with its lines (`source`), merged (`load`), ready
to be asked (`rules`). What is decided about an event is `engine`'s; how it is carried out, `effects`'.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from proxy.conditions.values import Need
from proxy.decision import EditKind, Verdict
from proxy.events import Point
from proxy.policy.language import AgentEntry, Agents, Budget, DetectorSettings, Document, Limits, Rule
from proxy.policy.load import Loader, is_test, policy_files
from proxy.policy.problems import PolicyError, Problem
from proxy.policy.rules import ReadyRule

__all__ = [
    "AgentEntry",
    "Agents",
    "Budget",
    "DetectorSettings",
    "Limits",
    "Policy",
    "PolicyError",
    "Problem",
    "ReadyRule",
    "Rule",
    "is_test",
    "load",
    "policy_files",
    "schema",
]

_EMPTY_REVISION = "empty"


@dataclass(frozen=True)
class Policy:
    """A policy in force: immutable, and shared by all flows. Without any file it permits everything."""

    rules: tuple[ReadyRule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    unrecognised: Literal["permit", "deny"] = "permit"
    failure: Literal["closed", "open"] = "closed"
    agents: Agents = field(default_factory=Agents)
    detectors: DetectorSettings = field(default_factory=DetectorSettings)
    limits: Limits = field(default_factory=Limits)
    files: tuple[str, ...] = ()
    revision: str = _EMPTY_REVISION
    """SHA-256, in hex, of the contents of its files."""
    _plans: Mapping[Point, "Plan"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_plans", {point: Plan.of(self.rules, point) for point in Point})

    @classmethod
    def load(cls, paths: Iterable[Path | str]) -> "Policy":
        """The policy of these files and folders together. Raises PolicyError with everything that is wrong."""
        return load(paths)

    def plan(self, point: Point) -> "Plan":
        """The rules asked at `point`, and what asking them takes."""
        return self._plans[point]

    def rules_at(self, point: Point) -> tuple[ReadyRule, ...]:
        """The rules asked at `point`, in policy order."""
        return self._plans[point].rules

    def classes_at(self, point: Point) -> frozenset[str]:
        """Classes of findings that must be looked for at `point`."""
        return self._plans[point].classes

    def reads_events(self, point: Point) -> bool:
        """Whether a condition at `point` reads the request, response or tool, so that they must be shown."""
        return self._plans[point].reads

    @cached_property
    def holds_response(self) -> bool:
        """Whether some rule can only be decided on a whole response, so that a stream must be held."""
        return bool(self._holding)

    @cached_property
    def decides_calls(self) -> bool:
        """Whether any rule is asked about tool calls, so that each call must be held until it is complete."""
        return bool(self.rules_at(Point.PRE_TOOL_EXECUTION))

    @cached_property
    def _holding(self) -> tuple[ReadyRule, ...]:
        rules = self.rules_at(Point.POST_LLM_RESPONSE)
        return tuple(rule for rule in rules if rule.verdict is Verdict.DENY or rule.condition)

    def must_hold(self, agent: str, provider: str | None, model: str | None) -> bool:
        """As `holds_response`, for one exchange: a rule never touches streams that its selectors leave out."""
        return any(rule.selectors is None or rule.selectors.concern(agent, provider, model) for rule in self._holding)

    def agent(self, name: str) -> AgentEntry | None:
        """The known agent of this id."""
        return self._agents.get(name)

    @cached_property
    def _agents(self) -> Mapping[str, AgentEntry]:
        return {entry.id: entry for entry in self.agents.list}


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens at one point, worked out at load."""

    rules: tuple[ReadyRule, ...] = ()
    classes: frozenset[str] = frozenset()
    needs: frozenset[Need] = frozenset()
    """Fields of the event that conditions read."""
    reads: bool = False
    edits: bool = False
    """Whether any rule changes what was found."""

    @classmethod
    def of(cls, rules: Iterable[ReadyRule], point: Point) -> "Plan":
        """The plan of `point`."""
        mine = tuple(rule for rule in rules if point in rule.points)
        needs = frozenset(need for rule in mine if rule.condition for need in rule.condition.needs)
        return cls(
            rules=mine,
            classes=frozenset(name for rule in mine if rule.finds for name in rule.finds.every_class()),
            needs=needs,
            reads=any(need.root in ("request", "response", "tool") for need in needs),
            edits=any(rule.edit and rule.edit.kind is not EditKind.INJECT for rule in mine),
        )


def load(paths: Iterable[Path | str]) -> Policy:
    """The policy of these files and folders together; of none, the empty one. Raises PolicyError."""
    loader = Loader()
    loader.read(map(Path, paths))
    settings = loader.settings()
    loader.check_ids()
    loader.check_agents()
    rules: list[ReadyRule] = []
    budgets: list[Budget] = []
    for source, location, item in loader.named():
        if isinstance(item, Rule):
            rules.append(loader.ready_rule(source, location, item, settings))
        else:
            loader.check_limits(source, location, item)
            budgets.append(item)
    loader.finish()
    return Policy(
        rules=tuple(rules),
        budgets=tuple(budgets),
        unrecognised=settings.unrecognised,
        failure=settings.failure,
        agents=settings.agents.model_copy(update={"list": loader.agents()}),
        detectors=settings.detectors,
        limits=settings.limits,
        files=tuple(source.file for source in loader.sources),
        revision=loader.revision() if loader.sources else _EMPTY_REVISION,
    )


def schema() -> str:
    """The JSON Schema of a policy file, for editors."""
    generated: dict[str, Any] = Document.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "midstream policy"}
    return (
        json.dumps({**head, **{k: v for k, v in generated.items() if k != "title"}}, indent=2, ensure_ascii=False)
        + "\n"
    )
