"""Distinct n-grams against sets, and an interval that holds what another draw of answers gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.tasks.measures.diversity import distinct, figures

ANSWERS = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=20)


@given(ANSWERS, st.integers(1, 3))
def test_distinct_is_the_share_of_different_n_grams(answers, n):
    grams = [tuple(one[k : k + n]) for one in answers for k in range(len(one) - n + 1)]
    found = distinct(answers, n)
    if not grams:
        assert np.isnan(found.value)
        return
    assert found.value == pytest.approx(len(set(grams)) / len(grams))
    assert np.isnan(found.low) or found.low <= found.value <= found.high


def test_the_interval_holds_the_figures_of_other_draws_of_as_many_answers():
    draw = np.random.default_rng(0)
    chances = 1 / np.arange(1, 400)
    chances /= chances.sum()

    def answers() -> list[list[str]]:
        return [[str(word) for word in draw.choice(399, draw.integers(3, 9), p=chances)] for _ in range(300)]

    found = distinct(answers(), 1)
    others = [distinct(answers(), 1).value for _ in range(60)]
    assert found.low < np.mean(others) < found.high
    assert 1.0 < (found.high - found.low) / 2 / (1.96 * np.std(others)) < 1.8  # never too narrow


def test_generic_answers_are_seen():
    varied = figures(["i like tea", "he went home", "what a day"])
    generic = figures(["i do not know"] * 3)
    assert [one.name for one in generic] == ["distinct-1", "distinct-2", "commonest answer"]
    assert [one.value for one in varied] == pytest.approx([1.0, 1.0, 1 / 3])
    assert [one.value for one in generic] == pytest.approx([4 / 12, 3 / 9, 1.0])
    assert [one.better for one in generic] == ["higher", "higher", "lower"]


def test_nothing_has_no_figure():
    assert all(np.isnan(one.value) for one in figures([]))
