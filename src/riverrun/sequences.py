"""Sequences: a padded batch and its lengths, the one type that crosses floors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Sequences(NamedTuple):
    """A batch of B sequences of at most T steps, time first.

    data: [T, B, ...]; what lies at t >= lengths[b] is padding and is never read (it may be NaN).
    lengths: [B], int64, on the CPU or on data's device; 0 <= lengths[b] <= T.
    """

    data: Tensor
    lengths: Tensor

    def valid(self) -> Tensor:
        """[T, B] bool: True where a step belongs to its sequence."""
        steps = torch.arange(self.data.shape[0], device=self.lengths.device)
        return steps[:, None] < self.lengths[None, :]  # [T, B]
