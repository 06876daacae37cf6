"""Every rule fires on its examples and rests on its negatives, alone and among all others."""

import pytest

from proxy.detectors import Detectors
from proxy.detectors.rules import Rule, Signal, joined, rules, signals

ALL = [(cls, rule) for cls in ("secret", "pii", "pseudonym") for rule in rules(cls)]
by_rule = pytest.mark.parametrize(("cls", "rule"), ALL, ids=[rule.id for _, rule in ALL])
by_signal = pytest.mark.parametrize("signal", signals(), ids=lambda signal: signal.id)


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    return Detectors.load()


@by_rule
def test_a_rule_fires_on_each_of_its_examples(detectors: Detectors, cls: str, rule: Rule) -> None:
    for sample in rule.examples:
        text = f"first line\n{joined(sample)}\nlast line"
        found = detectors.scan(text, frozenset({cls}))
        assert [one.kind for one in found if one.cls == cls] == [rule.kind], joined(sample)


@by_rule
def test_a_rule_rests_on_each_of_its_negatives(detectors: Detectors, cls: str, rule: Rule) -> None:
    for sample in rule.negatives:
        found = detectors.scan(f"first line\n{joined(sample)}\nlast line", frozenset({cls}))
        assert not [one for one in found if one.rule == rule.id], joined(sample)


@by_signal
def test_a_signal_fires_on_its_examples_and_rests_on_its_negatives(signal: Signal) -> None:
    assert all(signal.exact.search(joined(sample)) for sample in signal.examples)
    assert not any(signal.exact.search(joined(sample)) for sample in signal.negatives)


def test_ids_are_given_once() -> None:
    ids = [rule.id for _, rule in ALL]
    assert len(set(ids)) == len(ids)
