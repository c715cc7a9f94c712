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


def blocks(count: int) -> int:
    """The length of a block for a text of `count` tokens.

    >>> blocks(100), blocks(100_000), blocks(10_000_000)
    (5, 500, 5000)
    """
    return max(1, min(BLOCK, count // 20), -(-count // 2000))


def bootstrap(values: Values, weights: Values | None = None, *, seed: int = 0) -> Interval:
    """The 95 % interval of sum(values) / sum(weights), by drawing blocks of both with replacement.

    values: [N] per token, such as nats. weights: [N], such as characters per token; one each where not given.
    One block has no interval: then low and high are the ratio itself. NaN where there is no token.
    """
    count = len(values)
    weights = np.ones(count) if weights is None else weights
    if not count or not weights.sum():
        return Interval(float("nan"), float("nan"))
    edges = np.arange(0, count, blocks(count))
    sums = np.stack([np.add.reduceat(values, edges), np.add.reduceat(weights, edges)], axis=1)  # [K, 2]
    drawn = np.random.default_rng(seed).multinomial(len(edges), np.full(len(edges), 1 / len(edges)), size=DRAWS) @ sums
    ratios = drawn[:, 0] / np.where(drawn[:, 1] > 0, drawn[:, 1], np.nan)  # [DRAWS]
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return Interval(float(low), float(high))
