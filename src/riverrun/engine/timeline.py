"""Time run backwards: the valid steps of each row flipped, padding left where it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from riverrun.engine.scanned import Override


def flipped(sequence: Tensor, lengths: Tensor | None) -> Tensor:
    """[T, B, ...] with step t of each row in the place of step length-1-t; padding stays where it is.

    Applied twice it gives the sequence back.
    """
    if lengths is None:
        return sequence.flip(0)
    steps = torch.arange(sequence.shape[0], device=sequence.device)[:, None]  # [T, 1]
    ends = lengths.to(sequence.device)[None, :]  # [1, B]
    places = torch.where(steps < ends, ends - 1 - steps, steps)  # [T, B]
    rows = torch.arange(sequence.shape[1], device=sequence.device)[None, :]
    return sequence[places, rows]


def flipped_overrides(overrides: Sequence[Override], lengths: Tensor | None, steps: int) -> list[Override]:
    """The same borders, met from the other side.

    An override at t stands between t-1 and t. Backwards, step t-1 is the place length-t, before which it acts; at t = 0
    there is no border, so the first place has none.
    """
    found = []
    for state, mask, value in overrides:
        value = value if value.dim() == 2 else _later(flipped(value, lengths))
        found.append(Override(state, _later(flipped(mask, lengths)), value))
    return found


def _later(sequence: Tensor) -> Tensor:
    """Every step one place later; the first place is empty, and what falls off the end is lost."""
    return torch.cat([torch.zeros_like(sequence[:1]), sequence[:-1]])
