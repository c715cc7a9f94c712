"""The native engine: a scan as one call of the shared library, forward and backward, for any program on the CPU.

What frame.py makes of a call is passed as it is; here the tensors are made and their addresses added. Nothing is
copied that lies well: any tensor whose last dimension is contiguous is read where it stands.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from riverrun.engine.frame import (
    ARRIVING,
    ARRIVING_LAST,
    LENGTHS,
    STATE,
    THREADS,
    Form,
    Frame,
    backward_frame,
    forward_frame,
)
from riverrun.engine.job import Job, again
from riverrun.engine.library import library
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned
from riverrun.errors import RiverrunError, UsageError

DTYPES = {torch.float32: "float", torch.float64: "double"}
STATUS = {1: "the call does not fit together, which is a mistake in riverrun", 2: "there is not enough memory"}

_shape, _requires_grad = attrgetter("shape"), attrgetter("requires_grad")


def refusal(device: str, dtype: torch.dtype) -> str:
    """Why the native engine cannot serve: the reason as a plain clause; "" where it can."""
    if device != "cpu":
        return f"the native engine runs on the CPU, and the tensors are on {device}"
    if dtype not in DTYPES:
        return f"the native engine computes in float32 and float64, not in {str(dtype).removeprefix('torch.')}"
    return library().reason


def takes(tensors: Sequence[Tensor]) -> bool:
    """Whether `refusal` is "" for these tensors, the input first, and `run` can check all else about them."""
    dtype, shape = tensors[0].dtype, tensors[0].shape
    for tensor in tensors:
        if tensor.dtype is not dtype or not tensor.is_cpu:
            return False
    whole = len(shape) == 3 and 0 not in shape
    return whole and not torch.is_autocast_enabled("cpu") and not refusal("cpu", dtype)


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
    """The recurrence over all steps, T > 0 and B > 0; arguments and result are those of `scan.scan`."""
    tensors = [input, *initial, *weights.values()]
    if not (overrides or masks or record) and lengths is None:
        return run_plain(program, weights, tensors, reverse)
    masks, dtype = masks or {}, input.dtype
    tensors += [o.value if o.value.dtype is dtype else o.value.to(dtype) for o in overrides]
    others = (*(o.mask for o in overrides), *(m if m.dtype is dtype else m.to(dtype) for m in masks.values()))
    everything = (*tensors, *others)
    if lengths is not None:
        lengths = lengths.to(device="cpu", dtype=torch.int64).contiguous()
    for tensor in everything:
        if not tensor.is_cpu:
            raise UsageError(f"overrides, masks: expected tensors on the CPU like the input, came {tensor.device}.")
    form = form_of(program, weights, everything, reverse, tuple(o.state for o in overrides), tuple(masks))
    record = tuple(record)
    if not (torch.is_grad_enabled() and any(map(_requires_grad, tensors))):
        frame = forward_frame(form, False, record)
        (outputs, *final), block = forward(frame, everything, lengths)
        return Scanned(outputs, tuple(final), records(form, frame, record, outputs, block, lengths))
    job = _Job(
        program=program, names=form.names, lengths=lengths, overrides=tuple(overrides), masks=masks, record=record,
        reverse=reverse, learning=True, form=form, others=others,
    )  # fmt: skip
    outputs, *final = _Native.apply(job, *tensors)  # type: ignore[no-untyped-call]
    return Scanned(outputs, tuple(final), job.records)


def run_plain(program: Program, weights: Mapping[str, Tensor], tensors: Sequence[Tensor], reverse: bool) -> Scanned:
    """`run` of nothing but an input, initial states and weights, which are also `tensors`, in this order."""
    form = form_of(program, weights, tensors, reverse, (), ())
    if not (torch.is_grad_enabled() and any(map(_requires_grad, tensors))):
        (outputs, *final), _ = forward(forward_frame(form, False, ()), tensors, None)
        return Scanned(outputs, tuple(final), {})
    job = _Job(
        program=program, names=form.names, lengths=None, overrides=(), masks={}, record=(),
        reverse=reverse, learning=True, form=form, others=(),
    )  # fmt: skip
    outputs, *final = _Native.apply(job, *tensors)  # type: ignore[no-untyped-call]
    return Scanned(outputs, tuple(final), {})


def form_of(
    program: Program,
    weights: Mapping[str, Tensor],
    tensors: Sequence[Tensor],
    reverse: bool,
    overridden: tuple[str, ...],
    masked: tuple[str, ...],
) -> Form:
    shapes, strides = tuple(map(_shape, tensors)), _strides(tensors)
    return Form(program, tuple(weights), overridden, masked, shapes, strides, tensors[0].dtype, reverse)


def _strides(tensors: Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
    """As `Form` has them: () where all are contiguous, which is quicker to see."""
    return () if all(map(Tensor.is_contiguous, tensors)) else tuple(map(Tensor.stride, tensors))


@dataclass(kw_only=True)
class _Job(Job):
    """A scan, with the form of its call; others: the tensors that autograd does not see."""

    form: Form
    others: tuple[Tensor, ...]


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, job: _Job, *tensors: Tensor) -> tuple[Tensor, ...]:
        frame = forward_frame(job.form, True, job.record)
        results, block = forward(frame, tensors + job.others, job.lengths)
        if job.record:
            job.records = records(job.form, frame, job.record, results[0], block, job.lengths)
        ctx.job = job
        ctx.save_for_backward(*tensors, results[0], block)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        job: _Job = ctx.job
        *tensors, outputs, block = ctx.saved_tensors
        needed: tuple[bool, ...] = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            with torch.autocast("cpu", enabled=False):
                return (None, *again(job, tuple(tensors), needed, arriving))
        return (None, *_backward(job, tensors, outputs, block, needed, arriving))


def forward(frame: Frame, tensors: Sequence[Tensor], lengths: Tensor | None) -> tuple[list[Tensor], Tensor]:
    """The outputs and the final states, and the allocation in which everything else lies."""
    words, like = frame.words[:], tensors[0]
    held = point(frame, words, tensors)
    results = []
    for word, shape, _, _ in frame.results:
        made = like.new_empty(*shape)
        words[word] = made.data_ptr()
        results.append(made)
    for word, number in frame.also:
        words[word] = results[number].data_ptr()
    block = like  # where there is nothing else
    if frame.scratch:
        block = like.new_empty(frame.scratch)
        base = block.data_ptr()
        for word, offset in frame.places:
            words[word] = base + offset
    if lengths is not None:
        words[LENGTHS] = lengths.data_ptr()
    call(words, like.dtype, False)
    del held
    return results, block


def _backward(
    job: _Job,
    tensors: Sequence[Tensor],
    outputs: Tensor,
    block: Tensor,
    needed: tuple[bool, ...],
    arriving: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of all tensors, None where not needed."""
    everything = (*tensors, *job.others)
    strides = _strides(everything)
    form = job.form if strides == job.form.strides else job.form._replace(strides=strides)  # hooks may copy
    frame = backward_frame(form, job.record, needed)
    return by_tensor(frame, backward(frame, (*everything, outputs), block, job.lengths, arriving), tensors, needed)


