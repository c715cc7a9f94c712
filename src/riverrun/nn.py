"""The drop-in edge: RNN, LSTM and GRU with torch.nn's signatures, and `Recurrent`.

The three *are* torch.nn's: each is a subclass, so isinstance, parameter names and order, initial weights, state_dict,
pickling rules and error messages are torch's own, and a plain call runs torch's own kernel with nothing in between. What
torch refuses goes through riverrun's engine on views of the same flat tensors: T = 0, lengths of 0, jvp, vmap, and the
keyword-only extras.

Extras of the constructor, each as in `Recurrent`: dropouts (but `between`, which is torch's `dropout`), norm,
learned_initial, initialisation (torch's own where not given). Parameters that torch does not have are under `extras.`.
Depths and skips change the shapes of torch's tensors, and are `Recurrent`'s alone.
Extras of the call:

    lengths  [B], for padded input: padding is never read, outputs there are zero, the state stops at the end
    resets   [B, T] with batch_first, else [T, B], bool: True where a sequence starts anew from the initial state
    record   names of values ("i", "f", ... or "layers.0.forward.i"): the call then returns a third value, a dictionary
             of [T, B, n] (with batch_first [B, T, n]), detached
    path     ask for one way of running ("torch", "fused", "eager"); an error where it cannot serve

>>> import torch
>>> lstm = LSTM(3, 5, batch_first=True)
>>> output, (h, c), gates = lstm(torch.zeros(2, 7, 3), record=["f"])
>>> gates["layers.0.forward.f"].shape
torch.Size([2, 7, 5])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from riverrun.cells import find
from riverrun.errors import UsageError
from riverrun.layers import Depth, Dropouts, Initialisation, Recurrent
from riverrun.layers.initialise import initial_weights
from riverrun.layers.stack import Part, Stack, State
from riverrun.layers.weights import Weights

__all__ = ["GRU", "LSTM", "RNN", "Depth", "Dropouts", "Initialisation", "Recurrent"]

CELLS = {"RNN_TANH": "elman", "RNN_RELU": "elman-relu", "LSTM": "lstm", "GRU": "gru-after"}
GATES = {"RNN_TANH": ("h",), "RNN_RELU": ("h",), "LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n")}
Hidden = Tensor | tuple[Tensor, Tensor] | None


class RNN(torch.nn.RNN):
    """torch.nn.RNN and the extras: h_t = tanh(W x_t + b_ih + U h_{t-1} + b_hh), or relu (Elman 1990)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int | None = None,
        dropouts: Dropouts = Dropouts(),  # noqa: B008  frozen
        norm: bool = False,
        learned_initial: bool = False,
        initialisation: Initialisation | None = None,
    ) -> None:
        refused = {} if proj_size is None else {"proj_size": proj_size}  # torch says why
        super().__init__(
            input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype, **refused,
        )  # fmt: skip
        _extend(self, dropouts, norm, learned_initial, initialisation)

    def reset_parameters(self) -> None:
        """Draw new weights, as torch.nn.RNN does where no `initialisation` was given."""
        super().reset_parameters()
        _restart(self)

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        record: Sequence[str] = (),
        path: str | None = None,
    ) -> Any:
        """(output, h_n), and with `record` a third value, the records. Shapes and errors are torch.nn.RNN's."""
        return _call(self, super().forward, input, hx, lengths, resets, record, path)


class LSTM(torch.nn.LSTM):
    """torch.nn.LSTM and the extras (Hochreiter and Schmidhuber 1997; with proj_size: Sak et al. 2014)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        dropouts: Dropouts = Dropouts(),  # noqa: B008
        norm: bool = False,
        learned_initial: bool = False,
        initialisation: Initialisation | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        )
        _extend(self, dropouts, norm, learned_initial, initialisation)

    def reset_parameters(self) -> None:
        """Draw new weights, as torch.nn.LSTM does where no `initialisation` was given."""
        super().reset_parameters()
        _restart(self)

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        record: Sequence[str] = (),
        path: str | None = None,
    ) -> Any:
        """(output, (h_n, c_n)), and with `record` a third value, the records. Shapes and errors are torch.nn.LSTM's."""
        return _call(self, super().forward, input, hx, lengths, resets, record, path)


class GRU(torch.nn.GRU):
    """torch.nn.GRU and the extras: the reset gate acts after the product. `Recurrent("gru", ...)` is the papers' GRU."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int | None = None,
        dropouts: Dropouts = Dropouts(),  # noqa: B008
        norm: bool = False,
        learned_initial: bool = False,
        initialisation: Initialisation | None = None,
    ) -> None:
        refused = {} if proj_size is None else {"proj_size": proj_size}  # torch says why
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype, **refused,
        )  # fmt: skip
        _extend(self, dropouts, norm, learned_initial, initialisation)

    def reset_parameters(self) -> None:
        """Draw new weights, as torch.nn.GRU does where no `initialisation` was given."""
        super().reset_parameters()
        _restart(self)

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        record: Sequence[str] = (),
        path: str | None = None,
    ) -> Any:
        """(output, h_n), and with `record` a third value, the records. Shapes and errors are torch.nn.GRU's."""
        return _call(self, super().forward, input, hx, lengths, resets, record, path)


