"""recognise: whether a file is columns of words and tags, told by its first lines. Imports no torch and no numpy."""

from __future__ import annotations

import bz2
import gzip
import lzma
from itertools import pairwise
from pathlib import Path

LOOKED_AT = 1 << 16  # bytes
LEAST = 3  # words a sentence on average: less is no text
MOST = 20  # columns


def columns(path: Path) -> int | None:
    """How many columns the lines of a file have, or None where it is something else.

    Columns are the same number in every line (between tabs, or else single spaces), sentences have blank lines between
    them, and in the last column things repeat.
    """
    opened = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix.lower(), open)
    try:
        with opened(path, "rb") as file:  # type: ignore[operator]
            text = file.read(LOOKED_AT).decode("utf-8", "strict" if path.stat().st_size <= LOOKED_AT else "ignore")
    except (OSError, EOFError, ValueError, lzma.LZMAError):
        return None
    lines = [line.rstrip("\r") for line in text.split("\n")]
    lines = lines[:-1] if len(text) >= LOOKED_AT // 2 else lines
    words = [line for line in lines if line.strip() and not line.startswith(("# ", "-DOCSTART-"))]
    breaks = sum(not line.strip() and bool(before.strip()) for before, line in pairwise(lines))
    if breaks < 2 or len(words) < LEAST * breaks:
        return None
    separator = "\t" if "\t" in words[0] else " "
    rows = [line.split(separator) for line in words]
    width = len(rows[0])
    if not 2 <= width <= MOST or any(len(row) != width or not row[0] or not row[-1] for row in rows):
        return None
    return width if len({row[-1] for row in rows}) <= len(rows) / 2 else None
