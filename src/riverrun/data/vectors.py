"""Pretrained word vectors: word2vec's text and binary files, GloVe's text, and .npz with `words` and `vectors`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """words: N distinct ones. matrix: [N, width] float32, or [0, width] where somebody else holds the numbers."""

    words: tuple[str, ...]
    matrix: Floats

    @staticmethod
    def named(words: tuple[str, ...], width: int) -> Vectors:
        """The words alone, of vectors that are held elsewhere."""
        return Vectors(words=words, matrix=np.zeros((0, width), np.float32))

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return int(self.matrix.shape[1])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words, 1)}

    def find(self, word: str) -> int:
        """1 + the row of the word as it is written, else in lower case; 0 where there is none."""
        return self._places.get(word) or self._places.get(word.lower(), 0)
