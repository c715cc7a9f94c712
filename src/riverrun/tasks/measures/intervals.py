"""Intervals by block bootstrap: how far a mean over one text could have come out otherwise.

Neighbouring tokens are alike (a hard passage is hard for many tokens on end), so whole blocks are drawn, not tokens: an
interval from single tokens would be too narrow (Künsch 1989, "The jackknife and the bootstrap for general stationary
observations").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BLOCK = 500  # tokens; of short texts less, so that there are at least 20 blocks, of long ones more, at most 2000 blocks
DRAWS = 2000


class Interval(NamedTuple):
    """Where the mean lies with 95 % confidence, as far as the one text tells."""

    low: float
    high: float


def block_length(count: int) -> int:
    """The length of a block for a text of `count` tokens.

    >>> block_length(100), block_length(100_000), block_length(10_000_000)
    (5, 500, 5000)
    """
    return max(1, min(BLOCK, count // 20), -(-count // 2000))


def bootstrap(values: Values, weights: Values, *, seed: int = 0) -> Interval:
    """The 95 % interval of sum(values) / sum(weights), by drawing blocks of both with replacement.

    values, weights: [K], each block's sum, of nats and of tokens or characters.
    One block has no interval: then low and high are the ratio itself. NaN where there is nothing to weigh by.
    """
    if not len(values) or not weights.sum():
        return Interval(float("nan"), float("nan"))
    sums = np.stack([values, weights], axis=1)  # [K, 2]
    generator, chances = np.random.default_rng(seed), np.full(len(sums), 1 / len(sums))
    together = DRAWS // 20  # of all at once the counts would be 32 MB
    drawn = np.concatenate([generator.multinomial(len(sums), chances, size=together) @ sums for _ in range(20)])
    ratios = drawn[:, 0] / np.where(drawn[:, 1] > 0, drawn[:, 1], np.nan)  # [DRAWS]
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return Interval(float(low), float(high))
