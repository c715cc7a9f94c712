"""Masks: the random numbers of the dropouts, all from torch's default generator of their device."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from riverrun.engine.program import Program
from riverrun.layers.options import Dropouts

LEVELS = 1 << 16  # a chance on the CPU is a multiple of 1 / LEVELS


def inverted(shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
    """[*shape]: 0 with probability p, else 1 / (1 - p), in the dtype and on the device of `like`.

    On the CPU p is rounded to a multiple of 2^-16, and four entries share one 64-bit draw: `bernoulli_` draws one by
    one on one thread and took a sixth of a character model's training step (100 x 32 x 512 entries: 14 ms, this 3 ms).
    """
    if like.device.type != "cpu":
        return torch.empty(shape, dtype=like.dtype, device=like.device).bernoulli_(1 - p).div_(1 - p)
    dropped = round(p * LEVELS)
    if dropped == LEVELS:
        return torch.zeros(shape, dtype=like.dtype)
    count = math.prod(shape)
    draws = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(1 << 63), (1 << 63) - 1)
    kept = draws.view(torch.int16)[:count] >= dropped - LEVELS // 2
    return kept.to(like.dtype).mul_(LEVELS / (LEVELS - dropped)).view(shape)


def dropout(v: Tensor, p: float, training: bool) -> Tensor:
    """torch's dropout, drawn as `inverted` says."""
    return v * inverted(tuple(v.shape), p, v) if training and p else v


def loop_masks(
    program: Program, sizes: Mapping[str, int], steps: int, rows: int, dropouts: Dropouts, training: bool, like: Tensor
) -> dict[str, Tensor]:
    """The masks that a scan of this program must be given, in the order in which the program names them.

    state.NAME (variational) is [B, n], the same at all steps; candidate (recurrent) and zoneout.NAME are [T, B, n].
    In evaluation zoneout's mask is its probability, [B, n].
    """
    found: dict[str, Tensor] = {}
    if not program.mask_keys:
        return found
    width = {node.key: sizes[node.width] for node in program.nodes if node.op == "mask"}
    for key in program.mask_keys:
        n = width[key]
        if key.startswith("state."):
            found[key] = inverted((rows, n), dropouts.variational, like)
        elif key == "candidate":
            found[key] = inverted((steps, rows, n), dropouts.recurrent, like)
        elif training:  # zoneout.NAME: 1 keeps the old value
            empty = torch.empty((steps, rows, n), dtype=like.dtype, device=like.device)
            found[key] = empty.bernoulli_(dropouts.zoneout)
        else:
            found[key] = torch.full((rows, n), dropouts.zoneout, dtype=like.dtype, device=like.device)
    return found


def drop_connections(weights: Mapping[str, Tensor], p: float, spared: str) -> dict[str, Tensor]:
    """DropConnect: every U.k but `spared` with its entries dropped, one mask for the whole call."""
    return {
        name: dropout(weight, p, True) if name.startswith("U.") and name != spared else weight
        for name, weight in weights.items()
    }
