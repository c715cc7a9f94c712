"""The native engine: a scan as one call of the shared library, forward and backward, for any program on the CPU.

What code.py makes of a program is passed as it is; here the addresses are added. Nothing is copied that lies well:
any tensor whose last dimension is contiguous is read where it stands.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from riverrun.engine.adjoint import adjoint
from riverrun.engine.code import Code, Sizes, backward_code, forward_code
from riverrun.engine.job import Job, again, apart
from riverrun.engine.library import library
from riverrun.engine.lower import measure
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned
from riverrun.errors import RiverrunError

DTYPES = {torch.float32: "rr_scan_float", torch.float64: "rr_scan_double"}
STATUS = {1: "the call does not fit together, which is a mistake in riverrun", 2: "there is not enough memory"}


def refusal(device: str, dtype: torch.dtype) -> str:
    """Why the native engine cannot serve: the reason as a plain clause; "" where it can."""
    if device != "cpu":
        return f"the native engine runs on the CPU, and the tensors are on {device}"
    if dtype not in DTYPES:
        return f"the native engine computes in float32 and float64, not in {str(dtype).removeprefix('torch.')}"
    return library().reason


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
    tensors = (input, *initial, *weights.values(), *(o.value for o in overrides))
    job = Job(
        program=program,
        names=tuple(weights),
        lengths=None if lengths is None else lengths.to(torch.int64).contiguous(),
        overrides=tuple(overrides),
        masks=masks or {},
        record=tuple(record),
        reverse=reverse,
        learning=torch.is_grad_enabled() and any(t.requires_grad for t in tensors),
    )
    if job.learning:
        outputs, *states = _Native.apply(job, *tensors)  # type: ignore[no-untyped-call]
        return Scanned(outputs, tuple(states), job.records)
    found, states, _ = _forward(job, tensors)
    return Scanned(found, tuple(states), job.records)


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, job: Job, *tensors: Tensor) -> tuple[Tensor, ...]:
        outputs, final, kept = _forward(job, tensors)
        ctx.job, ctx.keys = job, tuple(kept)
        ctx.save_for_backward(*tensors, *kept.values())
        ctx.set_materialize_grads(False)
        return (outputs, *final)

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        job: Job = ctx.job
        count = 1 + len(job.program.states) + len(job.names) + len(job.overrides)
        tensors: tuple[Tensor, ...] = ctx.saved_tensors[:count]
        needed: tuple[bool, ...] = ctx.needs_input_grad[1:]
        with torch.autocast("cpu", enabled=False):
            if torch.is_grad_enabled():
                return (None, *again(job, tensors, needed, arriving))
            kept = dict(zip(ctx.keys, ctx.saved_tensors[count:], strict=True))
            return (None, *_backward(job, tensors, kept, needed, arriving))


Kept = dict[tuple[str, str | int], Tensor]  # "after" and "kept" arrays, by role and key


def _forward(job: Job, tensors: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor], Kept]:
    """(outputs, final states, what the gradient reads)."""
    input, initial, weights, _ = apart(job, tensors)
    program = job.program
    sizes = _sizes(program, weights, input, initial)
    recorded = frozenset(program.names[name] for name in job.record)
    saved = (
        frozenset(i for i in adjoint(program).saved if program.nodes[i].op != "state") if job.learning else frozenset()
    )
    code = forward_code(program, sizes, saved | recorded, _biases(program, weights), _stepwise(job))
    call = _Call(job, tensors, code, {})
    final = [state.new_empty(state.shape) for state in initial]
    call.scan(final=final)
    outputs = call.arrays["after", 0]
    for name in job.record:
        node = program.names[name]
        outside = node in saved or node in program.outputs
        role = ("after", program.outputs.index(node)) if node in program.outputs else ("kept", node)
        value = call.arrays[role]
        if role[0] == "after" and role[1] and job.lengths is not None:  # of these only the output is zero at padding
            value = value.masked_fill(~_valid(job.lengths, input.shape[0]), 0)
        job.records[name] = value.detach().clone() if outside else value.detach()
    kept = {key: value for key, value in call.arrays.items() if key[0] == "after" or key[1] in saved}
    return outputs, final, kept if job.learning else {}


def _backward(
    job: Job,
    tensors: tuple[Tensor, ...],
    kept: Kept,
    needed: tuple[bool, ...],
    arriving: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    input, initial, weights, values_of = apart(job, tensors)
    program = job.program
    sizes = _sizes(program, weights, input, initial)
    code = backward_code(program, sizes, _biases(program, weights), _stepwise(job), needed[0])
    call = _Call(job, tensors, code, kept)
    to_input = torch.empty(input.shape, dtype=input.dtype) if needed[0] else None
    of_initial = [state.new_empty(state.shape) for state in initial]
    of_values = [torch.zeros(value.shape, dtype=value.dtype) for value in values_of]
    call.scan(arriving=arriving, to_input=to_input, of_initial=of_initial, of_values=of_values)
    by_name: dict[str, Tensor] = {}
    for number, found in enumerate(code.sums):
        parts = torch.split(call.arrays["sum", number], list(found.widths))
        for name, part in zip(found.names, parts, strict=True):
            by_name[name] = by_name[name] + part if name in by_name else part
    of_weights = [by_name[name].view_as(w) if name in by_name else torch.zeros_like(w) for name, w in weights.items()]
    everything = [to_input, *of_initial, *of_weights, *of_values]
    return [g if want else None for g, want in zip(everything, needed, strict=True)]


class _Call:
    """One call of the library: the words, and the tensors to which they point, which live as long as this."""

    def __init__(self, job: Job, tensors: tuple[Tensor, ...], code: Code, kept: Kept) -> None:
        self.job, self.code = job, code
        self.input, self.initial, self.weights, self.values_of = apart(job, tensors)
        self.input = _readable(self.input)
        self.arrays: dict[tuple[str, str | int], Tensor] = dict(kept)
        self.held: list[Tensor] = []

    def scan(
        self,
        *,
        final: Sequence[Tensor] = (),
        arriving: Sequence[Tensor | None] = (),
        to_input: Tensor | None = None,
        of_initial: Sequence[Tensor] = (),
        of_values: Sequence[Tensor] = (),
    ) -> None:
        """Forward where `final` is given, else backward. Raises RiverrunError where the library refuses."""
        job, code, input = self.job, self.code, self.input
        steps, batch, width = input.shape
        backward = not final
        outside = self._hold(arriving[0]) if arriving and arriving[0] is not None else None
        words = [
            steps, batch, width, job.reverse, torch.get_num_threads(),
            input.data_ptr() if code.words[6] or backward else 0, *input.stride()[:2],
            len(self.initial), len(job.overrides), len(code.arrays), len(code.weights),
            *((0, 0, 0) if outside is None else (outside.data_ptr(), *outside.stride()[:2])),
            0 if to_input is None else to_input.data_ptr(),
            0, 0 if job.lengths is None else job.lengths.data_ptr(),
            code.constants.ctypes.data, code.words.ctypes.data, len(code.words), 0, 0, 0,
        ]  # fmt: skip
        for role, key, columns in code.arrays:
            words += self._array(role, key, columns, steps, batch)
        for name, transposed in code.weights:
            weight = self.weights[name]
            (n, m), (by_row, by_column) = weight.shape, weight.stride()
            words += [weight.data_ptr(), *((by_column, by_row, m, n) if transposed else (by_row, by_column, n, m)), 0]
        for index, state in enumerate(self.initial):
            state = self._hold(state)
            gradient = self._hold(arriving[1 + index], whole=True) if backward else None
            words += [
                state.data_ptr(), state.stride(0), state.shape[1], index,
                0 if backward else final[index].data_ptr(),
                0 if gradient is None else gradient.data_ptr(),
                of_initial[index].data_ptr() if backward else 0,
            ]  # fmt: skip
        for index, override in enumerate(job.overrides):
            mask, value = override.mask, self._hold(self.values_of[index])
            words += [job.program.states.index(override.state), mask.data_ptr(), *mask.stride()]
            words += [value.data_ptr(), *_by_step(value)]
            words += [of_values[index].data_ptr(), *_by_step(of_values[index])] if backward else [0, 0, 0]
        passed = array("q", words)
        status = _entry(input.dtype)(passed.buffer_info()[0], len(passed), backward)
        if status:
            raise RiverrunError(f"the native engine: {STATUS[status]}.")

    def _hold(self, tensor: Tensor | None, whole: bool = False) -> Any:
        """The tensor, or a copy that the library can read; kept alive."""
        if tensor is None:
            return None
        tensor = tensor.contiguous() if whole else _readable(tensor)
        self.held.append(tensor)
        return tensor

    def _array(self, role: str, key: str | int, columns: int, steps: int, batch: int) -> list[int]:
        """Address, distance of rows, rows, columns."""
        if role == "vector":
            vector = self.weights.get(str(key))
            vector = self._hold(self.input.new_zeros(columns) if vector is None else vector, whole=True)
            return [vector.data_ptr(), 0, 1, columns]
        if role == "mask":
            mask = self.job.masks[str(key)]
            mask = self._hold(mask, whole=mask.dim() == 3)
            return [mask.data_ptr(), mask.stride(-2), mask.shape[:-1].numel(), columns]
        found = self.arrays.get((role, key))
        if found is None:
            shape = [steps, batch, columns]
            if role == "sum":
                of = self.code.sums[int(key)]
                shape = [sum(of.widths), of.m] if of.m else [columns]
            found = self.arrays[role, key] = self.input.new_empty(shape)
        return [found.data_ptr(), columns, found.shape[:-1].numel(), columns]


def _readable(tensor: Tensor) -> Tensor:
    """The tensor, or a copy, with its last dimension contiguous."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def _by_step(value: Tensor) -> tuple[int, int]:
    """The distances of steps and of rows: a value [B, n] is the same at every step."""
    return (0, value.stride(0)) if value.dim() == 2 else (value.stride(0), value.stride(1))


def _valid(lengths: Tensor, steps: int) -> Tensor:
    return (torch.arange(steps).unsqueeze(-1) < lengths).unsqueeze(-1)  # [T, B, 1]


def _sizes(program: Program, weights: Mapping[str, Tensor], input: Tensor, initial: Sequence[Tensor]) -> Sizes:
    return tuple(measure(program, weights, input.shape[-1], initial).items())


def _biases(program: Program, weights: Mapping[str, Tensor]) -> frozenset[str]:
    return frozenset(key for key in program.x_biases if f"b.{key}" in weights)


def _stepwise(job: Job) -> frozenset[str]:
    return frozenset(key for key, mask in job.masks.items() if mask.dim() == 3)


@cache
def _entry(dtype: torch.dtype) -> Callable[[int, int, bool], int]:
    handle = library().handle
    assert handle is not None
    entry = getattr(handle, DTYPES[dtype])
    entry.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int]
    entry.restype = ctypes.c_int
    return entry  # type: ignore[no-any-return]