def backward(
    frame: Frame,
    tensors: Sequence[Tensor],
    block: Tensor,
    lengths: Tensor | None,
    arriving: Sequence[Tensor | None],
) -> list[Tensor]:
    """The tensors of frame.results and frame.added; given the tensors of the call and its outputs, and what it kept."""
    words, like = frame.words[:], tensors[0]
    held = point(frame, words, tensors)
    scratch = like.new_empty(frame.scratch)
    base = scratch.data_ptr()
    for word, offset in frame.places:
        words[word] = base + offset
    base = block.data_ptr()
    for word, offset in frame.kept:
        words[word] = base + offset
    made = [like.new_empty(*result.shape) for result in frame.results]
    made += [like.new_zeros(result.shape) for result in frame.added]
    for result, tensor in zip(frame.results + frame.added, made, strict=True):
        words[result.word] = tensor.data_ptr()
    if lengths is not None:
        words[LENGTHS] = lengths.data_ptr()
    if arriving[0] is not None:
        outside = arriving[0]
        if outside.stride(-1) != 1:
            outside = outside.contiguous()
            held.append(outside)
        words[ARRIVING] = outside.data_ptr()
        words[ARRIVING + 1], words[ARRIVING + 2], _ = outside.stride()
    for index, gradient in enumerate(arriving[1:]):
        if gradient is not None:
            held.append(gradient.contiguous())
            words[frame.states + STATE * index + ARRIVING_LAST] = held[-1].data_ptr()
    call(words, like.dtype, True)
    return made


