"""Copying tokens of the source: the mixture of a pointer-generator (See, Liu and Manning 2017, eq. 8 and 9)."""

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
    copies: [N, S], w_s, the id of source token s in the vocabulary; -1: it has none. What is attended to there counts
        for UNKNOWN, so that P sums to 1; whoever decodes may put the token itself in UNKNOWN's place.

    Returns [N, V], in float32 at least.
    """
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    gate = gate[:, None].to(logits.dtype)  # [N, 1]
    generated = functional.log_softmax(logits, -1) + functional.logsigmoid(gate)
    places = torch.where(copies < 0, UNKNOWN, copies)
    mass = torch.zeros_like(logits).scatter_add(-1, places, weights.to(logits.dtype))  # [N, V]
    return torch.logaddexp(generated, mass.clamp_min(LEAST).log() + functional.logsigmoid(-gate))
