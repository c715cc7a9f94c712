"""attend: from scores to weights, and to the mean of the values under them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# A weight of e^-60 is lost beside the largest, in float64 too. Smaller ones would come near the smallest floats, with
# which products are up to 200 times slower (training translation, early on, when attention is sharp: 2.4 times).
FARTHEST = 60.0  # nats below the best score


class Attended(NamedTuple):
    """What T queries got from a memory of S positions."""

    context: Tensor  # [B, T, m], the weighted mean of the values
    weights: Tensor  # [B, T, S], not negative; exactly zero at padding and far below the best; each row sums to 1


def attend(scores: Tensor, values: Tensor, mask: Tensor | None = None) -> Attended:
    """a_ts = exp(e_ts) / sum over s' of exp(e_ts'),   c_t = sum over s of a_ts v_s;   s over the valid positions.

    scores: [B, T, S], e.  values: [B, S, m], finite everywhere.
    mask: [B, S] bool, True where a position is valid; None where all are. A memory without any valid position gives
        zero weights and a zero context.

    >>> attend(torch.zeros(1, 1, 3), torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    Attended(context=tensor([[[2.]]]), weights=tensor([[[0.5000, 0.5000, 0.0000]]]))
    """
    if mask is not None:  # the lowest number and not -inf, which is no number less itself where nothing is valid
        scores = scores.masked_fill(~mask[:, None, :], torch.finfo(scores.dtype).min)
    best = scores.detach().amax(-1, keepdim=True) if scores.shape[-1] else 0.0  # no position at all
    below = scores - best
    near = below >= -FARTHEST if mask is None else (below >= -FARTHEST) & mask[:, None, :]
    weights = below.masked_fill(~near, -FARTHEST).softmax(-1) * near
    return Attended(torch.bmm(weights, values), weights)
