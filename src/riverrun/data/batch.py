"""Batch: what a model sees at one step of training or evaluation."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

IGNORED = -1  # a target that is not predicted


class Batch(NamedTuple):
    """A window of T steps of B lanes, time first.

    inputs: [T, B] int64, the token ids that go in.
    targets: [T, B] int64, the ids to predict; -1 where nothing is (the next token belongs to another document).
    resets: [T, B] bool, True where the state starts anew *before* that step; None where it does nowhere.
    tokens: how many targets are >= 0.
    position: where in its lanes the window begins, counted in steps from the beginning of the epoch.
    scale: what the learning rate is multiplied with, T / window where windows are random (Merity et al. 2018).
    """

    inputs: Tensor
    targets: Tensor
    resets: Tensor | None
    tokens: int
    position: int
    scale: float = 1.0
