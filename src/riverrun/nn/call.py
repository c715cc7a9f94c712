"""A call of a drop-in: the stack in torch's shapes, or torch's own forward where the native engine does not serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from riverrun.engine import guarded, native, operator
from riverrun.errors import UsageError
from riverrun.layers.stack import State
from riverrun.nn import flat
from riverrun.nn.dropin import DropIn, weights
from riverrun.nn.plain import plain

Hidden = Tensor | tuple[Tensor, Tensor] | None


def call(
    module: DropIn,
    torchs: Callable[..., Any],
    input: Tensor | PackedSequence,
    hx: Hidden,
    *,
    lengths: Tensor | None,
    resets: Tensor | None,
    record: Sequence[str],
    path: str | None,
) -> Any:
    """(output, hidden), with `record` (output, hidden, records). `torchs` is torch's forward of the same module."""
    if hx is not None and isinstance(hx, (tuple, list)) is not (module.mode == "LSTM"):
        return torchs(input, hx)  # which says what is wrong
    hx = tuple(hx) if isinstance(hx, list) else hx
    asked = lengths is not None or resets is not None or len(record) > 0 or path is not None
    if not asked and (found := flat.run(module, input, hx)) is not None:
        return found
    plainly = module.plain and not asked and not _empty(module, input)
    if plainly and not _transformed() and not (_compiled(module, input) or _native(module, input)):
        return plain(module, torchs, _looped, input, hx)
    if isinstance(input, PackedSequence):
        if lengths is not None or resets is not None:
            raise UsageError(
                "lengths, resets: a PackedSequence brings its lengths and has no resets; give padded input"
            )
        return _packed(module, input, hx, record, path)
    if input.dim() not in (2, 3) or _dimensions(hx) not in (None, input.dim()):
        return torchs(input, hx)  # which says what is wrong
    return _padded(module, input, hx, lengths, resets, record, path)


def _looped(module: DropIn, input: Tensor | PackedSequence, hx: Hidden) -> Any:
    """The plain call by the autograd loop."""
    if isinstance(input, PackedSequence):
        return _packed(module, input, hx, (), "eager")
    return _padded(module, input, hx, None, None, (), "eager")


def _native(module: DropIn, input: Tensor | PackedSequence) -> bool:
    """Whether the native engine serves, which is faster than torch's forward."""
    device, weight = input.data.device.type, module.weight_ih_l0
    return (
        not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and isinstance(weight, Tensor)
        and not torch.is_autocast_enabled(device)
        and not native.refusal(device, weight.dtype)
        and not guarded.only_once(device)
    )


def _empty(module: DropIn, input: Tensor | PackedSequence) -> bool:
    """Whether there are no steps, which torch refuses."""
    if isinstance(input, PackedSequence) or input.dim() not in (2, 3):
        return False
    return input.shape[1 if input.dim() == 3 and module.batch_first else 0] == 0


def _transformed() -> bool:
    """Whether a functorch transform or forward-mode differentiation is at work, which torch's kernels do not know."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def _compiled(module: DropIn, input: Tensor | PackedSequence) -> bool:
    """Whether torch.compile is at work where the engine's scan is one node, and torch's kernel a node for every step.

    In torch.export torch's kernel is one node too, and what is exported runs without riverrun.
    """
    if isinstance(input, PackedSequence) or not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return False
    return operator.serves((input, *module.parameters()), {})


def _dimensions(hx: Hidden) -> int | None:
    """2 for an unbatched state, 3 for a batched one, 0 for a pair that torch refuses."""
    if hx is None:
        return None
    dims = {state.dim() for state in (hx if isinstance(hx, tuple) else (hx,))}
    return dims.pop() if len(dims) == 1 else 0


def _padded(
    module: DropIn,
    input: Tensor,
    hx: Hidden,
    lengths: Tensor | None,
    resets: Tensor | None,
    record: Sequence[str],
    path: str | None,
) -> Any:
    single = input.dim() == 2
    states: tuple[Tensor, ...] | None = hx if isinstance(hx, tuple) else None if hx is None else (hx,)
    if single:  # one sequence without a batch dimension
        input = input.unsqueeze(0 if module.batch_first else 1)
        states = None if states is None else tuple(state.unsqueeze(1) for state in states)
        if resets is not None:
            resets = resets.unsqueeze(0 if module.batch_first else 1)
    _check(module, input, states)
    if module.batch_first:
        input = input.transpose(0, 1)  # [T, B, I]
        resets = None if resets is None else resets.transpose(0, 1)  # [T, B]
    steps, rows = input.shape[:2]
    if lengths is not None and lengths.shape != (rows,):
        raise UsageError(f"lengths: expected [{rows}], one for each sequence, came {list(lengths.shape)}")
    if resets is not None and (resets.shape != (steps, rows) or resets.dtype != torch.bool):
        raise UsageError(f"resets: expected bool, T = {steps}, B = {rows}; came {resets.dtype} {list(resets.shape)}")
    output, ends, records = _run(module, input, states, lengths, resets, record, path)

    def back(value: Tensor) -> Tensor:  # [T, B, n] -> as the caller has it
        return value.squeeze(1) if single else value.transpose(0, 1) if module.batch_first else value

    ends = tuple(end.squeeze(1) for end in ends) if single else ends
    return _result(module, back(output), ends, {name: back(value) for name, value in records.items()}, record)


def _packed(module: DropIn, packed: PackedSequence, hx: Hidden, record: Sequence[str], path: str | None) -> Any:
    module.check_input(packed.data, packed.batch_sizes)
    states = hx if isinstance(hx, tuple) else None if hx is None else (hx,)
    padded, lengths = pad_packed_sequence(packed)  # [T, B, I], in the order in which the caller had them
    _check(module, padded.transpose(0, 1) if module.batch_first else padded, states)
    output, ends, records = _run(module, padded, states, lengths, None, record, path)
    if packed.sorted_indices is not None:
        output = output.index_select(1, packed.sorted_indices)
        lengths = lengths[packed.sorted_indices.cpu()]
    data = pack_padded_sequence(output, lengths).data
    result = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
    return _result(module, result, ends, records, record)


def _check(module: DropIn, input: Tensor, states: tuple[Tensor, ...] | None) -> None:
    """torch's own checks, on a batch that lies as torch's does."""
    if states is None:
        module.check_input(input, None)
    else:
        hidden: Any = states if module.mode == "LSTM" else states[0]
        module.check_forward_args(input, hidden, None)


def _run(
    module: DropIn,
    input: Tensor,
    states: tuple[Tensor, ...] | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    record: Sequence[str],
    path: str | None,
) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]:
    """input [T, B, I] -> output [T, B, n], final states [L, B, n] each, records [T, B, n]."""
    state: State | None = None
    if states is not None:
        state = tuple(tuple(one[place] for one in states) for place in range(len(module.stack.parts)))
    output, after, records = module.stack.run(
        weights(module),
        input,
        lengths,
        state,
        training=module.training,
        resets=resets,
        record=record,
        path=path,
    )
    return output, tuple(torch.stack(one) for one in zip(*after, strict=True)), records


def _result(
    module: DropIn,
    output: Tensor | PackedSequence,
    ends: tuple[Tensor, ...],
    records: dict[str, Tensor],
    record: Sequence[str],
) -> Any:
    hidden = ends if module.mode == "LSTM" else ends[0]
    return (output, hidden, records) if len(record) > 0 else (output, hidden)
