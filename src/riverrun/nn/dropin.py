"""DropIn: what makes a module of torch's also a stack of riverrun's, on the same flat tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from riverrun.cells import find
from riverrun.errors import UsageError
from riverrun.layers.initialise import initial_weights
from riverrun.layers.options import Dropouts, Initialisation
from riverrun.layers.stack import Part, Stack
from riverrun.layers.weights import Weights

CELLS = {"RNN_TANH": "elman", "RNN_RELU": "elman-relu", "LSTM": "lstm", "GRU": "gru-after"}
GATES = {"RNN_TANH": ("h",), "RNN_RELU": ("h",), "LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n")}  # torch's order


class DropIn(torch.nn.RNNBase):
    """A module of torch's that knows the stack it is; `extend` makes it one. Abstract: RNN, LSTM, GRU are the modules.

    stack: what the module computes, without its weights
    initialisation: how its weights start, or None for torch's own
    extras: parameters that torch does not have, or None
    plain: whether torch's own forward computes the same
    """

    stack: Stack
    initialisation: Initialisation | None
    extras: Weights | None
    plain: bool

    def extend(
        self, dropouts: Dropouts, norm: bool, learned_initial: bool, initialisation: Initialisation | None
    ) -> None:
        """Called by a constructor after torch's: make the stack, and the parameters that torch does not have."""
        if dropouts.between:
            raise UsageError("dropouts.between: here this is torch's own argument `dropout`; give that")
        self.stack = Stack(
            cell=find(CELLS[self.mode]),
            input_size=self.input_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            bias=self.bias,
            direction="both" if self.bidirectional else "forward",
            projection=self.proj_size,
            learned_initial=learned_initial,
            norm=norm,
            dropouts=replace(dropouts, between=self.dropout if self.num_layers > 1 else 0.0),
            drawn_by_torch=True,
        )
        self.initialisation = initialisation
        like: Tensor = self.get_parameter("weight_ih_l0")
        missing = {
            part.prefix + name: torch.empty(shape, device=like.device, dtype=like.dtype)
            for part in self.stack.parts
            for name, shape in self.stack.shapes(part).items()
            if name not in views(self, part)
        }
        self.extras = Weights(missing) if missing else None
        self.plain = not missing and dropouts == Dropouts()
        self._start()

    def reset_parameters(self) -> None:
        """Draw new weights: torch's way, or by `initialisation` where one was given."""
        super().reset_parameters()
        if hasattr(self, "stack"):  # torch's constructor calls this before the stack is known
            self._start()

    @torch.no_grad()
    def _start(self) -> None:
        if self.extras is not None:
            for name, weight in self.extras.flat().items():
                weight.fill_(1.0 if ".p.ln_" in name else 0.0)  # the gains of layer norm; initial states
        if self.initialisation is None:
            return
        for part in self.stack.parts:
            hints = self.stack.cell.initialise
            started = initial_weights(self.stack.shapes(part), self.hidden_size, self.initialisation, hints)
            if self.bias:
                self.get_parameter("bias_hh" + suffix(part)).zero_()
                biases = [started[f"b.{gate}"] for gate in GATES[self.mode]]
                self.get_parameter("bias_ih" + suffix(part)).copy_(torch.cat(biases))
            for name, view in views(self, part).items():
                if not name.startswith("b."):  # of a bias there is no view: torch has two, and their sum counts
                    view.copy_(started[name])


def suffix(part: Part) -> str:
    """How torch names the tensors of one direction of one layer: `_l0`, `_l0_reverse`, ..."""
    return f"_l{part.layer}{'_reverse' if part.direction == 'reverse' else ''}"


def flat_names(module: DropIn, part: Part) -> tuple[str, ...]:
    """How torch names the tensors of one part, in torch's order."""
    biases = ("bias_ih", "bias_hh") if module.bias else ()
    projection = ("weight_hr",) if module.proj_size else ()
    return tuple(name + suffix(part) for name in ("weight_ih", "weight_hh", *biases, *projection))


def views(module: DropIn, part: Part) -> dict[str, Tensor]:
    """The weights of one part as views of torch's flat tensors; the two biases of torch are one here, their sum."""
    flats = [getattr(module, name) for name in flat_names(module, part)]  # what functional_call put there, too
    return split(module.mode, module.bias, flats)


def split(mode: str, bias: bool, flats: Sequence[Tensor]) -> dict[str, Tensor]:
    """`views` of the tensors that `flat_names` names, of a module of this mode."""
    gates = GATES[mode]
    n = len(gates)
    found: dict[str, Tensor] = {}
    for key, W, U in zip(gates, flats[0].chunk(n), flats[1].chunk(n), strict=True):
        found |= {f"W.{key}": W, f"U.{key}": U}
    rest = flats[2:]
    if bias:
        b_ih, b_hh, *rest = rest
        both = b_ih + b_hh
        for key, b, b_loop, total in zip(gates, b_ih.chunk(n), b_hh.chunk(n), both.chunk(n), strict=True):
            reset_after = (mode, key) == ("GRU", "n")  # r * (U.n @ h + b.hn): this one stays inside
            found |= {"b.n": b, "b.hn": b_loop} if reset_after else {f"b.{key}": total}
    if rest:
        found["U.projection"] = rest[0]
    return found


def weights(module: DropIn) -> dict[str, Tensor]:
    """All weights of the module under the names that its stack gives them."""
    found = {part.prefix + name: view for part in module.stack.parts for name, view in views(module, part).items()}
    return found if module.extras is None else {**found, **module.extras.flat()}
