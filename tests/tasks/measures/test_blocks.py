"""Sums by block are those of the tokens, in whatever order and windows they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.data.tokens import Tokens
from riverrun.tasks.measures import blocks as module
from riverrun.tasks.measures.blocks import Blocks


@st.composite
def parts(draw: st.DrawFn) -> Tokens:
    count = draw(st.integers(1, 60))
    starts = sorted({0} | draw(st.sets(st.integers(0, count - 1), max_size=9)))
    ids = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 5, count).astype(np.uint8)
    return Tokens(ids, np.array(starts, np.int64))


@settings(deadline=None)
@given(parts(), st.integers(1, 9), st.integers(1, 70))
def test_sums_are_those_of_the_predicted_tokens_block_after_block(tokens: Tokens, length: int, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", window)
        part, table = Blocks(tokens, length), np.array([1.0, 10.0, 100.0, 1000.0, 10000.0])
        predicted = np.delete(tokens.ids, tokens.starts)
        assert part.size == len(predicted)
        expected = [table[predicted[k : k + length]].sum() for k in range(0, len(predicted), length)]
        assert part.summed(table).tolist() == expected
        assert part.sizes.tolist() == [len(predicted[k : k + length]) for k in range(0, len(predicted), length)]
        assert [id for _, ids in part.windows() for id in ids.tolist()] == predicted.tolist()


@given(parts(), st.randoms())
def test_the_order_in_which_tokens_come_does_not_matter(tokens: Tokens, random) -> None:
    part = Blocks(tokens, 3)
    places = part.among(0, len(tokens.ids))
    sums, shuffled = part.zeros(), list(places.tolist())
    random.shuffle(shuffled)
    for place in shuffled:
        part.add(sums, np.array([place]), np.array([float(place)]))
    edges = np.arange(0, len(places), 3)
    assert sums.tolist() == (np.add.reduceat(places, edges).tolist() if len(places) else [])


def test_a_long_part_has_at_most_two_thousand_blocks() -> None:
    part = Blocks.of(Tokens(np.zeros(5_000_001, np.uint8), np.zeros(1, np.int64)))
    assert (part.size, part.length, len(part.zeros())) == (5_000_000, 2500, 2000)
