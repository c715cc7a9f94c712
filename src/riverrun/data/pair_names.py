"""Names of paired files: the two that a held-out name stands for, by how the two that are trained on are called."""

from __future__ import annotations

import re

PARTS = re.compile(r"([._/-])")  # of a name


def both(path: str, first: str, second: str) -> list[str] | None:
    """The two files that `path` stands for: one of them, or what their names have in common; None where it is neither.

    first, second: the names of the files that are trained on.

    >>> both("test.en.gz", "train.de.gz", "train.en.gz"), both("val", "train.de", "train.en")
    (['test.de.gz', 'test.en.gz'], ['val.de', 'val.en'])
    """
    folders, files = zip(*(_halves(name) for name in (path, first, second)), strict=True)
    above = _swapped(*folders)
    found = _swapped(*files) or _ended(*files)
    if first == second or above is None or found is None:
        return None
    return [folder + file for folder, file in zip(above, found, strict=True)]


def _halves(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    return folder + slash, file


def _swapped(given: str, first: str, second: str) -> list[str] | None:
    """`given` twice, with what differs between `first` and `second` as either has it; None where it has none of it."""
    one, other, parts = (PARTS.split(name) for name in (first, second, given))
    if len(one) != len(other):
        return None
    place, found = len(parts), (list(parts), list(parts))
    for pair in reversed([pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]):
        place = next((i for i in reversed(range(place)) if parts[i] in pair), -1)
        if place < 0:
            return None
        found[0][place], found[1][place] = pair
    return ["".join(side) for side in found]


def _ended(given: str, first: str, second: str) -> list[str] | None:
    """`given` with what follows the common beginning of `first` and `second` in either; None where it has that."""
    one, other = PARTS.split(first), PARTS.split(second)
    begin = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    ends = ["".join(parts[max(begin - 1, 0) :]) for parts in (one, other)]
    if not begin or given.endswith(tuple(ends)):
        return None
    return [given + end for end in ends]
