"""Every constraint holds in every search, and what it leaves is what exhaustive search over the rest finds."""

from __future__ import annotations

import pytest
import torch
from decoding.table import Table, sources, targets
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from riverrun.data.pair_batch import BEGIN, END, UNKNOWN
from riverrun.decoding.beam import beam
from riverrun.decoding.constraints import Constraints, bounds
from riverrun.decoding.greedy import greedy
from riverrun.decoding.inputs import inputs
from riverrun.decoding.ranking import Ranking
from riverrun.decoding.sampling import Sampling
from riverrun.decoding.sequence_sampling import sample
from riverrun.errors import OptionError, UsageError

PLAIN = Ranking(alpha=0.0)


def repeats(tokens: tuple[int, ...], n: int) -> bool:
    grams = [tokens[i : i + n] for i in range(len(tokens) - n + 1)]
    return len(set(grams)) < len(grams)


def searches(model, given, constraints):
    """All the hypotheses of all three searches, with their sources."""
    found = [
        greedy(model, given, constraints=constraints),
        beam(model, given, width=4, best=3, constraints=constraints),
        sample(model, given, count=3, sampling=Sampling(temperature=2.0), constraints=constraints),
    ]
    return [(i, one) for hypotheses in found for i, each in enumerate(hypotheses) for one in each]


@drawn(
    seed=st.integers(0, 1000),
    least=st.integers(0, 5),
    more=st.integers(0, 5),
    no_repeat=st.integers(0, 3),
    never=st.sampled_from([(), (UNKNOWN,), (UNKNOWN, 4)]),
)
@settings(max_examples=20, deadline=None)
def test_every_search_keeps_every_constraint(seed, least, more, no_repeat, never):
    model, ids = Table(seed=seed), sources(5, seed, longest=4)
    rules = Constraints(min_length=least, max_length=least + more, no_repeat=no_repeat, never=never)
    for i, found in searches(model, inputs(ids), rules):
        assert len(found.tokens) <= least + more
        assert not set(found.tokens) & {BEGIN, END, *never}
        if no_repeat:
            assert not repeats(found.tokens, no_repeat)
        if not no_repeat:  # where nothing else is left, END comes before its time
            assert len(found.tokens) >= least
        assert found.log_p == pytest.approx(model.score(ids[i], found.tokens), abs=1e-9)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (Constraints(max_length=4, min_length=3), lambda tokens: len(tokens) >= 3),
        (Constraints(max_length=4, no_repeat=1), lambda tokens: not repeats(tokens, 1)),
        (Constraints(max_length=4, no_repeat=2), lambda tokens: not repeats(tokens, 2)),
        (Constraints(max_length=4, never=(UNKNOWN, 5)), lambda tokens: not {UNKNOWN, 5} & set(tokens)),
        (Constraints(max_length=2), lambda tokens: len(tokens) <= 2),
    ],
    ids=str,
)
def test_a_wide_beam_is_exhaustive_search_among_what_is_allowed(rules, allowed):
    model, given = Table(seed=21), sources(10, 21)
    free = beam(model, inputs(given), width=400, best=40, constraints=Constraints(max_length=4))
    bound = beam(model, inputs(given), width=400, best=40, constraints=rules)
    assert bound != free
    for source, found in zip(given, bound, strict=True):
        lp = Ranking().penalty
        scored = [(model.score(source, t) / float(lp(len(t) + 1)), t) for t in targets(6, 4) if allowed(t)]
        assert [one.tokens for one in found] == [tokens for _, tokens in sorted(scored, reverse=True)[:40]]


def test_a_prefix_comes_first_and_the_rest_is_the_best_there_is_after_it():
    model, given = Table(seed=22), sources(8, 22)
    prefixes = [[], [3], [4, 4], [UNKNOWN, 3, 5], [], [5], [3, 3], [4]]
    rules = Constraints(max_length=4, no_repeat=1, never=(UNKNOWN,))  # a prefix goes before all of them
    batch = inputs(given, prefixes=prefixes)
    for i, one in searches(model, batch, Constraints(max_length=4)):
        assert one.tokens[: len(prefixes[i])] == tuple(prefixes[i])
        assert one.log_p == pytest.approx(model.score(given[i], one.tokens), abs=1e-9)
    for source, prefix, [found] in zip(
        given,
        prefixes,
        beam(model, batch, width=400, ranking=PLAIN, constraints=Constraints(max_length=4)),
        strict=True,
    ):
        everything = [t for t in targets(6, 4) if t[: len(prefix)] == tuple(prefix)]
        assert found.tokens == max(everything, key=lambda t: model.score(source, t))
    for prefix, [found] in zip(prefixes, beam(model, batch, width=4, constraints=rules), strict=True):
        rest = found.tokens[len(prefix) :]
        assert found.tokens[: len(prefix)] == tuple(prefix)
        assert UNKNOWN not in rest
        assert len(set(rest)) == len(rest)
        assert not set(rest) & set(prefix)


def test_during_a_common_prefix_each_source_takes_one_row():
    model, given = Table(seed=23), sources(6, 23)
    beam(model, inputs(given, prefixes=[[3, 4, 5]] * 6), width=4, constraints=Constraints(max_length=5))
    assert model.calls[:4] == [6, 6, 6, 6]


def test_where_nothing_is_left_the_target_ends():
    model = Table(seed=24)
    rules = Constraints(min_length=9, max_length=9, no_repeat=1)  # there are four tokens
    for _, one in searches(model, inputs([[3], [4]]), rules):
        assert len(one.tokens) == 4


def test_bounds_of_each_source():
    batch = inputs([[3] * 2, [3] * 100, [3] * 4], prefixes=[[3] * 15, [], [4]])
    found = bounds(Constraints(max_length=40), batch)
    assert found.limit.tolist() == [40, 40, 40]
    assert torch.equal(found.prefix, batch.prefix)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"min_length": -1}, "min_length: expected a number of tokens, 0 or more, got -1"),
        ({"max_length": -2}, "max_length: expected"),
        ({"no_repeat": -1}, "no_repeat: expected"),
        ({"min_length": 5, "max_length": 4}, "min_length: expected at most max_length, 4, got 5"),
        ({"never": (END,)}, "END"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        Constraints(**options)


def test_a_prefix_longer_than_the_target_may_be_is_refused():
    with pytest.raises(OptionError, match=r"prefix: .* max_length is 2"):
        greedy(Table(), inputs([[3]], prefixes=[[3, 4, 5]]), constraints=Constraints(max_length=2))


@pytest.mark.parametrize("mark", [BEGIN, END])
def test_a_prefix_holds_no_marks(mark):
    with pytest.raises(UsageError, match="mark"):
        inputs([[3]], prefixes=[[3, mark]])
