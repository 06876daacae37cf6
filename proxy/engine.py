"""Chooses: one event, its findings and a policy in, one decision out. Pure: it reads nothing else and changes nothing.

Of all rules that fire, the strongest verdict wins and the first rule that gives it is named; the edits of all `modify`
rules are made together, unless the event is denied. A condition that cannot be decided denies (fail closed), or lets
its rule rest where the policy says `failure: open`; the decision says so either way.
"""

from collections.abc import Sequence

from ulid import ULID

from proxy.conditions import activation
from proxy.conditions.values import UndecidableError
from proxy.decision import Decision, EditKind, PartEdit, PartFinding, RuleFailure, Verdict
from proxy.events import Event
from proxy.policy import Policy
from proxy.policy.rules import ReadyRule


def decide(policy: Policy, event: Event, findings: Sequence[PartFinding] = ()) -> Decision:
    """What `policy` says of `event`, in which `findings` were found. Never raises for what an event holds."""
    plan = policy.plan(event.point)
    if not plan.rules:
        return Decision(str(ULID()))
    asked = _Asked(policy, event, findings)
    fired = [rule for rule in plan.rules if asked.fires(rule)]
    if not fired and not asked.failures:
        return Decision(str(ULID()))
    return _decision(fired, asked, findings)


class _Asked:
    """The rules of one point, asked about one event. Makes the conditions' variables when the first one is reached."""

    __slots__ = ("_activation", "event", "failures", "findings", "policy")

    def __init__(self, policy: Policy, event: Event, findings: Sequence[PartFinding]) -> None:
        self.policy = policy
        self.event = event
        self.findings = findings
        self.failures: list[tuple[ReadyRule, RuleFailure]] = []
        self._activation = None

    def fires(self, rule: ReadyRule) -> bool:
        """Whether all that `rule` names holds. The cheap things are asked first."""
        if rule.finds is not None and not any(found.finding in rule.finds for found in self.findings):
            return False
        if rule.selectors is not None and not rule.selectors.hold(self.event):
            return False
        return rule.condition is None or self._holds(rule)

    def _holds(self, rule: ReadyRule) -> bool:
        assert rule.condition is not None
        try:
            if self._activation is None:
                needs = self.policy.plan(self.event.point).needs
                self._activation = activation(self.event, self.findings, needs)
            return rule.condition.holds(self._activation)
        except UndecidableError as error:
            self.failures.append((rule, RuleFailure(rule.ref, str(error), rule.open)))
            return False


def _decision(fired: Sequence[ReadyRule], asked: _Asked, findings: Sequence[PartFinding]) -> Decision:
    failures = tuple(failure for _, failure in asked.failures)
    closed = next((failure for failure in failures if not failure.open), None)
    best = max(fired, key=lambda rule: rule.strength, default=None)
    matched = tuple(rule.ref for rule in fired)
    if closed and (best is None or best.verdict is not Verdict.DENY):
        reason = f"rule {closed.rule.id} cannot be decided: {closed.error}"
        return Decision(str(ULID()), Verdict.DENY, closed.rule, matched, reason, failures=failures)
    if best is None:
        return Decision(str(ULID()), failures=failures)
    denied = best.verdict is Verdict.DENY
    return Decision(
        str(ULID()),
        best.verdict,
        best.ref,
        matched,
        best.reason,
        best.status,
        () if denied else _edits(fired, findings),
        () if denied else tuple(rule.edit.text for rule in fired if rule.edit and rule.edit.kind is EditKind.INJECT),
        failures,
    )


def _edits(fired: Sequence[ReadyRule], findings: Sequence[PartFinding]) -> tuple[PartEdit, ...]:
    """What the rules want done to each finding, each thing once. Overlapping findings are for `effects` to settle."""
    ordered = (
        PartEdit(found.part, found.finding, rule.edit)
        for rule in fired
        if rule.edit is not None and rule.finds is not None and rule.edit.kind is not EditKind.INJECT
        for found in findings
        if found.finding in rule.finds
    )
    return tuple(dict.fromkeys(ordered))
