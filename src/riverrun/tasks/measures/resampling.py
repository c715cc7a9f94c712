"""Resampling: intervals of figures that are functions of sums over items, such as an error rate or BLEU.

Items (sentences, words) are independent, so they are drawn with replacement, each with all of its sums: the figure of
a draw is computed from the sums of that draw (Koehn 2004, "Statistical significance tests for machine translation
evaluation").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from riverrun.tasks.measures.classification import Figure, of_draws

Floats = NDArray[np.float64]

DRAWS = 2000
BLOCKS = 2000  # more items are added up to so many groups first; of independent items the interval is the same
TOGETHER = 100  # draws made at a time, so that counts take 2 MB


def drawn(sums: Floats, *, seed: int = 0) -> Floats:
    """[1 + DRAWS, F] from [N, F], the sums of each item: all items as they came first, then N drawn with replacement.

    >>> drawn(np.array([[1.0, 2.0], [0.0, 2.0]]))[0]
    array([1., 4.])
    """
    count = min(len(sums), BLOCKS)
    if not count:
        return np.zeros((1, sums.shape[1]))
    generator, chances = np.random.default_rng(seed), np.full(count, 1 / count)
    grouped = np.zeros((count, sums.shape[1]))
    # In a drawn order: items that lie at even distances may well be alike.
    np.add.at(grouped, generator.permutation(len(sums)) % count, sums)
    rows = [
        generator.multinomial(count, chances, size=TOGETHER).astype(np.float64) @ grouped
        for _ in range(DRAWS // TOGETHER)
    ]
    return np.concatenate([sums.sum(0)[None], *rows])


def figure(name: str, sums: Floats, of: Callable[[Floats], Floats], unit: str, better: str, *, seed: int = 0) -> Figure:
    """A figure and its 95 % interval. of: the figure of each draw from its sums, [D, F] -> [D]; NaN: it has none."""
    return of_draws(name, of(drawn(sums, seed=seed)), unit, better)


def some(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the numbers of `count` items, in a drawn order, the same each time.

    The first ones of a file may be of one label, and those at even distances, too.

    >>> sorted(some(3, 5).tolist()), len(some(1000, 10))
    ([0, 1, 2], 10)
    """
    return np.random.default_rng(0).permutation(count)[:most]


def ratio(sums: Floats) -> Floats:
    """First column by second, NaN where there is nothing to divide by: [D, 2] -> [D]."""
    found: Floats = np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] > 0)
    return found


def columns(*values: Sequence[float] | NDArray[np.generic]) -> Floats:
    """[N, F] of F columns."""
    return np.stack([np.asarray(one, np.float64) for one in values], 1)
