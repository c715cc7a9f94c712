"""Generic beginnings are counted, and held against a target by the formula."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
from decoding.table import Table, sources, targets

from riverrun.data.pair_batch import BEGIN, END, FIRST
from riverrun.decoding.beam import beam
from riverrun.decoding.constraints import Constraints
from riverrun.decoding.inputs import inputs
from riverrun.decoding.prior import Beginnings, Prior
from riverrun.decoding.ranking import Ranking
from riverrun.errors import ModelError, OptionError


def replies(count: int, seed: int = 0) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [(FIRST + draw.integers(0, 3, draw.integers(0, 5))).tolist() for _ in range(count)]


def log_q(training: list[list[int]], tokens: tuple[int, ...], n: int) -> float:
    """ln of max(c, 1) / N of a target's first n predictions, END being one."""
    heads = Counter(tuple([*one, END][:n]) for one in training)
    counted = Counter()
    for head, times in heads.items():
        for k in range(len(head) + 1):
            counted[head[:k]] += times
    return math.log(max(counted[(*tokens, END)[:n]], 1) / len(training))


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_beginnings_are_counts_of_training_targets(n):
    training = replies(40)
    q = Beginnings(training, size=7, tokens=n)
    for target in [*replies(60, seed=1), [6, 6, 6], [3, 6]]:
        state, token, total = q.start(), torch.tensor([BEGIN]), 0.0
        for one in (*target, END)[:n]:
            rows, state = q.step(state, token)
            assert rows.shape == (1, 7)
            total += float(rows[0, one])
            token = torch.tensor([one])
        assert total == pytest.approx(log_q(training, tuple(target), n), abs=1e-12)


def test_a_record_brings_the_same_back():
    q = Beginnings(replies(40), size=7, tokens=3)
    record = json.loads(json.dumps(q.record))
    again = Beginnings.of(record)
    assert len(record["counts"]) < 40
    for token in range(7):
        for one in (q, again):
            _, one.state = one.step(one.start(), torch.tensor([BEGIN]))
        first, second = (one.step(one.state, torch.tensor([token]))[0] for one in (q, again))
        assert torch.equal(first, second)
    with pytest.raises(ModelError, match="not what riverrun wrote"):
        Beginnings.of({**record, "counts": record["counts"][1:]})


def test_a_token_that_was_copied_begins_no_other_target():
    q = Beginnings([[3], [3], [4]], size=5, tokens=2)
    rows, state = q.step(q.start(), torch.tensor([BEGIN]), 7)
    assert rows.shape == (1, 7)
    assert rows[0, 5:].exp().tolist() == pytest.approx([1 / 3, 1 / 3])
    rows, state = q.step(state, torch.tensor([5 + BEGIN]), 7)  # not another node's BEGIN
    assert rows.tolist() == [[0.0] * 7]
    assert state.tolist() == [-1]


def test_no_training_targets_hold_nothing_against_anybody():
    q = Beginnings([], size=5, tokens=2)
    rows, _ = q.step(q.start(), torch.tensor([BEGIN]))
    assert rows.tolist() == [[0.0] * 5]


@pytest.mark.parametrize(("weight", "n"), [(0.5, 1), (0.5, 3), (1.5, 3), (0.7, 9)])
def test_a_wide_beam_finds_what_the_formula_likes_best(weight, n):
    model, given, training = Table(seed=31), sources(6, 31), replies(50)
    prior = Prior(model=Beginnings(training, size=6, tokens=n), weight=weight, tokens=n)
    for kind in (Ranking(alpha=0.0), Ranking(normalise="mean", alpha=1.0)):
        found = beam(
            model, inputs(given), width=400, best=3, ranking=kind, prior=prior, constraints=Constraints(max_length=4)
        )
        for source, hypotheses in zip(given, found, strict=True):
            scored = sorted(
                (
                    ((model.score(source, t) - weight * log_q(training, t, n)) / float(kind.penalty(len(t) + 1)), t)
                    for t in targets(6, 4)
                ),
                reverse=True,
            )[:3]
            assert [one.score for one in hypotheses] == pytest.approx([value for value, _ in scored], abs=1e-9)
            assert [one.tokens for one in hypotheses] == [tokens for _, tokens in scored]
            for one in hypotheses:
                assert one.log_p == pytest.approx(model.score(source, one.tokens), abs=1e-9)


def test_a_common_reply_gives_way_to_a_rarer_one():
    model = Table(kinds=1)
    model.log_p = torch.full_like(model.log_p, math.log(0.01))
    model.log_p[0, 0, BEGIN, 3], model.log_p[0, 0, BEGIN, 4] = math.log(0.5), math.log(0.4)
    model.log_p[0, 1, :, END] = math.log(0.9)
    q = Beginnings([[3]] * 95 + [[4]] * 5, size=6, tokens=2)
    answers = []
    for weight in (0.0, 0.5):
        prior = Prior(model=q, weight=weight, tokens=2)
        [[found]] = beam(model, inputs([[3]]), width=3, prior=prior)
        answers.append(found.tokens)
    assert answers == [(3,), (4,)]


def test_a_batch_means_the_same_as_one_source_at_a_time():
    model, given = Table(seed=33), sources(20, 33)
    prior = Prior(model=Beginnings(replies(50), size=6, tokens=3), weight=0.8, tokens=3)
    alone = [beam(model, inputs([one]), width=3, prior=prior)[0] for one in given]
    assert beam(model, inputs(given), width=3, prior=prior) == alone


@pytest.mark.parametrize(("weight", "tokens", "name"), [(-0.1, 3, "generic_penalty"), (0.1, 0, "generic_tokens")])
def test_what_cannot_be_is_refused_by_name(weight, tokens, name):
    with pytest.raises(OptionError, match=name):
        Prior(model=Beginnings([], size=5, tokens=2), weight=weight, tokens=tokens)
