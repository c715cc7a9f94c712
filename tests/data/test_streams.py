"""Batches are contiguous lanes with resets and ignored targets where they belong, the same after any interruption."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.data import Batch, Streams, Tokens, evaluation
from riverrun.errors import DataError, UsageError


def tokens(count: int, starts: tuple[int, ...] = (0,)) -> Tokens:
    return Tokens(np.arange(count, dtype=np.uint16), np.asarray(starts, np.int64))  # the id is the place


@st.composite
def cut_tokens(draw: st.DrawFn) -> Tokens:
    count = draw(st.integers(2, 80))
    return tokens(count, tuple(sorted({0} | draw(st.sets(st.integers(1, count - 1), max_size=12)))))


def same(one: Batch, two: Batch) -> bool:
    resets = (one.resets is None) == (two.resets is None)
    if one.resets is not None and two.resets is not None:
        resets = torch.equal(one.resets, two.resets)
    equal = torch.equal(one.inputs, two.inputs) and torch.equal(one.targets, two.targets)
    return resets and equal and one[3:] == two[3:]


@settings(deadline=None)
@given(cut_tokens(), st.integers(1, 7), st.integers(1, 11))
def test_an_epoch_is_what_a_plain_loop_over_lanes_gives(data: Tokens, lanes: int, window: int) -> None:
    length = (len(data.ids) - 1) // lanes
    if length == 0:
        with pytest.raises(DataError, match="too few for"):
            Streams(data, lanes=lanes, window=window)
        return
    streams, starts = Streams(data, lanes=lanes, window=window), set(data.starts.tolist())
    for epoch in range(2):
        for begin in range(0, length, window):
            assert streams.epoch == epoch + begin / length
            batch = streams.next()
            steps = min(window, length - begin)
            assert batch.inputs.shape == batch.targets.shape == (steps, lanes)
            assert batch.inputs.dtype == batch.targets.dtype == torch.int64
            assert batch.position == begin
            assert batch.scale == 1.0
            expected = 0
            for step in range(steps):
                for lane in range(lanes):
                    place = lane * length + begin + step
                    crosses = place + 1 in starts
                    expected += not crosses
                    reset = batch.resets is not None and bool(batch.resets[step, lane])
                    assert batch.inputs[step, lane] == place
                    assert batch.targets[step, lane] == (-1 if crosses else place + 1)
                    assert reset == (place in starts or begin + step == 0)
            assert batch.tokens == expected


def test_no_resets_at_all_is_none() -> None:
    streams = Streams(tokens(101), lanes=2, window=10)
    assert [streams.next().resets is None for _ in range(6)] == [False, True, True, True, True, False]


@settings(deadline=None)
@given(cut_tokens(), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_the_ranks_batches_are_the_columns_of_one_process_s(data: Tokens, lanes: int, world: int, random: bool) -> None:
    if len(data.ids) <= lanes * world:
        return
    options = {"window": 6, "random_window": random, "seed": 3}
    whole = Streams(data, lanes=lanes * world, **options)  # type: ignore[arg-type]
    ranks = [Streams(data, lanes=lanes, rank=rank, world=world, **options) for rank in range(world)]  # type: ignore[arg-type]
    for _ in range(10):
        one, parts = whole.next(), [rank.next() for rank in ranks]
        assert torch.equal(one.inputs, torch.cat([part.inputs for part in parts], 1))
        assert torch.equal(one.targets, torch.cat([part.targets for part in parts], 1))
        assert one.tokens == sum(part.tokens for part in parts)
        none = torch.zeros(one.inputs.shape[0], lanes, dtype=torch.bool)
        resets = torch.cat([none if part.resets is None else part.resets for part in parts], 1)
        assert torch.equal(torch.zeros_like(resets) if one.resets is None else one.resets, resets)
        assert {(part.position, part.scale) for part in parts} == {(one.position, one.scale)}


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 7, 40])
def test_going_on_from_a_saved_cursor_gives_the_very_next_batches(random: bool, steps: int) -> None:
    data = tokens(1000, (0, 13, 500, 777))
    options = {"lanes": 3, "window": 20, "random_window": random, "seed": 5}
    undisturbed, stopped, resumed = (Streams(data, **options) for _ in range(3))  # type: ignore[arg-type]
    for _ in range(steps):
        undisturbed.next()
        stopped.next()
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    for _ in range(40):
        assert resumed.epoch == undisturbed.epoch
        assert same(resumed.next(), undisturbed.next())


def test_a_cursor_of_other_data_or_lanes_is_refused() -> None:
    state = Streams(tokens(1000), lanes=4, window=10).state_dict()
    Streams(tokens(1000), lanes=2, window=10, rank=1, world=2).load_state_dict(state)
    with pytest.raises(DataError, match="4 lanes over all processes, now there are 5"):
        Streams(tokens(1000), lanes=5, window=10).load_state_dict(state)
    with pytest.raises(DataError, match="249 steps in a lane, now there are 24"):
        Streams(tokens(100), lanes=4, window=10).load_state_dict(state)


def test_random_windows_follow_merity_et_al() -> None:
    streams = Streams(tokens(60_000), lanes=1, window=70, random_window=True, seed=1)
    batches = [streams.next() for _ in range(700)]
    sizes = np.array([len(batch.inputs) for batch in batches])
    half = sizes < 52
    assert 0.02 < half.mean() < 0.09  # 0.05
    assert abs(sizes[~half].mean() - 70) < 1.5
    assert abs(sizes[half].mean() - 35) < 5
    assert 4 < sizes[~half].std() < 6.5
    assert sizes.min() >= 5
    assert all(batch.scale == len(batch.inputs) / 70 for batch in batches)
    other = Streams(tokens(60_000), lanes=1, window=70, random_window=True, seed=2)
    assert [len(other.next().inputs) for _ in range(20)] != sizes[:20].tolist()


def test_random_windows_work_where_windows_are_tiny() -> None:
    streams = Streams(tokens(100), lanes=1, window=2, random_window=True)
    assert min(len(streams.next().inputs) for _ in range(50)) >= 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"lanes": 0}, "lanes"), ({"window": 0}, "window"), ({"rank": 2, "world": 2}, "rank"), ({"world": 0}, "world")],
)
def test_a_wrong_argument_is_told_by_name(wrong: dict[str, int], told: str) -> None:
    with pytest.raises(UsageError, match=f"{told}: expected"):
        Streams(tokens(100), **{"lanes": 2, "window": 5, **wrong})  # type: ignore[arg-type]


def test_too_many_lanes_are_told_with_the_most_that_fit() -> None:
    with pytest.raises(DataError, match="10 tokens, too few for 64 lanes: use at most 9"):
        Streams(tokens(10), lanes=64, window=5)
    Streams(tokens(10), lanes=9, window=5).next()


@settings(deadline=None, max_examples=200)
@given(cut_tokens(), st.integers(1, 9), st.integers(1, 6), st.integers(0, 10))
def test_evaluation_scores_every_token_but_the_first_of_each_document_once(
    data: Tokens, window: int, lanes: int, overlap: int
) -> None:
    starts = set(data.starts.tolist())
    batches = list(evaluation(data, window, lanes=lanes, overlap=overlap))
    targets = torch.cat([batch.targets for batch in batches])  # [overlap + L, lanes]
    inputs = torch.cat([batch.inputs for batch in batches])
    scored = targets.T.reshape(-1)
    expected = [place for place in range(len(data.ids)) if place not in starts]
    assert scored[scored >= 0].tolist() == expected, "lane by lane the text is in its order"
    assert sum(batch.tokens for batch in batches) == len(expected)
    assert torch.equal(targets[targets >= 0], inputs[targets >= 0] + 1)
    resets = torch.cat(
        [torch.zeros_like(b.inputs, dtype=torch.bool) if b.resets is None else b.resets for b in batches]
    )
    for lane in range(targets.shape[1]):
        column = [int(place) for place in inputs[:, lane]]
        for step, place in enumerate(column):
            if targets[step, lane] < 0:
                continue
            # The state at a scored step has seen the text since the last reset, which is a document's beginning, or
            # lies at least `overlap` tokens before the lane's first scored step.
            since = max(s for s in range(step + 1) if resets[s, lane])
            assert column[since : step + 1] == list(range(column[since], place + 1))
            if column[since] not in starts:
                assert since == 0
                assert step >= overlap


def test_evaluation_with_one_lane_is_carried_from_the_first_token_to_the_last() -> None:
    batches = list(evaluation(tokens(100), 30))
    assert [batch.resets is not None for batch in batches] == [True, False, False, False]
    assert [len(batch.inputs) for batch in batches] == [30, 30, 30, 9]
    assert [batch.position for batch in batches] == [0, 30, 60, 90]
    assert list(evaluation(tokens(1), 5)) == []


def test_streams_over_a_memory_map_copy_only_the_window(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "ids.bin"
    np.arange(1000, dtype=np.uint16).tofile(path)
    mapped = Tokens(np.memmap(path, np.uint16, "r"), np.zeros(1, np.int64))
    streams = Streams(mapped, lanes=4, window=10)
    assert isinstance(streams._inputs, np.memmap)
    assert same(streams.next(), Streams(tokens(1000), lanes=4, window=10).next())


def test_a_share_of_the_lanes_forgets_its_state_before_a_window_the_same_on_every_rank() -> None:
    options = {"window": 10, "fresh": 0.1, "seed": 3}
    whole = Streams(tokens(40_000), lanes=8, **options)  # type: ignore[arg-type]
    ranks = [Streams(tokens(40_000), lanes=4, rank=rank, world=2, **options) for rank in range(2)]  # type: ignore[arg-type]
    plain = Streams(tokens(40_000), lanes=8, window=10)
    forgot = 0
    plain.next(), whole.next(), [stream.next() for stream in ranks]  # the first window of an epoch resets all
    for _ in range(300):
        batch, parts = whole.next(), [stream.next() for stream in ranks]
        resets = torch.zeros_like(batch.inputs, dtype=torch.bool) if batch.resets is None else batch.resets
        columns = [torch.zeros_like(p.inputs, dtype=torch.bool) if p.resets is None else p.resets for p in parts]
        assert torch.equal(resets, torch.cat(columns, dim=1))
        assert not resets[1:].any()
        forgot += int(resets[0].sum())
        other = plain.next()
        assert other.resets is None
        assert torch.equal(other.inputs, batch.inputs)
        assert torch.equal(other.targets, batch.targets)
    assert 160 < forgot < 320  # 2400 chances of 0.1


def test_a_resumed_stream_forgets_in_the_same_places() -> None:
    stopped = Streams(tokens(4000), lanes=4, window=10, fresh=0.3)
    for _ in range(7):
        stopped.next()
    resumed = Streams(tokens(4000), lanes=4, window=10, fresh=0.3)
    resumed.load_state_dict(stopped.state_dict())
    for _ in range(200):
        assert same(stopped.next(), resumed.next())
