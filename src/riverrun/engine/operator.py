"""A scan of the native engine as one node of a graph: for torch.compile, torch.export, and all that traces tensors.

    riverrun::scan(input, initial, weights, values, others, lengths, call, learning) -> outputs, finals, records, kept

`call` is a string that says the rest, the Program among it, as JSON: a graph that was exported holds all that it needs.
The gradient is a second operator, riverrun::scan_gradient, whose results lie as the library leaves them; what takes
them apart is part of the graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from riverrun.engine import eager, native
from riverrun.engine.frame import LINE, Form, backward_frame, forward_frame
from riverrun.engine.job import Job, again
from riverrun.engine.program import Node, Program
from riverrun.engine.scanned import Override, Scanned
from riverrun.errors import RiverrunError, UsageError

STAND_IN = (3, 2)  # T and B where only what does not depend on them is asked for


class Call(NamedTuple):
    """What a scan is told beside its tensors."""

    program: Program
    names: tuple[str, ...]  # of the weights
    overridden: tuple[str, ...]  # the state that each override acts on
    masked: tuple[str, ...]  # the keys of the program's masks
    record: tuple[str, ...]
    reverse: bool


def serves(tensors: Sequence[Tensor], masks: Mapping[str, Tensor]) -> bool:
    """Whether a scan of these, the input first, can be a node: where the native engine could run it."""
    input = tensors[0]
    learned = torch.is_grad_enabled() and any(mask.requires_grad for mask in masks.values())
    if learned or torch.is_autocast_enabled("cpu") or 0 in input.shape[:2]:
        return False
    return all(t.device.type == "cpu" for t in tensors) and not _refusal(input.dtype)


def _refusal(dtype: torch.dtype) -> str:
    return native.refusal("cpu", dtype)


def run(
    program: Program,
    weights: Mapping[str, Tensor],
    input: Tensor,
    initial: Sequence[Tensor],
    *,
    lengths: Tensor | None,
    overrides: Sequence[Override],
    masks: Mapping[str, Tensor],
    record: Sequence[str],
    reverse: bool,
) -> Scanned:
    """The scan as one node; arguments and result are those of `scan.scan`. torch.compile goes through this function."""
    values = [o.value.to(input.dtype) for o in overrides]
    others = [*(o.mask for o in overrides), *(mask.to(input.dtype) for mask in masks.values())]
    call = _written(program, tuple(weights), tuple([o.state for o in overrides]), tuple(masks), tuple(record), reverse)
    seen = [input, *initial, *weights.values(), *values]
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in seen)
    found = torch.ops.riverrun.scan(
        input, list(initial), list(weights.values()), values, others, lengths, call, learning
    )
    last = 1 + len(initial)
    records = {name: value.detach() for name, value in zip(record, found[last:], strict=False)}
    return Scanned(found[0], tuple(found[1:last]), records)


# ---- the call as a string


def _written(*call: Any) -> str:
    """The fields of a Call as a string."""
    program, *rest = call
    nodes = [[n.op, n.inputs, n.key, n.value, n.width] for n in program.nodes]
    parts = (nodes, program.states, program.outputs, program.named, program.candidate, program.state_widths)
    return json.dumps([parts, *rest], separators=(",", ":"))


# torch.compile calls these while it traces, and takes the result for a constant as long as the arguments are the same.
_refusal._dynamo_marked_constant = _written._dynamo_marked_constant = True  # type: ignore[attr-defined]


@lru_cache(maxsize=256)
def _read(text: str) -> Call:
    """The Call that a string says."""
    (nodes, states, outputs, named, candidate, widths), names, overridden, masked, record, reverse = json.loads(text)
    program = Program(
        nodes=tuple(Node(op, tuple(inputs), key, value, width) for op, inputs, key, value, width in nodes),
        states=tuple(states),
        outputs=tuple(outputs),
        named=tuple((name, node) for name, node in named),
        candidate=candidate,
        state_widths=tuple(widths),
    )
    return Call(program, tuple(names), tuple(overridden), tuple(masked), tuple(record), reverse)


# ---- forward

_ARGUMENTS = "Tensor input, Tensor[] initial, Tensor[] weights, Tensor[] values, Tensor[] others, Tensor? lengths"


@torch.library.custom_op(
    "riverrun::scan", mutates_args=(), schema=f"({_ARGUMENTS}, str call, bool learning) -> Tensor[]"
)
def _scan(
    input: Tensor,
    initial: list[Tensor],
    weights: list[Tensor],
    values: list[Tensor],
    others: list[Tensor],
    lengths: Tensor | None,
    call: str,
    learning: bool,
) -> list[Tensor]:
    """The outputs, the final states, the records, and, where a gradient is wanted, what that reads."""
    told, tensors = _read(call), [input, *initial, *weights, *values, *others]
    _refuse_tangents(tensors)
    if lengths is not None:
        lengths = _checked(lengths, input.shape[0])
    reason = native.refusal(input.device.type, input.dtype)
    if reason and learning:
        raise RiverrunError(f"riverrun::scan: {reason}. Without a gradient the graph runs.")
    if reason or 0 in input.shape[:2]:
        return [*_looped(told, tensors, lengths), *([input.new_empty(0)] if learning else [])]
    form = _form(told, tensors)
    frame = forward_frame(form, learning, told.record)
    results, block = native.forward(frame, tensors, lengths)
    records = native.records(form, frame, told.record, results[0], block, lengths)
    kept = [block if frame.scratch else input.new_empty(0)] if learning else []
    return [*results, *records.values(), *kept]


def _checked(lengths: Tensor, steps: int) -> Tensor:
    """The lengths as the library reads them; while the graph was made they could not be looked at."""
    lengths = lengths.to(device="cpu", dtype=torch.int64).contiguous()
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        came = f"{int(lengths.min())} to {int(lengths.max())}"
        raise UsageError(f"lengths: expected 0 to T = {steps}, came {came}.")
    return lengths


def _looped(told: Call, tensors: Sequence[Tensor], lengths: Tensor | None) -> list[Tensor]:
    """The results by the autograd loop: where there are no steps or no rows, or no library."""
    input, initial, weights, values, others = _grouped(tensors, told)
    named = dict(zip(told.names, weights, strict=True))
    masks = dict(zip(told.masked, others[len(values) :], strict=True))
    overrides = [Override(*parts) for parts in zip(told.overridden, others, values, strict=False)]
    found = eager.loop(
        told.program, named, input[0], initial,
        lengths=lengths, overrides=overrides, masks=masks, record=told.record, reverse=told.reverse,
    )  # fmt: skip
    # A result must not be what was given, nor another result.
    return [tensor.clone() for tensor in (found.outputs, *found.states, *found.records.values())]


def _grouped(flat: Sequence[Any], told: Call) -> list[list[Any]]:
    """By input, initial states, weights, values of overrides, and the rest."""
    found, rest = [], list(flat)
    for size in (1, len(told.program.states), len(told.names), len(told.overridden)):
        found.append(rest[:size])
        rest = rest[size:]
    return [*found, rest]


@_scan.register_fake
def _(
    input: Tensor,
    initial: list[Tensor],
    weights: list[Tensor],
    values: list[Tensor],
    others: list[Tensor],
    lengths: Tensor | None,
    call: str,
    learning: bool,
) -> list[Tensor]:
    told = _read(call)
    steps, batch, _ = input.shape
    form = _stand_in(told, [input, *initial, *weights, *values, *others])
    frame = forward_frame(form, learning, told.record)
    widths = [result.shape[-1] for result in frame.results]
    states = [input.new_empty(batch, width) for width in widths[1:]]
    of_records = [_width(told.program, form, name) for name in told.record]
    series = [input.new_empty(steps, batch, width) for width in (widths[0], *of_records)]
    size = input.dtype.itemsize
    kept = sum(-(-steps * batch * width * size // LINE) * LINE // size for _, width in frame.where.values())
    return [series[0], *states, *series[1:], *([input.new_empty(kept)] if learning else [])]


def _width(program: Program, form: Form, name: str) -> int:
    """The columns of a value that is recorded."""
    frame = forward_frame(form, False, (name,))
    node = program.names[name]
    if node not in program.outputs:
        return frame.where["kept", node][1]
    return frame.results[1 + program.outputs.index(node)].shape[-1]


def _form(told: Call, tensors: Sequence[Tensor]) -> Form:
    first = 1 + len(told.program.states)
    named = dict(zip(told.names, tensors[first:], strict=False))
    return native.form_of(told.program, named, tensors, told.reverse, told.overridden, told.masked)


def _stand_in(told: Call, tensors: Sequence[Tensor]) -> Form:
    """The form with numbers in the place of T and B, which need not be known while a graph is made."""
    first = 1 + len(told.program.states)
    values = first + len(told.names)
    masks = values + len(told.overridden)
    shapes: list[tuple[int, ...]] = []
    for number, tensor in enumerate(tensors):
        if first <= number < values:  # a weight
            shapes.append(tuple(int(n) for n in tensor.shape))
        elif masks <= number < masks + len(told.overridden):
            shapes.append(STAND_IN)
        else:
            rows = tensor.shape[-2]
            alike = number >= masks and isinstance(rows, int) and rows == 1  # a mask that is the same for all rows
            outer = (STAND_IN[0], 1 if alike else STAND_IN[1])
            shapes.append((*outer[3 - tensor.dim() :], int(tensor.shape[-1])))
    dtype, reverse = tensors[0].dtype, told.reverse
    return Form(told.program, told.names, told.overridden, told.masked, tuple(shapes), (), dtype, reverse)


# ---- backward


@torch.library.custom_op(
    "riverrun::scan_gradient",
    mutates_args=(),
    schema=f"({_ARGUMENTS}, Tensor outputs, Tensor kept, Tensor?[] arriving, str call, bool[] needed) -> Tensor[]",
)
def _scan_gradient(
    input: Tensor,
    initial: list[Tensor],
    weights: list[Tensor],
    values: list[Tensor],
    others: list[Tensor],
    lengths: Tensor | None,
    outputs: Tensor,
    kept: Tensor,
    arriving: list[Tensor | None],
    call: str,
    needed: list[bool],
) -> list[Tensor]:
    """The tensors in which the library leaves gradients, in the order of the frame's results."""
    told, tensors = _read(call), [input, *initial, *weights, *values, *others]
    _refuse_tangents([*tensors, *[gradient for gradient in arriving if gradient is not None]])
    if not (input.shape[0] and input.shape[1]):
        return _empty_gradient(told, tensors, arriving, needed)
    if lengths is not None:
        lengths = _checked(lengths, input.shape[0])
    form, wanted = _form(told, tensors), tuple(needed)
    frame = backward_frame(form, told.record, wanted)
    return native.backward(frame, (*tensors, outputs), kept, lengths, arriving)


