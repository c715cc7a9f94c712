"""Pooling: a sequence of vectors as one vector, over its own steps alone: last, mean, greatest, or by attention.

Each takes Sequences [T, B, n] and gives [B, ...]; padding is never read, and a sequence of length 0 gives zeros.
`greatest`, max over time, lies beside the convolution that it was made for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.layers.convolution import greatest
from riverrun.sequences import Sequences

__all__ = ["AttentionPooling", "ends", "greatest", "last", "mean"]


def last(sequences: Sequences) -> Tensor:
    """The vector of the last step: [T, B, n] -> [B, n].

    >>> last(Sequences(torch.tensor([[[1.0]], [[2.0]], [[3.0]]]), torch.tensor([2]))).tolist()
    [[2.0]]
    """
    data, lengths = sequences
    if not data.shape[0]:
        return data.new_zeros(data.shape[1:])
    lengths = lengths.to(data.device)
    found = data[(lengths - 1).clamp(min=0), torch.arange(data.shape[1], device=data.device)]  # [B, n]
    return torch.where((lengths > 0)[:, None], found, found.new_zeros(()))


def ends(sequences: Sequences) -> Tensor:
    """What each of two directions gave when it had read everything: [T, B, 2 m] -> [B, 2 m].

    The first half of the channels is the forward direction's, and is taken at the last step; the second half is the
    reverse one's, which ends at the first step.
    """
    data, lengths = sequences
    half = data.shape[2] // 2
    first = sequences._replace(data=data[:1], lengths=lengths.clamp(max=1))
    return torch.cat([last(sequences)[:, :half], last(first)[:, half:]], 1)


def mean(sequences: Sequences) -> Tensor:
    """The mean of all steps: [T, B, n] -> [B, n]."""
    data, lengths = sequences
    total = torch.where(sequences.valid().to(data.device)[..., None], data, data.new_zeros(())).sum(0)
    return total / lengths.to(data.device).clamp(min=1).to(data.dtype)[:, None]


class AttentionPooling(nn.Module):
    """A weighted mean whose weights are learnt from the vectors themselves, [T, B, n] -> [B, n] and [T, B].

        s_t = v . tanh(W h_t + b)        a = softmax over a sequence's own steps of s        c = sum_t a_t h_t

    input_size: n. hidden: the width of W h.

    Source: Yang et al. 2016, "Hierarchical attention networks for document classification", equations 5 to 7. v starts
    at zero, so that training begins with the mean; W at Glorot's.
    """

    def __init__(self, input_size: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(input_size, hidden)
        self.score = nn.Parameter(torch.zeros(hidden))
        nn.init.xavier_uniform_(self.inner.weight)
        nn.init.zeros_(self.inner.bias)

    def forward(self, sequences: Sequences) -> tuple[Tensor, Tensor]:
        """The pooled vectors [B, n] and the weights [T, B], which are zero at padding and sum to 1 elsewhere."""
        valid = sequences.valid().to(sequences.data.device)  # [T, B]
        data = torch.where(valid[..., None], sequences.data, sequences.data.new_zeros(()))
        scores = torch.tanh(self.inner(data)) @ self.score  # [T, B]
        scores = torch.where(valid, scores, scores.new_full((), -torch.inf))
        # A sequence of length 0 has no softmax: its scores are finite for a moment, its weights zero.
        scores = torch.where(valid.any(0), scores, scores.new_zeros(()))
        weights = torch.where(valid, functional.softmax(scores, 0), scores.new_zeros(()))
        return (weights[..., None] * data).sum(0), weights
