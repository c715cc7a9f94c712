"""What autograd does not see of a scan, for the paths that are one autograd.Function each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from riverrun.engine import eager
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override


@dataclass(kw_only=True)
class Job:
    """Everything of one scan that autograd does not see; `records` is filled by the run."""

    program: Program
    names: tuple[str, ...]  # of the weights, in the order in which they are passed
    lengths: Tensor | None
    overrides: tuple[Override, ...]
    masks: Mapping[str, Tensor]
    record: tuple[str, ...]
    reverse: bool
    learning: bool
    records: dict[str, Tensor] = field(default_factory=dict)


def again(
    job: Job, tensors: tuple[Tensor, ...], needed: tuple[bool, ...], arriving: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """The gradient as a function that can be differentiated: through the autograd loop."""
    input, initial, weights, values_of = apart(job, tensors)
    overrides = [o._replace(value=v) for o, v in zip(job.overrides, values_of, strict=True)]
    found = eager.loop(
        job.program, weights, input, initial,
        lengths=job.lengths, overrides=overrides, masks=job.masks, reverse=job.reverse,
    )  # fmt: skip
    pairs = [(o, g) for o, g in zip((found.outputs, *found.states), arriving, strict=True) if g is not None]
    wanted = [t for t, want in zip(tensors, needed, strict=True) if want]
    outputs, gradients = [o for o, _ in pairs], [g for _, g in pairs]
    computed = iter(torch.autograd.grad(outputs, wanted, gradients, create_graph=True, allow_unused=True))
    return [next(computed) if want else None for want in needed]


def apart(
    job: Job, tensors: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor], tuple[Tensor, ...]]:
    """input, initial states, weights and override values, out of the flat tuple that autograd wants."""
    states = 1 + len(job.program.states)
    weights = states + len(job.names)
    named = dict(zip(job.names, tensors[states:weights], strict=True))
    return tensors[0], tensors[1:states], named, tensors[weights:]
