"""Where the weights of one direction of one layer start."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from riverrun.cells.cell import Initialise
from riverrun.errors import OptionError
from riverrun.layers.options import Initialisation


def matrix(kind: str, shape: tuple[int, int], hidden: int) -> Tensor:
    """A matrix [n, m] that starts as `kind` says; a matrix that is not square starts with as much of it as fits."""
    found = torch.empty(shape)
    if kind == "orthogonal":
        return nn.init.orthogonal_(found)
    if kind == "identity":
        return nn.init.eye_(found)
    if kind == "glorot":
        return nn.init.xavier_uniform_(found)
    if kind == "normal":
        return nn.init.normal_(found, std=1 / math.sqrt(shape[1]))
    bound = 1 / math.sqrt(hidden)  # "uniform"
    return nn.init.uniform_(found, -bound, bound)


def initial_weights(
    shapes: Mapping[str, tuple[int, ...]], hidden: int, options: Initialisation, cell: Initialise
) -> dict[str, Tensor]:
    """A tensor for every name of one direction, drawn from torch's default generator in the order of the names.

    Matrices start as `options` says; where it leaves U to the cell, as the cell says, else orthogonal. Gains of layer
    norm start at 1, all other vectors at 0, apart from the biases of the gates that the cell calls forget, keep, write.
    Raises OptionError for what was asked for and has nothing to act on: matrices U, or such biases.
    """
    if options.recurrent != "cell" and all(len(shape) < 2 or name.startswith("W.") for name, shape in shapes.items()):
        raise OptionError("initialisation.recurrent", "this cell has no recurrent matrix that could start so.")
    recurrent = (cell.recurrent or "orthogonal") if options.recurrent == "cell" else options.recurrent
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        kind = name.split(".")[0]
        if len(shape) == 2:
            found[name] = matrix(options.input if kind == "W" else recurrent, (shape[0], shape[1]), hidden)
        elif name.startswith("p.ln_"):
            found[name] = torch.ones(shape)
        else:
            found[name] = torch.zeros(shape)
    _gate_biases(found, options, cell)
    return found


def _gate_biases(found: dict[str, Tensor], options: Initialisation, cell: Initialise) -> None:
    def bias(key: str) -> Tensor | None:
        return found.get(f"b.{key}")

    if options.forget_bias != Initialisation().forget_bias:
        if options.chrono:
            raise OptionError("initialisation.forget_bias", "chrono takes its place. Leave one of the two out.")
        if all(bias(key) is None for key in cell.forget):
            raise OptionError("initialisation.forget_bias", "this cell has no forget gate with a bias.")
    if not options.chrono:
        for key in cell.forget:
            if (b := bias(key)) is not None:
                b.fill_(options.forget_bias)
        return
    sizes = {b.shape for key in (*cell.forget, *cell.keep, *cell.write) if (b := bias(key)) is not None}
    if not sizes:
        raise OptionError(
            "initialisation.chrono", "expected gates with biases that keep or write the state; none here."
        )
    # One draw for each width: forget and write gates of a unit are opposites.
    spans = {size: torch.log(torch.empty(size).uniform_(1, options.chrono - 1)) for size in sorted(sizes)}
    for keys, sign in (((*cell.forget, *cell.keep), 1.0), (cell.write, -1.0)):
        for key in keys:
            if (b := bias(key)) is not None:
                b.copy_(sign * spans[b.shape])
