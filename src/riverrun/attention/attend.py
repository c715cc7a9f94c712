"""attend: from scores to weights, and to the mean of the values under them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Attended(NamedTuple):
    """What T queries got from a memory of S positions."""

    context: Tensor  # [B, T, m], the weighted mean of the values
    weights: Tensor  # [B, T, S], not negative; exactly zero at padding; each row sums to 1


def attend(scores: Tensor, values: Tensor, mask: Tensor | None = None) -> Attended:
    """a_ts = exp(e_ts) / sum over s' of exp(e_ts'),   c_t = sum over s of a_ts v_s;   s over the valid positions.

    scores: [B, T, S], e.  values: [B, S, m], finite everywhere.
    mask: [B, S] bool, True where a position is valid; None where all are. A memory without any valid position gives
        zero weights and a zero context.

    >>> attend(torch.zeros(1, 1, 3), torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    Attended(context=tensor([[[2.]]]), weights=tensor([[[0.5000, 0.5000, 0.0000]]]))
    """
    if mask is None:
        weights = scores.softmax(-1)
    else:
        valid = mask[:, None, :]  # [B, 1, S]
        # The lowest number and not -inf, whose softmax is NaN where nothing is valid.
        weights = scores.masked_fill(~valid, torch.finfo(scores.dtype).min).softmax(-1) * valid
    return Attended(torch.bmm(weights, values), weights)
