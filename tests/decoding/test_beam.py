"""Beam search against lists of all targets, against a plain search in Python, and against greedy decoding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from decoding.table import Table, sources, targets
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from riverrun.data.pair_batch import BEGIN, END
from riverrun.decoding.beam import beam
from riverrun.decoding.constraints import Constraints
from riverrun.decoding.greedy import greedy
from riverrun.decoding.inputs import in_batches, inputs
from riverrun.decoding.ranking import Ranking
from riverrun.errors import ModelError, OptionError

LONGEST = 4
WIDE = 400  # 4^4 = 256 beginnings of four tokens
SHORT = Constraints(max_length=LONGEST)
RANKINGS = [
    Ranking(alpha=0.0),
    Ranking(alpha=0.6),
    Ranking(alpha=1.0),
    Ranking(normalise="mean", alpha=1.0),
    Ranking(normalise="mean", alpha=2.0),
    Ranking(normalise="mean", alpha=1.0, coverage=0.7),
]


def score(model: Table, ranking: Ranking, source: list[int], tokens: tuple[int, ...]) -> float:
    """The documented formula, written out."""
    looked = model.looks(source, len(tokens) + 1).sum(0)
    return model.score(source, tokens) / lp(ranking, len(tokens) + 1) + ranking.coverage * sum(
        math.log(min(max(one, 1e-6), 1)) for one in looked
    )


def lp(ranking: Ranking, n: int) -> float:
    return ((5 + n) / 6 if ranking.normalise == "gnmt" else n) ** ranking.alpha


def search(model: Table, ranking: Ranking, source: list[int], width: int, best: int, limit: int) -> list[tuple]:
    """A beam search for one source, with lists."""
    beginnings, ended = [(0.0, ())], []
    for position in range(limit + 1):
        extensions = []
        for total, tokens in beginnings:
            row = model.log_p[model.kind(source), position, tokens[-1] if tokens else BEGIN].tolist()
            choices = [END] if position == limit else range(BEGIN + 1, len(row))
            extensions += [(total + row[token], (*tokens, token)) for token in choices]
        extensions = sorted(extensions, reverse=True)[: width - len(ended)]
        ended += [(score(model, ranking, source, one[:-1]), one[:-1]) for _, one in extensions if one[-1] == END]
        worst = sorted(ended, reverse=True)[best - 1][0] if len(ended) >= best else -math.inf
        beginnings = [
            (total, tokens)
            for total, tokens in extensions
            if tokens[-1] != END and total / lp(ranking, limit + 1) > worst
        ]
    return sorted(ended, reverse=True)[:best]


@pytest.mark.parametrize("ranking", RANKINGS, ids=str)
def test_a_wide_beam_is_exhaustive_search(ranking):
    model, given = Table(seed=5, steps=6), sources(12, 5)
    found = beam(model, inputs(given), width=WIDE, best=5, ranking=ranking, constraints=SHORT)
    for source, hypotheses in zip(given, found, strict=True):
        everything = sorted(((score(model, ranking, source, t), t) for t in targets(6, LONGEST)), reverse=True)[:5]
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in everything]
        assert [one.score for one in hypotheses] == pytest.approx([value for value, _ in everything], abs=1e-5)
        assert [one.log_p for one in hypotheses] == pytest.approx(
            [model.score(source, one.tokens) for one in hypotheses], abs=1e-9
        )


def test_rankings_disagree_so_that_the_comparison_means_something():
    model, given = Table(seed=5, steps=6), sources(12, 5)
    firsts = [
        tuple(one.tokens for [one, *_] in beam(model, inputs(given), width=WIDE, ranking=ranking, constraints=SHORT))
        for ranking in RANKINGS
    ]
    assert len(set(firsts)) >= 5


@drawn(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 6),
    best=st.integers(1, 3),
    which=st.integers(0, len(RANKINGS) - 1),
)
@settings(max_examples=25, deadline=None)
def test_a_narrow_beam_is_the_search_that_its_file_describes(seed, width, best, which):
    model, given, ranking, best = Table(seed=seed), sources(3, seed), RANKINGS[which], min(best, width)
    found = beam(model, inputs(given), width=width, best=best, ranking=ranking, constraints=Constraints(max_length=8))
    for source, hypotheses in zip(given, found, strict=True):
        plain = search(model, ranking, source, width, best, 8)
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens in plain]
        assert [one.score for one in hypotheses] == pytest.approx([value for value, _ in plain], abs=1e-5)


@drawn(seed=st.integers(0, 10_000), limit=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_width_one_is_greedy(seed, limit):
    model, given, constraints = Table(seed=seed), sources(9, seed), Constraints(max_length=limit)
    narrow = beam(model, inputs(given), width=1, constraints=constraints, attention=True)
    plain = greedy(model, inputs(given), constraints=constraints, attention=True)
    for [one], [other] in zip(narrow, plain, strict=True):
        assert one.tokens == other.tokens
        assert one.log_p == pytest.approx(other.log_p, abs=1e-9)
        assert one.score == pytest.approx(other.log_p / ((6 + len(one.tokens)) / 6) ** 0.6, abs=1e-9)
        assert np.array_equal(one.attention, other.attention)


@pytest.mark.parametrize("width", [2, 5])
def test_a_batch_means_the_same_as_one_source_at_a_time(width):
    model, given = Table(seed=7), sources(40, 7)
    how = {"width": width, "best": 2, "ranking": RANKINGS[-1], "attention": True}
    alone = [beam(model, inputs([one]), **how)[0] for one in given]
    assert beam(model, inputs(given), **how) == alone
    assert in_batches(lambda batch: beam(model, batch, **how), given, rows=7) == alone
    for source, hypotheses in zip(given, alone, strict=True):
        for one in hypotheses:
            assert one.attention == pytest.approx(model.looks(source, len(one.tokens)), abs=1e-6)


def test_the_best_are_distinct_and_in_order():
    model, given = Table(seed=8), sources(20, 8)
    for hypotheses in beam(model, inputs(given), width=5, best=5):
        scores = [one.score for one in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({one.tokens for one in hypotheses}) == len(hypotheses) == 5


def test_a_source_goes_on_while_a_longer_target_may_still_come_before_the_ended_one():
    """The empty target has ln 0.4 at once; the other token has ln 0.1, and eight more predictions are free."""
    model = Table(kinds=1, steps=12)
    model.log_p = torch.full_like(model.log_p, -torch.inf)
    model.log_p[:, 0, BEGIN, END], model.log_p[:, 0, BEGIN, 3] = math.log(0.4), math.log(0.1)
    model.log_p[:, 1:8, 3, 3], model.log_p[:, 8, 3, END] = 0.0, 0.0
    long, short = (3,) * 8, ()
    for ranking, answer in [(Ranking(alpha=0.0), short), (Ranking(normalise="mean", alpha=1.0), long)]:
        [[found]] = beam(model, inputs([[3]]), width=2, ranking=ranking)
        assert found.tokens == answer


def test_what_cannot_win_any_more_is_not_computed():
    """END is nearly sure from the first step: the other places' beginnings can never win."""
    model = Table(kinds=1)
    model.log_p[:] = model.log_p.masked_fill(torch.arange(6) != END, math.log(1e-3))
    model.log_p[..., END] = math.log(0.996)
    beam(model, inputs(sources(10)), width=5, constraints=Constraints(max_length=20))
    assert model.calls == [10]


