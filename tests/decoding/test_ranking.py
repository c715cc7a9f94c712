"""Scores by length and coverage, and the bound by which a beam search stops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riverrun.decoding.ranking import Ranking
from riverrun.errors import OptionError


@pytest.mark.parametrize("n", [1, 2, 17])
def test_penalties_are_the_papers(n):
    assert float(Ranking(alpha=0.2).penalty(n)) == pytest.approx((5 + n) ** 0.2 / (5 + 1) ** 0.2)
    assert float(Ranking(normalise="mean", alpha=1.0).penalty(n)) == n
    assert float(Ranking(normalise="mean", alpha=0.5).penalty(n)) == pytest.approx(math.sqrt(n))
    assert float(Ranking(alpha=0.0).penalty(n)) == 1.0


def test_coverage_counts_what_was_looked_at_less_than_once():
    looked = torch.tensor([[0.5, 1.7, 0.0, 9.0], [1.0, 1.0, 1.0, 1.0]])
    valid = torch.tensor([[True, True, True, False], [True, True, True, True]])
    found = Ranking(coverage=0.3).covered(looked, valid)
    assert found.tolist() == pytest.approx([0.3 * (math.log(0.5) + 0.0 + math.log(1e-6)), 0.0], abs=1e-6)


@given(
    total=st.floats(-50, 50),
    falls=st.lists(st.floats(-5, 0), min_size=1, max_size=8),
    near=st.integers(1, 5),
    alpha=st.floats(0, 2),
    kind=st.sampled_from(["gnmt", "mean"]),
)
def test_no_hypothesis_passes_its_bound(total, falls, near, alpha, kind):
    ranking = Ranking(normalise=kind, alpha=alpha)
    far = near + len(falls) - 1
    bound = ranking.bound(torch.tensor([[total]], dtype=torch.float64), near, torch.tensor([[far]]))
    value = total
    for n, fall in enumerate(falls, near):
        value += fall
        assert value / float(ranking.penalty(n)) <= float(bound) + 1e-9


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"normalise": "gnm"}, "normalise: expected one of gnmt, mean, got 'gnm'. Did you mean 'gnmt'"),
        ({"alpha": -1.0}, "alpha: expected"),
        ({"coverage": float("inf")}, "coverage: expected"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        Ranking(**options)