def by_tensor(
    frame: Frame, made: Sequence[Tensor], tensors: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    """The gradient of each tensor, None where it is not needed, out of what `backward` made."""
    gradients: list[Tensor | None] = [None] * len(needed)
    for result, tensor in zip(frame.results + frame.added, made, strict=True):
        numbers = result.tensors
        parts = tensor.split_with_sizes(result.rows) if len(numbers) > 1 else (tensor,)
        for number, part in zip(numbers, parts, strict=True):
            if number >= 0 and needed[number]:
                earlier = gradients[number]
                gradients[number] = part if earlier is None else earlier + part
    for number, want in enumerate(needed):
        if want and gradients[number] is None:  # a weight that nothing depends on
            gradients[number] = torch.zeros_like(tensors[number])
    return gradients


def point(frame: Frame, words: array[int], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Put the addresses of the tensors into the words; returns what has to live until the call is over."""
    held: list[Tensor] = []
    if frame.copies:
        tensors = list(tensors)
        for number, shape in frame.copies:
            tensors[number] = tensors[number].expand(shape).contiguous()
            held.append(tensors[number])
    try:
        pointers = list(map(Tensor.data_ptr, tensors))
    except RuntimeError:  # a tensor that has outlived its transform of torch.func is only a wrapper
        held += map(torch._C._functorch.unwrap_if_dead, tensors)
        pointers = list(map(Tensor.data_ptr, held[-len(tensors) :]))
    for word, number in frame.addresses:
        words[word] = pointers[number]
    threads = torch.get_num_threads()
    words[THREADS] = threads if threads < frame.threads else frame.threads
    return held


def call(words: array[int], dtype: torch.dtype, backward: bool) -> None:
    """The library's scan of these words; raises RiverrunError where it refuses."""
    status = _entry(dtype)(*words.buffer_info(), backward)
    if status:
        raise failure(status)


def failure(status: int) -> RiverrunError:
    """What the library's refusal is to a caller."""
    return RiverrunError(f"the native engine: {STATUS[status]}.")


def records(
    form: Form, frame: Frame, record: Sequence[str], outputs: Tensor, block: Tensor, lengths: Tensor | None
) -> dict[str, Tensor]:
    """The values that were asked for, [T, B, n] each, copied out of what else lies there."""
    found: dict[str, Tensor] = {}
    steps, batch = form.shapes[0][:2]
    for name in record:
        node = form.program.names[name]
        state = form.program.outputs.index(node) if node in form.program.outputs else -1
        if state == 0:
            found[name] = outputs.detach().clone()
            continue
        begin, width = frame.where[("after", state) if state > 0 else ("kept", node)]
        value = block[begin : begin + steps * batch * width].view(steps, batch, width).clone()
        if state > 0 and lengths is not None:  # of the states only the output is zero at padding
            value.masked_fill_((torch.arange(steps).unsqueeze(-1) >= lengths).unsqueeze(-1), 0)
        found[name] = value
    return found


@cache
def _entry(dtype: torch.dtype) -> Callable[[int, int, bool], int]:
    """The library's scan in this precision: (address of the words, how many, backward) -> status."""
    return _function("scan", dtype, [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int])


@cache
def steps_entry(dtype: torch.dtype) -> Callable[[int, int, int, int], int]:
    """The library's steps in this precision: (address of the words, how many, that of the starts, layers) -> status."""
    return _function("steps", dtype, [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64])


def _function(name: str, dtype: torch.dtype, types: list[Any]) -> Callable[..., int]:
    handle = library().handle
    assert handle is not None
    found = getattr(handle, f"rr_{name}_{DTYPES[dtype]}")
    found.argtypes = types
    found.restype = ctypes.c_int
    return found  # type: ignore[no-any-return]
