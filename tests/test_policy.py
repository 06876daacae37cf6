"""The policy language: what is read, what is refused, and the exact words of every refusal."""

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from proxy.decision import Edit, EditKind, Finding, RuleRef, Verdict
from proxy.events import Point
from proxy.policy import Policy, PolicyError, load, schema

type Write = Callable[..., Path]

WHOLE = """
    version: 1
    unrecognised: deny
    failure: open
    limits: {request_body: 32MB, response_body: 1 GiB, held: 512KiB}
    agents:
      require_identity: true
      list: [{id: builder, token_sha256: "%s", labels: {team: core}}]
    detectors:
      secret: {entropy: false, verify: false}
      pii: {kinds: [email]}
      injection: {threshold: 0.5}
    rules:
      - id: first
        at: [pre_llm_request, post_llm_response]
        find: [secret, pii/email]
        agents: "build*"
        providers: [openai]
        models: [gpt-*]
        verdict: modify
        edit: {replace: gone}
      - id: second
        at: pre_tool_execution
        tools: [Bash]
        when: tool.name == 'Bash'
        verdict: deny
        reason: not here
        status: 403
        failure: closed
      - {id: third, at: pre_llm_request, verdict: modify, edit: {inject: Be kind.}}
    budgets:
      - {id: daily, per: agent, window: day, limit: {usd: 25, tokens: 2_000_000, requests: 5000}, exceeded: warn}
    egress: {}
    hooks: []
    disable: []
""" % ("ab" * 32)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a policy file and gives its path."""

    def written(text: str, name: str = "policy.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
        return path

    return written


def problems(*paths: Path) -> list[str]:
    """What is wrong, with the folders left out."""
    with pytest.raises(PolicyError) as caught:
        load(paths)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [re.sub(r"/\S*/", "", str(problem)) for problem in caught.value.problems]


# what is read


def test_a_whole_file_is_read(write: Write) -> None:
    path = write(WHOLE)
    policy = load([path])
    first, second, third = policy.rules
    assert first.ref == RuleRef("first", str(path), 13)
    assert first.points == {Point.PRE_LLM_REQUEST, Point.POST_LLM_RESPONSE}
    assert (first.verdict, first.edit, first.open) == (Verdict.MODIFY, Edit(EditKind.REPLACE, "gone"), True)
    assert first.finds and Finding("pii", "email", "email", 0, 1) in first.finds
    assert Finding("pii", "phone", "phone", 0, 1) not in first.finds
    assert (second.reason, second.status, second.open) == ("not here", 403, False)
    assert third.edit == Edit(EditKind.INJECT, "Be kind.")
    assert (policy.unrecognised, policy.failure) == ("deny", "open")
    limits = policy.limits
    assert (limits.request_body, limits.response_body, limits.held) == (32_000_000, 1 << 30, 512 << 10)
    assert policy.agents.require_identity
    builder = policy.agent("builder")
    assert builder is not None and builder.labels == {"team": "core"}
    assert policy.agent("nobody") is None
    assert not policy.detectors.secret.entropy
    assert policy.detectors.pii.kinds == ("email",)
    assert policy.detectors.injection.threshold == 0.5
    (daily,) = policy.budgets
    assert (daily.id, daily.per, daily.window, daily.exceeded) == ("daily", ("agent",), "day", "warn")
    assert daily.limit == {"usd": 25, "tokens": 2_000_000, "requests": 5000}


def test_no_policy_permits_everything() -> None:
    policy = load([])
    assert policy == Policy()
    assert (policy.rules, policy.unrecognised, policy.failure, policy.revision) == ((), "permit", "closed", "empty")
    assert not policy.holds_response and not policy.decides_calls


def test_folders_are_read_by_name_without_their_tests(write: Write, tmp_path: Path) -> None:
    rule = "version: 1\nrules: [{id: %s, at: pre_llm_request, verdict: permit}]\n"
    write(rule % "b", "b.yaml")
    write(rule % "a", "a.yml")
    write("- not: a policy", "a.test.yaml")
    write(rule % "c", "deeper/c.yaml")
    assert [rule.ref.id for rule in Policy.load([str(tmp_path)]).rules] == ["a", "b", "c"]


def test_the_revision_is_of_the_contents(write: Write) -> None:
    one, same = write("version: 1\n", "one.yaml"), write("version: 1\n", "same.yaml")
    other = write("version: 1 \n", "other.yaml")
    assert load([one]).revision == load([same]).revision != load([other]).revision
    assert len(load([one]).revision) == 64


def test_settings_of_several_files_come_together(write: Write) -> None:
    one = write("{version: 1, detectors: {pii: {kinds: [email]}}, agents: {list: [{id: a}]}}", "one.yaml")
    two = write("{version: 1, detectors: {secret: {entropy: false}}, agents: {list: [{id: b}]}}", "two.yaml")
    policy = load([one, two])
    assert policy.detectors.pii.kinds == ("email",) and not policy.detectors.secret.entropy
    assert [agent.id for agent in policy.agents.list] == ["a", "b"]


def test_disabled_rules_and_budgets_are_left_out(write: Write) -> None:
    base = write(WHOLE)
    mine = write("version: 1\ndisable: [second, daily]\n", "mine.yaml")
    policy = load([base, mine])
    assert [rule.ref.id for rule in policy.rules] == ["first", "third"]
    assert policy.budgets == ()


# what the data plane asks


def test_plans_are_worked_out_at_load(write: Write) -> None:
    policy = load([write(WHOLE)])
    assert policy.classes_at(Point.PRE_LLM_REQUEST) == {"secret", "pii"}
    assert policy.classes_at(Point.PRE_TOOL_EXECUTION) == frozenset()
    assert [rule.ref.id for rule in policy.rules_at(Point.PRE_LLM_REQUEST)] == ["first", "third"]
    assert policy.rules_at(Point.RUN_STARTED) == ()
    assert policy.reads_events(Point.PRE_TOOL_EXECUTION) and not policy.reads_events(Point.PRE_LLM_REQUEST)
    assert policy.decides_calls


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("find: [secret], verdict: modify, edit: redact", False),
        ("verdict: permit", False),
        ("find: [secret], verdict: deny", True),
        ("when: turn > 3, find: [secret], verdict: modify, edit: redact", True),
    ],
)
def test_only_what_needs_the_whole_response_holds_it(write: Write, rule: str, holds: bool) -> None:
    policy = load([write(f"version: 1\nrules: [{{id: r, at: post_llm_response, {rule}}}]\n")])
    assert policy.holds_response is holds
    assert policy.must_hold("anyone", "openai", None) is holds


def test_a_response_rule_never_touches_streams_it_does_not_match(write: Write) -> None:
    """Pain point 5 (agentgateway 3603)."""
    policy = load([write("version: 1\nrules: [{id: r, at: post_llm_response, models: [gpt-*], verdict: deny}]\n")])
    assert policy.holds_response
    assert policy.must_hold("anyone", "openai", "GPT-4o")
    assert not policy.must_hold("anyone", "anthropic", "claude")


# what is refused: one mistake each, at its line


def rule(*lines: str) -> str:
    """A policy with one rule `r`, whose id stands in line 3 and further keys from line 4 on."""
    return "\n".join(["version: 1", "rules:", "  - id: r", *(f"    {line}" for line in lines)]) + "\n"


DENY = ("at: pre_tool_execution", "verdict: deny")

MISTAKES = {
    "": ["policy.yaml: is empty"],
    "# nothing\n": ["policy.yaml: is empty"],
    "- a\n": ["policy.yaml:1: must be a mapping of keys, not a list"],
    "version: 1\nrules: [\n": ["policy.yaml:3: not YAML: expected the node content, but found '<stream end>'"],
    "version: 1\n---\nversion: 1\n": ["policy.yaml:2: not YAML: but found another document"],
    "version: 1\nrules: &r [*r]\n": ["policy.yaml:2: not YAML: a value that contains itself"],
    "version: 1\nrules: !!python/name:os x\n": [
        "policy.yaml:2: not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os'"
    ],
    "version: 1\nfailure: 2026-13-01\n": ["policy.yaml:2: not YAML: month must be in 1..12"],
    "rules: []\n": ["policy.yaml:1: key 'version' is missing"],
    "version: 2\n": ["policy.yaml:1: unknown policy version 2; this is version 1"],
    "version: 1\nfailure: closed\nfailure: open\n": ["policy.yaml:3: duplicate key 'failure', first in line 2"],
    "version: 1\nunrecognized: deny\n": ["policy.yaml:2: unknown key 'unrecognized'; did you mean 'unrecognised'?"],
    "version: 1\nunrecognised: block\n": ["policy.yaml:2: unknown choice 'block'; known are permit, deny"],
    "version: 1\nfailure: opne\n": ["policy.yaml:2: unknown failure policy 'opne'; did you mean 'open'?"],
    "version: 1\nrules: {a: b}\n": ["policy.yaml:2: rules must be a list, not a mapping"],
    "version: 1\nrules:\n  - text\n": ["policy.yaml:3: rule 1: must be a mapping of keys, not a text"],
    "version: 1\nrules:\n  - at: pre_llm_request\n    verdict: deny\n": ["policy.yaml:3: rule 1: key 'id' is missing"],
    "version: 1\nlimits: {held: 12 parsecs}\n": [
        "policy.yaml:2: '12 parsecs' is no size; write a number of bytes, or 64MB, 512KiB"
    ],
    "version: 1\nlimits: {held: true}\n": ["policy.yaml:2: held: must be a size such as 64MB"],
    "version: 1\nlimits: {held: 0}\n": ["policy.yaml:2: held: input should be greater than 0"],
    "version: 1\nagents: {require_identity: 'yes'}\n": [
        "policy.yaml:2: require_identity must be true or false, not a text"
    ],
    "version: 1\nagents: {list: [{id: a, token_sha256: abc}]}\n": [
        "policy.yaml:2: token_sha256: string should match pattern '^[0-9a-f]{64}$'"
    ],
    "version: 1\nagents:\n  list:\n    - id: a\n    - id: a\n": [
        "policy.yaml:5: duplicate agent 'a', first at policy.yaml:4"
    ],
    "version: 1\ndetectors: {secret: {verify: true}}\n": ["policy.yaml:2: verify: not carried out by this version"],
    "version: 1\ndetectors: {pii: {kinds: [emial]}}\n": [
        "policy.yaml:2: unknown kind of pii 'emial'; did you mean 'email'?"
    ],
    "version: 1\ndetectors: {injection: {threshold: 0}}\n": [
        "policy.yaml:2: threshold: input should be greater than 0"
    ],
    "version: 1\ndisable: [gone]\n": ["policy.yaml:2: no rule or budget 'gone'"],
    "version: 1\negress: {allow: [a.example]}\n": ["policy.yaml:2: egress: not carried out by this version"],
    "version: 1\nhooks: [{id: h}]\n": ["policy.yaml:2: hooks: not carried out by this version"],
    "version: 1\ncredentials: [{host: h}]\n": ["policy.yaml:2: credentials: not carried out by this version"],
    # rules
    rule("at: pre_llm_reqest", "verdict: deny"): [
        "policy.yaml:4: rule r: unknown point 'pre_llm_reqest'; did you mean 'pre_llm_request'?"
    ],
    rule("at: [run_started]", "verdict: deny"): [
        "policy.yaml:4: rule r: point run_started: not carried out by this version"
    ],
    rule("at: []", "verdict: deny"): ["policy.yaml:4: rule r: at must not be empty"],
    rule("at: 3", "verdict: deny"): ["policy.yaml:4: rule r: at must be a list, not a number"],
    rule("at: pre_llm_request", "verdict: ask"): [
        "policy.yaml:5: rule r: verdict ask: not carried out by this version"
    ],
    rule("at: pre_llm_request", "verdict: defer"): [
        "policy.yaml:5: rule r: verdict defer: not carried out by this version"
    ],
    rule("at: pre_llm_request", "verdict: block"): [
        "policy.yaml:5: rule r: unknown verdict 'block'; known are permit, modify, deny"
    ],
    rule("at: pre_llm_request", "verdit: deny"): [
        "policy.yaml:3: rule r: key 'verdict' is missing",
        "policy.yaml:5: rule r: unknown key 'verdit'; did you mean 'verdict'?",
    ],
    rule(*DENY, "timeout: 5m"): ["policy.yaml:6: rule r: timeout: not carried out by this version"],
    rule(*DENY, "on_timeout: deny"): ["policy.yaml:6: rule r: on_timeout: not carried out by this version"],
    rule(*DENY, "feedback: model"): ["policy.yaml:6: rule r: feedback: not carried out by this version"],
    rule(*DENY, "status: 200"): ["policy.yaml:6: rule r: status: input should be greater than or equal to 400"],
    rule(*DENY, "reason: 7"): ["policy.yaml:6: rule r: reason must be a text, not a number; put it in quotes"],
    rule(*DENY, "tools: [7]"): ["policy.yaml:6: rule r: tools must be a text, not a number; put it in quotes"],
    rule(*DENY, "edit: redact"): ["policy.yaml:6: rule r: edit needs verdict modify, not deny"],
    rule(*DENY, "find: [canary]"): ["policy.yaml:6: rule r: find canary: not carried out by this version"],
    rule(*DENY, "find: [secrt]"): ["policy.yaml:6: rule r: unknown class of findings 'secrt'; did you mean 'secret'?"],
    rule(*DENY, "find: [pii/emial]"): ["policy.yaml:6: rule r: unknown kind of pii 'emial'; did you mean 'email'?"],
    rule(*DENY, "find: [secret/github_tokn]"): [
        "policy.yaml:6: rule r: unknown kind of secret 'github_tokn'; did you mean 'github_token'?"
    ],
    rule(*DENY, "find: [injection]"): [
        "policy.yaml:6: rule r: find injection is for post_tool_execution only: tool results are searched for it"
    ],
    rule("at: pre_llm_request", "verdict: permit", "status: 400"): [
        "policy.yaml:6: rule r: status needs verdict deny, not permit"
    ],
    rule("at: pre_llm_request", "verdict: deny", "tools: [x]"): [
        "policy.yaml:6: rule r: tools needs at pre_tool_execution or post_tool_execution: no other event has a tool"
    ],
    rule("at: pre_llm_request", "verdict: modify"): ["policy.yaml:5: rule r: verdict modify needs an edit"],
    rule("at: pre_llm_request", "verdict: modify", "edit: strip"): [
        "policy.yaml:6: rule r: edit strip needs find: it changes what was found"
    ],
    rule("at: pre_tool_execution", "verdict: modify", "edit: {inject: x}"): [
        "policy.yaml:6: rule r: edit inject is possible at pre_llm_request only"
    ],
    rule("at: pre_llm_request", "verdict: modify", "edit: redakt"): [
        "policy.yaml:6: rule r: unknown edit 'redakt'; did you mean 'redact'?"
    ],
    rule("at: pre_llm_request", "verdict: modify", "edit: replace"): [
        "policy.yaml:6: rule r: edit replace takes a text: {replace: TEXT}"
    ],
    rule("at: pre_llm_request", "verdict: modify", "edit: {replace: 3}"): [
        "policy.yaml:6: rule r: edit replace takes a text"
    ],
    # conditions
    rule(*DENY, "when: tool.nam == 'x'"): [
        "policy.yaml:6: rule r: condition: tool has no field 'nam'; did you mean 'name'?"
    ],
    rule(*DENY, "when: |", "  tool.name == 'x' &&", "  tool.nam == 'y'"): [
        "policy.yaml:8: rule r: condition: tool has no field 'nam'; did you mean 'name'?"
    ],
    rule(*DENY, "when: >-", "  tool.name == 'x' &&", "  tool.nam == 'y'"): [
        "policy.yaml:7: rule r: condition: tool has no field 'nam'; did you mean 'name'?"
    ],
    rule(*DENY, "when: tool.name == 3"): [
        "policy.yaml:6: rule r: condition: found no matching overload for '_==_' applied to '(string, int)'"
    ],
    # budgets
    "version: 1\nbudgets:\n  - {id: b, per: session, window: 24h, limit: {tool_calls: 1}, exceeded: ask}\n": [
        "policy.yaml:3: budget b: budget subject session: not carried out by this version",
        "policy.yaml:3: budget b: window 24h: not carried out by this version",
        "policy.yaml:3: budget b: limit tool_calls: not carried out by this version",
        "policy.yaml:3: budget b: consequence ask: not carried out by this version",
    ],
    "version: 1\nbudgets:\n  - {id: b, per: label:team, window: run, limit: {usd: 1}}\n": [
        "policy.yaml:3: budget b: budget subject label:team: not carried out by this version",
        "policy.yaml:3: budget b: window run: not carried out by this version",
    ],
    "version: 1\nbudgets:\n  - {id: b, per: agent, window: day, limit: {tokns: 1}}\n": [
        "policy.yaml:3: budget b: unknown limit 'tokns'; did you mean 'tokens'?"
    ],
    "version: 1\nbudgets:\n  - id: b\n    per: agent\n    window: day\n    limit: {tokens: 1.5}\n": [
        "policy.yaml:6: budget b: limit tokens must be a whole number",
    ],
    "version: 1\nbudgets:\n  - {id: b, per: agent, window: day, limit: {}}\n": [
        "policy.yaml:3: budget b: limit needs usd, tokens or requests"
    ],
    "version: 1\nbudgets:\n  - {id: b, per: agent, window: day, limit: {usd: .inf, tokens: 0, requests: many}}\n": [
        "policy.yaml:3: budget b: usd: must be above 0, and finite",
        "policy.yaml:3: budget b: tokens: must be above 0, and finite",
        "policy.yaml:3: budget b: requests: must be a number",
    ],
}


@pytest.mark.parametrize("text", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_its_place(write: Write, text: str) -> None:
    assert problems(write(text)) == MISTAKES[text]


def test_all_mistakes_are_told_together(write: Write) -> None:
    one = write("version: 1\nfailur: open\nfailure: opened\n", "one.yaml")
    two = write(rule(*DENY, "when: tool.nam"), "two.yaml")
    assert problems(one, two) == [
        "one.yaml:2: unknown key 'failur'; did you mean 'failure'?",
        "one.yaml:3: unknown failure policy 'opened'; did you mean 'open'?",
        "two.yaml:6: rule r: condition: tool has no field 'nam'; did you mean 'name'?",
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert problems(tmp_path / "gone.yaml") == ["gone.yaml: cannot be read: No such file or directory"]


def test_a_folder_without_policies(tmp_path: Path) -> None:
    assert problems(tmp_path)[0].endswith("no policy files (*.yaml) in this folder")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"version: \xff\n")
    assert problems(tmp_path / "p.yaml")[0].startswith("p.yaml: not YAML: ")


def test_ids_are_used_once(write: Write) -> None:
    one, two = write(rule(*DENY), "one.yaml"), write("version: 1\n\n" + rule(*DENY).split("\n", 1)[1], "two.yaml")
    assert problems(one, two) == ["two.yaml:4: rule r: duplicate id, first at one.yaml:3"]


def test_files_that_differ_on_a_setting(write: Write) -> None:
    one = write("version: 1\nfailure: open\ndetectors: {pii: {kinds: [email]}}\n", "one.yaml")
    two = write("version: 1\nfailure: closed\ndetectors: {pii: {kinds: [card]}}\n", "two.yaml")
    assert problems(one, two) == [
        "two.yaml:2: failure differs from one.yaml:2",
        "two.yaml:3: detectors.pii.kinds differs from one.yaml:3",
    ]


def test_a_kind_that_is_not_looked_for(write: Write) -> None:
    text = rule(*DENY, "find: [pii/card]") + "detectors: {pii: {kinds: [email]}}\n"
    assert problems(write(text)) == [
        "policy.yaml:6: rule r: find pii/card can never fire: detectors.pii.kinds does not have card"
    ]


# the schema


def test_the_shipped_schema_is_fresh() -> None:
    shipped = Path(__file__).parents[1] / "policies" / "schema.json"
    assert shipped.read_text() == schema(), "run: midstream schema > policies/schema.json"
