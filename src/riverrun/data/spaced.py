"""Spaced: a vocabulary of whatever stands between spaces: phonemes, commands, the symbols of a made-up language.

A token is a run of other characters than white space, with the single space before it if there is one, or one character
of white space; so every text is cut without a loss. Words cut punctuation off, which would tear SAMPA's `t_S` or a
command's `turn-left` apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riverrun.data.characters import as_text, listed, word_level
from riverrun.data.tokenizer import UNKNOWN, Tokenizer, Unseen
from riverrun.data.words import SPACE
from riverrun.errors import DataError, UsageError

DEFAULT_SIZE = 20_000
PATTERN = f" ?[^{SPACE}]+|[{SPACE}]"
_FIND = re.compile(PATTERN)


class Spaced(Tokenizer):
    """One token a symbol between spaces. Id 0 is the unknown token, the others are in the order of their counts.

    >>> spaced = Spaced.learn(["t_S i: z", "i: z"], 0, 1)
    >>> [spaced.token(id) for id in spaced.encode("t_S i:")]
    ['t_S', ' i:']
    """

    kind, unit, unknown = "spaces", "symbol", 0

    def __init__(self, symbols: Sequence[str]) -> None:
        """symbols: in the order of their ids, without the unknown token."""
        self.known = list(symbols)
        self._ids = {symbol: id for id, symbol in enumerate(self.known, 1)}
        self._symbols = [UNKNOWN.encode(), *(symbol.encode() for symbol in self.known)]

    @classmethod
    def learn(cls, pieces: Iterable[str | bytes], vocabulary: int, min_count: int) -> Spaced:
        counts: Counter[str] = Counter()
        for piece in pieces:
            counts.update(_FIND.findall(as_text(piece)))
        if not counts:
            raise DataError("the text is empty: there is no symbol to learn from.")
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [symbol for symbol, count in ordered if count >= min_count][: (vocabulary or DEFAULT_SIZE) - 1]
        if not kept:
            raise UsageError(f"min_count: no symbol occurs {min_count:,} times; use less.")
        return cls(kept)

    @classmethod
    def restore(cls, content: dict[str, Any]) -> Spaced:
        ids = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
        if [id for _, id in ids] != list(range(len(ids))) or ids[0][0] != UNKNOWN:
            raise ValueError("ids are not 0, 1, 2, ...")
        return cls([symbol for symbol, _ in ids[1:]])

    @property
    def symbols(self) -> Sequence[bytes]:
        return self._symbols

    def encode(self, text: str | bytes, unseen: Unseen = "error") -> NDArray[np.int64]:
        symbols, ids = _FIND.findall(as_text(text)), self._ids
        found = np.fromiter((ids.get(symbol, 0) for symbol in symbols), np.int64, len(symbols))
        if unseen == "error" and not found.all():
            strange = sorted({symbol for symbol, id in zip(symbols, found, strict=True) if id == 0})
            raise UsageError(f"the text has symbols that are not in the vocabulary: {listed(strange)}. Leave them out.")
        return found

    def to_json(self) -> bytes:
        return word_level([UNKNOWN, *self.known], PATTERN)
