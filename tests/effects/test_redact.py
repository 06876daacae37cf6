"""Edits of one text: what stands where a span was, and offsets that always add up."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.decision import Edit, EditKind, Finding, TextEdit
from proxy.effects.pseudonymise import Pseudonyms
from proxy.effects.redact import apply, difference, text_edits

KEY = b"k" * 32


def finding(start: int, end: int, kind: str = "email") -> Finding:
    return Finding("pii", kind, "rule", start, end)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Edit(EditKind.REDACT), "to [REDACTED:email]!"),
        (Edit(EditKind.MASK), "to ****.org!"),
        (Edit(EditKind.REPLACE, "somebody"), "to somebody!"),
        (Edit(EditKind.STRIP), "to [removed by midstream: email]!"),
    ],
)
def test_each_edit_says_what_it_did(edit: Edit, expected: str) -> None:
    text = "to ann@example.org!"
    assert apply(text, text_edits(text, [(finding(3, 18), edit)], Pseudonyms(KEY))) == expected


def test_a_short_value_is_masked_whole() -> None:
    assert (
        apply("pin 1234", text_edits("pin 1234", [(finding(4, 8), Edit(EditKind.MASK))], Pseudonyms(KEY))) == "pin ****"
    )


def test_a_pseudonym_is_the_same_everywhere_and_comes_back() -> None:
    first, second = Pseudonyms(KEY), Pseudonyms(KEY)
    placeholder = first.placeholder("email", "ann@example.org")
    assert placeholder == second.placeholder("email", "ann@example.org")
    assert placeholder != Pseudonyms(b"other" * 8).placeholder("email", "ann@example.org")
    assert first.restore(placeholder) == "ann@example.org"


@pytest.mark.parametrize(
    "mangle",
    [
        lambda text: text,
        lambda text: text.strip("⟪⟫"),
        lambda text: text.upper(),
        lambda text: text.replace("_", "\\_"),
        lambda text: text.replace("⟪", "<<").replace("⟫", ">>"),
        lambda text: f"**{text.strip('⟪⟫')}**",
    ],
)
def test_what_models_do_to_a_placeholder_does_not_lose_it(mangle) -> None:  # type: ignore[no-untyped-def]
    pseudonyms = Pseudonyms(KEY)
    placeholder = pseudonyms.placeholder("credit_card", "4111 1111 1111 1111")
    assert pseudonyms.restore(mangle(placeholder)) == "4111 1111 1111 1111"


def test_a_placeholder_of_another_exchange_is_left_alone() -> None:
    assert Pseudonyms(KEY).restore(Pseudonyms(KEY).placeholder("email", "ann@example.org")) is None


def test_of_overlapping_edits_the_one_that_tells_less_wins() -> None:
    text = "key=abcdef@example.org"
    orders = [(finding(4, 22), Edit(EditKind.PSEUDONYMISE)), (finding(0, 12, "token"), Edit(EditKind.REDACT))]
    assert apply(text, text_edits(text, orders, Pseudonyms(KEY))) == "[REDACTED:token]"


spans = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: finding(pair[0], pair[0] + pair[1]))


@given(st.text(min_size=52, max_size=60), st.lists(spans, max_size=8))
def test_edits_are_sorted_disjoint_and_cover_every_finding(text: str, findings: list[Finding]) -> None:
    edits = text_edits(text, [(item, Edit(EditKind.REDACT)) for item in findings], Pseudonyms(KEY))
    assert all(left.end <= right.start for left, right in pairwise(edits))
    covered = {at for edit in edits for at in range(edit.start, edit.end)}
    assert covered == {at for item in findings for at in range(item.start, item.end)}


@given(st.text(alphabet="ab", max_size=12), st.text(alphabet="ab", max_size=12))
def test_difference_turns_one_text_into_the_other(old: str, new: str) -> None:
    edits = difference(old, new)
    assert apply(old, edits) == new
    assert (edits == []) == (old == new)


def test_difference_is_as_short_as_the_common_ends_allow() -> None:
    assert difference('{"to":"x@y.z"}', '{"to":"P"}') == [TextEdit(7, 12, "P")]
