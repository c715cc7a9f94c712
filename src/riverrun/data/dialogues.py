"""Dialogues: JSON lines with `turns`; each turn but the last is answered by the next one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

from riverrun.data.pair_rows import PairRow, Rows, short
from riverrun.data.tables import part_of


def rows(lines: Iterator[str]) -> Rows:
    """The pairs turn -> reply of every dialogue. Their key is the whole dialogue, so that it lies in one part.

    >>> [row[1:3] for row in rows(iter(['{"turns": ["Hi.", "Hello!", "Bye."]}']))]
    [('Hi.', 'Hello!'), ('Hello!', 'Bye.')]
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            dialogue = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield PairRow(number, wrong=f"expected a JSON object, got {short(line)} ({error})")
            continue
        turns = dialogue.get("turns") if isinstance(dialogue, dict) else None
        if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
            yield PairRow(number, wrong=f"expected an object with `turns`, a list of texts, got {short(line)}")
            continue
        if len(turns) < 2:
            yield PairRow(number, wrong=f"expected at least 2 turns, one and its reply, got {len(turns)}")
            continue
        part, wrong = part_of(dialogue.get("split", ""))
        if wrong:
            yield PairRow(number, wrong=wrong)
            continue
        key = "\n".join(turns)
        for turn, reply in pairwise(turns):
            yield PairRow(number, turn, reply, part, key)


def likely(lines: list[str]) -> bool:
    """Whether the first line of a file is a dialogue."""
    try:
        first = json.loads(lines[0])
    except (ValueError, IndexError, RecursionError):
        return False
    return isinstance(first, dict) and isinstance(first.get("turns"), list)
