"""PairArrays: all pairs of a part as arrays of ids, of which any rows become a batch by array operations alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from riverrun.data.buckets import Buckets
from riverrun.data.pair_batch import PairBatch
from riverrun.data.pair_coder import Encoded, PairCoder
from riverrun.data.pairs import Pairs
from riverrun.sequences import Sequences

Integers = NDArray[np.int64]
EVALUATED = 12_000  # tokens of a batch that is evaluated, padding counted, of the longer side


class Texts(NamedTuple):
    """N sequences of ids, one after the other: ids, where each begins, [N], and how long each is, [N]."""

    ids: NDArray[np.int32]
    starts: Integers
    lengths: Integers

    @staticmethod
    def of(encoded: Encoded) -> Texts:
        """Encoded texts, with their beginnings."""
        starts = np.cumsum(encoded.lengths) - encoded.lengths
        return Texts(encoded.ids.astype(np.int32), starts, encoded.lengths)

    def padded(self, rows: Integers) -> Sequences:
        """Those sequences side by side, [T, B] int64 and their lengths; padding is 0."""
        lengths = self.lengths[rows]
        steps = np.arange(lengths.max(initial=0))[:, None]  # [T, 1]
        inside = steps < lengths  # [T, B]
        places = np.where(inside, self.starts[rows] + steps, 0)
        data = np.where(inside, self.ids[places], 0).astype(np.int64) if len(self.ids) else places
        return Sequences(torch.from_numpy(data), torch.from_numpy(lengths))


class PairArrays:
    """The pairs of a part, as a model sees them.

    source, target: their ids; each target ends with END. copies: ids of source tokens as targets, as in PairBatch, None
    where the model copies nothing.
    """

    def __init__(self, pairs: Pairs, coder: PairCoder, *, copies: bool = False) -> None:
        source, target = coder.source.encode(pairs.sources), coder.target.encode(pairs.targets, end=True)
        self.copies = None
        if copies:
            lent, target = _lent(pairs, coder, source, target)
            self.copies = Texts.of(lent)
        self.source, self.target = Texts.of(source), Texts.of(target)

    def __len__(self) -> int:
        return len(self.source.lengths)

    @property
    def lengths(self) -> Integers:
        """[N], of each pair the longer side: what a batch pads to."""
        return np.maximum(self.source.lengths, self.target.lengths)

    def batch(self, rows: Integers, position: int = 0) -> PairBatch:
        """Those pairs as a batch."""
        source, target = self.source.padded(rows), self.target.padded(rows)
        copies = self.copies.padded(rows).data if self.copies is not None else None
        return PairBatch(source, target, copies, int(target.lengths.sum()), position)

    def batches(self, tokens: int = EVALUATED) -> Iterator[PairBatch]:
        """Every pair once, in batches of about equal length."""
        order = np.argsort(self.lengths, kind="stable")
        lengths = np.maximum(self.lengths[order], 1)
        begin = 0
        while begin < len(order):
            sizes = np.arange(1, len(order) - begin + 1)[: tokens + 1]
            fitting = int(np.searchsorted(sizes * lengths[begin : begin + len(sizes)], tokens, side="right"))
            end = begin + max(1, fitting)
            yield self.batch(order[begin:end], begin)
            begin = end


def _lent(pairs: Pairs, coder: PairCoder, source: Encoded, target: Encoded) -> tuple[Encoded, Encoded]:
    """The ids of source tokens as targets, and the targets with what their sources lend."""
    copies, targets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for ids, wanted, text, other in zip(source.apart(), target.apart(), pairs.sources, pairs.targets, strict=True):
        found, lent = coder.copied(text, ids)
        copies.append(found)
        targets.append(coder.borrowed(other, wanted, lent) if lent else wanted)
    return Encoded(np.concatenate(copies), source.lengths), Encoded(np.concatenate(targets), target.lengths)


class PairBatches:
    """Endless batches of a part for training, from a cursor that can be saved.

    rows: most pairs in a batch, over all processes. tokens: most tokens of its longer side, padding counted (0: no
    limit). seed, rank, world: as of data.buckets.Buckets.
    """

    def __init__(
        self, arrays: PairArrays, *, rows: int, tokens: int = 0, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self._arrays = arrays
        self._buckets = Buckets(arrays.lengths, rows=rows, tokens=tokens, seed=seed, rank=rank, world=world)

    @property
    def epoch(self) -> float:
        """How often the pairs have been gone through, with its fraction."""
        return self._buckets.epoch

    def next(self) -> PairBatch:
        """The next batch of this process."""
        dealt = self._buckets.next()
        return self._arrays.batch(dealt.indices, dealt.position)

    def state_dict(self) -> dict[str, Any]:
        """The cursor, for JSON."""
        return self._buckets.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, over the same pairs."""
        self._buckets.load_state_dict(state)
