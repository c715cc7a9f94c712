"""Filters keep what they say, break ties by the lower id, and refuse values that mean nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from riverrun.decoding import filters
from riverrun.errors import UsageError

some_logits = arrays.arrays(np.float64, (3, 7), elements=st.floats(-8, 8))


def kept(logits):
    return [set(np.flatnonzero(np.isfinite(row)).tolist()) for row in logits]


@given(some_logits, st.integers(1, 9))
def test_top_k_keeps_the_k_likeliest_and_among_equals_the_lower_ids(logits, k):
    expected = [set(sorted(range(7), key=lambda i: (-row[i], i))[:k]) for row in logits]
    filtered = filters.top_k(logits, k)
    assert kept(filtered) == expected
    assert (filtered == logits)[np.isfinite(filtered)].all()


@given(some_logits, st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_tokens_that_hold_p_together(logits, p):
    for row, chosen in zip(logits, kept(filters.top_p(logits, p)), strict=True):
        weights = np.exp(row - row.max())
        share = weights / weights.sum()
        held = sum(share[i] for i in chosen)
        least = min(share[i] for i in chosen)
        assert held >= p - 1e-12
        assert held - least < p + 1e-12  # without its least likely token it would hold less than p
        assert all(share[i] <= least + 1e-15 for i in range(7) if i not in chosen)


def test_top_p_of_almost_nothing_still_keeps_the_likeliest():
    assert kept(filters.top_p(np.log([[0.2, 0.5, 0.3]]), 1e-12)) == [{1}]


@given(some_logits)
def test_a_temperature_of_zero_leaves_only_the_first_of_the_likeliest(logits):
    assert kept(filters.temperature(logits, 0)) == [{int(row.argmax())} for row in logits]


def test_temperature_divides():
    assert filters.temperature(np.array([[1.0, -3.0]]), 2.0).tolist() == [[0.5, -1.5]]


@pytest.mark.parametrize("value", [1e-308, 1e-320, 5e-324])
def test_a_temperature_so_small_that_the_largest_quotient_is_infinite_is_greedy(value):
    logits = np.array([[3.0, -5.0, 7.0, 7.0], [-3.0, -5.0, -3.0, -np.inf], [0.0, -9.0, 0.0, -np.inf]])
    assert kept(filters.temperature(logits, value)) == [{2}, {0}, {0, 2}]  # the last row's largest quotient is 0
    assert kept(filters.temperature(logits * 1e300, 1e-9)) == [{2}, {0}, {0, 2}]
    assert filters.temperature(logits, 0.5).tolist() == (logits * 2).tolist()


def test_values_that_filter_nothing_change_nothing():
    logits = np.array([[1.0, 3.0, 2.0]])
    for same in (filters.top_k(logits, 0), filters.top_k(logits, 3), filters.top_p(logits, 1.0)):
        assert same.tolist() == logits.tolist()


def test_excluded_ids_are_ruled_out_and_the_logits_given_are_untouched():
    logits = np.array([[1.0, 3.0, 2.0]])
    assert kept(filters.exclude(logits, [1])) == [{0, 2}]
    assert logits.tolist() == [[1.0, 3.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: filters.temperature(x, -1), "temperature"),
        (lambda x: filters.temperature(x, float("nan")), "temperature"),
        (lambda x: filters.temperature(x, float("inf")), "temperature"),
        (lambda x: filters.top_k(x, -2), "top_k"),
        (lambda x: filters.top_p(x, 0.0), "top_p"),
        (lambda x: filters.top_p(x, 1.5), "top_p"),
        (lambda x: filters.exclude(x, [0, 1]), "exclude"),
        (lambda x: filters.exclude(x, [2]), "exclude"),
        (lambda x: filters.exclude(x, [-1]), "exclude"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_name(call, name):
    with pytest.raises(UsageError, match=name):
        call(np.zeros((1, 2)))
