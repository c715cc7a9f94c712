"""Batches of sentences: what stands where is what the sentences say, by a loop over words."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from riverrun.data.buckets import Buckets
from riverrun.data.tag_batch import TagBatches, collate
from riverrun.data.vocabularies import IGNORED, TagCoder

WORDS = [["the", "cat", "sat"], ["a", "dog"], [], ["the", "the", "naïve", "cat", "dog"], ["x"]]
TAGS = [["D", "N", "V"], ["D", ""], [], ["D", "D", "A", "N", "N"], ["N"]]
CODER = TagCoder.of(WORDS, TAGS)
CODED = CODER.encode(WORDS, TAGS)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_a_batch_says_of_every_word_what_the_coder_says(indices):
    batch = collate(CODED, np.array(indices), 7)
    lengths = [len(WORDS[i]) for i in indices]
    steps = max(lengths)
    assert batch.rows.lengths.tolist() == lengths
    assert batch.rows.data.shape == batch.targets.shape == (steps, len(indices))
    assert batch.position == 7
    assert len(batch.words) == len({word for i in indices for word in WORDS[i]}), "each distinct word once"
    count = 0
    for column, index in enumerate(indices):
        for t in range(steps):
            if t >= lengths[column]:
                assert batch.targets[t, column] == IGNORED
                continue
            word, tag = WORDS[index][t], TAGS[index][t]
            row = int(batch.rows.data[t, column])
            assert batch.words[row] == CODER.word(word)
            assert batch.vectors[row] == 0
            spelt = batch.letters.data[: batch.letters.lengths[row], row].tolist()
            assert spelt == CODER.spelt(word)
            assert batch.targets[t, column] == (CODER.tags.index(tag) if tag else IGNORED)
            count += bool(tag)
    assert batch.tokens == count
    assert batch.rows.data.dtype == batch.words.dtype == batch.letters.data.dtype == torch.int64


def test_an_epoch_deals_every_sentence_once_and_goes_on_after_a_restart():
    def batches() -> TagBatches:
        return TagBatches(CODED, Buckets(CODED.lengths, rows=2, seed=3))

    going, restarted = batches(), batches()
    first = [going.next()]
    while going.epoch % 1:
        first.append(going.next())
    assert sum(batch.tokens for batch in first) == sum(bool(tag) for tags in TAGS for tag in tags)
    restarted.load_state_dict(going.state_dict())
    one, two = going.next(), restarted.next()
    assert torch.equal(one.rows.data, two.rows.data)
    assert torch.equal(one.targets, two.targets)
