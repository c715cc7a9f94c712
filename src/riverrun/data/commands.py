"""Commands: SCAN's lines, `IN: jump twice OUT: I_JUMP I_JUMP` (Lake & Baroni 2018)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from riverrun.data.pair_rows import PairRow, Rows, short

_LINE = re.compile(r"IN: (.*?)\s*OUT:\s*(.*?)\s*")


def rows(lines: Iterator[str]) -> Rows:
    """The pairs command -> actions; blank lines are none.

    >>> next(rows(iter(["IN: jump twice OUT: I_JUMP I_JUMP"])))[1:3]
    ('jump twice', 'I_JUMP I_JUMP')
    """
    for number, line in enumerate(lines, 1):
        if found := _LINE.fullmatch(line.strip()):
            yield PairRow(number, found[1], found[2])
        elif line.strip():
            yield PairRow(number, wrong=f"expected `IN: ... OUT: ...`, got {short(line)}")


def likely(lines: list[str]) -> bool:
    """Whether the first lines of a file are such."""
    return bool(lines) and all(_LINE.fullmatch(line.strip()) for line in lines)
