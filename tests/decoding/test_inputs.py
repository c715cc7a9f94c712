"""Sources in batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riverrun.decoding.hypothesis import Hypothesis
from riverrun.decoding.inputs import Inputs, batches, in_batches, inputs


def test_a_batch_is_time_first_and_padded():
    batch = inputs([[5, 6, 7], [8]], copies=[[3, -1, 4], [5]], prefixes=[[], [9, 9]])
    assert batch.source.data.tolist() == [[5, 8], [6, 0], [7, 0]]
    assert batch.source.lengths.tolist() == [3, 1]
    assert batch.copies.tolist() == [[3, 5], [-1, -1], [4, -1]]
    assert batch.prefix.tolist() == [[-1, -1], [9, 9]]
    assert batch.place.tolist() == [0, 1]
    assert inputs([[5]], prefixes=[[]]).prefix is None


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 9), st.integers(1, 60))
def test_batches_hold_every_source_once_and_no_more_than_was_said(lengths, rows, tokens):
    found = list(batches(lengths, rows, tokens))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert 1 <= len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= tokens


def test_answers_come_in_the_order_of_the_sources_with_what_belongs_to_each():
    sources, copies, prefixes = [[3], [4, 4, 4], [5, 5]], [[7], [8, 8, 8], [9, 9]], [[6], [], [6, 6]]
    seen = []

    def search(batch: Inputs) -> list[list[Hypothesis]]:
        seen.append(batch.size)
        answers = []
        for b in range(batch.size):
            n = int(batch.source.lengths[b])
            forced = () if batch.prefix is None else tuple(one for one in batch.prefix[b].tolist() if one >= 0)
            tokens = (*batch.source.data[:n, b].tolist(), *batch.copies[:n, b].tolist(), *forced, int(batch.place[b]))
            answers.append([Hypothesis(tokens=tokens, score=0.0, log_p=0.0)])
        return answers

    found = in_batches(search, sources, copies=copies, prefixes=prefixes, rows=2)
    assert [one.tokens for [one] in found] == [(3, 7, 6, 0), (4, 4, 4, 8, 8, 8, 1), (5, 5, 9, 9, 6, 6, 2)]
    assert seen == [2, 1]
