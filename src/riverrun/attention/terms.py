"""What the attention so far adds inside the additive score."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def coverage(attended: Tensor, w: Tensor) -> Tensor:
    """u_ts = w c_ts, where c_ts is how much position s was attended to at the steps before t (See et al. 2017, eq. 11).

    attended: [..., S], c.  w: [a].  Returns [..., S, a].

    >>> import torch
    >>> coverage(torch.tensor([0.5, 0.0]), torch.tensor([2.0]))
    tensor([[1.],
            [0.]])
    """
    return attended[..., None] * w


def location(weights: Tensor, filters: Tensor, U: Tensor) -> Tensor:
    """u_ts = U f_ts, with f_t = F * a_{t-1}, a convolution over positions (Chorowski et al. 2015, eq. 8 and 9).

    weights: [B, S], a_{t-1}: those of the step before; zero before the first step and at padding, so that what lies
        beyond a sequence's end looks like what lies before its begin.
    filters: [k, 2 r + 1], F: filter j reads the positions s - r to s + r.  U: [a, k].  Returns [B, S, a].

    >>> import torch
    >>> location(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0]]))[0, :, 0]
    tensor([3., 2., 1.])
    """
    reach = filters.shape[1] // 2
    features = functional.conv1d(weights[:, None], filters[:, None], padding=reach)  # [B, k, S]
    return functional.linear(features.transpose(1, 2), U)  # [B, S, a]