def _empty_gradient(
    told: Call, tensors: Sequence[Tensor], arriving: Sequence[Tensor | None], needed: Sequence[bool]
) -> list[Tensor]:
    """The same where there are no steps or no rows: what arrives at a final state arrives at the initial one."""
    found = [torch.zeros(shape, dtype=tensors[0].dtype) for shape in _shapes(told, tensors, needed)]
    frame = backward_frame(_stand_in(told, tensors), told.record, tuple(needed))
    for result, made in zip(frame.results, found, strict=False):
        if result.tensors and 1 <= result.tensors[0] <= len(told.program.states):
            gradient = arriving[result.tensors[0]]
            made.copy_(made if gradient is None else gradient)
    return found


def _shapes(told: Call, tensors: Sequence[Tensor], needed: Sequence[bool]) -> list[tuple[Any, ...]]:
    """The shapes of the results, in which T and B may be unknown."""
    frame = backward_frame(_stand_in(told, tensors), told.record, tuple(needed))
    weights = range(1 + len(told.program.states), 1 + len(told.program.states) + len(told.names))
    found: list[tuple[Any, ...]] = []
    for result in frame.results + frame.added:
        number = result.tensors[0] if result.tensors else -1
        found.append(result.shape if number < 0 or number in weights else tuple(tensors[number].shape))
    return found


