"""Intervals by drawing items."""

from __future__ import annotations

import numpy as np
import pytest

from riverrun.tasks.measures.resampling import BLOCKS, DRAWS, columns, drawn, figure, ratio


def test_the_first_row_is_all_items_as_they_came():
    sums = np.random.default_rng(0).normal(size=(5000, 3))
    found = drawn(sums)
    assert found.shape == (1 + DRAWS, 3)
    assert found[0] == pytest.approx(sums.sum(0))
    assert found[1:].mean(0) == pytest.approx(sums.sum(0), abs=4 * np.sqrt(5000 / DRAWS))


@pytest.mark.parametrize("count", [300, 3 * BLOCKS + 7])
def test_the_interval_of_a_share_is_the_binomials(count):
    right = np.arange(count) % 5 == 0
    found = figure("exact", columns(right, np.ones(count)), ratio, "share", "higher")
    spread = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / count)
    assert found.value == pytest.approx(right.mean())
    assert found.low == pytest.approx(right.mean() - spread, abs=0.15 * spread)
    assert found.high == pytest.approx(right.mean() + spread, abs=0.15 * spread)


def test_columns_of_an_item_stay_together():
    values = np.random.default_rng(1).integers(1, 9, 400)
    found = figure("x", columns(3 * values, values), ratio, "", "higher")  # a ratio that is the same in every item
    assert (found.low, found.value, found.high) == pytest.approx((3.0, 3.0, 3.0))


def test_a_seed_repeats_and_nothing_has_no_figure():
    sums = columns(np.arange(50), np.ones(50))
    assert figure("x", sums, ratio, "", "higher", seed=3) == figure("x", sums, ratio, "", "higher", seed=3)
    assert figure("x", sums, ratio, "", "higher", seed=3) != figure("x", sums, ratio, "", "higher", seed=4)
    assert np.isnan(figure("x", np.zeros((0, 2)), ratio, "", "higher")[1:4]).all()
