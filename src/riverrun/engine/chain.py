"""One step of several layers in one call of the library: each reads the output of the one below.

>>> import torch
>>> from riverrun.engine.step import Stream
>>> from riverrun.engine.trace import tanh, trace
>>> program = trace(lambda x, U, h: tanh(x.h + U.h @ h), states=("h",))
>>> weights = {"W.h": torch.eye(2), "U.h": torch.eye(2)}
>>> chain = Chain([Stream(program, weights), Stream(program, weights)])
>>> chain.step(torch.zeros(1, 2), [(torch.zeros(1, 2),), (torch.zeros(1, 2),)])
((tensor([[0., 0.]]),), (tensor([[0., 0.]]),))
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, empty_like
from torch._C import _are_functorch_transforms_active as transforms_active
from torch.compiler import is_compiling

from riverrun.engine import native
from riverrun.engine.frame import ARRAY, HEADER, INITIAL, INPUT, STATE, THREADS, WEIGHT, forward_frame

if TYPE_CHECKING:
    from riverrun.engine.step import Stream

MOST = 64  # batch sizes that are remembered

States = tuple[tuple[Tensor, ...], ...]  # of each layer


class Chain:
    """Streams, the lowest first. Where the native engine cannot serve, each does its step by itself."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = tuple(streams)
        self._calls: dict[tuple[int, ...], _Call] = {}  # by the shape of x

    def step(self, x: Tensor, states: Sequence[Sequence[Tensor]]) -> States:
        """The states after one step of input x [B, I]; the first of the last layer is the output."""
        call = self._calls.get(x.shape)
        # Everything that the library is told was checked when `call` was made: here only that these tensors are alike.
        if call is None or len(states) != len(call.places) or transforms_active() or is_compiling():
            return self._unlike(x, states)
        template, starts, places, dtype, entry, shared, _ = call
        if x.dtype is not dtype or not x.is_contiguous() or not x.is_cpu:
            return self._unlike(x, states)
        words, new = template[:], []
        words[1 + INPUT] = x.data_ptr()
        for own, there in zip(states, places):  # noqa: B905  their number is right
            if len(own) != len(there):
                return self._unlike(x, states)
            after = []
            for state, (shape, before, left, final, above) in zip(own, there):  # noqa: B905
                if state.shape != shape or state.dtype is not dtype or not state.is_contiguous() or not state.is_cpu:
                    return self._unlike(x, states)
                made = empty_like(state)
                words[before] = state.data_ptr()
                words[left] = words[final] = words[above] = made.data_ptr()
                after.append(made)
            new.append(tuple(after))
        for word, most in shared:
            words[word] = min(most, torch.get_num_threads())
        if status := entry(words.buffer_info()[0], starts, len(places)):
            raise native.failure(status)
        return tuple(new)

    def _unlike(self, x: Tensor, states: Sequence[Sequence[Tensor]]) -> States:
        """A step like none before: natively, where that can be, once the tensors lie as they should."""
        flat = [state for own in states for state in own]
        tensors = [x, *flat, *(tensor for stream in self.streams for tensor in stream.tensors())]
        alike = all(tensor.dtype is x.dtype and tensor.is_cpu for tensor in tensors)
        if not alike or transforms_active() or is_compiling() or native.refusal("cpu", x.dtype) or 0 in x.shape:
            new = []
            for stream, own in zip(self.streams, states, strict=True):
                new.append(stream.by_torch(x, own))
                x = new[-1][0]
            return tuple(new)
        x, states = x.contiguous(), [[state.contiguous() for state in own] for own in states]
        call = self._make(x, states)  # which raises where the shapes do not fit
        if len(self._calls) >= MOST:
            self._calls.clear()
        self._calls[x.shape] = call
        return self.step(x, states)

    def _make(self, x: Tensor, states: Sequence[Sequence[Tensor]]) -> _Call:
        """The call for tensors of these shapes."""
        words, starts = array("q", [0]), array("q", [1])  # word 0 is read by nobody
        held: list[object] = [starts]
        places: list[tuple[_Place, ...]] = []
        shared, below = [], x
        for stream, own in zip(self.streams, states, strict=True):
            start = len(words)
            tensors = (below.unsqueeze(0), *own, *stream.tensors())
            form = native.form_of(stream.program, stream.weights, tensors, False, (), tuple(stream.masks))
            frame = forward_frame(form, False, ())
            these = frame.words[:]
            held += [frame, native.point(frame, these, tensors)]
            for index, (name, _) in enumerate(frame.code.weights):
                at = HEADER + ARRAY * len(frame.code.arrays) + WEIGHT * index
                these[at], these[at + WEIGHT - 1] = stream.panels[name].panels.data_ptr(), 1
            words += these
            starts.append(len(words))
            after = {0: frame.results[0].word} | {number - 1: word for word, number in frame.also}
            above = 0 if stream is self.streams[-1] else len(words) + INPUT
            places.append(
                tuple(
                    (
                        state.shape, start + frame.states + STATE * index + INITIAL, start + after[index],
                        start + frame.results[1 + index].word, 0 if index else above,
                    )
                    for index, state in enumerate(own)
                )
            )  # fmt: skip
            if frame.threads > 1:
                shared.append((start + THREADS, frame.threads))
            below = own[0]
        return _Call(
            words, starts.buffer_info()[0], tuple(places), x.dtype, native.steps_entry(x.dtype), tuple(shared), held
        )


# Of a state: its shape; the words for its address before the step, twice after it, and as the input of the layer above.
_Place = tuple[torch.Size, int, int, int, int]


class _Call(NamedTuple):
    """A call of the library for one step, whose words lack the addresses of x and of the states.

    starts: the address of the numbers where each layer's words begin.
    places: of each layer, for each of its states.
    shared: the words for the numbers of threads, where one is not enough, and how many are.
    held: what the words point to beside the streams' own tensors.
    """

    words: array[int]
    starts: int
    places: tuple[tuple[_Place, ...], ...]
    dtype: torch.dtype
    entry: Callable[[int, int, int], int]
    shared: tuple[tuple[int, int], ...]
    held: list[object]
