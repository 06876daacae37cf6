"""Deciding: what fires, what wins, what is done to which finding, and what a failed condition means."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.conditions import compile_condition
from proxy.decision import Decision, Edit, EditKind, Finding, PartEdit, PartFinding, RuleRef, Verdict
from proxy.engine import decide
from proxy.events import Agent, Event, Flow, Point, Request, Tool
from proxy.policy import Policy
from proxy.policy.language import Rule
from proxy.policy.rules import ReadyRule, ready

SECRET = PartFinding(0, Finding("secret", "jwt", "jwt", 0, 9))
EMAIL = PartFinding(1, Finding("pii", "email", "email", 3, 20))
FOUND = (SECRET, EMAIL)


def event(point: Point = Point.PRE_LLM_REQUEST, **fields: Any) -> Event:
    return Event(
        id="e",
        invocation_key="k",
        point=point,
        time=0.0,
        agent=Agent(id="builder"),
        session={"id": "s"},
        run={"id": "r"},
        flow=Flow(id="f", host="api.example", method="POST", path="/v1"),
        **{"provider": "openai", "model": "gpt-4o", **fields},
    )


def call(name: str = "Bash", server: str | None = None, **arguments: Any) -> Event:
    return event(Point.PRE_TOOL_EXECUTION, tool=Tool(call_id="c", name=name, server=server, arguments=arguments))


def made(name: str = "r", at: Point = Point.PRE_LLM_REQUEST, **keys: Any) -> ReadyRule:
    rule = Rule.model_validate({"id": name, "at": at.value, **keys})
    condition = compile_condition(rule.when, rule.at) if rule.when else None
    return ready(rule, RuleRef(name, "p.yaml", 1), condition, "closed")


def policy(*rules: ReadyRule) -> Policy:
    return Policy(rules=rules)


def fires(rule: ReadyRule, of: Event, findings: Sequence[PartFinding] = ()) -> bool:
    return bool(decide(policy(rule), of, findings).matched)


def plain(decision: Decision) -> Decision:
    """Without the id, which is new every time."""
    return replace(decision, id="")


# what fires


def test_nothing_fires_without_rules() -> None:
    decision = decide(Policy(), event(), FOUND)
    assert plain(decision) == Decision("")
    assert len(decision.id) == 26


def test_a_rule_without_conditions_fires_at_its_point_only() -> None:
    rule = made(verdict="deny")
    assert fires(rule, event()) and not fires(rule, call())


@pytest.mark.parametrize(
    ("find", "findings", "expected"),
    [
        ("secret", [SECRET], True),
        ("secret", [EMAIL], False),
        ("secret", [], False),
        ("pii/email", [EMAIL], True),
        ("pii/phone", [EMAIL], False),
        (["pii/phone", "secret"], [SECRET], True),
    ],
)
def test_find(find: Any, findings: list[PartFinding], expected: bool) -> None:
    assert fires(made(find=find, verdict="deny"), event(), findings) is expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"agents": "build*"}, True),
        ({"agents": "Build*"}, False),
        ({"agents": ["x", "builder"]}, True),
        ({"providers": "OpenAI"}, True),
        ({"providers": "anthropic"}, False),
        ({"models": "GPT-*"}, True),
        ({"models": ["o1", "claude*"]}, False),
        ({"agents": "*", "providers": "*", "models": "claude*"}, False),
    ],
)
def test_selectors(selector: dict[str, Any], expected: bool) -> None:
    assert fires(made(verdict="deny", **selector), event()) is expected


def test_an_unknown_model_matches_a_star_only() -> None:
    assert fires(made(models="*", verdict="deny"), event(model=None))
    assert not fires(made(models="gpt*", verdict="deny"), event(model=None))


@pytest.mark.parametrize(
    ("globs", "name", "server", "expected"),
    [
        ("Bash", "Bash", None, True),
        ("bash", "Bash", None, True),
        ("bash", "Bashful", None, False),
        ("github/*", "create_issue", "github", True),
        ("create_issue", "create_issue", "github", False),
        (["*/create_*", "x"], "create_issue", "github", True),
    ],
)
def test_tools(globs: Any, name: str, server: str | None, expected: bool) -> None:
    assert fires(made(at=Point.PRE_TOOL_EXECUTION, tools=globs, verdict="deny"), call(name, server)) is expected


def test_all_that_a_rule_names_must_hold() -> None:
    rule = made(at=Point.PRE_TOOL_EXECUTION, find="secret", tools="Bash", when="tool.arguments.n > 3", verdict="deny")
    assert fires(rule, call(n=4), FOUND)
    assert not fires(rule, call(n=3), FOUND)
    assert not fires(rule, call(n=4), [EMAIL])
    assert not fires(rule, call("Read", n=4), FOUND)


# what is decided


def test_the_first_of_the_strongest_is_named_and_all_are_told() -> None:
    rules = [
        made("a", verdict="permit"),
        made("b", find="secret", verdict="modify", edit="redact"),
        made("c", verdict="deny", status=403, reason="no"),
        made("d", verdict="deny"),
    ]
    decision = decide(policy(*rules), event(), FOUND)
    assert plain(decision) == Decision(
        "",
        Verdict.DENY,
        RuleRef("c", "p.yaml", 1),
        tuple(RuleRef(name, "p.yaml", 1) for name in "abcd"),
        "no",
        403,
    )


def test_a_denial_without_a_reason_names_its_rule() -> None:
    assert decide(policy(made("x", verdict="deny")), event()).reason == "denied by rule x"


def test_edits_of_all_modify_rules_are_made_to_exactly_their_findings() -> None:
    rules = [
        made("a", find="secret", verdict="modify", edit="redact"),
        made("b", find=["secret", "pii/email"], verdict="modify", edit={"replace": "gone"}),
        made("c", find="secret", verdict="modify", edit="redact"),
        made("d", verdict="modify", edit={"inject": "Be kind."}),
    ]
    decision = decide(policy(*rules), event(), FOUND)
    gone = Edit(EditKind.REPLACE, "gone")
    assert decision.edits == (
        PartEdit(0, SECRET.finding, Edit(EditKind.REDACT)),
        PartEdit(0, SECRET.finding, gone),
        PartEdit(1, EMAIL.finding, gone),
    )
    assert decision.inject == ("Be kind.",)
    assert decision.rule == RuleRef("a", "p.yaml", 1)


# what cannot be decided

AMOUNT = "double(tool.arguments.amount) > 100.0"


@pytest.mark.parametrize("verdict", [{"verdict": "deny"}, {"verdict": "permit"}])
def test_a_condition_that_cannot_be_decided_denies(verdict: dict[str, str]) -> None:
    rule = made("pay", at=Point.PRE_TOOL_EXECUTION, when=AMOUNT, **verdict)
    decision = decide(policy(rule), call(amount="hunter2"))
    assert (decision.verdict, decision.rule) == (Verdict.DENY, rule.ref)
    assert decision.reason == "rule pay cannot be decided: cannot convert string to double"
    (failure,) = decision.failures
    assert failure == (rule.ref, "cannot convert string to double", False)
    assert "hunter2" not in repr(decision)


def test_it_denies_against_other_rules_and_drops_their_edits() -> None:
    failing = made("pay", at=Point.PRE_TOOL_EXECUTION, when=AMOUNT, verdict="permit")
    other = made("a", at=Point.PRE_TOOL_EXECUTION, find="secret", verdict="modify", edit="redact")
    decision = decide(policy(other, failing), call(amount="x"), FOUND)
    assert (decision.verdict, decision.edits, decision.matched) == (Verdict.DENY, (), (other.ref,))


def test_a_rule_that_denies_is_named_before_one_that_failed() -> None:
    failing = made("pay", at=Point.PRE_TOOL_EXECUTION, when=AMOUNT, verdict="deny")
    other = made("no", at=Point.PRE_TOOL_EXECUTION, verdict="deny")
    decision = decide(policy(failing, other), call(amount="x"))
    assert decision.rule == other.ref
    assert [failure.rule for failure in decision.failures] == [failing.ref]


def test_failure_open_lets_the_rule_rest_and_says_so() -> None:
    rule = made("pay", at=Point.PRE_TOOL_EXECUTION, when=AMOUNT, verdict="deny", failure="open")
    decision = decide(policy(rule), call(amount="x"))
    assert (decision.verdict, decision.rule, decision.matched) == (Verdict.PERMIT, None, ())
    assert decision.failures == ((rule.ref, "cannot convert string to double", True),)


def test_failure_of_the_policy_holds_where_the_rule_is_silent() -> None:
    rule = Rule.model_validate({"id": "r", "at": "pre_llm_request", "verdict": "deny"})
    shut = Rule.model_validate({"id": "r", "at": "pre_llm_request", "verdict": "deny", "failure": "closed"})
    ref = RuleRef("r", "p.yaml", 1)
    assert ready(rule, ref, None, "open").open
    assert not ready(shut, ref, None, "open").open


def test_an_absent_member_is_no_match() -> None:
    rule = made("pay", at=Point.PRE_TOOL_EXECUTION, when=AMOUNT, verdict="deny")
    assert plain(decide(policy(rule), call())) == Decision("")


def test_conditions_are_not_asked_where_cheaper_things_say_no() -> None:
    rule = made("pay", at=Point.PRE_TOOL_EXECUTION, tools="pay", when=AMOUNT, verdict="deny")
    assert plain(decide(policy(rule), call("Bash", amount="x"))) == Decision("")


def test_conditions_see_the_findings() -> None:
    rule = made(when="findings.exists(f, f.class == 'pii' && f.part == 1)", verdict="deny")
    assert fires(rule, event(request=Request()), FOUND)
    assert not fires(rule, event(request=Request()), [SECRET])


# properties

KINDS: list[dict[str, Any]] = [
    {"verdict": "permit"},
    {"verdict": "deny"},
    {"verdict": "deny", "find": "secret"},
    {"verdict": "deny", "find": "pii/phone"},
    {"verdict": "deny", "agents": "nobody"},
    {"verdict": "modify", "find": "secret", "edit": "redact"},
    {"verdict": "modify", "find": "pii", "edit": "pseudonymise"},
    {"verdict": "modify", "edit": {"inject": "text"}},
    {"verdict": "modify", "find": ["secret", "pii"], "edit": {"replace": "gone"}},
]
MADE = [made(f"rule-{index}", **keys) for index, keys in enumerate(KINDS)]
RULES = st.lists(st.sampled_from(MADE), unique_by=lambda rule: rule.ref.id)
FINDINGS = st.lists(st.sampled_from(FOUND), unique=True)


@given(RULES, FINDINGS)
def test_deciding_is_pure(rules: list[ReadyRule], findings: list[PartFinding]) -> None:
    one, of = policy(*rules), event()
    before = (of.model_dump_json(), list(findings))
    assert plain(decide(one, of, findings)) == plain(decide(one, of, findings))
    assert (of.model_dump_json(), findings) == before


@given(RULES, FINDINGS, st.randoms(use_true_random=False))
def test_order_changes_neither_strength_nor_edits(
    rules: list[ReadyRule], findings: list[PartFinding], any_: Any
) -> None:
    shuffled = list(rules)
    any_.shuffle(shuffled)
    one, two = decide(policy(*rules), event(), findings), decide(policy(*shuffled), event(), findings)
    assert one.verdict == two.verdict
    assert set(one.matched) == set(two.matched)
    assert set(one.edits) == set(two.edits)


@given(RULES, FINDINGS)
def test_the_strongest_wins_and_a_denied_event_is_not_edited(
    rules: list[ReadyRule], findings: list[PartFinding]
) -> None:
    decision = decide(policy(*rules), event(), findings)
    fired = [rule for rule in rules if rule.ref in decision.matched]
    assert decision.verdict == max((rule.verdict for rule in fired), key=lambda v: v.strength, default=Verdict.PERMIT)
    if decision.verdict is Verdict.DENY:
        assert (decision.edits, decision.inject) == ((), ())
    assert all(edit.finding in [found.finding for found in findings] for edit in decision.edits)


@given(RULES, FINDINGS)
def test_another_denial_always_denies(rules: list[ReadyRule], findings: list[PartFinding]) -> None:
    extra = made("extra", verdict="deny")
    assert decide(policy(*rules, extra), event(), findings).verdict is Verdict.DENY
