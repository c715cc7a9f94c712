"""Sampled targets are what the table and the uniforms say, in any batch."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from decoding.table import Table, sources, targets

from riverrun.data.pair_batch import BEGIN, END
from riverrun.decoding.constraints import Constraints
from riverrun.decoding.greedy import greedy
from riverrun.decoding.inputs import in_batches, inputs
from riverrun.decoding.sampling import Sampling, uniforms
from riverrun.decoding.sequence_sampling import sample
from riverrun.errors import ModelError, UsageError

PLAIN = Sampling(temperature=1.0, seed=5)


def by_hand(model: Table, source: list[int], stream: int, limit: int) -> tuple[int, ...]:
    """Inversion of the model's own distribution, one token after another."""
    tokens: list[int] = []
    while len(tokens) < limit:
        p = model.log_p[model.kind(source), len(tokens), tokens[-1] if tokens else BEGIN].exp().numpy()
        token = int((np.cumsum(p) <= uniforms(PLAIN.seed, stream, len(tokens), 1)[0]).sum())
        if token == END:
            break
        tokens.append(token)
    return tuple(tokens)


def test_each_draw_has_the_documented_stream():
    model, given = Table(seed=41), sources(8, 41)
    found = sample(model, inputs(given), sampling=PLAIN, count=3, constraints=Constraints(max_length=10))
    for i, (source, hypotheses) in enumerate(zip(given, found, strict=True)):
        drawn = [by_hand(model, source, i + (draw << 32), 10) for draw in range(3)]
        assert Counter(one.tokens for one in hypotheses) == Counter(drawn)
        for one in hypotheses:
            assert one.score == one.log_p == pytest.approx(model.score(source, one.tokens), abs=1e-9)


def test_a_batch_means_the_same_as_one_source_at_a_time():
    model, given = Table(seed=42), sources(30, 42)
    whole = sample(model, inputs(given), sampling=PLAIN, count=2, attention=True)
    alone = [sample(model, inputs([one], places=[i]), sampling=PLAIN, count=2)[0] for i, one in enumerate(given)]
    assert whole == alone
    assert in_batches(lambda batch: sample(model, batch, sampling=PLAIN, count=2), given, rows=4) == alone
    for source, hypotheses in zip(given, whole, strict=True):
        for one in hypotheses:
            assert one.attention == pytest.approx(model.looks(source, len(one.tokens)), abs=1e-6)
    assert min(model.calls[:10]) < 60  # sources that have ended leave


def test_frequencies_are_the_probabilities():
    model, source = Table(seed=43), [3, 4]
    found = sample(model, inputs([source]), sampling=PLAIN, count=4000, constraints=Constraints(max_length=2))
    counts = Counter(one.tokens for one in found[0])
    for tokens in targets(6, 1):
        p = math.exp(model.score(source, tokens))
        assert abs(counts[tokens] / 4000 - p) < 4 * math.sqrt(p * (1 - p) / 4000)


def test_cold_is_greedy_and_filters_act():
    model, given = Table(seed=44), sources(10, 44)
    rules = Constraints(max_length=8)
    plain = [one.tokens for [one] in greedy(model, inputs(given), constraints=rules)]
    for cold in (Sampling(temperature=0.0), Sampling(temperature=1.0, top_k=1), Sampling(temperature=1.0, top_p=1e-9)):
        assert [one.tokens for [one] in sample(model, inputs(given), sampling=cold, constraints=rules)] == plain
    assert [one.tokens for [one] in sample(model, inputs(given), sampling=PLAIN, constraints=rules)] != plain


def test_seeds_differ_and_repeat():
    model, given = Table(seed=45), inputs(sources(20, 45))
    first, again, other = (sample(model, given, sampling=Sampling(seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_no_draws_are_refused_and_broken_weights_are_a_sentence():
    with pytest.raises(UsageError, match="count"):
        sample(Table(), inputs([[3]]), count=0)
    model = Table()
    model.log_p = model.log_p * torch.nan
    with pytest.raises(ModelError, match="NaN"):
        sample(model, inputs([[3]]))
    assert sample(Table(), inputs([])) == []
