"""Bootstrap intervals hold the truth as often as they say, also where neighbours are alike."""

from __future__ import annotations

import math

import numpy as np

from riverrun.tasks.measures.intervals import Interval, block_length, bootstrap


def interval(values: np.ndarray, weights: np.ndarray | None = None, seed: int = 0) -> Interval:
    """The interval of a mean over tokens, or of a ratio of sums: what they come to by block is bootstrapped."""
    edges = np.arange(0, len(values), block_length(len(values)))
    weights = np.ones(len(values)) if weights is None else weights
    return bootstrap(np.add.reduceat(values, edges), np.add.reduceat(weights, edges), seed=seed)


def chain(rng: np.random.Generator, count: int, memory: float) -> np.ndarray:
    values = np.empty(count)
    values[0] = rng.normal()
    for i in range(1, count):
        values[i] = memory * values[i - 1] + rng.normal() * math.sqrt(1 - memory**2)
    return values


def test_nineteen_of_twenty_intervals_hold_the_truth_where_neighbours_are_alike():
    rng = np.random.default_rng(0)
    inside = sum(low <= 0 <= high for low, high in (interval(chain(rng, 6000, 0.9)) for _ in range(60)))
    assert 48 <= inside <= 60, "95 % of 60 are 57; single tokens instead of blocks would give about 21"


def test_the_interval_narrows_with_the_text():
    rng = np.random.default_rng(1)
    wide, narrow = (np.diff(interval(rng.normal(size=n)))[0] for n in (1_000, 100_000))
    assert 7 < wide / narrow < 14


def test_a_ratio_is_of_sums_not_of_means():
    nats, characters = np.array([2.0, 4.0] * 500), np.array([1.0, 3.0] * 500)
    low, high = interval(nats, characters)
    assert low <= 1.5 <= high
    assert interval(np.full(100, 3.0)) == (3.0, 3.0)


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(2).normal(size=3000)
    assert interval(values) == interval(values)
    assert interval(values, seed=1) != interval(values)


def test_texts_too_short_for_blocks_have_an_interval_all_the_same():
    assert interval(np.array([1.0])) == (1.0, 1.0)
    assert all(math.isnan(bound) for bound in bootstrap(np.zeros(0), np.zeros(0)))
    assert all(math.isnan(bound) for bound in bootstrap(np.ones(3), np.zeros(3)))
    assert block_length(1) == 1
