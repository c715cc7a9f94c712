"""Interpolated modified Kneser-Ney: the strongest of the classical n-gram models, and an honest baseline.

    P_k(w | c) = max(n(c w) - D(n(c w)), 0) / n(c)  +  (D1 N1(c) + D2 N2(c) + D3 N3+(c)) / n(c) * P_{k-1}(w | c')

Here c' is c without its first token; n are counts at the longest order, and below it the number of different tokens
that stand before the k-gram; N_j(c) is the number of tokens with n(c w) = j; P_0 is uniform; an unseen c leaves P_k-1.
Chen & Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 4.1.6 and equation 26.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riverrun.errors import UsageError
from riverrun.models.ngram import Counts, Floats, Integers, context_numbers, count, followers, numbers, padded

FIXED = (0.5, 1.0, 1.5)  # where the counts of counts give no discounts: those that KenLM falls back on


def discounts(counts: Integers) -> tuple[float, float, float]:
    """D1, D2 and D3+ from the counts of counts n1..n4 (Chen & Goodman's equation 26), or `FIXED` where degenerate.

    They are degenerate where one of n1..n4 is 0 or a discount leaves (0, j]: small vocabularies have no rare tokens.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == j)) for j in (1, 2, 3, 4))
    if not min(n1, n2, n3, n4):
        return FIXED
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 < d <= j for j, d in enumerate(found, start=1)) else FIXED


@dataclass(frozen=True)
class Level:
    """One P_k of the equation above, M k-grams in C contexts.

    share: [M], max(n - D, 0) / n(c);  rest: [C], what a context leaves to P_{k-1}; 1 where it was never continued.
    """

    share: Floats
    rest: Floats


def _level(keys: Integers, counts: Integers, contexts: int, base: int) -> Level:
    context = keys // base  # [M]
    discount = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]  # [M]
    total = np.bincount(context, counts, contexts)  # [C]
    rest = np.bincount(context, discount, contexts)  # [C]
    share = (counts - discount) / np.maximum(total, 1)[context]
    return Level(share, np.where(total > 0, rest / np.maximum(total, 1), 1.0))


@dataclass(frozen=True)
class KneserNey:
    """A model of order `len(levels)` over the counted text; build it by `kneser_ney`."""

    counts: Counts
    levels: tuple[Level, ...]

    @property
    def order(self) -> int:
        """The longest n-gram: a context has `order - 1` tokens."""
        return len(self.levels)

    def nats(self, ids: NDArray[np.integer], starts: NDArray[np.integer] | None = None) -> Floats:
        """-ln P of each token given those before it in its document, [N]."""
        text = padded(ids, np.zeros(1, np.int64) if starts is None else starts, self.counts.vocabulary, self.order - 1)
        chance = np.full(len(text), 1 / self.counts.vocabulary)
        for level, (context, gram) in zip(self.levels, numbers(self.counts, text), strict=False):
            chance = _mix(level, context, gram, chance)
        return np.asarray(-np.log(chance[text < self.counts.vocabulary]))

    def distribution(self, history: Sequence[int]) -> Floats:
        """P of every token after `history` (the tokens of its document so far), [vocabulary]."""
        chances = np.full(self.counts.vocabulary + 1, 1 / self.counts.vocabulary)
        for k, number in enumerate(context_numbers(self.counts, history, self.order - 1), start=1):
            grams, tokens = followers(self.counts, k, number)
            chances *= self.levels[k - 1].rest[number]
            chances[tokens] += self.levels[k - 1].share[grams]
        return chances[:-1]


def _mix(level: Level, context: Integers, gram: Integers, chance: Floats) -> Floats:
    """P_k from P_{k-1} for each token of a text: all [N]; -1 in `context` or `gram` where it was not seen."""
    rest = np.where(context >= 0, level.rest[context], 1.0)
    return np.asarray(rest * chance + np.where(gram >= 0, level.share[gram], 0.0))


def _levels(counts: Counts, order: int) -> tuple[Level, ...]:
    base = counts.vocabulary + 1
    lower = [_level(o.keys, o.continuations, o.contexts, base) for o in counts.orders[: order - 1]]
    top = counts.orders[order - 1]
    return (*lower, _level(top.keys, top.raw, top.contexts, base))


def kneser_ney(
    ids: NDArray[np.integer], vocabulary: int, order: int, starts: NDArray[np.integer] | None = None
) -> KneserNey:
    """The model of `order` of a text of token ids, [N], whose documents start at `starts`, [D].

    >>> model = kneser_ney(np.array([0, 1, 0, 1, 0, 2]), vocabulary=3, order=2)
    >>> model.distribution([0]).round(3).tolist(), round(float(model.distribution([0]).sum()), 12)
    ([0.208, 0.479, 0.312], 1.0)
    """
    counts = count(ids, vocabulary, order, starts)
    return KneserNey(counts, _levels(counts, order))


def nats_by_order(
    ids: NDArray[np.integer],
    held_out: NDArray[np.integer],
    vocabulary: int,
    longest: int,
    starts: NDArray[np.integer] | None = None,
    held_out_starts: NDArray[np.integer] | None = None,
) -> list[float]:
    """Mean nats a token of `held_out` under the models of order 1, 2, ... `longest`, from one counting of `ids`."""
    if not len(held_out):
        raise UsageError("held_out: expected at least one token to score, got none.")
    counts = count(ids, vocabulary, longest, starts)
    zero = np.zeros(1, np.int64)
    text = padded(held_out, zero if held_out_starts is None else held_out_starts, vocabulary, longest - 1)
    lower = np.full(len(text), 1 / vocabulary)
    found = []
    for order, (context, gram) in zip(counts.orders, numbers(counts, text), strict=True):
        top = _mix(_level(order.keys, order.raw, order.contexts, vocabulary + 1), context, gram, lower)
        found.append(float(-np.log(top[text < vocabulary]).mean()))
        if len(order.continuations):
            low = _level(order.keys, order.continuations, order.contexts, vocabulary + 1)
            lower = _mix(low, context, gram, lower)
    return found
