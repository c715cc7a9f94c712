"""Spans scored as conlleval scores them: a span is right where its words and its type are those of a true one.

    precision = right / found        recall = right / true        F1 = 2 right / (found + true)

How spans are read from tags is in data/schemes.py. Source: Tjong Kim Sang & Buchholz 2000, "Introduction to the
CoNLL-2000 shared task: chunking", and the program that went with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from riverrun.data.schemes import spans


class Counts(NamedTuple):
    """How many spans are right, were found, and are true."""

    right: int
    found: int
    true: int

    @property
    def precision(self) -> float:
        """The share of the found spans that are right; 0 where none was found, as conlleval has it."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """The share of the true spans that were found; 0 where there are none."""
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.right / (self.found + self.true) if self.found + self.true else 0.0


def counted(expected: Sequence[str], predicted: Sequence[str]) -> dict[str, Counts]:
    """The counts of one sentence by type of span. A word without a tag ("") is outside, whatever was predicted.

    >>> counted(["B-NP", "I-NP", "O"], ["B-NP", "O", "O"])
    {'NP': Counts(right=0, found=1, true=1)}
    """
    predicted = [tag if gold else "" for gold, tag in zip(expected, predicted, strict=True)]
    true, found = spans(expected), spans(predicted)
    right = Counter(span.type for span in set(true) & set(found))
    trues, founds = (Counter(span.type for span in part) for part in (true, found))
    return {kind: Counts(right[kind], founds[kind], trues[kind]) for kind in sorted(trues | founds)}


def added(counts: Iterable[dict[str, Counts]]) -> dict[str, Counts]:
    """The counts of many sentences by type of span."""
    total: dict[str, Counts] = {}
    for sentence in counts:
        for kind, count in sentence.items():
            total[kind] = Counts(*map(sum, zip(total.get(kind, Counts(0, 0, 0)), count, strict=True)))
    return dict(sorted(total.items()))


def table(counts: dict[str, Counts]) -> list[dict[str, Any]]:
    """The rows of conlleval's table, for JSON."""
    return [
        {"type": kind, "precision": c.precision, "recall": c.recall, "f1": c.f1, **c._asdict()}
        for kind, c in counts.items()
    ]
