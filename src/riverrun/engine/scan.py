"""scan(program, ...): one differentiable operation for every cell and every device.

`choose.py` says which path runs, and why. All of them mean what `eager.loop` computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from riverrun.engine import eager, fused, guarded, kernels, native, operator, parallel
from riverrun.engine.choose import Choice, choose
from riverrun.engine.frame import check
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned
from riverrun.errors import UsageError, nearest

__all__ = ["Choice", "Override", "Scanned", "scan"]

TRACED = "torch.compile, torch.export, torch.jit.trace or a dispatch mode wants to see every operation"
_is_cpu, _requires_grad = attrgetter("is_cpu"), attrgetter("requires_grad")


def scan(
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
    path: str | None = None,
) -> Scanned:
    """A recurrence over all steps of a batch of sequences.

        s_t = step(x_t, s_{t-1}),   t = 0 .. length - 1;   reversed: s_t = step(x_t, s_{t+1}), from length - 1 to 0

    Args:
        program: one step.
        weights: "W.k" [n, I], "U.k" [n, m], "b.k" [n] (a missing one is no bias), "p.k" [n].
        input: [T, B, I]; at t >= length it is never read, so NaN there does no harm.
        initial: the states before the first step, [B, n] each, in the order of program.states.
        lengths: [B] integers from 0 to T; None means T. At t >= length outputs are zero and states frozen.
        overrides: values put in the place of states at borders between steps (see `Override`).
        masks: [B, n] or [T, B, n] for each key of program.mask_keys.
        record: names of program.named to give back for every step, detached, zero at padding.
        reverse: run from the last valid step to the first. The final state is then that after step 0.
        path: force one of `choose.PATHS`; by default the best is chosen.

    Returns `Scanned`: outputs [T, B, n], final states [B, n] each, records [T, B, n] each. With T = 0 or a length of 0
    the final states are the initial ones. Under autocast states keep the dtype of the weights; the fused path
    computes its products in autocast's dtype, and torch's kernels do as torch has it.

    Raises:
        UsageError: a shape, a name or a path that does not fit; the message names the argument.
    """
    masks = masks or {}
    tensors = [input, *initial, *weights.values(), *[o.value for o in overrides], *masks.values()]
    transformed = _transformed(tensors)
    if transformed == TRACED and path in (None, "native") and operator.serves(tensors, masks):
        return operator.run(
            program, weights, input, initial,
            lengths=lengths, overrides=overrides, masks=masks, record=record, reverse=reverse,
        )  # fmt: skip
    plain = not (transformed or overrides or masks or record or program.mask_keys) and lengths is None
    if plain and len(initial) == len(program.states) and path in (None, "native") and native.takes(tensors):
        return native.run_plain(program, weights, tensors, reverse)  # as `choose` would say
    _check(program, input, initial, lengths, overrides, masks, record)
    steps, batch, _ = input.shape
    if lengths is not None and not transformed:
        lengths = _checked_lengths(lengths, steps, batch)
    device = "cpu" if input.is_cpu else input.device.type
    autocast = torch.is_autocast_enabled(device)
    if not autocast:
        _check_dtypes(weights, input, initial)
    grad = torch.is_grad_enabled()
    choice = choose(
        program,
        device=device,
        dtype=torch.get_autocast_dtype(device) if autocast else input.dtype,
        steps=steps,
        record=tuple(record),
        cuts=_cuts(overrides) if overrides and not transformed else 0,
        masked=bool(masks),
        learned_masks=grad and any(m.requires_grad for m in masks.values()),
        learning=grad and any(map(_requires_grad, tensors)),
        transformed=transformed,
        path=path,
    )
    if choice.path == "native" and steps and batch:
        return native.run(
            program, weights, input, initial,
            lengths=lengths, overrides=overrides, masks=masks, record=record, reverse=reverse,
        )  # fmt: skip
    if choice.path == "torch" and steps and batch:
        match = kernels.match(program)
        assert match is not None
        return guarded.run(
            match, program, weights, input, initial,
            lengths=lengths, overrides=overrides, record=record, reverse=reverse,
        )  # fmt: skip
    outside: AbstractContextManager[object] = nullcontext()
    product = None
    if autocast:
        product = torch.get_autocast_dtype(device)
        outside = torch.autocast(device, enabled=False)
        dtype = next((w.dtype for w in weights.values()), torch.float32)
        input, initial = input.to(dtype), [state.to(dtype) for state in initial]
        overrides = [o._replace(value=o.value.to(dtype)) for o in overrides]
        masks = {key: mask.to(dtype) for key, mask in masks.items()}
        _check_dtypes(weights, input, initial)
    with outside:
        if choice.path == "eager" or not (steps and batch):
            return eager.loop(
                program, weights, input, initial,
                lengths=lengths, overrides=overrides, masks=masks, record=record, reverse=reverse,
            )  # fmt: skip
        if choice.path == "parallel":
            linear = parallel.match(program)
            assert linear is not None
            return parallel.run(
                linear, program, weights, input, initial,
                lengths=lengths, overrides=overrides, masks=masks, record=record, reverse=reverse,
            )  # fmt: skip
        return fused.run(
            program, weights, input, initial,
            lengths=lengths, overrides=overrides, masks=masks, record=record, reverse=reverse, product=product,
        )  # fmt: skip


def _transformed(tensors: Sequence[Tensor]) -> str:
    """What else wants to see through the operations: a clause, or ""."""
    if torch._C._are_functorch_transforms_active():
        return "a transform of torch.func (grad, vmap, jvp ...) is active"
    # Outside a dual level no tensor has a tangent.
    dual = forward_ad._current_level >= 0
    if dual and any(forward_ad.unpack_dual(t).tangent is not None for t in tensors):  # type: ignore[no-untyped-call]
        return "forward-mode differentiation is active"
    if torch.compiler.is_compiling() or is_in_torch_dispatch_mode() or torch._C._get_tracing_state() is not None:
        return TRACED
    return ""


def _cuts(overrides: Sequence[Override]) -> int:
    """At how many steps an override acts; on other devices than the CPU a look would cost a wait, so all of them."""
    cuts = 0
    for override in overrides:
        mask = override.mask
        cuts += int(mask.flatten(1).any(1).sum()) if mask.device.type == "cpu" and mask.numel() else mask.shape[0]
    return cuts


def _check(
    program: Program,
    input: Tensor,
    initial: Sequence[Tensor],
    lengths: Tensor | None,
    overrides: Sequence[Override],
    masks: Mapping[str, Tensor],
    record: Sequence[str],
) -> None:
    check(program, input.shape, [value.shape for value in initial])
    steps, batch, _ = input.shape
    if lengths is not None and lengths.shape != (batch,):
        raise UsageError(f"lengths: expected [B = {batch}], came {list(lengths.shape)}.")
    for override in overrides:
        if override.state not in program.states:
            expected = ", ".join(program.states)
            raise UsageError(f"overrides: expected a state, one of {expected}; came {override.state!r}.")
        width = initial[program.states.index(override.state)].shape[-1]
        if override.mask.shape != (steps, batch) or override.mask.dtype != torch.bool:
            came = f"{list(override.mask.shape)} of {override.mask.dtype}"
            raise UsageError(f"overrides: mask of {override.state}: expected [{steps}, {batch}] of bool, came {came}.")
        if override.value.shape not in ((batch, width), (steps, batch, width)):
            raise UsageError(
                f"overrides: value of {override.state}: expected [{batch}, {width}] or [{steps}, {batch}, {width}], "
                f"came {list(override.value.shape)}."
            )
    for key in program.mask_keys:
        if key not in masks:
            raise UsageError(f"masks: {key} is missing. This program needs {', '.join(program.mask_keys)}.")
    for key, mask in masks.items():
        if key not in program.mask_keys:
            raise UsageError(f"masks: {key!r} is not used by this program.{nearest(key, program.mask_keys)}")
        if mask.dim() not in (2, 3) or (mask.dim() == 3 and mask.shape[0] != steps):
            raise UsageError(f"masks: {key}: expected [B, n] or [T = {steps}, B, n], came {list(mask.shape)}.")
    for name in record:
        if name not in program.names:
            expected = ", ".join(program.names)
            raise UsageError(f"record: expected {expected}; came {name!r}.{nearest(name, program.names)}")


def _checked_lengths(lengths: Tensor, steps: int, batch: int) -> Tensor | None:
    """The lengths; None where every row is full."""
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise UsageError(f"lengths: expected integers, came {lengths.dtype}.")
    if batch == 0:
        return None
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < 0 or longest > steps:
        raise UsageError(f"lengths: expected 0 to T = {steps}, came {shortest} to {longest}.")
    return None if shortest == steps else lengths


def _check_dtypes(weights: Mapping[str, Tensor], input: Tensor, initial: Sequence[Tensor]) -> None:
    """Everything in one dtype and on one device: no path converts what a caller mixed up."""
    tensors, dtype = [input, *initial, *weights.values()], input.dtype
    if all(map(_is_cpu, tensors)) and all(t.dtype is dtype for t in tensors):
        return
    first, like = next(iter(weights.items()), ("the input", input))
    states = ((f"initial[{i}]", state) for i, state in enumerate(initial))
    for name, tensor in [("input", input), *weights.items(), *states]:
        if tensor.dtype != like.dtype:
            raise UsageError(f"{name}: expected {like.dtype} like {first}, came {tensor.dtype}.")
        if tensor.device != like.device:
            raise UsageError(f"{name}: expected the device {like.device} of {first}, came {tensor.device}.")
