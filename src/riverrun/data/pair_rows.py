"""PairRow: what a reader of any format gives of a row: its two sides, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class PairRow(NamedTuple):
    """One pair, and the number of its (last) line.

    part: "train", "valid" or "test" where the row says so, else "". key: what decides its part by hash, where that is
    neither side (a dialogue); else "". wrong: why the row is no pair, else None.
    """

    line: int
    source: str = ""
    target: str = ""
    part: str = ""
    key: str = ""
    wrong: str | None = None


Rows = Iterator[PairRow]


def short(text: str, most: int = 40) -> str:
    """The beginning of a line, quoted, for a message."""
    text = text.strip()
    return repr(text if len(text) <= most else text[:most] + "...")
