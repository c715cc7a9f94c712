"""Bootstrap intervals hold the truth as often as they say, also where neighbours are alike."""

from __future__ import annotations

import math

import numpy as np

from riverrun.tasks.measures.intervals import blocks, bootstrap


def chain(rng: np.random.Generator, count: int, memory: float) -> np.ndarray:
    values = np.empty(count)
    values[0] = rng.normal()
    for i in range(1, count):
        values[i] = memory * values[i - 1] + rng.normal() * math.sqrt(1 - memory**2)
    return values


def test_nineteen_of_twenty_intervals_hold_the_truth_where_neighbours_are_alike():
    rng = np.random.default_rng(0)
    inside = sum(low <= 0 <= high for low, high in (bootstrap(chain(rng, 6000, 0.9)) for _ in range(60)))
    assert 48 <= inside <= 60, "95 % of 60 are 57; single tokens instead of blocks would give about 21"


def test_the_interval_narrows_with_the_text():
    rng = np.random.default_rng(1)
    wide, narrow = (np.diff(bootstrap(rng.normal(size=n)))[0] for n in (1_000, 100_000))
    assert 7 < wide / narrow < 14


def test_a_ratio_is_of_sums_not_of_means():
    nats, characters = np.array([2.0, 4.0] * 500), np.array([1.0, 3.0] * 500)
    low, high = bootstrap(nats, characters)
    assert low <= 1.5 <= high
    assert bootstrap(np.full(100, 3.0)) == (3.0, 3.0)


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(2).normal(size=3000)
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values, seed=1) != bootstrap(values)


def test_texts_too_short_for_blocks_have_an_interval_all_the_same():
    assert bootstrap(np.array([1.0])) == (1.0, 1.0)
    assert all(math.isnan(bound) for bound in bootstrap(np.zeros(0)))
    assert blocks(1) == 1
