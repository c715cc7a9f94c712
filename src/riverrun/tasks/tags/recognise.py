"""recognise: whether a file is columns of words and tags, told by its first lines. Imports no torch and no numpy."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

from riverrun.data.sources import head

LOOKED_AT = 1 << 16  # bytes
LEAST = 3  # words a sentence on average: less is no text
MOST = 20  # columns
WHOLE = 0.9  # share of the lines that have to be such: the reader then names the ones that are not


def columns(path: Path, encoding: str) -> int | None:
    """How many columns the lines of a file have, or None where it is something else.

    Columns are the same number in nearly every line (between tabs, or else single spaces), sentences have blank lines
    between them, and in the last column things repeat.
    """
    data = head(path, LOOKED_AT)
    text = data.decode(encoding, "ignore")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    lines = lines[:-1] if len(data) == LOOKED_AT else lines
    words = [line for line in lines if line.strip() and not line.startswith(("# ", "-DOCSTART-"))]
    breaks = sum(not line.strip() and bool(before.strip()) for before, line in pairwise(lines))
    if breaks < 2 or len(words) < LEAST * breaks:
        return None
    separator = "\t" if "\t" in words[0] else " "
    rows = [line.split(separator) for line in words]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    whole = [row for row in rows if len(row) == width and row[0] and row[-1]]
    if not 2 <= width <= MOST or len(whole) < WHOLE * len(rows):
        return None
    return width if len({row[-1] for row in whole}) <= len(whole) / 2 else None
