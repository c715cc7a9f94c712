"""Outline: how long a corpus is and where its documents begin, before there is a vocabulary to write it in.

What is held out must not shape the vocabulary, so the split comes first, in units that need none: words where tokens
are words (so many words are so many tokens), characters where they are characters or byte pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.data.characters import as_text
from riverrun.data.readers import Corpus, Piece
from riverrun.data.tokens import PARTS, Progress, arranged, batches, beginnings
from riverrun.data.words import count_words, first_words


class Outline(NamedTuple):
    """What `split` needs to know of a text: how many units it has, where documents begin [D], where parts end.

    passed: how many units of the rows to train on there are up to the end of each batch of `tokens.batches`.
    """

    size: int
    starts: NDArray[np.int64]
    parts: tuple[int, int] | None = None
    passed: tuple[int, ...] = ()


class Unit(NamedTuple):
    """How a kind of text is measured: `count` units in a text, and the `first` so many of them."""

    count: Callable[[str], int]
    first: Callable[[str, int], str]


_CHARACTERS = Unit(len, lambda text, count: text[:count])
UNITS = {"chars": _CHARACTERS, "words": Unit(count_words, first_words), "bpe": _CHARACTERS}


def outline(corpus: Corpus, unit: Unit, progress: Progress | None = None) -> Outline:
    """Read a corpus through and measure it; rows with a `split` column in the order train, valid, test."""
    counts = dict.fromkeys(PARTS, 0)
    starts: dict[str, list[NDArray[np.int64]]] = {part: [] for part in PARTS}
    told, passed = False, []
    for part, pieces in batches(corpus.pieces(progress)):
        told, part = told or part != "", part or "train"
        sizes = [unit.count(as_text(piece.text)) for piece in pieces]
        starts[part].append(beginnings(pieces, sizes) + counts[part])
        counts[part] += sum(sizes)
        passed.append(counts["train"])
    places, parts = arranged({part: (counts[part], starts[part]) for part in PARTS}, told)
    return Outline(sum(counts.values()), places, parts, tuple(passed))


def parted(
    corpus: Corpus, unit: Unit, found: Outline | None, end: int, progress: Progress | None = None
) -> Iterator[tuple[bool, str]]:
    """All text once more, and of each piece whether it lies in the training part, the first `end` units.

    found: the corpus's outline; None where every row belongs to training that does not say otherwise.
    """
    before = 0
    for number, (part, pieces) in enumerate(batches(corpus.pieces(progress))):
        if part not in ("", "train"):
            yield from ((False, as_text(piece.text)) for piece in pieces)
        elif found is None or found.passed[number] <= end:
            yield from ((True, as_text(piece.text)) for piece in pieces)
        else:
            yield from _cut(pieces, unit, end - before)
        before = found.passed[number] if found is not None else 0


def _cut(pieces: list[Piece], unit: Unit, left: int) -> Iterator[tuple[bool, str]]:
    """The pieces of a batch of which the first `left` units lie in the training part."""
    for piece in pieces:
        text = as_text(piece.text)
        head = unit.first(text, max(left, 0))
        left -= unit.count(head)
        yield True, head
        yield False, text[len(head) :]