# ------------------------------------------------------------------ torch's tensors as a stack's weights


def _extend(
    module: torch.nn.RNNBase,
    dropouts: Dropouts,
    norm: bool,
    learned_initial: bool,
    initialisation: Initialisation | None,
) -> None:
    """Give a module of torch's the stack that it is, and the parameters that torch does not have."""
    if dropouts.between:
        raise UsageError("dropouts.between: here this is torch's own argument `dropout`; give that")
    module.stack = Stack(
        cell=find(CELLS[module.mode]),
        input_size=module.input_size,
        hidden_size=module.hidden_size,
        num_layers=module.num_layers,
        bias=module.bias,
        direction="both" if module.bidirectional else "forward",
        projection=module.proj_size,
        learned_initial=learned_initial,
        norm=norm,
        dropouts=replace(dropouts, between=module.dropout if module.num_layers > 1 else 0.0),
    )
    module.initialisation = initialisation
    mine = {
        part.prefix + name: torch.empty(shape, device=module.weight_ih_l0.device, dtype=module.weight_ih_l0.dtype)
        for part in module.stack.parts
        for name, shape in module.stack.shapes(part).items()
        if name not in _views(module, part)
    }
    module.extras = Weights(mine) if mine else None
    module.plain = not mine and dropouts == Dropouts()
    _restart(module)


def _views(module: torch.nn.RNNBase, part: Part) -> dict[str, Tensor]:
    """The weights of one part as views of torch's flat tensors; the two biases of torch are one here, their sum."""
    suffix = f"_l{part.layer}{'_reverse' if part.direction == 'reverse' else ''}"
    gates = GATES[module.mode]
    found: dict[str, Tensor] = {}

    def rows(flat: str) -> tuple[Tensor, ...]:
        tensor: Tensor = getattr(module, flat + suffix)
        return tensor.chunk(len(gates))  # [n, ...] each

    for key, W, U in zip(gates, rows("weight_ih"), rows("weight_hh"), strict=True):
        found |= {f"W.{key}": W, f"U.{key}": U}
    if module.bias:
        for key, b, b_loop in zip(gates, rows("bias_ih"), rows("bias_hh"), strict=True):
            found |= {"b.n": b, "b.hn": b_loop} if (module.mode, key) == ("GRU", "n") else {f"b.{key}": b + b_loop}
    if module.proj_size:
        found["U.projection"] = getattr(module, f"weight_hr{suffix}")
    return found


def _weights(module: torch.nn.RNNBase) -> dict[str, Tensor]:
    """All weights of the module under the names that its stack gives them."""
    found = {part.prefix + name: view for part in module.stack.parts for name, view in _views(module, part).items()}
    return found if module.extras is None else {**found, **module.extras.flat()}


@torch.no_grad()
def _restart(module: torch.nn.RNNBase) -> None:
    """Start the parameters that torch does not have, and, with an `initialisation`, torch's own."""
    if not hasattr(module, "extras"):  # torch's constructor draws its weights before the stack is known
        return
    stack: Stack = module.stack
    for part in stack.parts:
        torchs, suffix = _views(module, part), f"_l{part.layer}{'_reverse' if part.direction == 'reverse' else ''}"
        options = module.initialisation or Initialisation()
        generator = torch.get_rng_state()
        started = initial_weights(stack.shapes(part), stack.hidden_size, options, stack.cell.initialise)
        if module.initialisation is None:
            torch.set_rng_state(generator)  # torch's own weights stay, and so does its stream of random numbers
        elif module.bias:
            getattr(module, "bias_ih" + suffix).zero_()
            getattr(module, "bias_hh" + suffix).zero_()
        for name, value in started.items():
            if name not in torchs:
                module.extras.get_parameter(part.prefix + name).copy_(value)
            elif module.initialisation is not None and not name.startswith("b."):
                torchs[name].copy_(value)
            elif module.initialisation is not None and name != "b.hn":
                place = GATES[module.mode].index(name.removeprefix("b."))
                getattr(module, "bias_ih" + suffix).chunk(len(GATES[module.mode]))[place].copy_(value)


# ------------------------------------------------------------------ the call


