"""Diversity: whether answers differ from each other, or the same few are given to everything.

    distinct-n = different n-grams / all n-grams, over all answers together  (Li et al. 2016, section 5.2)

It falls with the number of answers, so only figures of as many of them compare: those of real answers stand beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from riverrun.tasks.measures.classification import Figure
from riverrun.tasks.measures.resampling import columns, figure, ratio

GROUPS = 100  # parts of the answers, each left out once for the interval
NORMAL = 1.959964  # 95 % of a normal distribution lie within so many standard deviations


def figures(
    outputs: Sequence[str], *, split: Callable[[str], Sequence[str]] = str.split, seed: int = 0
) -> list[Figure]:
    """distinct-1, distinct-2, and the share of answers that are the commonest one.

    >>> [round(one.value, 3) for one in figures(["yes i do", "yes i do", "no"])]
    [0.571, 0.5, 0.667]
    """
    tokens = [tuple(split(one)) for one in outputs]
    commonest = Counter(tokens).most_common(1)
    same = columns([one == commonest[0][0] for one in tokens], np.ones(len(tokens)))
    return [
        distinct(tokens, 1),
        distinct(tokens, 2),
        figure("commonest answer", same, ratio, "share", "lower", seed=seed),
    ]


def distinct(answers: Sequence[Sequence[str]], n: int) -> Figure:
    """distinct-n, with the interval of the jackknife over groups of answers.

    Drawing answers with replacement, as for the other figures, would draw many of them twice and so lower the very
    thing that is measured; leaving some out does not. It is rather too wide than too narrow (Efron and Stein 1981).
    """
    groups = min(GROUPS, len(answers))
    where: dict[tuple[str, ...], int] = {}  # an n-gram's only group, -1 where it is in several
    totals = np.zeros(max(groups, 1))
    for i, answer in enumerate(answers):
        group = i % groups
        for k in range(len(answer) - n + 1):
            gram = tuple(answer[k : k + n])
            totals[group] += 1
            if where.setdefault(gram, group) != group:
                where[gram] = -1
    alone = np.bincount([group for group in where.values() if group >= 0], minlength=len(totals))
    total, name = totals.sum(), f"distinct-{n}"
    if not total:
        return Figure(name, np.nan, np.nan, np.nan, "share", "higher")
    value = len(where) / total
    if groups < 2 or (totals == total).any():
        return Figure(name, float(value), np.nan, np.nan, "share", "higher")
    without = (len(where) - alone) / (total - totals)  # [G]
    spread = NORMAL * np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum())
    return Figure(
        name, float(value), float(max(value - spread, 0.0)), float(min(value + spread, 1.0)), "share", "higher"
    )
