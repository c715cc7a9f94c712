"""Spelling: what a word's letters say of it, by a bidirectional LSTM or by a convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from riverrun.layers.convolution import Convolution, greatest
from riverrun.layers.recurrent import Recurrent
from riverrun.sequences import Sequences

WIDTHS = (2, 3, 4)  # letters that a filter sees


class Spelling(nn.Module):
    """Letters to a vector.

        lstm            the last states of both directions (Lample et al. 2016), 2 H
        convolution     the greatest value of each filter over the word (Ma & Hovy 2016), filters of 2, 3 and 4 letters

    how: "lstm" or "convolution". letters: how many there are. width: of a letter's vector. hidden: H, of each
    direction or of each width of filter.
    """

    def __init__(self, how: str, letters: int, width: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, width)
        nn.init.normal_(self.embedding.weight)
        reader = {"lstm": _lstm, "convolution": _convolution}[how]
        self.reader = reader(width, hidden)

    @property
    def output_width(self) -> int:
        """n, the width of what is said of a word."""
        return self.reader.output_width

    def forward(self, letters: Sequences) -> Tensor:
        """letters: Sequences of [L, D] int64 -> [D, n]."""
        embedded = Sequences(self.embedding(letters.data), letters.lengths)
        if isinstance(self.reader, Convolution):
            return greatest(self.reader(embedded))
        state = self.reader(embedded).state
        return torch.cat([part[0] for part in state], 1)


def _lstm(width: int, hidden: int) -> Recurrent | Convolution:
    return Recurrent("lstm", width, hidden, direction="both")


def _convolution(width: int, hidden: int) -> Recurrent | Convolution:
    return Convolution(width, hidden, WIDTHS)
