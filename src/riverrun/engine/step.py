"""One step at a time, for streams and generators: the weights packed once, and no gradient.

>>> import torch
>>> from riverrun.engine.trace import tanh, trace
>>> program = trace(lambda x, U, h: tanh(x.h + U.h @ h), states=("h",))
>>> stream = Stream(program, {"W.h": torch.ones(2, 3), "U.h": torch.eye(2), "b.h": torch.zeros(2)})
>>> stream.step(torch.zeros(1, 3), (torch.zeros(1, 2),))
(tensor([[0., 0.]]),)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from riverrun.engine import chain, eager, writer
from riverrun.engine.lower import Packed, lower, measure, pack
from riverrun.engine.program import Program


class Stream:
    """A program with its weights as they were when the stream was made: later changes of them are not seen.

    On the CPU the native engine does the step, where it is there; elsewhere torch does.

    Args:
        program: one step.
        weights: as for `scan`; they are copied.
        masks: [1, n] or [B, n] for each mask of the program, such as zoneout's probability in evaluation.
    """

    def __init__(
        self, program: Program, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None
    ) -> None:
        self.program = program
        self.weights = {name: weight.detach().clone() for name, weight in weights.items()}
        self.masks = {name: mask.detach().clone() for name, mask in (masks or {}).items()}
        self._calls: chain.Calls = {}
        self._packed: Packed | None = None

    def step(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The states [B, n] after one step of input x [B, I], in the order of program.states; the first is the output.

        Natively the very bits that `scan` gives over any number of steps; else those of `scan(..., path="eager")` for
        T = 1.
        """
        return chain.step((self,), self._calls, x, (states,))[0]

    def tensors(self) -> tuple[Tensor, ...]:
        """The weights and the masks."""
        return (*self.weights.values(), *self.masks.values())

    @cached_property
    def panels(self) -> dict[str, writer.Packed]:
        """The matrices as the library reads them."""
        return {name: writer.packed(weight) for name, weight in self.weights.items() if weight.dim() == 2}

    @torch.no_grad()
    def by_torch(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The step in torch's operations."""
        packed = self._pack(x, states)
        projected = eager.project(packed, x.unsqueeze(0))
        plan = lower(self.program)
        values = eager.run(plan, packed, None if projected is None else projected[0], states, self.masks)
        return tuple(values[index].detach() for index in self.program.outputs)

    def _pack(self, x: Tensor, states: Sequence[Tensor]) -> Packed:
        """The packed weights; only biases and vectors depend on the batch, of which they are a view."""
        batch = states[0].shape[0]
        if self._packed is None:
            sizes = measure(self.program, self.weights, x.shape[-1], states)
            self._packed = pack(lower(self.program), self.weights, sizes, states[0])
        rows = self._packed.rows
        if any(row.dim() == 2 and row.shape[0] != batch for row in rows.values()):
            rows = {slot: row[:1].expand(batch, -1) if row.dim() == 2 else row for slot, row in rows.items()}
            self._packed = replace(self._packed, rows=rows)
        return self._packed
