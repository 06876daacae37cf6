"""The verdict diff: what another policy would newly deny, change or permit of the same recordings."""

from typing import Any, NamedTuple

from proxy.decision import Decision, Verdict
from proxy.replay.player import Played
from proxy.replay.view import told_apart


class Difference(NamedTuple):
    """One decision that comes out otherwise."""

    point: str
    about: str
    """The tool call, "" where it is none."""
    before: Verdict | None
    after: Verdict | None
    """None: the other policy never came to ask (the exchange had ended)."""
    rule: str | None
    """The rule that decides now, or that no longer does."""

    @property
    def change(self) -> str:
        """newly denied | newly changed | newly permitted | other verdict."""
        if self.after is None or self.before is None:
            return "no longer asked" if self.after is None else "newly asked"
        names = {Verdict.DENY: "newly denied", Verdict.MODIFY: "newly changed", Verdict.PERMIT: "newly permitted"}
        return names.get(self.after, "other verdict")

    def view(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "point": self.point,
            "tool_call": self.about or None,
            "before": self.before,
            "after": self.after,
            "rule": self.rule,
            "change": self.change,
        }


def differences(before: Played, after: Played) -> list[Difference]:
    """Every decision of one exchange that differs between two policies."""
    olds, news = told_apart(before.told), told_apart(after.told)
    found = []
    for point, about, nth in dict.fromkeys([*olds, *news]):
        old, new = olds.get((point, about, nth)), news.get((point, about, nth))
        was, now = old.verdict if old else None, new.verdict if new else None
        if was is not now:
            found.append(Difference(point, about, was, now, _rule(new) or _rule(old)))
    return found


def _rule(decision: Decision | None) -> str | None:
    return decision.rule.id if decision and decision.rule else None


def bodies_differ(before: Played, after: Played) -> bool:
    """Whether other bytes would have travelled."""
    return (before.up.sent, before.down.sent) != (after.up.sent, after.down.sent)
