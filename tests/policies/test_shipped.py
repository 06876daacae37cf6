"""The policies that are shipped: each has tests beside it, which hold, and each rule fires once and rests once."""

from pathlib import Path

import pytest

from proxy.decision import Verdict
from proxy.policy import is_test, load
from proxy.policy_test import Result, results

FOLDER = Path(__file__).parents[2] / "policies"
SHIPPED = sorted(file for file in FOLDER.glob("*.yaml") if not is_test(file))
WITH_RULES = [file for file in SHIPPED if load([file]).rules]
CASES = [result for file in WITH_RULES for result in results([file])]


def named(result: Result) -> str:
    return f"{Path(result.file).name}: {result.case}"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_policy_is_valid_and_names_its_schema(file: Path) -> None:
    load([file])
    assert file.read_text().startswith("# yaml-language-server: $schema=./schema.json\n")


def test_all_can_be_used_together() -> None:
    assert len(load([FOLDER]).files) == len(SHIPPED)


@pytest.mark.parametrize("result", CASES, ids=named)
def test_a_case_goes_as_expected(result: Result) -> None:
    assert result.problem == ""


@pytest.mark.parametrize("file", WITH_RULES, ids=lambda file: file.name)
def test_every_rule_fires_once_and_rests_once(file: Path) -> None:
    decisions = [result.decision for result in results([file])]
    for rule in load([file]).rules:
        fired = [decision is not None and rule.ref in decision.matched for decision in decisions]
        assert any(fired), f"{rule.ref.id} never fires"
        assert not all(fired), f"{rule.ref.id} never rests"


def test_baseline_denies_nothing_ordinary() -> None:
    rested = [one for one in CASES if one.file.endswith("baseline.test.yaml") and one.decision is not None]
    assert Verdict.PERMIT in {result.decision.verdict for result in rested if result.decision}
