"""Rules made ready to be asked: names turned into sets and patterns, conditions compiled. No YAML, no deciding."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import translate

from proxy.conditions import Condition
from proxy.decision import Edit, EditKind, Finding, RuleRef, Verdict
from proxy.events import Event, Point
from proxy.policy.language import Rule
from proxy.policy.words import TOOL_POINTS

type Pattern = re.Pattern[str] | None
"""Globs as one pattern; None asks for nothing."""


@dataclass(frozen=True, slots=True)
class Finds:
    """The findings a rule is about: whole classes, and single kinds of others."""

    classes: frozenset[str]
    kinds: frozenset[tuple[str, str]] = frozenset()

    def __contains__(self, finding: Finding) -> bool:
        return finding.cls in self.classes or (finding.cls, finding.kind) in self.kinds

    def every_class(self) -> frozenset[str]:
        """All classes that must be looked for."""
        return self.classes | {cls for cls, _ in self.kinds}


@dataclass(frozen=True, slots=True)
class Selectors:
    """Whom and what a rule is about, by name."""

    tools: Pattern = None
    agents: Pattern = None
    providers: Pattern = None
    models: Pattern = None

    def concern(self, agent: str, provider: str | None, model: str | None) -> bool:
        """Whether the rule may fire in an exchange of this agent, provider and model."""
        return (
            (self.agents is None or self.agents.match(agent) is not None)
            and (self.providers is None or self.providers.match(provider or "") is not None)
            and (self.models is None or self.models.match(model or "") is not None)
        )

    def hold(self, event: Event) -> bool:
        """Whether all of them hold for `event`."""
        if self.tools is not None and not any(map(self.tools.match, _named(event))):
            return False
        return self.concern(event.agent.id, event.provider, event.model)


def _named(event: Event) -> Iterator[str]:
    """The names that a tool goes by. Servers name themselves: none does so out of a rule about its host."""
    tool = event.tool
    if tool is None:
        yield ""
        return
    yield f"{tool.server}/{tool.name}" if tool.server else tool.name
    if tool.transport == "mcp":
        yield f"{event.flow.host}/{tool.name}"


@dataclass(frozen=True, slots=True)
class ReadyRule:
    """A rule as the engine asks it. `open`: a condition that cannot be decided lets it rest instead of denying."""

    ref: RuleRef
    verdict: Verdict
    points: frozenset[Point]
    reason: str = ""
    status: int | None = None
    edit: Edit | None = None
    finds: Finds | None = None
    selectors: Selectors | None = None
    condition: Condition | None = None
    open: bool = False
    strength: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", self.verdict.strength)


def ready(rule: Rule, ref: RuleRef, condition: Condition | None, failure: str) -> ReadyRule:
    """`rule` made ready. `condition` is its compiled `when`, `failure` the policy's own choice."""
    chosen = Selectors(
        _globs(rule.tools, any_case=True),
        _globs(rule.agents, any_case=False),
        _globs(rule.providers, any_case=True),
        _globs(rule.models, any_case=True),
    )
    return ReadyRule(
        ref=ref,
        verdict=rule.verdict,
        points=frozenset(rule.at),
        reason=rule.reason or (f"denied by rule {rule.id}" if rule.verdict is Verdict.DENY else ""),
        status=rule.status,
        edit=rule.edit,
        finds=_finds(rule.find) if rule.find else None,
        selectors=chosen if chosen != Selectors() else None,
        condition=condition,
        open=(rule.failure or failure) == "open",
    )


def _finds(names: Sequence[str]) -> Finds:
    split = [name.partition("/") for name in names]
    return Finds(
        frozenset(cls for cls, _, kind in split if not kind), frozenset((cls, kind) for cls, _, kind in split if kind)
    )


def _globs(globs: Sequence[str] | None, *, any_case: bool) -> Pattern:
    if not globs:
        return None
    return re.compile("|".join(f"(?:{translate(glob)})" for glob in globs), re.IGNORECASE if any_case else 0)


def contradictions(rule: Rule) -> Iterator[tuple[str, str]]:
    """What is wrong between the keys of one rule: the key to look at, and a sentence."""
    points = frozenset(rule.at)
    if rule.verdict is Verdict.MODIFY and rule.edit is None:
        yield "verdict", "verdict modify needs an edit"
    if rule.verdict is not Verdict.MODIFY and rule.edit is not None:
        yield "edit", f"edit needs verdict modify, not {rule.verdict}"
    elif rule.edit and rule.edit.kind is not EditKind.INJECT and not rule.find:
        yield "edit", f"edit {rule.edit.kind} needs find: it changes what was found"
    if rule.status is not None and rule.verdict is not Verdict.DENY:
        yield "status", f"status needs verdict deny, not {rule.verdict}"
    if rule.edit and rule.edit.kind is EditKind.INJECT and points != {Point.PRE_LLM_REQUEST}:
        yield "edit", "edit inject is possible at pre_llm_request only"
    if rule.tools and not points <= TOOL_POINTS:
        yield "tools", "tools needs at pre_tool_execution or post_tool_execution: no other event has a tool"
    if any(name.startswith("injection") for name in rule.find or ()) and points != {Point.POST_TOOL_EXECUTION}:
        yield "find", "find injection is for post_tool_execution only: tool results are searched for it"
