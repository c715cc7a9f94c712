"""scan(program, ...): one differentiable operation for every cell and every device.

`choose.py` says which path runs, and why. All of them mean what `eager.loop` computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from riverrun.engine import eager
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned

__all__ = ["Override", "Scanned", "scan"]


def scan(
    program: Program,
    weights: Mapping[str, Tensor],
    input: Tensor,
    initial: Sequence[Tensor],
    *,
    lengths: Tensor | None = None,
    overrides: Sequence[Override] = (),
    masks: Mapping[str, Tensor] | None = None,
    record: Sequence[str] = (),
    reverse: bool = False,
    path: str | None = None,
) -> Scanned:
    """A recurrence over all steps of a batch of sequences: s_t = step(x_t, s_{t-1})."""
    return eager.loop(
        program, weights, input, initial,
        lengths=lengths, overrides=overrides, masks=masks, record=record, reverse=reverse,
    )  # fmt: skip
