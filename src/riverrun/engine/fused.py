"""The fused path: the whole scan as one autograd.Function, with no graph inside.

Forward runs `forward.py` and saves only what the adjoint reads; backward runs `backward.py` and then, once for each
group of products, the weight gradients: dU = sum over t of g_t^T v_t is one product over T x B rows.
Where the gradient is itself to be differentiated (create_graph), backward runs the autograd loop again instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from riverrun.engine import eager
from riverrun.engine.adjoint import adjoint
from riverrun.engine.backward import Gradients, backward
from riverrun.engine.forward import Course, forward
from riverrun.engine.job import Job, again, apart
from riverrun.engine.lower import Packed, Plan, lower, measure, pack, pack_rows, rows_of_U, rows_of_W
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned


@dataclass(kw_only=True)
class _Job(Job):
    course: Course
    product: torch.dtype | None  # of the matrix products, where it is not that of the states


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
    product: torch.dtype | None = None,
) -> Scanned:
    """The recurrence over all steps, T > 0; arguments and result are those of `scan.scan`.

    With `product`, as under autocast, matrix products are computed in that dtype, and everything else, the states and
    what is saved, in the dtype of the input.
    """
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
        product=product,
    )
    found = _Fused.apply(job, *tensors)  # type: ignore[no-untyped-call]
    return Scanned(found[0], tuple(found[1:]), job.records)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, job: _Job, *tensors: Tensor) -> tuple[Tensor, ...]:
        input, initial, weights, values_of = apart(job, tensors)
        program, course = job.program, job.course
        recorded = [program.names[name] for name in job.record]
        saved = adjoint(program).saved if job.learning else ()
        keep = frozenset((*saved, *recorded))
        plan = lower(program, keep)
        sizes = measure(program, weights, input.shape[-1], initial)
        dtype = job.product or input.dtype
        packed = _cast(pack(plan, weights, sizes, initial[0]), dtype)
        if course.valid is not None:
            input = torch.where(course.valid, input, input.new_zeros(()))
        x = eager.project(packed, input.to(dtype))
        if x is not None and sum(block.fused for block in plan.blocks) < len(plan.x_order):
            x = x.to(input.dtype)  # an x that meets no product's columns enters elementwise
        ran = forward(plan, packed, x, initial, values_of, _clean(job.masks, course), course, sorted(keep), dtype)
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
            ctx.job, ctx.plan, ctx.sizes = job, plan, sizes
            ctx.save_for_backward(*tensors, *(ran.kept[node] for node in saved))
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
                return (None, *again(job, tensors, needed, arriving))
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
    input, initial, weights, values_of = apart(job, tensors)
    course, program = job.course, job.program
    saved = adjoint(program).saved
    kept = dict(zip(saved, extra, strict=True))
    dtype = job.product or input.dtype
    U = [u.to(dtype) for u in rows_of_U(plan, weights)]
    rows = pack_rows(plan, weights, sizes, initial[0])
    outside = arriving[0]
    if course.valid is not None:
        input = torch.where(course.valid, input, input.new_zeros(()))
        outside = None if outside is None else outside.masked_fill(~course.valid, 0)
    masks = _clean(job.masks, course)
    found = backward(plan, sizes, U, rows, kept, masks, course, initial, values_of, outside, arriving[1:])
    W = rows_of_W(plan, weights) if needed[0] else None
    by_name, to_input = _after_the_loop(plan, sizes, W, kept, found, input, dtype)
    of_weights = [by_name[name].view_as(weight) for name, weight in weights.items()]
    everything = [to_input, *found.initial, *of_weights, *found.values_of]
    return [g if want else None for g, want in zip(everything, needed, strict=True)]


def _after_the_loop(
    plan: Plan,
    sizes: Mapping[str, int],
    W: Tensor | None,
    kept: Mapping[int, Tensor],
    found: Gradients,
    input: Tensor,
    dtype: torch.dtype,
) -> tuple[dict[str, Tensor], Tensor]:
    """The gradient of every parameter, and, where W [sum n, I] is given, of the input."""
    shapes = plan.program.weights
    by_name: dict[str, Tensor] = {}

    def put(name: str, gradient: Tensor) -> None:
        by_name[name] = by_name[name] + gradient if name in by_name else gradient

    flat = input.flatten(0, 1).to(dtype)  # [T B, I]
    x_parts: list[tuple[list[str], Tensor, Tensor]] = []  # keys, their gradients, and these in the products' dtype
    place = 0
    for block, arrived in zip(plan.blocks, found.products, strict=True):
        widths = [sizes[shapes[f"U.{key}"][0]] for key in block.keys]
        operand = kept[block.operand]
        flat_g = arrived.flatten(0, 1).to(dtype)  # [T B, sum n]
        dU = (flat_g.t() @ operand.flatten(0, 1).to(dtype)).to(input.dtype)  # [sum n, m]
        for key, part in zip(block.keys, torch.split(dU, widths, 0), strict=True):
            put(f"U.{key}", part)
        if block.fused:
            x_parts.append((list(plan.x_order[place : place + block.fused]), arrived, flat_g))
        place += block.fused
    for key, alone in zip(plan.x_order, found.x, strict=True):
        if alone is not None:
            x_parts.append(([key], alone, alone.flatten(0, 1).to(dtype)))
    to_input = torch.zeros_like(input)
    place = 0
    for keys, exact, gradient in x_parts:
        widths = [sizes[shapes[f"W.{key}"][0]] for key in keys]
        gradient = gradient.narrow(-1, 0, sum(widths))
        dW = (gradient.t() @ flat).to(input.dtype)
        db = exact.flatten(0, 1).narrow(-1, 0, sum(widths)).sum(0)
        for key, w, b in zip(keys, torch.split(dW, widths, 0), torch.split(db, widths, 0), strict=True):
            put(f"W.{key}", w)
            if key in plan.program.x_biases:
                put(f"b.{key}", b)
        if W is not None:
            to_input += (gradient @ W.narrow(0, place, sum(widths)).to(dtype)).view_as(input)
        place += sum(widths)
    for name, gradient in found.rows.items():
        put(name, gradient.sum((0, 1)))
    return by_name, to_input


def _cast(packed: Packed, dtype: torch.dtype) -> Packed:
    """With everything that a product reads in this dtype."""
    W, b = packed.W, packed.b
    return replace(
        packed,
        W=None if W is None else W.to(dtype),
        b=None if b is None else b.to(dtype),
        U=tuple(u.to(dtype) for u in packed.U),
    )


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
