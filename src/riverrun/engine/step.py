"""One step at a time, for streams and generators: the weights packed once, and no gradient.

>>> import torch
>>> from riverrun.engine.trace import tanh, trace
>>> program = trace(lambda x, U, h: tanh(x.h + U.h @ h), states=("h",))
>>> stream = Stream(program, {"W.h": torch.ones(2, 3), "U.h": torch.eye(2), "b.h": torch.zeros(2)})
>>> stream.step(torch.zeros(1, 3), (torch.zeros(1, 2),))
(tensor([[0., 0.]]),)
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, empty_like
from torch._C import _are_functorch_transforms_active as transforms_active
from torch.compiler import is_compiling

from riverrun.engine import eager, native, writer
from riverrun.engine.frame import ARRAY, HEADER, INITIAL, INPUT, STATE, THREADS, WEIGHT, Frame, forward_frame
from riverrun.engine.lower import Packed, lower, measure, pack
from riverrun.engine.program import Program

MOST = 64  # batch sizes that are remembered


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
        self._calls: dict[tuple[int, ...], _Call] = {}  # by the shape of x
        self._packed: Packed | None = None

    def step(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The states [B, n] after one step of input x [B, I], in the order of program.states; the first is the output.

        Natively the very bits that `scan` gives over any number of steps; else those of `scan(..., path="eager")` for
        T = 1.
        """
        call = self._calls.get(x.shape)
        # Everything that the library is told was checked when `call` was made: here only that these tensors are alike.
        if call is None or len(states) != call.states or transforms_active() or is_compiling():
            return self._unlike(x, states)
        _, template, places, dtype, entry, threads, _, _ = call
        if x.dtype is not dtype or not x.is_contiguous() or not x.is_cpu:
            return self._unlike(x, states)
        words, new = template[:], []
        words[INPUT] = x.data_ptr()
        for state, (shape, before, after, final) in zip(states, places):  # noqa: B905  their number is right
            if state.shape != shape or state.dtype is not dtype or not state.is_contiguous() or not state.is_cpu:
                return self._unlike(x, states)
            made = empty_like(state)
            words[before] = state.data_ptr()
            words[after] = words[final] = made.data_ptr()
            new.append(made)
        if threads > 1:
            words[THREADS] = min(threads, torch.get_num_threads())
        if status := entry(*words.buffer_info(), False):
            raise native.failure(status)
        return tuple(new)

    def _unlike(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """A step like none before: natively, where that can be, once the tensors lie as they should."""
        tensors = (x, *states, *self.weights.values(), *self.masks.values())
        alike = all(tensor.dtype is x.dtype and tensor.is_cpu for tensor in tensors)
        if not alike or transforms_active() or is_compiling() or native.refusal("cpu", x.dtype) or 0 in x.shape:
            return self._by_torch(x, states)
        x, states = x.contiguous(), [state.contiguous() for state in states]
        call = self._make(x, states)  # which raises where the shapes do not fit
        if len(self._calls) >= MOST:
            self._calls.clear()
        self._calls[x.shape] = call
        return self.step(x, states)

    def _make(self, x: Tensor, states: Sequence[Tensor]) -> _Call:
        """The call for tensors of these shapes."""
        tensors = (x.unsqueeze(0), *states, *self.weights.values(), *self.masks.values())
        form = native.form_of(self.program, self.weights, tensors, False, (), tuple(self.masks))
        frame = forward_frame(form, False, ())
        words = frame.words[:]
        held = native.point(frame, words, tensors)
        for index, (name, _) in enumerate(frame.code.weights):
            at = HEADER + ARRAY * len(frame.code.arrays) + WEIGHT * index
            words[at], words[at + WEIGHT - 1] = self.panels[name].panels.data_ptr(), 1
        after = {0: frame.results[0].word} | {number - 1: word for word, number in frame.also}
        places = tuple(
            (state.shape, frame.states + STATE * index + INITIAL, after[index], frame.results[1 + index].word)
            for index, state in enumerate(states)
        )
        return _Call(len(states), words, places, x.dtype, native._entry(x.dtype), frame.threads, frame, held)

    @cached_property
    def panels(self) -> dict[str, writer.Packed]:
        """The matrices as the library reads them."""
        return {name: writer.packed(weight) for name, weight in self.weights.items() if weight.dim() == 2}

    @torch.no_grad()
    def _by_torch(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
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


class _Call(NamedTuple):
    """A call of the library for one step, whose words lack the addresses of x and of the states.

    places: for each state its shape, and the words for its address before the step and, twice, after it.
    threads: more are not worth it.  held: what the words point to beside the stream's own tensors.
    """

    states: int
    words: array[int]
    places: tuple[tuple[torch.Size, int, int, int], ...]
    dtype: torch.dtype
    entry: Callable[[int, int, bool], int]
    threads: int
    frame: Frame
    held: list[Tensor]
