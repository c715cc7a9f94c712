"""Batches of labelled texts, time first, in buckets of about equal length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from riverrun.data.buckets import Buckets
from riverrun.data.labelled import Example
from riverrun.data.labels import Targets
from riverrun.sequences import Sequences

Ids = NDArray[np.int64]


class LabelledPart(NamedTuple):
    """The examples of a part: the ids of each text, its targets (labels.py), and the example itself."""

    ids: list[Ids]
    targets: Targets
    examples: list[Example]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[N]: how many tokens each text has."""
        return np.array([len(ids) for ids in self.ids], np.int64)


class LabelledBatch(NamedTuple):
    """texts: ids [T, B]. targets: [B] int64, or [B, C] of several labels. tokens: how many are predicted, B."""

    texts: Sequences
    targets: Tensor
    tokens: int
    position: int
    scale: float = 1.0


def padded(texts: Sequence[Ids]) -> Sequences:
    """Texts as one array, [T, B], with zeros as padding.

    >>> padded([np.array([5, 6]), np.array([7])]).data.tolist()
    [[5, 7], [6, 0]]
    """
    lengths = [len(ids) for ids in texts]
    data = np.zeros((max(lengths, default=0), len(texts)), np.int64)
    for column, ids in enumerate(texts):
        data[: len(ids), column] = ids
    return Sequences(torch.from_numpy(data), torch.tensor(lengths, dtype=torch.int64))


def batch_of(part: LabelledPart, indices: Sequence[int] | NDArray[np.int64], position: int = 0) -> LabelledBatch:
    """The examples of those numbers as a batch."""
    texts = padded([part.ids[index] for index in indices])
    return LabelledBatch(texts, torch.from_numpy(part.targets[np.asarray(indices)]), len(indices), position)


class LabelledBatches:
    """Endless batches of a part, as `training.loop.fit` draws them; their order is that of data.buckets.Buckets."""

    def __init__(self, part: LabelledPart, buckets: Buckets) -> None:
        self._part, self._buckets = part, buckets

    @property
    def epoch(self) -> float:
        """How often the examples have been gone through, with its fraction."""
        return self._buckets.epoch

    def next(self) -> LabelledBatch:
        """The next batch of this process."""
        dealt = self._buckets.next()
        return batch_of(self._part, dealt.indices, dealt.position)

    def state_dict(self) -> dict[str, Any]:
        """The cursor, for JSON."""
        return self._buckets.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._buckets.load_state_dict(state)


def by_length(lengths: NDArray[np.int64], rows: int = 128, tokens: int = 1 << 15) -> Iterator[NDArray[np.int64]]:
    """All numbers once, the longest texts first, in groups of at most `rows` texts and `tokens` tokens with padding."""
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        size = max(1, min(rows, tokens // max(1, int(lengths[order[begin]]))))
        yield order[begin : begin + size]
        begin += size