def test_finished_sources_leave_and_the_beam_narrows_with_them():
    model, given = Table(seed=11), sources(60, 11)
    beam(model, inputs(given), width=4, constraints=Constraints(max_length=9))
    assert model.calls[0] == 60  # one beginning each
    assert max(model.calls) <= 240
    assert model.calls[-1] < 60


def test_more_answers_than_places_are_refused():
    with pytest.raises(OptionError, match="n_best: expected 1 to 3"):
        beam(Table(), inputs([[3]]), width=3, best=4)
    with pytest.raises(OptionError, match="beam: expected a width of at least 1"):
        beam(Table(), inputs([[3]]), width=0)


def test_a_coverage_penalty_needs_attention():
    with pytest.raises(OptionError, match="no attention"):
        beam(Table(attends=False), inputs([[3]]), ranking=Ranking(coverage=0.2))


def test_broken_weights_are_a_sentence():
    model = Table()
    model.log_p = model.log_p * torch.nan
    with pytest.raises(ModelError, match="NaN"):
        beam(model, inputs([[3], [4, 5]]), constraints=SHORT)
    assert beam(Table(), inputs([])) == []


def test_single_precision_scores_add_up_in_double():
    model, given = Table(seed=12), sources(10, 12)
    exact = beam(model, inputs(given), width=3)
    model.log_p = model.log_p.float()
    for [one], [other] in zip(beam(model, inputs(given), width=3), exact, strict=True):
        assert one.tokens == other.tokens
        assert one.score == pytest.approx(other.score, abs=1e-6)
