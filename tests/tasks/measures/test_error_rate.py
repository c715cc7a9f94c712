"""Error rates against a recursive Levenshtein distance and figures worked out by hand."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.tasks.measures.error_rate import distances, exact, figures, nearest

WORDS = st.text("abc", max_size=7)


@cache
def levenshtein(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    same = levenshtein(a[1:], b[1:]) + (a[0] != b[0])
    return min(same, levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=12))
def test_distances_are_levenshteins(pairs):
    found = distances([a for a, _ in pairs], [b for _, b in pairs])
    assert found.tolist() == [levenshtein(a, b) for a, b in pairs]


def test_tokens_are_whatever_can_be_compared():
    assert distances([["T", "AH"], [1, 2, 3]], [["T", "UW", "AH"], [3, 2, 1]]).tolist() == [1, 2]


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=8))
def test_the_nearest_reference_counts_the_first_among_equals(items):
    edits, lengths = nearest([one for one, _ in items], [row for _, row in items])
    for (output, references), found, length in zip(items, edits, lengths, strict=True):
        best = min(references, key=lambda one: levenshtein(output, one))
        assert (found, length) == (levenshtein(output, best), len(best))


def test_figures_worked_out_by_hand():
    outputs = ["T AH M EY T OW", "K AE T", "D AO G", ""]
    references = [["T AH M EY T OW", "T AH M AA T OW"], ["K AA T S", "K AE T S"], ["D AO G"], ["AH"]]
    word, phoneme = figures(outputs, references)
    assert (word.name, word.unit, word.better) == ("word error", "share", "lower")
    assert word.value == 2 / 4
    assert phoneme.name == "phoneme error"
    assert phoneme.value == pytest.approx((0 + 1 + 0 + 1) / (6 + 4 + 3 + 1))
    assert word.low <= word.value <= word.high
    assert exact(outputs, references).value == 2 / 4


def test_nouns_and_tokens_are_the_callers():
    command, character = figures(["abd"], [["abc"]], item="command", token="character", split=list)
    assert [command.name, character.name] == ["command error", "character error"]
    assert character.value == pytest.approx(1 / 3)
    assert exact(["abc "], [["abc"]]).value == 1.0  # tokens are compared, not spaces


def test_an_output_without_a_reference_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="reference"):
        nearest(["a", "b"], [["a"], []])
