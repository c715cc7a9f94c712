"""Tokens: a corpus as one array of ids, in memory or memory-mapped, and where its documents begin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.data.readers import Corpus
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import DataError

Progress = Callable[[int, int], None]  # bytes read so far, bytes in all


class Tokens(NamedTuple):
    """ids [N] of the smallest unsigned dtype; starts [D] int64, ascending, where documents begin (starts[0] = 0).

    parts: where the training and the validation rows end, if a `split` column told them apart (test rows follow).
    """

    ids: NDArray[Any]
    starts: NDArray[np.int64]
    parts: tuple[int, int] | None = None

    def part(self, begin: int, end: int) -> Tokens:
        """Tokens begin..end-1 as Tokens of their own: a view, whose first token begins a document."""
        inside = self.starts[(self.starts > begin) & (self.starts < end)] - begin
        return Tokens(self.ids[begin:end], np.concatenate([np.zeros(1, np.int64), inside]))


def tokenise(corpus: Corpus, tokenizer: Tokenizer, folder: Path | None = None, progress: Progress | None = None) -> Tokens:
    """All of `corpus` as Tokens."""
    arrays, starts, count = [], [], 0
    for piece in corpus.pieces(progress):
        if piece.starts_document:
            starts.append(count)
        arrays.append(tokenizer.encode(piece.text, unseen="unknown").astype(tokenizer.dtype))
        count += len(arrays[-1])
    if not count:
        raise DataError(f"{corpus.name}: no text in it.")
    return Tokens(np.concatenate(arrays), np.asarray(starts, np.int64))
