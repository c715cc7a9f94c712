"""The fused path: the whole scan as one autograd.Function, with no graph inside.

Forward runs `forward.py` and saves only what the adjoint reads; backward runs `backward.py` and then, once for each
group of products, the weight gradients: dU = sum over t of g_t^T v_t is one product over T x B rows.
Where the gradient is itself to be differentiated (create_graph), backward runs the autograd loop again instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from riverrun.engine import eager
from riverrun.engine.adjoint import adjoint
from riverrun.engine.backward import Gradients, backward
from riverrun.engine.forward import Course, forward
from riverrun.engine.lower import Packed, Plan, lower, measure, pack
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned


@dataclass(kw_only=True)
class _Job:
    """Everything of one scan that autograd does not see; `records` is filled by the run."""

    program: Program
    names: tuple[str, ...]  # of the weights, in the order in which they are passed
    lengths: Tensor | None
    overrides: tuple[Override, ...]
    masks: Mapping[str, Tensor]
    record: tuple[str, ...]
    reverse: bool
    course: Course
    learning: bool
    records: dict[str, Tensor] = field(default_factory=dict)


def run(
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
) -> Scanned:
    """The recurrence over all steps, T > 0; arguments and result are those of `scan.scan`."""
    tensors = (input, *initial, *weights.values(), *(o.value for o in overrides))
    job = _Job(
        program=program,
        names=tuple(weights),
        lengths=lengths,
        overrides=tuple(overrides),
        masks=masks or {},
        record=tuple(record),
        reverse=reverse,
        course=_course(program, input.shape[0], lengths, overrides, reverse),
        learning=torch.is_grad_enabled() and any(t.requires_grad for t in tensors),
    )
    found = _Fused.apply(job, *tensors)  # type: ignore[no-untyped-call]
    return Scanned(found[0], tuple(found[1:]), job.records)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, job: _Job, *tensors: Tensor) -> tuple[Tensor, ...]:
        input, initial, weights, values_of = _apart(job, tensors)
        program, course = job.program, job.course
        recorded = [program.names[name] for name in job.record]
        saved = adjoint(program).saved if job.learning else ()
        keep = frozenset((*saved, *recorded))
        plan = lower(program, keep)
        packed = pack(plan, weights, measure(program, weights, input.shape[-1], initial), initial[0])
        if course.valid is not None:
            input = torch.where(course.valid, input, input.new_zeros(()))
        masks = _clean(job.masks, course)
        ran = forward(plan, packed, eager.project(packed, input), initial, values_of, masks, course, sorted(keep))
        outputs = ran.states[0]
        if course.valid is not None:
            outputs = outputs.masked_fill(~course.valid, 0)
        last = 0 if job.reverse else -1
        for name, index in zip(job.record, recorded, strict=True):
            value = ran.kept[index]
            shared = index in saved or index in program.outputs or not value.is_contiguous()
            if course.valid is not None:
                value = value.masked_fill(~course.valid, 0)
            elif shared:
                value = value.clone()
            job.records[name] = value.detach()
        if job.learning:
            ctx.job, ctx.plan, ctx.sizes = job, plan, packed.sizes
            kept = [ran.kept[node] for node in saved]
            ctx.save_for_backward(*tensors, *kept, *packed.U, *([packed.W] if packed.W is not None else []))
        ctx.set_materialize_grads(False)
        return (outputs, *(state[last].clone() for state in ran.states))

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        job: _Job = ctx.job
        count = 1 + len(job.program.states) + len(job.names) + len(job.overrides)
        tensors: tuple[Tensor, ...] = ctx.saved_tensors[:count]
        needed: tuple[bool, ...] = ctx.needs_input_grad[1:]
        with torch.autocast(tensors[0].device.type, enabled=False):
            if torch.is_grad_enabled():
                return (None, *_again(job, tensors, needed, arriving))
            return (None, *_gradients(job, ctx.plan, ctx.sizes, tensors, ctx.saved_tensors[count:], needed, arriving))


def _gradients(
    job: _Job,
    plan: Plan,
    sizes: dict[str, int],
    tensors: tuple[Tensor, ...],
    extra: tuple[Tensor, ...],
    needed: tuple[bool, ...],
    arriving: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    input, initial, weights, values_of = _apart(job, tensors)
    course, program = job.course, job.program
    saved = adjoint(program).saved
    kept = dict(zip(saved, extra, strict=False))
    blocks = len(plan.blocks)
    U = extra[len(saved) : len(saved) + blocks]
    W = extra[len(saved) + blocks] if len(extra) > len(saved) + blocks else None
    like = initial[0]
    rows = pack(plan, weights, sizes, like).rows if plan.program.b_keys or plan.program.p_keys else {}
    packed = Packed(W=W, b=None, U=U, rows=rows, sizes=sizes)
    outside = arriving[0]
    if course.valid is not None:
        input = torch.where(course.valid, input, input.new_zeros(()))
        outside = None if outside is None else outside.masked_fill(~course.valid, 0)
    masks = _clean(job.masks, course)
    found = backward(plan, packed, kept, masks, course, initial, values_of, outside, arriving[1:])
    by_name, to_input = _after_the_loop(plan, packed, kept, found, input, needed[0])
    of_weights = [by_name[name].view_as(weight) for name, weight in weights.items()]
    everything = [to_input, *found.initial, *of_weights, *found.values_of]
    return [g if want else None for g, want in zip(everything, needed, strict=True)]


def _after_the_loop(
    plan: Plan, packed: Packed, kept: Mapping[int, Tensor], found: Gradients, input: Tensor, to_input: bool
) -> tuple[dict[str, Tensor], Tensor | None]:
    """The gradient of every parameter, and of the input where it is wanted."""
    shapes = plan.program.weights
    by_name: dict[str, Tensor] = {}

    def put(name: str, gradient: Tensor) -> None:
        by_name[name] = by_name[name] + gradient if name in by_name else gradient

    flat = input.flatten(0, 1)  # [T B, I]
    x_parts: list[tuple[list[str], Tensor]] = []
    place = 0
    for block, arrived in zip(plan.blocks, found.products, strict=True):
        widths = [packed.sizes[shapes[f"U.{key}"][0]] for key in block.keys]
        operand = kept[block.operand]
        dU = arrived.flatten(0, 1).t() @ operand.flatten(0, 1)  # [sum n, m]
        for key, part in zip(block.keys, torch.split(dU, widths, 0), strict=True):
            put(f"U.{key}", part)
        if block.fused:
            fused = arrived if block.fused == len(widths) else arrived.narrow(-1, 0, sum(widths[: block.fused]))
            x_parts.append((list(plan.x_order[place : place + block.fused]), fused.flatten(0, 1)))
        place += block.fused
    for key, alone in zip(plan.x_order, found.x, strict=True):
        if alone is not None:
            x_parts.append(([key], alone.flatten(0, 1)))
    d_input: Tensor | None = None
    place = 0
    for keys, gradient in x_parts:
        widths = [packed.sizes[shapes[f"W.{key}"][0]] for key in keys]
        dW = gradient.t() @ flat
        db = gradient.sum(0)
        for key, w, b in zip(keys, torch.split(dW, widths, 0), torch.split(db, widths, 0), strict=True):
            put(f"W.{key}", w)
            if key in plan.program.x_biases:
                put(f"b.{key}", b)
        if to_input:
            assert packed.W is not None
            W = packed.W.narrow(0, place, sum(widths))
            d_input = gradient @ W if d_input is None else torch.addmm(d_input, gradient, W)
        place += sum(widths)
    for name, gradient in found.rows.items():
        put(name, gradient.sum((0, 1)))
    if to_input:
        d_input = torch.zeros_like(input) if d_input is None else d_input.view_as(input)
    return by_name, d_input


def _again(
    job: _Job, tensors: tuple[Tensor, ...], needed: tuple[bool, ...], arriving: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """The gradient as a function that can be differentiated: through the autograd loop."""
    input, initial, weights, values_of = _apart(job, tensors)
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


def _apart(
    job: _Job, tensors: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor], tuple[Tensor, ...]]:
    """input, initial states, weights and override values, out of the flat tuple that autograd wants."""
    states = 1 + len(job.program.states)
    weights = states + len(job.names)
    named = dict(zip(job.names, tensors[states:weights], strict=True))
    return tensors[0], tensors[1:states], named, tensors[weights:]


def _clean(masks: Mapping[str, Tensor], course: Course) -> dict[str, Tensor]:
    """Masks without what stands at padding."""
    valid = course.valid
    return {k: m if valid is None or m.dim() == 2 else m.masked_fill(~valid, 0) for k, m in masks.items()}


def _course(
    program: Program, steps: int, lengths: Tensor | None, overrides: Sequence[Override], reverse: bool
) -> Course:
    valid, ragged = None, (False,) * steps
    if lengths is not None and lengths.numel():
        shortest = int(lengths.min())
        if shortest < steps:
            valid = eager.valid_steps(lengths, steps)
            ragged = tuple(t >= shortest for t in range(steps))
    borders = []
    for override in overrides:
        mask = override.mask.unsqueeze(-1)
        if valid is not None:
            mask = mask & valid
        if mask.device.type == "cpu":  # elsewhere the look would cost a wait for the device
            acts = tuple(bool(a) for a in mask.flatten(1).any(1).tolist())
        else:
            acts = (True,) * steps
        borders.append((program.states.index(override.state), mask, acts))
    return Course(steps=steps, reverse=reverse, valid=valid, ragged=ragged, borders=tuple(borders))
