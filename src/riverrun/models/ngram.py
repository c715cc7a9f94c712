"""N-gram language models by counting, in numpy alone: the baselines that a network has to beat.

Every n-gram that occurs gets a number, built up from the shorter one: the (k+1)-gram that ends at i is the pair (number
of the k-gram that ends at i-1, token i), so one sort of such pairs per order counts a million tokens exactly, without
hashing, in about 0.2 s. The same numbers serve as contexts, so a text is scored by one binary search per order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from riverrun.errors import UsageError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

WINDOW = 1 << 16  # tokens of a long text scored together: bounds the memory, no result depends on it


@dataclass(frozen=True)
class Order:
    """What was counted of the k-grams, k = `Counts.orders.index(self) + 1`; M of them, numbered as `keys` lie.

    keys: [M], sorted: (number of the (k-1)-gram before the last token) * (vocabulary + 1) + last token.
    raw: [M], how often it occurs as a prediction; 0 where it ends in padding.
    continuations: [M], how many different tokens stand before it; for the longest k it is not counted, and empty.
    contexts: the number of (k-1)-grams.
    """

    keys: Integers
    raw: Integers
    continuations: Integers
    contexts: int


@dataclass(frozen=True)
class Counts:
    """The counts of a text, for all orders up to `len(orders)`; token `vocabulary` is 'before the start'."""

    vocabulary: int
    orders: tuple[Order, ...]


def padded(ids: NDArray[np.integer], starts: NDArray[np.integer], vocabulary: int, width: int) -> Integers:
    """`ids` with `width` padding tokens (id `vocabulary`) before each document; no n-gram then spans two documents."""
    bounds = np.unique(np.concatenate([[0], np.asarray(starts, np.int64)]))
    return np.insert(np.asarray(ids, np.int64), np.repeat(bounds[bounds < max(1, len(ids))], width), vocabulary)


def count(ids: NDArray[np.integer], vocabulary: int, order: int, starts: NDArray[np.integer] | None = None) -> Counts:
    """Count all n-grams up to `order` of a text of token ids, [N] (document starts: `starts`, [D]).

    Raises UsageError for an order below 1.
    """
    if order < 1:
        raise UsageError(f"order: expected at least 1, got {order}.")
    text = padded(ids, np.zeros(1, np.int64) if starts is None else starts, vocabulary, order - 1)
    base = vocabulary + 1
    real = text < vocabulary  # [N']
    number = np.zeros(len(text) + 1, np.int64)  # number[i]: of the k-gram before token i; the 0-gram is number 0
    shorter = number[:-1]
    contexts = 1
    orders: list[Order] = []
    for _ in range(order):
        # Before the text's first k-1 tokens a k-gram is cut short. They are padding, so it counts nowhere.
        keys, first, inverse = np.unique(number[:-1] * base + text, return_index=True, return_inverse=True)
        raw = np.bincount(inverse, weights=real, minlength=len(keys)).astype(np.int64)
        if orders:  # which (k-1)-gram each k-gram ends in: each distinct k-gram is one token that stands before it
            counted = first[raw > 0]
            continuations = np.bincount(shorter[counted], minlength=len(orders[-1].keys))
            last = orders.pop()
            orders.append(Order(last.keys, last.raw, continuations, last.contexts))
        orders.append(Order(keys, raw, np.zeros(0, np.int64), contexts))
        contexts, shorter = len(keys), inverse
        number = np.concatenate([[0], inverse])  # the k-gram that ends at i-1 stands before token i
    return Counts(vocabulary, tuple(orders))


def find(keys: Integers, wanted: Integers) -> Integers:
    """Where each of `wanted` lies in the sorted `keys`; -1 where it does not."""
    if not len(keys):
        return np.full(wanted.shape, -1, np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def numbers(counts: Counts, text: Integers) -> Iterator[tuple[Integers, Integers]]:
    """For each order k: (number of the (k-1)-gram before each token, number of the k-gram it ends), -1 where unseen."""
    base = counts.vocabulary + 1
    context = np.zeros(len(text), np.int64)
    for order in counts.orders:
        gram = np.where(context >= 0, find(order.keys, context * base + text), -1)
        yield context, gram
        context = np.concatenate([[-1], gram[:-1]]) if len(text) else gram


def by_window(
    nats: Callable[[NDArray[np.integer], Integers], Floats],
    ids: NDArray[np.integer],
    starts: Integers,
    context: int,
) -> Iterator[tuple[int, Floats]]:
    """What `nats(ids, starts)` gives for a long text, window after window: where each begins, and its nats.

    context: how many tokens before a token its nats depend on, the model's order less one; each window is read with so
    many before it.
    """
    for begin in range(0, len(ids), WINDOW):
        end, first = min(begin + WINDOW, len(ids)), max(begin - context, 0)
        low, high = np.searchsorted(starts, [first, end])
        yield begin, nats(ids[first:end], starts[low:high] - first)[begin - first :]


def followers(counts: Counts, k: int, context: int) -> tuple[slice, Integers]:
    """The k-grams that continue (k-1)-gram number `context`: their numbers and their last tokens."""
    base = counts.vocabulary + 1
    keys = counts.orders[k - 1].keys
    low, high = np.searchsorted(keys, [context * base, (context + 1) * base])
    return slice(int(low), int(high)), keys[low:high] - context * base


def context_numbers(counts: Counts, history: Sequence[int], longest: int) -> list[int]:
    """Numbers of the 0-, 1-, ... gram that ends `history`, up to `longest` tokens, as far as they were seen.

    A history shorter than that is one at the start of a document.
    """
    tail = ([counts.vocabulary] * longest + list(history))[len(history) :]  # the last `longest` of them
    found = [0]
    for length in range(1, longest + 1):
        number = 0
        for k, token in enumerate(tail[longest - length :]):
            number = int(find(counts.orders[k].keys, np.array([number * (counts.vocabulary + 1) + token]))[0])
            if number < 0:
                return found
        found.append(number)
    return found


@dataclass(frozen=True)
class Unsmoothed:
    """The unsmoothed model of `order` (Goldberg 2015, 'The unreasonable effectiveness of character-level models').

    P(w | context) = c(context w) / c(context), for the longest end of the context that was ever continued: it writes
    well, and gives many tokens of an unseen text the probability 0.
    """

    counts: Counts
    order: int

    @cached_property
    def totals(self) -> tuple[Floats, ...]:
        """For each order, how often each context was continued."""
        base = self.counts.vocabulary + 1
        bincounts = (np.bincount(o.keys // base, o.raw, o.contexts) for o in self.counts.orders[: self.order])
        return tuple(np.asarray(found, np.float64) for found in bincounts)

    def nats(self, ids: NDArray[np.integer], starts: NDArray[np.integer] | None = None) -> Floats:
        """-ln P of each token given those before it in its document, [N]; infinite where the model excludes it."""
        text = padded(ids, np.zeros(1, np.int64) if starts is None else starts, self.counts.vocabulary, self.order - 1)
        chance = np.zeros(len(text))
        for order, total, (context, gram) in zip(
            self.counts.orders, self.totals, numbers(self.counts, text), strict=False
        ):
            seen = (context >= 0) & (total[context] > 0)
            chance = np.where(seen, np.where(gram >= 0, order.raw[gram], 0) / np.maximum(total[context], 1), chance)
        with np.errstate(divide="ignore"):
            return np.asarray(-np.log(chance[text < self.counts.vocabulary]))

    def distribution(self, history: Sequence[int]) -> Floats:
        """P of every token after `history`, [vocabulary]."""
        for k, number in reversed(list(enumerate(context_numbers(self.counts, history, self.order - 1), start=1))):
            grams, tokens = followers(self.counts, k, number)
            raw = self.counts.orders[k - 1].raw[grams]
            if raw.sum() > 0:
                chances = np.zeros(self.counts.vocabulary + 1)
                chances[tokens] = raw / raw.sum()
                return chances[:-1]
        return np.full(self.counts.vocabulary, 1 / self.counts.vocabulary)


def frequencies(ids: NDArray[np.integer], vocabulary: int) -> Integers:
    """How often each token occurs, [vocabulary]; a text that is mapped from disk is read in pieces."""
    found = np.zeros(vocabulary, np.int64)
    for begin in range(0, len(ids), WINDOW):
        found += np.bincount(ids[begin : begin + WINDOW], minlength=vocabulary)
    return found


def unigram_nats(counts: NDArray[np.integer]) -> Floats:
    """-ln P of each token by its frequency alone, one added to each count (Laplace), [vocabulary]."""
    return np.asarray(-np.log((counts + 1.0) / (counts.sum() + len(counts))))
