"""NGrams: a weight for every run of 1 to n neighbouring tokens, added up: a linear model over a text's n-grams.

    v = sum over n-grams g of W[hash(g)] / sqrt(N),  N the text's n-grams

A text begins and ends with a mark of its own that n-grams may hold, so that "-ski at the end" is one of them. Beside a
recurrent network it learns what single n-grams say, and the network what only the order of many says (Cheng et al.
2016, "Wide & deep learning for recommender systems"). N-grams share a table of fixed size by a hash (Joulin et al.
2017, "Bag of tricks for efficient text classification"): no list of them has to be kept.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.errors import OptionError
from riverrun.sequences import Sequences

LEFT_OUT = -1  # the id of a token that no n-gram holds
BASE, MODULUS = 1_000_003, 2**31 - 1  # of the polynomial hash: products stay below 2^52


class NGrams(nn.Module):
    """The sum of the weights of a text's n-grams.

    longest: n, tokens of the longest n-gram. outputs: C. buckets: rows of the table; n-grams that fall into one row
    share its weights. Weights start at zero. Raises OptionError where a number is below 1.

    >>> layer = NGrams(3, outputs=2, buckets=1000)
    >>> layer(Sequences(torch.tensor([[5, 1], [6, 0]]), torch.tensor([2, 1]))).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, longest: int, outputs: int, buckets: int) -> None:
        super().__init__()
        for name, value in (("longest", longest), ("outputs", outputs), ("buckets", buckets)):
            if value < 1:
                raise OptionError(name, f"expected a number of at least 1, got {value}.")
        self.longest = longest
        self.weight = nn.Parameter(torch.zeros(buckets, outputs))

    def forward(self, texts: Sequences) -> Tensor:
        """[T, B] token ids -> [B, C]. LEFT_OUT among the ids: no n-gram holds that token."""
        found = self._found(texts)
        rows = torch.cat([grams.rows for grams in found]).T.contiguous()  # [B, G]
        shares = torch.cat([grams.shares for grams in found]).T.contiguous()
        return functional.embedding_bag(rows, self.weight, mode="sum", per_sample_weights=shares)

    def by_token(self, texts: Sequences, slopes: Tensor) -> Tensor:
        """[T, B]: what every token's n-grams add to slopes . v, an n-gram in equal parts to its tokens.

        slopes: [B, C]. The sum over a text is slopes . v.
        """
        steps, rows = texts.data.shape
        total = slopes.new_zeros(steps + 2, rows)  # with the marks at both ends
        for size, grams in enumerate(self._found(texts), 1):
            added = grams.shares * (functional.embedding(grams.rows, self.weight) * slopes).sum(-1) / grams.held
            for place in range(size):
                total[place : place + len(added)] += added
        return torch.where(texts.valid().to(total.device), total[1:-1], total.new_zeros(()))

    def _found(self, texts: Sequences) -> list[_Grams]:
        """The n-grams of each size."""
        data, lengths = texts.data, texts.lengths.to(texts.data.device)
        places = torch.arange(len(data) + 2, device=data.device)[:, None]
        ids = functional.pad(data, (0, 0, 1, 1), value=LEFT_OUT)  # [T + 2, B]
        token = (places > 0) & (places <= lengths) & (ids != LEFT_OUT)
        mark = (places == 0) | (places == lengths + 1)
        digits = torch.where(token, ids + 3, torch.where(places == 0, 1, 2))  # [T + 2, B]
        keys, whole, held = torch.zeros_like(digits), torch.ones_like(token), torch.zeros_like(digits)
        grams = []
        for size in range(min(self.longest, len(digits))):
            count = len(digits) - size
            keys = (keys[:count] * BASE + digits[size:]) % MODULUS
            whole = whole[:count] & (token | mark)[size:]
            held = held[:count] + token[size:]
            grams.append((keys % len(self.weight), whole & (held > 0), held.clamp(min=1)))
        counts = sum((there.sum(0) for _, there, _ in grams), torch.zeros_like(lengths))
        scale = counts.clamp(min=1).to(self.weight.dtype).rsqrt()
        return [_Grams(rows, there * scale, held) for rows, there, held in grams]


class _Grams(NamedTuple):
    """The n-grams of one size, by the place where they begin, [T + 3 - size, B] each.

    rows: of the table. shares: what the weight is multiplied by; zero where there is no such n-gram. held: its tokens,
    marks not counted; at least 1.
    """

    rows: Tensor
    shares: Tensor
    held: Tensor
