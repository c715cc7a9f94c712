"""Batches of pairs: padded by array operations, each pair once an epoch, from a cursor that can be saved."""

import numpy as np
import pytest

from riverrun.data.pair_arrays import PairArrays, PairBatches, Texts
from riverrun.data.pair_batch import END, UNKNOWN, PairBatch
from riverrun.data.pair_coder import Encoded, PairCoder, learn
from riverrun.data.pair_options import PairOptions
from riverrun.data.pairs import Pairs

random = np.random.default_rng(0)
SOURCES = ["".join(random.choice(list("abcdef"), random.integers(1, 12))) for _ in range(57)]
TARGETS = [" ".join(random.choice(list("UVWXYZ"), random.integers(1, 9))) for _ in range(57)]
PAIRS = Pairs(SOURCES, TARGETS, [""] * 57, SOURCES, SOURCES)


def coder() -> PairCoder:
    return learn(SOURCES, TARGETS, "tsv", PairOptions(source_tokens="chars", target_tokens="spaces"))


def told(batch: PairBatch, made: PairCoder) -> list[tuple[str, str]]:
    """The pairs of a batch as text, by a loop."""
    found = []
    for row in range(batch.source.data.shape[1]):
        source = [int(batch.source.data[step, row]) for step in range(int(batch.source.lengths[row]))]
        target = [int(batch.target.data[step, row]) for step in range(int(batch.target.lengths[row]))]
        assert target.count(END) == 1
        assert target[-1] == END
        found.append((made.source.decode(source), made.target.decode(target)))
    return found


def test_a_batch_holds_its_pairs_and_zeros() -> None:
    made = coder()
    arrays = PairArrays(PAIRS, made)
    batch = arrays.batch(np.array([3, 0, 56, 3]), 7)
    assert told(batch, made) == [(SOURCES[i], TARGETS[i]) for i in (3, 0, 56, 3)]
    assert batch.source.data.shape[0] == max(len(SOURCES[i]) for i in (3, 0, 56))
    assert (batch.source.data[~batch.source.valid()] == 0).all()
    assert (batch.target.data[~batch.target.valid()] == 0).all()
    assert batch.tokens == sum(len(TARGETS[i].split()) + 1 for i in (3, 0, 56, 3))
    assert batch.position == 7
    assert batch.copies is None
    assert len(arrays) == 57


def test_copies_are_told_where_the_model_copies() -> None:
    pairs = Pairs(["a b", "b c"], ["b", "c a"], *[["", ""]] * 3)
    made = learn(pairs.sources, pairs.targets, "scan", PairOptions())
    batch = PairArrays(pairs, made, copies=True).batch(np.array([0, 1]))
    assert batch.copies is not None
    b, c, a = (int(made.target.encode([text]).ids[0]) for text in "bca")
    assert batch.copies.tolist() == [[a, b], [b, c]]


def test_what_a_source_lends_stands_among_the_targets() -> None:
    pairs = Pairs(["call Ann", "call Bob", "call Ann"], ["hi Ann", "hi Bob", "hi Ann"], *[[""] * 3] * 3)
    options = PairOptions(min_count=2, source_tokens="spaces", target_tokens="spaces")
    made = learn(pairs.sources, pairs.targets, "tsv", options)
    batch, plain = (PairArrays(pairs, made, copies=copies).batch(np.array([1])) for copies in (True, False))
    V = made.target.size
    assert batch.copies is not None
    assert batch.copies[:, 0].tolist() == [V, V + 1]
    assert batch.target.data[1:, 0].tolist() == [V + 1, END]
    assert plain.target.data[1:, 0].tolist() == [UNKNOWN, END]


def test_texts_of_length_zero_are_padded_too() -> None:
    texts = Texts.of(Encoded(np.array([5, 6]), np.array([0, 2, 0])))
    data, lengths = texts.padded(np.array([1, 0]))
    assert data.tolist() == [[5, 0], [6, 0]]
    assert lengths.tolist() == [2, 0]
    data, lengths = Texts.of(Encoded(np.zeros(0, np.int64), np.array([0]))).padded(np.array([0]))
    assert data.shape == (0, 1)


@pytest.mark.parametrize("tokens", [12, 40, 1000])
def test_going_through_once_shows_each_pair_once_in_batches_that_are_not_too_large(tokens: int) -> None:
    made = coder()
    arrays = PairArrays(PAIRS, made)
    batches = list(arrays.batches(tokens))
    found = [pair for batch in batches for pair in told(batch, made)]
    assert sorted(found) == sorted(zip(SOURCES, TARGETS, strict=True))
    for batch in batches:
        longest = max(batch.source.data.shape[0], batch.target.data.shape[0])
        assert batch.source.data.shape[1] == 1 or longest * batch.source.data.shape[1] <= tokens


def test_an_epoch_deals_every_pair_by_rows_and_by_tokens() -> None:
    made = coder()
    batches = PairBatches(PairArrays(PAIRS, made), rows=8, tokens=60, seed=3)
    found: list[tuple[str, str]] = []
    while batches.epoch < 1:
        batch = batches.next()
        longest = max(batch.source.data.shape[0], batch.target.data.shape[0])
        assert batch.source.data.shape[1] <= 8
        assert longest * batch.source.data.shape[1] <= 60
        found += told(batch, made)
    assert sorted(found) == sorted(zip(SOURCES, TARGETS, strict=True))


def test_a_saved_cursor_goes_on_with_the_next_batch() -> None:
    made = coder()
    batches = PairBatches(PairArrays(PAIRS, made), rows=8, seed=1)
    for _ in range(11):
        batches.next()
    state = batches.state_dict()
    again = PairBatches(PairArrays(PAIRS, made), rows=8, seed=1)
    again.load_state_dict(state)
    assert again.epoch == batches.epoch
    for _ in range(5):
        assert told(again.next(), made) == told(batches.next(), made)


def test_ranks_share_an_epoch_between_them() -> None:
    made = coder()
    shares = [PairBatches(PairArrays(PAIRS, made), rows=8, seed=1, rank=rank, world=2) for rank in range(2)]
    found: list[tuple[str, str]] = []
    while shares[0].epoch < 1:
        batches = [share.next() for share in shares]
        assert len({batch.position for batch in batches}) == 1
        found += [pair for batch in batches for pair in told(batch, made)]
    assert sorted(found) == sorted(zip(SOURCES, TARGETS, strict=True))
