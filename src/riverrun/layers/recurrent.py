"""Recurrent: a trainable stack of any cell, with every option that a recurrent layer can have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from riverrun.cells import find
from riverrun.cells.cell import Cell
from riverrun.errors import UsageError
from riverrun.layers.initialise import initial_weights, matrix
from riverrun.layers.options import Depth, Dropouts, Initialisation
from riverrun.layers.stack import Recurrence, Stack, State
from riverrun.layers.streamer import Streamer
from riverrun.layers.weights import Weights
from riverrun.sequences import Sequences


class Recurrent(nn.Module):
    """A stack of recurrent layers of one cell, time first.

    cell            a name ("lstm", "gru", ...) or a class of one's own with a `step`
    input_size      I, the width of the input
    hidden_size     H, the width of the cell
    num_layers      layers, one on top of the other
    bias            biases, or none anywhere
    direction       "forward", "reverse", or "both" (their outputs side by side)
    output_size     the width of an output that is fed back (jordan's y); hidden_size where not given
    projection      P: the output becomes U.projection h. Where the cell's output meets nothing but matrices (LSTM), the
                    projected one is the state; elsewhere (GRU) only the layer's output is projected
    skip            "residual": each layer's input is added to its output where the widths agree (He et al. 2016);
                    "dense": each layer reads the stack's input and the outputs of all layers below (Graves 2013)
    learned_initial the state from which sequences start is a parameter, which begins at zero
    norm            layer norm inside the gates, on each W x and each U v (Ba et al. 2016)
    dropouts, depth, initialisation: see those classes

    Parameters are `layers.N.forward|reverse.W.k`, `U.k`, `b.k`, `p.k` (and `initial.s`, `U.projection`), N from 0; with
    depth also `input.J.V`, `input.J.a`, `output.J.V`, `output.J.a`.

    >>> layer = Recurrent("lstm", 3, 5)
    >>> output, state, _ = layer(torch.zeros(7, 2, 3))
    >>> output.shape
    torch.Size([7, 2, 5])
    >>> again = layer(torch.zeros(4, 2, 3), state)  # goes on where the first call stopped
    """

    def __init__(
        self,
        cell: str | type[Cell],
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bias: bool = True,
        direction: str = "forward",
        output_size: int | None = None,
        projection: int = 0,
        skip: str = "none",
        learned_initial: bool = False,
        norm: bool = False,
        dropouts: Dropouts = Dropouts(),  # noqa: B008  frozen
        depth: Depth = Depth(),  # noqa: B008
        initialisation: Initialisation = Initialisation(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.stack = Stack(
            cell=find(cell) if isinstance(cell, str) else cell,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            direction=direction,
            output_size=output_size,
            projection=projection,
            skip=skip,
            learned_initial=learned_initial,
            norm=norm,
            dropouts=dropouts,
            depth=depth,
        )
        self.initialisation = initialisation
        hints = self.stack.cell.initialise
        feedforward: dict[str, dict[str, Tensor]] = {"input": {}, "output": {}}
        for name, shape in self.stack.feedforward_shapes().items():
            place, _, local = name.partition(".")
            start = matrix("glorot", (shape[0], shape[1]), shape[0]) if len(shape) == 2 else torch.zeros(shape)
            feedforward[place][local] = start
        for place, tensors in feedforward.items():
            if tensors:
                self.add_module(place, Weights(tensors))
        layers: dict[str, Tensor] = {}
        for part in self.stack.parts:
            started = initial_weights(self.stack.shapes(part), hidden_size, initialisation, hints)
            layers |= {part.prefix.removeprefix("layers.") + name: value for name, value in started.items()}
        self.layers = Weights(layers)

    @property
    def output_width(self) -> int:
        """n, the width of the output (of both directions together)."""
        return self.stack.width

    def weights(self) -> dict[str, Tensor]:
        """Every weight by its state_dict name, whatever tensors stand there now."""
        found: dict[str, Tensor] = {}
        for place, branch in self._modules.items():
            if isinstance(branch, Weights):
                found |= branch.flat(f"{place}.")
        return found

    @property
    def _only(self) -> Weights:
        """The weights of the first direction of the first layer."""
        branch = self.layers
        for name in self.stack.parts[0].prefix.split(".")[1:-1]:
            branch = cast(Weights, branch._modules[name])
        return branch

    def initial_state(self, batch: int) -> State:
        """The state from which that many sequences start: for each layer and direction a tuple of [B, n]."""
        weights = self.weights()
        return self.stack.initial(weights, batch, next(iter(weights.values())))

    def forward(
        self,
        input: Tensor | Sequences,
        state: State | None = None,
        *,
        resets: Tensor | None = None,
        forced: Tensor | None = None,
        record: Sequence[str] = (),
        path: str | None = None,
    ) -> Recurrence:
        """Run over time.

        input: [T, B, I], or Sequences, whose padding is never read: outputs there are zero, states stop at the end
        state: where to go on, as a former call returned it; the initial state where not given
        resets: [T, B] bool. True at t: a sequence starts there, from the initial state, and nothing passes between
            t - 1 and t in either direction
        forced: [T, B, n], teacher forcing: the last layer's output state after step t is taken to be forced[t] when the
            next step reads it. Not shifted by the caller
        record: names of values to return for every step: "i" (in all layers and directions) or "layers.0.forward.i"
        path: ask for one way of running ("torch", "parallel", "fused", "eager"); an error where it cannot serve

        Returns Recurrence(output [T, B, n], state, records). T = 0 and length 0 give the state that came in.
        Raises UsageError for wrong shapes and unknown names.
        """
        data, lengths = input if isinstance(input, Sequences) else (input, None)
        self._check(data, lengths, state, resets, forced)
        if resets is not None and _readable(resets) and not resets.any():
            resets = None  # the common case of a stream: no document starts in this window
        if self.stack.is_one_scan and lengths is resets is forced is None and not record:
            return self.stack.run_scan(self._only.flat(), data, state, path)
        return self.stack.run(
            self.weights(),
            data,
            lengths,
            state,
            training=self.training,
            resets=resets,
            forced=forced,
            record=record,
            path=path,
        )

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One step: x [B, I] -> (output [B, n], new state), with gradient. `streamer` is the fast one."""
        self.stack.must_stream()
        output, new, _ = self(x[None], state)
        return output[0], new

    def streamer(self) -> Streamer:
        """These weights as they are now, packed once, for step after step without gradient and without dropouts."""
        return Streamer(self.stack, self.weights())

    def explain(self) -> dict[str, str]:
        """For each part ("layers.0.forward"), which path a plain call takes now, and why."""
        return self.stack.explain(self.weights(), training=self.training)

    def extra_repr(self) -> str:
        """The stack's fields, as they were given."""
        s = self.stack
        return (
            f"{s.cell.__name__}, {s.input_size}, {s.hidden_size}, num_layers={s.num_layers}, direction={s.direction!r}"
        )

    def _check(
        self, data: Tensor, lengths: Tensor | None, state: State | None, resets: Tensor | None, forced: Tensor | None
    ) -> None:
        shape = data.shape
        if len(shape) != 3 or shape[2] != self.stack.input_size:
            raise UsageError(f"input: expected [T, B, {self.stack.input_size}], time first, came {list(shape)}")
        steps, rows, _ = shape
        if lengths is not None and lengths.shape != (rows,):
            raise UsageError(f"lengths: expected [{rows}], one for each sequence, came {list(lengths.shape)}")
        if resets is not None and (resets.shape != (steps, rows) or resets.dtype != torch.bool):
            raise UsageError(f"resets: expected bool [{steps}, {rows}], came {resets.dtype} {list(resets.shape)}")
        sizes = self.stack.state_sizes
        if forced is not None and forced.shape != (steps, rows, sizes[0]):
            raise UsageError(f"forced: expected [{steps}, {rows}, {sizes[0]}], came {list(forced.shape)}")
        if state is None:
            return
        expected = [(rows, n) for n in sizes]
        parts = len(self.stack.parts)
        if len(state) != parts or any([tensor.shape for tensor in one] != expected for one in state):
            wanted, came = (
                [[list(e) for e in expected]] * parts,
                [[list(tensor.shape) for tensor in one] for one in state],
            )
            raise UsageError(f"state: expected, for each layer and direction, {wanted}, came {came}")


def _readable(tensor: Tensor) -> bool:
    """Whether Python can look at its values and need not wait for them: no functorch transform holds it, no graph is
    being made."""
    held = torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    return tensor.device.type == "cpu" and not held
