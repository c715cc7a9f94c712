"""TagBatch: sentences side by side, and the distinct words in them, whose letters are read once each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from riverrun.data.buckets import Buckets
from riverrun.data.vocabularies import IGNORED, Coded, Integers
from riverrun.sequences import Sequences


class TagBatch(NamedTuple):
    """B sentences of at most T words, of which D are distinct, time first.

    rows: Sequences of [T, B] int64, which of the D words stands there. words, vectors: [D] int64 ids of those.
    letters: Sequences of [L, D] int64. targets: [T, B] int64, -1 at padding and where no tag is to be predicted.
    tokens: how many targets are >= 0. position: the batch's place in the epoch.
    """

    rows: Sequences
    words: Tensor
    vectors: Tensor
    letters: Sequences
    targets: Tensor
    tokens: int
    position: int
    scale: float = 1.0


def collate(coded: Coded, indices: Integers, position: int = 0) -> TagBatch:
    """The sentences of those numbers, [B], as one batch."""
    lengths = coded.lengths[indices]  # [B]
    steps = int(lengths.max(initial=0))
    inside = np.arange(steps)[:, None] < lengths  # [T, B]
    place = np.where(inside, coded.starts[indices] + np.arange(steps)[:, None], 0)  # [T, B]
    distinct, which = np.unique(coded.words[place[inside]], return_inverse=True)  # [D]
    # Words of about equal length side by side: with one long word among 300 the letters' LSTM took 5/6 of the time so.
    order = np.argsort(coded.lexicon.lengths[distinct], kind="stable")
    distinct, which = distinct[order], np.argsort(order)[which]
    rows = np.zeros((steps, len(indices)), np.int64)
    rows[inside] = which
    targets = np.full((steps, len(indices)), IGNORED, np.int64)
    targets[inside] = coded.tags[place[inside]]
    lexicon = coded.lexicon
    spelt = lexicon.lengths[distinct]
    letters = np.ascontiguousarray(lexicon.letters[distinct, : spelt.max(initial=0)].T)  # [L, D]
    return TagBatch(
        Sequences(torch.from_numpy(rows), torch.from_numpy(lengths)),
        torch.from_numpy(lexicon.words[distinct]),
        torch.from_numpy(lexicon.vectors[distinct]),
        Sequences(torch.from_numpy(letters), torch.from_numpy(spelt)),
        torch.from_numpy(targets),
        int((targets != IGNORED).sum()),
        position,
    )


class TagBatches:
    """Endless batches of coded sentences, dealt by `Buckets`."""

    def __init__(self, coded: Coded, buckets: Buckets) -> None:
        self._coded, self._buckets = coded, buckets

    @property
    def epoch(self) -> float:
        """How often the sentences have been gone through, with its fraction."""
        return self._buckets.epoch

    def next(self) -> TagBatch:
        """The next batch."""
        return collate(self._coded, *self._buckets.next())

    def state_dict(self) -> dict[str, Any]:
        """The cursor, for JSON."""
        return self._buckets.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._buckets.load_state_dict(state)
