"""How well a key answers a query: inner products and the additive score."""

from __future__ import annotations

import torch
from torch import Tensor


def inner(query: Tensor, keys: Tensor) -> Tensor:
    """e_ts = q_t . k_s: Luong's `dot`; with k_s = W h_s his `general` (Luong, Pham and Manning 2015, section 3.1).

    query: [B, T, n].  keys: [B, S, n].  Returns [B, T, S]. There is no division by sqrt(n), which came later (Vaswani
    et al. 2017).

    >>> inner(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 4.0], [0.0, 1.0]]]))
    tensor([[[11.,  2.]]])
    """
    return torch.bmm(query, keys.transpose(1, 2))


def additive(query: Tensor, keys: Tensor, v: Tensor, term: Tensor | None = None) -> Tensor:
    """e_ts = v . tanh(q_t + k_s + u_ts), with q_t = W s_t + b and k_s = U h_s (Bahdanau, Cho and Bengio 2015, A.1.2).

    Luong's `concat`, v . tanh(W [s_t; h_s]), is the same function: W's columns fall into those that meet s and those
    that meet h.

    query: [B, T, a].  keys: [B, S, a].  v: [a].
    term: [B, T, S, a], u, which depends on the attention so far (`coverage`, `location`); None for nothing.
    Returns [B, T, S].

    >>> additive(torch.zeros(1, 1, 2), torch.tensor([[[0.0, 0.0], [99.0, 99.0]]]), torch.tensor([1.0, 2.0]))
    tensor([[[0., 3.]]])
    """
    inside = query[:, :, None] + keys[:, None]  # [B, T, S, a]
    if term is not None:
        inside = inside + term
    return torch.tanh(inside) @ v
