"""What goes into a scan beside the arrays, and what comes out of it: the two records that every path shares."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Override(NamedTuple):
    """Put `value` in the place of a state at the border between step t-1 and step t, where `mask[t]` says so.

    Resets and teacher forcing are both this. Forward, it happens before step t; in reverse, before step t-1 (so
    `mask[0]` then acts on nothing). Padding has no borders: a mask at t >= length is ignored.
    """

    state: str
    mask: Tensor  # [T, B] bool
    value: Tensor  # [B, n], the same at every step, or [T, B, n]; its gradient is computed


class Scanned(NamedTuple):
    """What a scan gives back."""

    outputs: Tensor  # [T, B, n], the first state after every step, zero at padding
    states: tuple[Tensor, ...]  # final, [B, n] each, in the order of program.states
    records: dict[str, Tensor]  # [T, B, n] each, detached, only the names that were asked for, zero at padding
