"""Copying tokens of the source: the mixture of a pointer-generator (See, Liu and Manning 2017, eq. 8 and 9).

What the vocabulary lacks can be copied, too: the tokens of a source that have no id are numbered from V on, each source
for itself (their "extended vocabulary").
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from riverrun.data.pair_batch import UNKNOWN

# Of a probability inside a logarithm: a token that is nowhere in the source is copied with probability 0.
LEAST = 1e-30


def mixed(logits: Tensor, gate: Tensor, weights: Tensor, copies: Tensor) -> Tensor:
    """ln P(w),   P(w) = g P_vocabulary(w) + (1 - g) sum of a_s over the positions s with w_s = w,   g = logistic(gate).

    logits: [N, V], of P_vocabulary.  gate: [N].  weights: [N, S], a, zero at padding.
    copies: [N, S], w_s, the id of source token s; from V on of one that the vocabulary lacks; -1: it has none. What is
        attended to there counts for UNKNOWN, so that P sums to 1.

    Returns [N, V + K], in float32 at least, where V + K - 1 is the highest id; -inf for those of other rows' sources.
    """
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    gate = gate[:, None].to(logits.dtype)  # [N, 1]
    generated = functional.log_softmax(logits, -1) + functional.logsigmoid(gate)
    places = torch.where(copies < 0, UNKNOWN, copies)
    V = logits.shape[-1]
    width = max(V, int(places.max()) + 1) if places.numel() else V
    mass = logits.new_zeros(len(logits), width).scatter_add(-1, places, weights.to(logits.dtype))  # [N, V + K]
    copied = mass.clamp_min(LEAST).log() + functional.logsigmoid(-gate)
    known = torch.logaddexp(generated, copied[:, :V])
    if width == V:
        return known
    stands = torch.zeros_like(mass, dtype=torch.bool).scatter(-1, places, True)
    return torch.cat([known, copied[:, V:].masked_fill(~stands[:, V:], -torch.inf)], -1)