@_scan_gradient.register_fake
def _(
    input: Tensor,
    initial: list[Tensor],
    weights: list[Tensor],
    values: list[Tensor],
    others: list[Tensor],
    lengths: Tensor | None,
    outputs: Tensor,
    kept: Tensor,
    arriving: list[Tensor | None],
    call: str,
    needed: list[bool],
) -> list[Tensor]:
    told, tensors = _read(call), [input, *initial, *weights, *values, *others]
    return [input.new_empty(shape) for shape in _shapes(told, tensors, needed)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    input, initial, weights, values, others, lengths, call, learning = inputs
    ctx.call, ctx.learning = call, learning
    last = 1 + len(initial)
    ctx.mark_non_differentiable(*output[last:])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(input, *initial, *weights, *values, *others, lengths, output[0], output[-1])


def _gradient(ctx: Any, arriving: list[Tensor | None]) -> tuple[Any, ...]:
    *tensors, lengths, outputs, kept = ctx.saved_tensors
    told = _read(ctx.call)
    if not ctx.learning:
        raise UsageError("riverrun::scan: learning is False, so no gradient can be had of it.")
    of_input, of_initial, of_weights, of_values, *_ = ctx.needs_input_grad
    needed = (of_input, *of_initial, *of_weights, *of_values)
    groups = _grouped(tensors, told)
    inside = [t for group in groups[:4] for t in group]
    arriving = arriving[: 1 + len(told.program.states)]
    if torch.is_grad_enabled():
        found = again(_job(told, groups, lengths), tuple(inside), needed, tuple(arriving))
    else:
        made = torch.ops.riverrun.scan_gradient(
            tensors[0], *groups[1:], lengths, outputs, kept, arriving, ctx.call, needed
        )
        frame = backward_frame(_stand_in(told, tensors), told.record, needed)
        found = native.by_tensor(frame, made, inside, needed)
    of_input, of_initial, of_weights, of_values, _ = _grouped(found, told)
    return of_input[0], of_initial, of_weights, of_values, [None] * len(groups[4]), None, None, None


def _job(told: Call, groups: list[list[Tensor]], lengths: Tensor | None) -> Job:
    """The scan for the autograd loop, where the gradient is itself to be differentiated."""
    values, others = groups[3], groups[4]
    return Job(
        program=told.program,
        names=told.names,
        lengths=lengths,
        overrides=tuple(Override(*parts) for parts in zip(told.overridden, others, values, strict=False)),
        masks=dict(zip(told.masked, others[len(values) :], strict=True)),
        record=(),
        reverse=told.reverse,
        learning=True,
    )


_scan.register_autograd(_gradient, setup_context=_setup)


# ---- what an operator would answer with zeros, silently, is an error


def _refuse_tangents(tensors: Sequence[Tensor]) -> None:
    if forward_ad._current_level < 0:
        return
    if any(forward_ad.unpack_dual(t).tangent is not None for t in tensors):  # type: ignore[no-untyped-call]
        raise UsageError("a graph of riverrun's has no forward-mode derivative. Differentiate the layer itself.")


def _refuse_transforms(*arguments: Any) -> Any:
    raise UsageError("a graph of riverrun's knows no transform of torch.func. Transform the layer itself.")


_LIBRARY = torch.library.Library("riverrun", "FRAGMENT")  # type: ignore[no-untyped-call]
for _name in ("scan", "scan_gradient"):
    _LIBRARY.impl(_name, _refuse_transforms, "FuncTorchDynamicLayerFrontMode")  # type: ignore[no-untyped-call]
