"""One exchange's judgement: scan texts, decide events, turn decisions into edits and notices, count what happened.

`exchange` (whole bodies) and `guard` (streams) both stand on this, so that a stream and the same body whole are judged
alike. No bytes and no wire formats here, and no I/O but the audit record.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from proxy import engine
from proxy.context import Context
from proxy.decision import Decision, Edit, EditKind, Finding, PartFinding, TextEdit, Verdict
from proxy.detectors import Detectors
from proxy.detectors.history import FindingCache
from proxy.effects.pseudonymise import Pseudonyms
from proxy.effects.redact import apply, text_edits
from proxy.events import Event, FindingRef, Point, Tool, Usage
from proxy.policy import Policy
from proxy.sessions import Sessions
from proxy.texts import Unit

INJECTION: Final = "injection"
PSEUDONYM: Final = "pseudonym"
WITHHELD: Final = "[withheld]"
_UNTOLD: Final = frozenset({"secret"})


@dataclass(frozen=True, slots=True)
class Runtime:
    """One revision of the policy with all that was compiled for it. Replaced whole on reload."""

    policy: Policy
    detectors: Detectors
    cache: FindingCache
    key: bytes
    """The deployment's key: pseudonyms and the hashes of findings."""
    record: Callable[[Event, Decision], None]
    """Appends an audit record of a decision."""
    watch: Callable[[Event, Decision], None] | None = None
    """Is shown every event with its decision, whether or not any rule asks for it."""
    sessions: Sessions = field(default_factory=Sessions)
    """The sessions and runs seen so far."""


class Found(NamedTuple):
    """A finding, and the text it was found in."""

    unit: Unit
    finding: Finding


class Ordered(NamedTuple):
    """An edit that is to be made: in which text, of which span."""

    unit: Unit
    finding: Finding
    edit: Edit


@dataclass(slots=True)
class Tally:
    """What happened in one exchange: counts and names only, for the audit record and the summary."""

    findings: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    denials: Counter[str] = field(default_factory=Counter)
    usage: Usage | None = None
    stop_reason: str | None = None
    output_chars: int = 0


