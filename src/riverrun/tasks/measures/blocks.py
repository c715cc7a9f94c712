"""Blocks: a part of the data, of which figures are added up as its tokens come, so that memory never grows with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riverrun.data.tokens import Tokens
from riverrun.tasks.measures.intervals import block_length

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WINDOW = 1 << 16  # tokens looked at together


@dataclass(frozen=True)
class Blocks:
    """The N predicted tokens of a part, all but the first of each document, in K blocks of `length` (the last one's may
    be less).

    A sum by block, [K], is what the bootstrap needs and all that is kept of what was measured of each token.
    """

    tokens: Tokens
    length: int

    @staticmethod
    def of(tokens: Tokens) -> Blocks:
        """The blocks that the bootstrap draws."""
        return Blocks(tokens, block_length(_predicted(tokens)))

    @property
    def size(self) -> int:
        """N."""
        return _predicted(self.tokens)

    @property
    def sizes(self) -> Floats:
        """How many tokens each block has, [K]."""
        edges = np.arange(0, self.size, self.length)
        return np.minimum(self.size - edges, self.length).astype(np.float64)

    def zeros(self) -> Floats:
        """A sum of nothing, [K]."""
        return np.zeros(-(-self.size // self.length))

    def add(self, sums: Floats, places: Integers, values: Floats) -> None:
        """Add to `sums` what was measured, [M], of the tokens at `places`, [M], of which none begins a document."""
        numbers = places - np.searchsorted(self.tokens.starts, places, side="right")  # among the predicted tokens
        sums += np.bincount(numbers // self.length, values, len(sums))

    def windows(self) -> Iterator[tuple[Integers, Integers]]:
        """The places and the ids of the predicted tokens, window after window."""
        for begin in range(0, len(self.tokens.ids), WINDOW):
            end = min(begin + WINDOW, len(self.tokens.ids))
            places = self.among(begin, end)
            yield places, self.tokens.ids[begin:end][places - begin].astype(np.int64)

    def among(self, begin: int, end: int) -> Integers:
        """The predicted ones among the places begin..end-1."""
        starts = self.tokens.starts
        low, high = np.searchsorted(starts, [begin, end])
        return np.delete(np.arange(begin, end), starts[low:high] - begin)

    def summed(self, table: NDArray[Any]) -> Floats:
        """The sums, [K], of what a table, [V], has for each token."""
        sums = self.zeros()
        for places, ids in self.windows():
            self.add(sums, places, table[ids])
        return sums


def _predicted(tokens: Tokens) -> int:
    return len(tokens.ids) - int(np.searchsorted(tokens.starts, len(tokens.ids)))
