"""Masks: the random numbers of the dropouts, all from torch's default generator of their device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from riverrun.engine.program import Program
from riverrun.layers.options import Dropouts


def inverted(shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
    """[*shape]: 0 with probability p, else 1 / (1 - p), in the dtype and on the device of `like`."""
    return torch.empty(shape, dtype=like.dtype, device=like.device).bernoulli_(1 - p).div_(1 - p)


def loop_masks(
    program: Program, sizes: Mapping[str, int], steps: int, rows: int, dropouts: Dropouts, training: bool, like: Tensor
) -> dict[str, Tensor]:
    """The masks that a scan of this program must be given, in the order in which the program names them.

    state.NAME (variational) is [B, n], the same at all steps; candidate (recurrent) and zoneout.NAME are [T, B, n].
    In evaluation zoneout's mask is its probability, [B, n].
    """
    width = {node.key: sizes[node.width] for node in program.nodes if node.op == "mask"}
    found: dict[str, Tensor] = {}
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
        name: functional.dropout(weight, p) if name.startswith("U.") and name != spared else weight
        for name, weight in weights.items()
    }