class Judge:
    """Scans and decides for one exchange. Keeps its pseudonyms, so that the response can be restored."""

    def __init__(self, runtime: Runtime, context: Context) -> None:
        self.runtime = runtime
        self.policy = runtime.policy
        self.context = context
        self.pseudonyms = Pseudonyms(runtime.key)
        self.tally = Tally()

    # scanning

    def scan(self, units: Sequence[Unit], classes: frozenset[str]) -> list[Found]:
        """Findings of `classes` in each text. Injection is not among them: it needs to know a text's provenance."""
        wanted = classes - {INJECTION}
        if not wanted:
            return []
        scan = self.runtime.cache.scan
        return [Found(unit, finding) for unit in units for finding in scan(unit.text, wanted)]

    def scan_tool_output(self, units: Sequence[Unit], tools: Sequence[str]) -> list[Found]:
        """Injected instructions in texts that a tool returned; `tools` are the names offered in this request."""
        scan = self.runtime.cache.scan_tool_output
        offered = frozenset(tools)
        return [Found(unit, finding) for unit in units for finding in scan(unit.text, offered)]

    def response_classes(self, *points: Point) -> frozenset[str]:
        """What to look for on the way down: what rules at `points` name, and placeholders if any were made."""
        wanted = frozenset[str]().union(*(self.policy.classes_at(point) for point in points))
        return (wanted - {INJECTION}) | ({PSEUDONYM} if len(self.pseudonyms) else frozenset())

    # deciding

    def tells(self, point: Point) -> bool:
        """Whether anybody wants to know of events at `point`."""
        return self.runtime.watch is not None or bool(self.policy.rules_at(point))

    def decide(
        self,
        point: Point,
        intent: str,
        found: Sequence[Found],
        *,
        quiet: bool = False,
        shown: bool = True,
        **fields: Any,
    ) -> tuple[Decision, list[Ordered]]:
        """Decide one event over `found`. `quiet`: an earlier turn's decision again, neither counted nor recorded.

        `shown`: whether a watcher is shown it; not where the event is only a part of one that is still to come.
        """
        told = [item for item in found if item.finding.cls != PSEUDONYM]
        event = self.context.event(point, intent, findings=tuple(map(self._reference, told)), **fields)
        positions = [PartFinding(index, item.finding) for index, item in enumerate(told)]
        decision = engine.decide(self.policy, event, positions)
        if not quiet:
            self._note(event, decision, told)
        if shown and self.runtime.watch is not None:
            self.runtime.watch(event, decision)
        return decision, [Ordered(told[edit.part].unit, edit.finding, edit.edit) for edit in decision.edits]

    def show(self, point: Point, intent: str, found: Sequence[Found], **fields: Any) -> None:
        """Show a watcher an event as a whole whose findings were decided one by one."""
        if self.runtime.watch is not None:
            told = [item for item in found if item.finding.cls != PSEUDONYM]
            event = self.context.event(point, intent, findings=tuple(map(self._reference, told)), **fields)
            positions = [PartFinding(index, item.finding) for index, item in enumerate(told)]
            self.runtime.watch(event, engine.decide(self.policy, event, positions))

    def decide_call(
        self,
        call_id: str,
        name: str,
        arguments: Mapping[str, Any],
        found: Sequence[Found],
        *,
        quiet: bool = False,
        **fields: Any,
    ) -> tuple[str | None, list[Ordered]]:
        """Decide `pre_tool_execution`: the notice that replaces a denied call (else None), and the edits.

        `fields`: what else the event says of the tool (`transport`, `server`).
        """
        if not self.tells(Point.PRE_TOOL_EXECUTION):
            return None, []
        tool = Tool(call_id=call_id, name=name, arguments=self.restored(dict(arguments)), **fields)
        decision, ordered = self.decide(
            Point.PRE_TOOL_EXECUTION, call_id, found, quiet=quiet, shown=not quiet, tool=tool
        )
        denied = decision.verdict is Verdict.DENY
        return (notice(decision, f"the call of {name}") if denied else None), ordered

    def decide_result(
        self, tool: Tool, units: Sequence[Unit], offered: Sequence[str], *, quiet: bool = False
    ) -> tuple[str | None, list[Ordered]]:
        """Decide `post_tool_execution`: the notice that replaces a denied result (else None), and the edits.

        `offered`: the tools that the reader of the result may call.
        """
        classes = self.policy.classes_at(Point.POST_TOOL_EXECUTION)
        found = self.scan(units, classes)
        if INJECTION in classes:
            found += self.scan_tool_output(units, offered)
        decision, edits = self.decide(Point.POST_TOOL_EXECUTION, tool.call_id, found, quiet=quiet, tool=tool)
        if decision.verdict is Verdict.DENY:
            return notice(decision, f"the result of {tool.name}"), []
        return None, edits

    def _note(self, event: Event, decision: Decision, found: Sequence[Found]) -> None:
        self.tally.findings.update(item.finding.kind for item in found)
        self.tally.rules.update(rule.id for rule in decision.matched)
        if decision.verdict is Verdict.DENY:
            self.tally.denials[decision.rule.id if decision.rule else "midstream"] += 1
        if decision.verdict is not Verdict.PERMIT or found or decision.failures:
            self.runtime.record(self._tellable(event), decision)

    def tellable(self, name: str | None) -> str | None:
        """A name from the wire as it may be told: one that is a secret itself is withheld (promise 5)."""
        return WITHHELD if name and self.runtime.cache.scan(name, _UNTOLD) else name

    def _tellable(self, event: Event) -> Event:
        named: dict[str, Any] = {"model": self.tellable(event.model)}
        session = self.tellable(event.session.get("id"))
        named["session"] = {"id": session} if session else {}
        if event.tool is not None:
            tool = event.tool
            names = {
                "name": self.tellable(tool.name),
                "call_id": self.tellable(tool.call_id),
                "server": self.tellable(tool.server),
            }
            named["tool"] = tool.model_copy(update=names)
        return event.model_copy(update=named)

    def _reference(self, item: Found) -> FindingRef:
        finding = item.finding
        return FindingRef(
            part=item.unit.part,
            cls=finding.cls,
            kind=finding.kind,
            rule=finding.rule,
            start=item.unit.base + finding.start,
            end=item.unit.base + finding.end,
            score=finding.score,
            hash=keyed_hash(self.runtime.key, item.unit.text[finding.start : finding.end]),
        )

    # carrying out

    def restorations(self, found: Sequence[Found]) -> list[Ordered]:
        """Placeholders of this exchange, to be replaced by what they stand for."""
        ordered = []
        for unit, finding in found:
            if finding.cls == PSEUDONYM:
                value = self.pseudonyms.restore(unit.text[finding.start : finding.end])
                if value is not None:
                    ordered.append(Ordered(unit, finding, Edit(EditKind.REPLACE, value)))
        return ordered

    def edits(self, ordered: Sequence[Ordered]) -> list[tuple[Unit, list[TextEdit]]]:
        """The text edits of each unit that has any."""
        grouped: dict[Unit, list[tuple[Finding, Edit]]] = {}
        for unit, finding, edit in ordered:
            grouped.setdefault(unit, []).append((finding, edit))
        return [(unit, text_edits(unit.text, pairs, self.pseudonyms)) for unit, pairs in grouped.items()]

    def restored(self, value: Any) -> Any:
        """A JSON value with every placeholder of this exchange restored, as the agent will see it."""
        if not len(self.pseudonyms):
            return value
        if isinstance(value, str):
            found = self.scan([Unit(0, value)], frozenset({PSEUDONYM}))
            edits = self.edits(self.restorations(found))
            return apply(value, edits[0][1]) if edits else value
        if isinstance(value, list):
            return [self.restored(item) for item in value]
        if isinstance(value, dict):
            return {self.restored(name): self.restored(item) for name, item in value.items()}
        return value


def keyed_hash(key: bytes, text: str) -> str:
    """Names a found text without telling it: 16 hex digits under the deployment's key."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key[:64], digest_size=8).hexdigest()


def notice(decision: Decision, what: str) -> str:
    """What stands in place of something denied, for the model or the person to read."""
    rule = f" by rule {decision.rule.id}" if decision.rule else ""
    reason = f": {decision.reason}" if decision.reason else ""
    return f"[midstream] {what[0].upper()}{what[1:]} was denied{rule}{reason}"
