"""One step of several layers in one call of the library: each reads the output of the one below.

>>> import torch
>>> from riverrun.engine.step import Stream
>>> from riverrun.engine.trace import tanh, trace
>>> program = trace(lambda x, U, h: tanh(x.h + U.h @ h), states=("h",))
>>> weights = {"W.h": torch.eye(2), "U.h": torch.eye(2)}
>>> streams, calls = (Stream(program, weights), Stream(program, weights)), {}
>>> step(streams, calls, torch.zeros(1, 2), [(torch.zeros(1, 2),), (torch.zeros(1, 2),)])
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
FIRST = 1  # where the words of the lowest layer begin; the word before is read by nobody

States = tuple[tuple[Tensor, ...], ...]  # of each layer
# Of a state: its shape; the words for its address before the step, twice after it, and as the input of the layer above.
Place = tuple[torch.Size, int, int, int, int]


class Call(NamedTuple):
    """A call of the library for one step, whose words lack the addresses of x and of the states.

    starts: the address of the numbers where each layer's words begin.
    places: of each layer, for each of its states.
    shared: the words for the numbers of threads, where one is not enough, and how many are.
    held: what the words point to.
    """

    words: array[int]
    starts: int
    places: tuple[tuple[Place, ...], ...]
    dtype: torch.dtype
    entry: Callable[[int, int, int, int], int]
    shared: tuple[tuple[int, int], ...]
    held: list[object]


Calls = dict[tuple[int, ...], Call]  # by the shape of x


def step(streams: Sequence[Stream], calls: Calls, x: Tensor, states: Sequence[Sequence[Tensor]]) -> States:
    """The states after one step of input x [B, I]; the first of the last layer is the output.

    streams: the layers, the lowest first. Where the native engine cannot serve, each does its step by itself.
    calls: what earlier steps of the same streams have left, and this one may add to.
    """
    call = calls.get(x.shape)
    # Everything that the library is told was checked when `call` was made: here only that these tensors are alike.
    if call is None or len(states) != len(call.places) or transforms_active() or is_compiling():
        return _unlike(streams, calls, x, states)
    template, starts, places, dtype, entry, shared, _ = call
    if x.dtype is not dtype or not x.is_contiguous() or not x.is_cpu:
        return _unlike(streams, calls, x, states)
    words, new = template[:], []
    words[FIRST + INPUT] = x.data_ptr()
    for own, there in zip(states, places, strict=True):
        if len(own) != len(there):
            return _unlike(streams, calls, x, states)
        after = []
        for state, (shape, before, left, final, above) in zip(own, there, strict=True):
            if state.shape != shape or state.dtype is not dtype or not state.is_contiguous() or not state.is_cpu:
                return _unlike(streams, calls, x, states)
            made = empty_like(state)
            words[before] = state.data_ptr()
            words[left] = words[final] = words[above] = made.data_ptr()
            after.append(made)
        new.append(tuple(after))
    for word, most in shared:
        words[word] = min(most, torch.get_num_threads())
    if status := entry(*words.buffer_info(), starts, len(places)):
        raise native.failure(status)
    return tuple(new)


def _unlike(streams: Sequence[Stream], calls: Calls, x: Tensor, states: Sequence[Sequence[Tensor]]) -> States:
    """A step like none before: natively, where that can be, once the tensors lie as they should."""
    flat = [state for own in states for state in own]
    tensors = [x, *flat, *(tensor for stream in streams for tensor in stream.tensors())]
    alike = all(tensor.dtype is x.dtype and tensor.is_cpu for tensor in tensors)
    if not alike or transforms_active() or is_compiling() or native.refusal("cpu", x.dtype) or 0 in x.shape:
        new = []
        for stream, own in zip(streams, states, strict=True):
            new.append(stream.by_torch(x, own))
            x = new[-1][0]
        return tuple(new)
    x, states = x.contiguous(), [[state.contiguous() for state in own] for own in states]
    call = _make(streams, x, states)  # which raises where the shapes do not fit
    if len(calls) >= MOST:
        calls.clear()
    calls[x.shape] = call
    return step(streams, calls, x, states)


def _make(streams: Sequence[Stream], x: Tensor, states: Sequence[Sequence[Tensor]]) -> Call:
    """The call for tensors of these shapes."""
    words, starts = array("q", [0] * FIRST), array("q", [FIRST])
    held: list[object] = [starts]
    places: list[tuple[Place, ...]] = []
    shared, below = [], x
    for layer, (stream, own) in enumerate(zip(streams, states, strict=True)):
        start, panels = len(words), stream.panels
        tensors = (below.unsqueeze(0), *own, *stream.tensors())
        form = native.form_of(stream.program, stream.weights, tensors, False, (), tuple(stream.masks))
        frame = forward_frame(form, False, ())
        these = frame.words[:]
        held += [frame, panels, tensors[1 + len(own) :], native.point(frame, these, tensors)]
        these[INPUT] = 0  # refused, should a step not fill it in
        for index, (name, _) in enumerate(frame.code.weights):
            at = HEADER + ARRAY * len(frame.code.arrays) + WEIGHT * index
            these[at], these[at + WEIGHT - 1] = panels[name].panels.data_ptr(), 1
        words += these
        starts.append(len(words))
        after = {0: frame.results[0].word} | {number - 1: word for word, number in frame.also}
        above = len(words) + INPUT if layer + 1 < len(streams) else 0
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
    entry = native.steps_entry(x.dtype)
    return Call(words, starts.buffer_info()[0], tuple(places), x.dtype, entry, tuple(shared), held)
