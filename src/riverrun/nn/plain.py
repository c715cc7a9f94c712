"""The plain call of a drop-in: torch's own forward, and on a GPU with a gradient that can be differentiated, too."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from riverrun.engine import guarded
from riverrun.nn.dropin import DropIn

Call = Callable[..., Any]
KIND: dict[str, Any] = {"RNN_TANH": torch.nn.RNN, "RNN_RELU": torch.nn.RNN, "LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}


def plain(module: DropIn, torchs: Call, loop: Call, input: Tensor | PackedSequence, hx: Any) -> Any:
    """(output, hidden) of torch's forward, guarded where its kernel has a first derivative only.

    torchs: torch's forward of the module. loop: (module, input, hx) -> the same by the autograd loop.
    Dropout between layers is drawn inside the kernel, and no loop can repeat it: that call stays torch's alone, which
    says so where its gradient is differentiated.
    """
    packed = input if isinstance(input, PackedSequence) else None
    data = input.data if isinstance(input, PackedSequence) else input
    if not guarded.only_once(data.device.type) or torch.compiler.is_compiling():
        return torchs(input, hx)
    states = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
    module._update_flat_weights()
    given = (data, *states, *module._flat_weights)
    dropped = module.training and module.dropout > 0 and module.num_layers > 1
    if dropped or not all(isinstance(t, Tensor) for t in given) or not guarded.guards(given):
        return torchs(input, hx)

    def by(forward: Call, training: bool) -> guarded.Pass:
        def run(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
            first = 1 + len(states)
            inner = tensors[0] if packed is None else packed._replace(data=tensors[0])
            begin = None if hx is None else tuple(tensors[1:first]) if isinstance(hx, tuple) else tensors[1]
            output, hidden = forward(_twin(module, tensors[first:], training), inner, begin)
            output = output.data if packed is not None else output
            return (output, *(hidden if isinstance(hidden, tuple) else (hidden,)))

        return run

    # cuDNN has no backward of what did not run as training; without dropout that is the same.
    output, *hidden = guarded.twice(by(KIND[module.mode].forward, training=True), by(loop, training=False), given)
    whole = output if packed is None else packed._replace(data=output)
    return whole, tuple(hidden) if module.mode == "LSTM" else hidden[0]


def _twin(module: DropIn, weights: Sequence[Tensor], training: bool) -> DropIn:
    """The module without dropout, with these flat weights in place of its own, whatever those are (parametrised,
    swapped)."""
    names = module._flat_weights_names
    twin = KIND[module.mode].__new__(KIND[module.mode])
    twin.__dict__ = {name: value for name, value in module.__dict__.items() if name not in names} | {
        "_parameters": dict(zip(names, weights, strict=True)),
        "_flat_weights": list(weights),
        "_flat_weight_refs": [weakref.ref(weight) for weight in weights],
        "training": training,
        "dropout": 0.0,
    }
    return cast(DropIn, twin)
