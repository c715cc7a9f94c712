"""Error rates: how many outputs are wrong, and how many edits their tokens need to be right.

    word error     1 - the share of outputs that equal one of their references
    token error    edits to the nearest reference, summed, by the lengths of those references, summed

Edits are insertions, deletions and substitutions (Levenshtein 1966). With tokens that are phonemes the second is the
phoneme error rate; with words that of a sentence, what speech recognition calls word error rate. The nearest reference
is that of the fewest edits, the first among equals.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from riverrun.tasks.measures.classification import Figure
from riverrun.tasks.measures.resampling import columns, figure, ratio

Tokens = Sequence[Hashable]
References = Sequence[Sequence[str]]

TOGETHER = 4096  # pairs whose tables are filled side by side


def figures(
    outputs: Sequence[str],
    references: References,
    *,
    item: str = "word",
    token: str = "phoneme",
    split: Callable[[str], Tokens] = str.split,
    seed: int = 0,
) -> list[Figure]:
    """The share of wrong outputs ("word error") and the rate of edits ("phoneme error").

    outputs: one for each item. references: of each at least one. item, token: the nouns that the figures are called
    by. split: a text as tokens; an output is right where its tokens are a reference's.

    >>> for one in figures(["T AH", "K AE T"], [["T UW", "T AH"], ["K AE T S"]]):
    ...     print(one.name, round(one.value, 3))
    word error 0.5
    phoneme error 0.167
    """
    edits, lengths = nearest([split(one) for one in outputs], [[split(one) for one in row] for row in references])
    wrong = columns(edits > 0, np.ones(len(edits)))
    return [
        figure(f"{item} error", wrong, ratio, "share", "lower", seed=seed),
        figure(f"{token} error", columns(edits, lengths), ratio, "share", "lower", seed=seed),
    ]


def exact(
    outputs: Sequence[str], references: References, *, split: Callable[[str], Tokens] = str.split, seed: int = 0
) -> Figure:
    """The share of outputs whose tokens are those of one of their references.

    >>> exact(["I_WALK I_WALK", "I_RUN"], [["I_WALK I_WALK"], ["I_LOOK"]]).value
    0.5
    """
    right = [
        tuple(split(one)) in {tuple(split(other)) for other in row}
        for one, row in zip(outputs, references, strict=True)
    ]
    return figure("exact", columns(right, np.ones(len(right))), ratio, "share", "higher", seed=seed)


def nearest(
    outputs: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each output the edits to its nearest reference, [N], and that reference's length, [N].

    >>> [found.tolist() for found in nearest(["abc"], [["abcde", "abd"]])]
    [[1], [3]]
    """
    owner = [i for i, row in enumerate(references) for _ in row]
    flat = [one for row in references for one in row]
    if len(set(owner)) < len(outputs):
        raise ValueError("every output needs a reference.")
    found = distances([outputs[i] for i in owner], flat)
    lengths = np.array([len(one) for one in flat], np.int64)
    owners = np.array(owner, np.int64)
    order = np.lexsort((found, owners))  # by item, then by edits; stable, so then as they were given
    first = order[np.searchsorted(owners[order], np.arange(len(outputs)))]
    return found[first], lengths[first]


def distances(left: Sequence[Tokens], right: Sequence[Tokens]) -> NDArray[np.int64]:
    """The edits between each pair, [N].

    Row i of the table of a pair comes from row i - 1 at once: what insertions add is a running minimum,

        t[j] = min(d[i-1][j] + 1, d[i-1][j-1] + (left_i != right_j)),   d[i][j] = min over k <= j of t[k] + (j - k),

    so that only the steps over the left side are a loop, for thousands of pairs together.

    >>> distances(["kitten", ""], ["sitting", "ab"]).tolist()
    [3, 2]
    """
    ids: dict[Hashable, int] = {}
    first, second = ([[ids.setdefault(token, len(ids)) for token in one] for one in side] for side in (left, right))
    found = np.zeros(len(first), np.int64)
    order = sorted(range(len(first)), key=lambda i: (len(first[i]), len(second[i])))
    for begin in range(0, len(order), TOGETHER):
        batch = order[begin : begin + TOGETHER]
        found[batch] = _distances([first[i] for i in batch], [second[i] for i in batch])
    return found


def _distances(left: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    a, b = _padded(left, -1), _padded(right, -2)  # [N, A], [N, B]; padding equals nothing
    ends = np.array([len(one) for one in left]), np.array([len(one) for one in right])
    steps = np.arange(b.shape[1] + 1)
    row = np.tile(steps, (len(a), 1))  # [N, B + 1]: d[0]
    found: NDArray[np.int64] = row[np.arange(len(a)), ends[1]]
    for i in range(a.shape[1]):
        table = row + 1
        np.minimum(table[:, 1:], row[:, :-1] + (a[:, i, None] != b), out=table[:, 1:])
        row = np.minimum.accumulate(table - steps, axis=1) + steps
        done = ends[0] == i + 1
        found[done] = row[done, ends[1][done]]
    return found


def _padded(rows: Sequence[Sequence[int]], value: int) -> NDArray[np.int64]:
    padded = np.full((len(rows), max((len(row) for row in rows), default=0)), value, np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
