"""torch's kernels, made differentiable twice.

cuDNN's recurrences have a first derivative only (oneDNN's LSTM on the CPU has both). So there the kernel runs with its
own small graph inside one autograd.Function; where the gradient is itself to be differentiated, backward runs the
autograd loop instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from riverrun.engine import eager, kernels
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned

Pass = Callable[[Sequence[Tensor]], tuple[Tensor, ...]]


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

    def by(function: Callable[..., Scanned]) -> Pass:
        def run(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
            states = 1 + len(initial)
            last = states + len(weights)
            new = [o._replace(value=v) for o, v in zip(overrides, tensors[last:], strict=True)]
            named = dict(zip(weights, tensors[states:last], strict=True))
            found = function(named, tensors[0], tensors[1:states], lengths=lengths, overrides=new, reverse=reverse)
            return (found.outputs, *found.states)

        return run

    outputs, *states = twice(by(partial(kernels.run, match)), by(partial(eager.loop, program)), given)
    return Scanned(outputs, tuple(states), {name: outputs.detach().clone() for name in record})


def twice(kernel: Pass, loop: Pass, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """`kernel(tensors)`. Where its gradient is to be differentiated, that is the gradient of `loop`, which computes the
    same."""
    if guards(tensors):
        return _Once.apply(kernel, loop, *tensors)  # type: ignore[no-any-return, no-untyped-call]
    return kernel(tensors)


def guards(tensors: Sequence[Tensor]) -> bool:
    """Whether a gradient is wanted of a kernel that has a first derivative only."""
    return only_once(tensors[0].device.type) and torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def only_once(device: str) -> bool:
    """Whether torch's kernels on this device have a first derivative only."""
    return device != "cpu"


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernel: Pass, loop: Pass, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.loop = loop
        ctx.save_for_backward(*tensors)
        ctx.leaves = [t.detach().requires_grad_(t.requires_grad) for t in tensors]
        with torch.enable_grad():
            ctx.found = kernel(ctx.leaves)
        ctx.set_materialize_grads(False)
        return tuple(t.detach() for t in ctx.found)

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        again = torch.is_grad_enabled()
        leaves: Sequence[Tensor] = ctx.saved_tensors if again else ctx.leaves
        if again:
            with torch.autocast(leaves[0].device.type, enabled=False):
                outputs = ctx.loop(leaves)
        else:
            outputs = ctx.found
        pairs = [(o, g) for o, g in zip(outputs, arriving, strict=True) if g is not None and o.requires_grad]
        wanted = [leaf for leaf, want in zip(leaves, ctx.needs_input_grad[2:], strict=True) if want]
        computed = iter(
            torch.autograd.grad(
                [o for o, _ in pairs],
                wanted,
                [g for _, g in pairs],
                retain_graph=again or _kept(),
                create_graph=again,
                allow_unused=True,
            )
        )
        return (None, None, *(next(computed) if want else None for want in ctx.needs_input_grad[2:]))


def _kept() -> bool:
    """Whether the backward pass at work keeps its graph; where it does not, what the kernel saved is freed with it."""
    return bool(torch._C._autograd._get_current_graph_task_keep_graph())
