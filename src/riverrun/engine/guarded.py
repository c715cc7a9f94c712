"""torch's kernels, made differentiable twice.

cuDNN's recurrences have a first derivative only (oneDNN's LSTM on the CPU has both). So there the kernel runs with its
own small graph inside one autograd.Function; where the gradient is itself to be differentiated, backward runs the
autograd loop instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from riverrun.engine import eager, kernels
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned


def run(
    match: kernels.Match,
    program: Program,
    weights: Mapping[str, Tensor],
    input: Tensor,
    initial: Sequence[Tensor],
    *,
    lengths: Tensor | None,
    overrides: Sequence[Override],
    record: Sequence[str],
    reverse: bool,
) -> Scanned:
    """What `kernels.run` computes; `record` may name the first state, which is the output."""
    given = (input, *initial, *weights.values(), *(o.value for o in overrides))

    def loop(tensors: Sequence[Tensor], plain: bool) -> Scanned:
        states = 1 + len(initial)
        last = states + len(weights)
        new = [o._replace(value=v) for o, v in zip(overrides, tensors[last:], strict=True)]
        named = dict(zip(weights, tensors[states:last], strict=True))
        if plain:
            return eager.loop(
                program, named, tensors[0], tensors[1:states], lengths=lengths, overrides=new, reverse=reverse
            )
        return kernels.run(match, named, tensors[0], tensors[1:states], lengths=lengths, overrides=new, reverse=reverse)

    if only_once(input.device.type) and torch.is_grad_enabled() and any(t.requires_grad for t in given):
        outputs, *states = _Once.apply(loop, *given)  # type: ignore[no-untyped-call]
    else:
        outputs, states, _ = loop(given, plain=False)
    return Scanned(outputs, tuple(states), {name: outputs.detach().clone() for name in record})


def only_once(device: str) -> bool:
    """Whether torch's kernels on this device have a first derivative only."""
    return device != "cpu"


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loop: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.loop = loop
        ctx.save_for_backward(*tensors)
        ctx.leaves = [t.detach().requires_grad_(t.requires_grad) for t in tensors]
        with torch.enable_grad():
            found = loop(ctx.leaves, plain=False)
        ctx.found = (found.outputs, *found.states)
        ctx.set_materialize_grads(False)
        return tuple(t.detach() for t in ctx.found)

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        again = torch.is_grad_enabled()
        leaves: Sequence[Tensor] = ctx.saved_tensors if again else ctx.leaves
        if again:
            with torch.autocast(leaves[0].device.type, enabled=False):
                found = ctx.loop(leaves, plain=True)
            outputs = (found.outputs, *found.states)
        else:
            outputs = ctx.found
        pairs = [(o, g) for o, g in zip(outputs, arriving, strict=True) if g is not None and o.requires_grad]
        wanted = [leaf for leaf, want in zip(leaves, ctx.needs_input_grad[1:], strict=True) if want]
        computed = iter(
            torch.autograd.grad(
                [o for o, _ in pairs],
                wanted,
                [g for _, g in pairs],
                retain_graph=True,
                create_graph=again,
                allow_unused=True,
            )
        )
        return (None, *(next(computed) if want else None for want in ctx.needs_input_grad[1:]))
