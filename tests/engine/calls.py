"""Calls of a scan with everything that one can be given, drawn from a seed; and what to compare of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from engine.steps import case, gradients, weighed
from torch import Tensor

from riverrun.engine.program import Program
from riverrun.engine.scan import scan
from riverrun.engine.scanned import Override


class Call(NamedTuple):
    """The arguments of one scan."""

    program: Program
    weights: dict[str, Tensor]
    input: Tensor
    initial: list[Tensor]
    options: dict[str, Any]  # lengths, overrides, masks, reverse

    def leaves(self) -> list[Tensor]:
        values = [override.value for override in self.options["overrides"]]
        return [t for t in (self.input, *self.initial, *self.weights.values(), *values) if t.requires_grad]

    def run(self, path: str | None = None, **more: Any) -> list[Tensor]:
        """Outputs, final states, and what is recorded."""
        found = scan(self.program, self.weights, self.input, self.initial, path=path, **self.options, **more)
        return [found.outputs, *found.states, *found.records.values()]

    def run_with_gradients(self, path: str | None = None, **more: Any) -> list[Tensor]:
        """The same, then the gradient of a sum in which every element counts differently, to every leaf."""
        found = self.run(path, **more)
        total = weighed(*found[: 1 + len(self.initial)])
        return [*(t.detach() for t in found), *gradients(total, self.leaves())]


def drawn(
    program: str | Program,
    *,
    T: int = 5,
    B: int = 4,
    I: int = 3,
    H: int = 4,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    ragged: bool = False,
    forced: bool = False,
    stepwise: bool = False,
    reverse: bool = False,
    bias: bool = True,
    scale: float = 1.0,
) -> Call:
    """A call.

    ragged: lengths from 0 to T, and NaN wherever there is padding. forced: two overrides for each state, of values
    [B, n] and [T, B, n]. stepwise: masks are [T, B, n] and not [B, n]. scale: of the weights.
    """
    c = case(program, T=T, B=B, I=I, H=H, seed=seed, dtype=dtype)
    generator = torch.Generator().manual_seed(seed + 1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    weights = {n: (w.detach() * scale).requires_grad_() for n, w in c.weights.items() if bias or not n.startswith("b.")}
    lengths = torch.randint(0, T + 1, (B,), generator=generator) if ragged else None
    overrides = []
    for state, value in zip(c.program.states, c.initial, strict=True) if forced else ():
        for shape in (value.shape, (T, *value.shape)):
            here = torch.rand(T, B, generator=generator) < 0.25
            overrides.append(Override(state, here, draw(*shape).requires_grad_()))
    sizes = {"H": H, "O": H + 1, "P": max(H - 1, 1)}
    widths = {node.key: sizes[node.width] for node in c.program.nodes if node.op == "mask"}
    masks = {key: draw(*((T, B, n) if stepwise else (B, n))).abs() for key, n in widths.items()}
    input = c.input.detach()
    if lengths is not None:
        padding = torch.arange(T)[:, None, None] >= lengths[:, None]
        input = input.masked_fill(padding, float("nan"))
        masks = {k: m.masked_fill(padding, float("nan")) if m.dim() == 3 else m for k, m in masks.items()}
    options = {"lengths": lengths, "overrides": overrides, "masks": masks, "reverse": reverse}
    return Call(c.program, weights, input.requires_grad_(), c.initial, options)


def furthest(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference of two lists of tensors, each relative to its largest element; NaN is infinitely far."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        if not a.numel():
            continue
        difference, largest = float((a - b).detach().abs().max()), float(b.detach().abs().max())
        if difference != 0:
            worst = max(worst, difference / largest if difference < float("inf") and largest else float("inf"))
    return worst


def same_bits(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    """Whether every bit is the same, also of zeros and NaN."""
    whole = {torch.float32: torch.int32, torch.float64: torch.int64}
    return all(
        torch.equal(a.contiguous().view(whole[a.dtype]), b.contiguous().view(whole[b.dtype]))
        for a, b in zip(ours, theirs, strict=True)
    )
