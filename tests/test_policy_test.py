"""The runner of `*.test.yaml`: what it finds, what it says of a case that fails, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy import policy_test

type Write = Callable[[str, str], Path]

POLICY = """version: 1
rules:
  - {id: no-bash, at: pre_tool_execution, tools: [Bash], verdict: deny, reason: not here}
  - {id: mail, at: [pre_llm_request, post_llm_response], find: [pii/email], verdict: modify, edit: redact}
  - {id: kind, at: pre_llm_request, agents: [novice], verdict: modify, edit: {inject: Be kind.}}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str, name: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written


def told(path: Path) -> list[str]:
    """The report, with the folder left out."""
    lines, _ = policy_test.test([path])
    return [line.replace(f"{path if path.is_dir() else path.parent}/", "") for line in lines]


GOOD = """- name: bash is denied
  point: pre_tool_execution
  tool: {name: Bash, arguments: {command: {join: [l, s]}}}
  expect: {verdict: deny, rule: no-bash, reason: not here}
- name: mail is redacted
  point: pre_llm_request
  request: {system: [You are kind.], messages: [[jane, "@corp-mail.com"], {text: hi, role: assistant}]}
  expect: {verdict: modify, edits: [redact pii/email], inject: []}
- name: in answers too
  point: post_llm_response
  response: {parts: ["jane@corp-mail.com"], stop_reason: stop, usage: {output: 3}}
  expect: modify
- name: novices are told
  point: pre_llm_request
  agent: novice
  request: {messages: [hi]}
  expect: {verdict: modify, rule: kind, inject: [Be kind.]}
- name: others are not
  point: pre_llm_request
  expect: {verdict: permit, rule: ""}
"""


@pytest.mark.parametrize("given", ["p.yaml", "p.test.yaml", ""])
def test_tests_are_found_by_policy_by_name_and_by_folder(write: Write, tmp_path: Path, given: str) -> None:
    write(POLICY, "p.yaml")
    write(GOOD, "p.test.yaml")
    assert policy_test.test([tmp_path / given]) == (["5 of 5 cases as expected"], 0)


def test_a_case_that_fails_says_where_and_how(write: Write) -> None:
    policy = write(POLICY, "p.yaml")
    write(GOOD.replace("verdict: deny, rule: no-bash", "verdict: permit, rule: no-shell"), "p.test.yaml")
    assert told(policy) == [
        "p.test.yaml:1: bash is denied: verdict is deny, expected permit; rule is no-bash, expected no-shell",
        "4 of 5 cases as expected",
    ]
    assert policy_test.test([policy])[1] == 1


def test_lists_and_nothing_are_shown(write: Write) -> None:
    policy = write(POLICY, "p.yaml")
    expected = "{verdict: permit, rule: mail, edits: [redact pii/email]}"
    case = f"- {{name: x, point: pre_llm_request, request: {{messages: [a b]}}, expect: {expected}}}"
    write(case, "p.test.yaml")
    assert told(policy)[0] == (
        "p.test.yaml:1: x: rule is none, expected mail; edits is [], expected [redact pii/email]"
    )


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ("", "p.test.yaml: is empty"),
        ("a: b\n", "p.test.yaml:1: must be a list, not a mapping"),
        ("[]\n", "p.test.yaml:1: holds no case"),
        ("- name: x\n", "p.test.yaml:1: key 'point' is missing"),
        (
            "- name: x\n  point: pre_llm_request\n  expct: deny\n  expect: deny\n",
            "p.test.yaml:3: unknown key 'expct'; did you mean 'expect'?",
        ),
        (
            "- name: x\n  point: pre_llm_reqest\n  expect: deny\n",
            "p.test.yaml:2: unknown point 'pre_llm_reqest'; did you mean 'pre_llm_request'?",
        ),
        ("- name: x\n  name: y\n", "p.test.yaml:2: duplicate key 'name', first in line 1"),
    ],
)
def test_a_test_file_that_cannot_be_read(write: Write, cases: str, said: str) -> None:
    policy = write(POLICY, "p.yaml")
    write(cases, "p.test.yaml")
    assert said in told(policy)


def test_a_policy_that_is_wrong_fails_its_tests(write: Write) -> None:
    policy = write("version: 1\nrule: []\n", "p.yaml")
    write(GOOD, "p.test.yaml")
    assert told(policy)[0] == "p.yaml:2: unknown key 'rule'; did you mean 'rules'?"


def test_missing_tests_are_a_failure(write: Write, tmp_path: Path) -> None:
    assert told(write(POLICY, "p.yaml"))[0] == "p.test.yaml: no tests: this file is missing"
    (folder := tmp_path / "empty").mkdir()
    (result,) = policy_test.results([folder])
    assert result.problem == "no tests (*.test.yaml) in this folder"