def _call(
    module: torch.nn.RNNBase,
    torchs: Callable[..., Any],
    input: Tensor | PackedSequence,
    hx: Hidden,
    lengths: Tensor | None,
    resets: Tensor | None,
    record: Sequence[str],
    path: str | None,
) -> Any:
    """torch's own forward where it can serve, else the stack on the same weights."""
    packed = isinstance(input, PackedSequence)
    data = input.data if packed else input
    wrong = not packed and (data.dim() not in (2, 3) or _dimensions(hx) not in (None, data.dim()))
    empty = not wrong and data.shape[0 if data.dim() == 2 or not module.batch_first else 1] == 0
    asked = lengths is not None or resets is not None or record or path not in (None, "torch")
    if wrong or (module.plain and not asked and not empty and not _transformed()):
        return torchs(input, hx)
    if packed and lengths is not None:
        raise UsageError("lengths: a PackedSequence brings its own; give one of the two")
    return _through_engine(module, input, hx, lengths, resets, record, path)


def _transformed() -> bool:
    """Whether a functorch transform or forward-mode differentiation is at work, for which torch's kernels have no rules."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def _dimensions(hx: Hidden) -> int | None:
    """2 for an unbatched state, 3 for a batched one, 0 for a pair that torch refuses."""
    if hx is None:
        return None
    dims = {state.dim() for state in (hx if isinstance(hx, tuple) else (hx,))}
    return dims.pop() if len(dims) == 1 else 0


def _through_engine(
    module: torch.nn.RNNBase,
    input: Tensor | PackedSequence,
    hx: Hidden,
    lengths: Tensor | None,
    resets: Tensor | None,
    record: Sequence[str],
    path: str | None,
) -> Any:
    stack: Stack = module.stack
    packed = input if isinstance(input, PackedSequence) else None
    data = input.data if isinstance(input, PackedSequence) else input
    single = packed is None and data.dim() == 2
    turned = packed is None and module.batch_first and not single
    if packed is not None:
        module.check_input(data, packed.batch_sizes)
        data, lengths = pad_packed_sequence(packed)  # [T, B, I], in the order in which the caller had them
    elif single:
        data = data[:, None]  # [T, 1, I]
    elif turned:
        data = data.transpose(0, 1)  # [T, B, I]
    states = hx if isinstance(hx, tuple) else None if hx is None else (hx,)
    if single and states is not None:
        states = tuple(state[:, None] for state in states)
    _check(module, data, states, lengths, resets if not turned or resets is None else resets.transpose(0, 1))
    if resets is not None and turned:
        resets = resets.transpose(0, 1)
    state: State | None = None
    if states is not None:
        state = tuple(tuple(one[place] for one in states) for place in range(len(stack.parts)))
    output, after, records = stack.run(
        _weights(module), data, lengths, state,
        training=module.training, resets=resets, record=record, path=path,
    )  # fmt: skip
    ends = tuple(torch.stack(one) for one in zip(*after, strict=True))  # [L, B, n] each
    if single:
        output, ends = output[:, 0], tuple(end[:, 0] for end in ends)
        records = {name: value[:, 0] for name, value in records.items()}
    elif turned:
        output = output.transpose(0, 1)
        records = {name: value.transpose(0, 1) for name, value in records.items()}
    hidden = ends if module.mode == "LSTM" else ends[0]
    result = output if packed is None else _packed_like(packed, output, lengths)
    return (result, hidden, records) if record else (result, hidden)


def _packed_like(packed: PackedSequence, output: Tensor, lengths: Tensor | None) -> PackedSequence:
    """output [T, B, n] packed in the very order of `packed`."""
    assert lengths is not None
    if packed.sorted_indices is not None:
        output = output.index_select(1, packed.sorted_indices)
        lengths = lengths[packed.sorted_indices.cpu()]
    return PackedSequence(
        pack_padded_sequence(output, lengths).data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
    )


def _check(
    module: torch.nn.RNNBase,
    data: Tensor,
    states: tuple[Tensor, ...] | None,
    lengths: Tensor | None,
    resets: Tensor | None,
) -> None:
    """torch's own checks, on data [T, B, I], and ours of what torch does not have."""
    steps, rows = data.shape[:2]
    seen = data.transpose(0, 1) if module.batch_first else data  # torch's checks read the batch where it lies
    if states is None:
        module.check_input(seen, None)
    elif module.mode == "LSTM":
        module.check_forward_args(seen, states, None)
    else:
        module.check_forward_args(seen, states[0], None)
    if lengths is not None and lengths.shape != (rows,):
        raise UsageError(f"lengths: expected [{rows}], one for each sequence, came {list(lengths.shape)}")
    if resets is not None and (resets.shape != (steps, rows) or resets.dtype != torch.bool):
        raise UsageError(
            f"resets: expected bool, [{steps}, {rows}] time first, came {resets.dtype} {list(resets.shape)}"
        )
