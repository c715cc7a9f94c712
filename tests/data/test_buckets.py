"""Buckets: every example once an epoch, little padding, the same batches after a restart and whatever the ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.data.buckets import Buckets
from riverrun.errors import DataError, UsageError

LENGTHS = np.random.default_rng(0).integers(1, 40, 1000)


def epoch(buckets: Buckets) -> list[np.ndarray]:
    found = [buckets.next().indices]
    while buckets.epoch % 1:
        found.append(buckets.next().indices)
    return found


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.integers(1, 8),
    st.integers(0, 20),
    st.integers(0, 3),
)
def test_every_example_comes_once_an_epoch_within_the_limits(lengths, rows, tokens, seed):
    lengths = np.array(lengths)
    buckets = Buckets(lengths, rows=rows, tokens=tokens, seed=seed)
    for number in (1, 2):
        batches = epoch(buckets)
        assert buckets.epoch == number
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for batch in batches:
            assert 1 <= len(batch) <= rows
            assert len(batch) == 1 or not tokens or len(batch) * lengths[batch].max() <= tokens


def test_epochs_differ_and_seeds_differ_and_runs_do_not():
    first, again, other = (Buckets(LENGTHS, rows=8, seed=seed) for seed in (1, 1, 2))
    one, two, three = epoch(first), epoch(again), epoch(other)
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(one, three, strict=True))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(one, epoch(first), strict=False))


def test_little_is_padding():
    batches = epoch(Buckets(LENGTHS, rows=10))
    padded = sum(len(batch) * LENGTHS[batch].max() for batch in batches)
    assert padded < 1.1 * LENGTHS.sum()


@pytest.mark.parametrize("after", [0, 3, 130])
def test_a_restart_goes_on_with_the_very_next_batch(after):
    going, restarted = Buckets(LENGTHS, rows=8, seed=5), Buckets(LENGTHS, rows=8, seed=5)
    for _ in range(after):
        going.next()
    restarted.load_state_dict(going.state_dict())
    for _ in range(140):
        one, two = going.next(), restarted.next()
        assert one.position == two.position
        assert (one.indices == two.indices).all()


def test_ranks_share_the_batches_that_one_process_would_see():
    whole = Buckets(LENGTHS[:33], rows=8)
    shares = [Buckets(LENGTHS[:33], rows=8, rank=rank, world=3) for rank in range(3)]
    for batch in epoch(whole)[:-1]:
        parts = [share.next().indices for share in shares]
        assert all(len(part) for part in parts)
        if len(batch) == 8:
            assert sum(map(len, parts)) >= 8


def test_every_rank_has_a_row_of_every_batch():
    shares = [Buckets(LENGTHS[:17], rows=8, rank=rank, world=4) for rank in range(4)]
    found = [np.concatenate(epoch(share)) for share in shares]
    assert sorted(np.concatenate(found).tolist()) == list(range(17))
    assert len({len(epoch(share)) for share in shares}) == 1


def test_other_data_than_the_checkpoints_is_refused_and_the_cursor_stays():
    buckets = Buckets(LENGTHS, rows=8)
    state = Buckets(LENGTHS[:50], rows=8).state_dict()
    with pytest.raises(DataError, match="made with 50 examples, now there are 1000"):
        buckets.load_state_dict(state)
    assert buckets.epoch == 0
    with pytest.raises(DataError, match="batches"):
        Buckets(LENGTHS, rows=9).load_state_dict(buckets.state_dict())


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="rows"):
        Buckets(LENGTHS, rows=0)
    with pytest.raises(UsageError, match="rank"):
        Buckets(LENGTHS, rows=4, rank=2, world=2)
    with pytest.raises(DataError, match="too few for 4 processes"):
        Buckets(LENGTHS[:3], rows=4, world=4)
