"""Random cells to test with: distinct weights per gate, odd sizes, everything in NumPy float64 first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from riverrun import cells
from riverrun.cells.cell import program

NAMES = cells.names()
SIZES = {"H": 3, "Y": 2, "I": 4}


class Material(NamedTuple):
    """One cell's parameters, inputs and initial states, as arrays; `tensors` gives the same as torch leaves."""

    name: str
    weights: dict[str, np.ndarray]
    x: np.ndarray  # [T, B, I]
    initial: tuple[np.ndarray, ...]  # [B, n]

    @property
    def cell(self):
        return cells.find(self.name)

    @property
    def program(self):
        return program(self.cell)

    def tensors(self, dtype=torch.float64, gradient=True):
        """(weights, x, initial) as leaves of their own."""

        def leaf(array):
            return torch.tensor(array, dtype=dtype, requires_grad=gradient)

        return {k: leaf(v) for k, v in self.weights.items()}, leaf(self.x), tuple(leaf(s) for s in self.initial)


def material(name: str, *, steps=5, batch=3, sizes=SIZES, bias=True, seed=0, scale=0.7) -> Material:
    """Every array drawn by itself, so that no two gates are alike."""
    random = np.random.default_rng([seed, *name.encode()])
    traced = program(cells.find(name))
    shapes = traced.resolve(sizes)
    inner = {f"b.{key}" for key in (*traced.x_keys, *traced.b_keys)}
    weights = {k: scale * random.standard_normal(s) for k, s in shapes.items() if bias or k not in inner}
    widths = [sizes[symbol] for symbol in traced.state_widths]
    initial = tuple(0.5 * random.standard_normal((batch, width)) for width in widths)
    return Material(name, weights, random.standard_normal((steps, batch, sizes["I"])), initial)
