"""What the shapes decide of a plain call of a drop-in: for each layer and direction the frame of its scan, and where
every address in it comes from.

The words of all scans lie in one list, the first layer's first. Addresses are those of numbered tensors. Of a call: the
input, the states as torch has them, the flat tensors in torch's order, the sum of the two biases of each part, the
output, the final states, the allocation for everything else. Both directions of a layer write into the same rows, so
that nothing is put together afterwards.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from riverrun.engine import guarded, native
from riverrun.engine.frame import (
    ARRIVING,
    ARRIVING_LAST,
    LINE,
    STATE,
    THREADS,
    Form,
    Frame,
    backward_frame,
    forward_frame,
)
from riverrun.nn.dropin import GATES, DropIn, flat_names, split

Shape = tuple[int, ...]
Place = tuple[int, int, int]  # a word, the number of the tensor whose address it is, and how many bytes into it


class Scans(NamedTuple):
    """The words of all scans, and what is missing in them."""

    words: array[int]
    calls: tuple[tuple[int, int], ...]  # for each scan how many bytes into the words it begins, and how many words
    threads: tuple[tuple[int, int], ...]  # the word for the number of threads, and how many are worth it
    places: tuple[Place, ...]
    bare: tuple[Place, ...]  # instead of `places` where no states are given: zeros for one part serve them all
    scratch: int  # elements of the allocation for everything else


class One(NamedTuple):
    """One direction of one layer."""

    form: Form
    layer: int
    side: int  # 0: the first direction
    where: tuple[tuple[int, int], ...]  # of the input, the states, each weight: in which tensor, at which byte
    flats: tuple[int, int]  # its flat tensors: from the first of these numbers up to the second
    biases: int  # the number of its first flat bias, or 0
    total: int  # that of the biases' sum
    inside: tuple[int, int]  # elements of the learning call's allocation at which its output and its scratch begin


class Plan(NamedTuple):
    """Calls with an input of one shape."""

    ones: tuple[One, ...]
    states: int  # of one part
    sides: int  # directions
    biases: tuple[int, ...]  # the first flat bias of each part; none where there are none
    inference: Scans
    learning: Scans
    flats: Callable[[Any], tuple[Tensor, ...]]  # out of module._parameters
    shapes: tuple[Shape, ...]  # of the input, the states and the flat tensors as torch has them
    output: Shape  # [T, B, n], or [T, n] of one sequence without a batch dimension
    zeros: Tensor  # the initial state of one part where none is given; only read
    single: bool  # without a batch dimension
    batch_first: bool  # [B, T, n] for the caller
    drops: bool  # between layers while it trains: then this is no call for here
    module: tuple[str, bool]  # its mode, and whether it has biases
    dtype: torch.dtype
    entry: Callable[[int, int, bool], int]
    backs: dict[tuple[bool | int, ...], Back]


class Back(NamedTuple):
    """The way back, from the last layer to the lowest that something is wanted of.

    made: tensors that are made, by number (a gradient has that of what it is the gradient of), and their shapes
    results: where the library writes them, or reads them again
    adds: for each layer, from the last, the gradients of its input by both directions: the second is added to the first
    arriving: the words where the gradient of the outputs goes, and how many bytes into it
    final: the same of each state's final value
    both: the number of a first bias, and how many rows of its gradient are the second bias's, too
    """

    scans: Scans
    made: tuple[tuple[int, Shape], ...]
    results: tuple[Place, ...]
    adds: tuple[tuple[int, int] | None, ...]
    arriving: tuple[tuple[int, int], ...]
    final: tuple[tuple[tuple[int, int], ...], ...]
    both: tuple[tuple[int, int], ...]


def plan(module: DropIn, input: Tensor) -> Plan | None:
    """The plan for this shape of input; None where there is none."""
    stack, dtype, single = module.stack, input.dtype, input.dim() == 2
    plain = module.plain and not stack.projects_outside and stack.training == stack.evaluation
    if not plain or input.dim() not in (2, 3) or 0 in input.shape or input.shape[-1] != module.input_size:
        return None
    if native.refusal(input.device.type, dtype) or guarded.only_once(input.device.type):
        return None
    names = [name for part in stack.parts for name in flat_names(module, part)]
    flats = [found for name in names if (found := module._parameters.get(name)) is not None]
    alike = all(flat.dtype is dtype and flat.is_cpu and flat.is_contiguous() for flat in flats)
    if len(flats) < len(names) or not alike:
        return None
    data = input.detach().contiguous()
    data = data.unsqueeze(1) if single else data.transpose(0, 1) if module.batch_first else data
    steps, batch = data.shape[:2]
    sizes = stack.state_sizes
    each, first, sides = len(names) // len(stack.parts), 1 + len(sizes), len(stack.parts) // stack.num_layers
    ones: list[One] = []
    offset = 0
    for index, part in enumerate(stack.parts):
        at = first + each * index
        own = split(module.mode, module.bias, [flat.detach() for flat in flats[each * index :][:each]])
        shapes = (
            (steps, batch, part.input_size),
            *((batch, n) for n in sizes),
            *(tuple(w.shape) for w in own.values()),
        )
        strides = () if part.layer or data.is_contiguous() else (data.stride(), *map(_strides, shapes[1:]))
        form = Form(stack.training, tuple(own), (), (), shapes, strides, dtype, part.direction == "reverse")
        side, total = index % sides, first + len(names) + index
        states = [(1 + s, index * batch * n * dtype.itemsize) for s, n in enumerate(sizes)]
        where = ((0, 0), *states, *_weights(module, form, (at, at + each), total))
        frame = forward_frame(form, True, ())
        if frame.copies or forward_frame(form, False, ()).copies:
            return None
        last = part.layer == stack.num_layers - 1
        below = offset if last or not side else ones[-1].inside[0]
        if not last and not side:
            offset += _whole(steps * batch * stack.width, dtype)
        ones.append(
            One(form, part.layer, side, where, (at, at + each), at + 2 if module.bias else 0, total, (below, offset))
        )
        offset += frame.scratch
    lead = (steps,) if single else (steps, batch)
    rows = () if single else (batch,)
    return Plan(
        tuple(ones),
        len(sizes),
        sides,
        tuple(one.biases for one in ones if one.biases),
        _forward(ones, False),
        _forward(ones, True),
        itemgetter(*names),
        (tuple(input.shape), *((len(ones), *rows, n) for n in sizes), *(tuple(flat.shape) for flat in flats)),
        (*lead, stack.width),
        data.new_zeros(batch, max(sizes)),
        single,
        module.batch_first and not single,
        bool(stack.dropouts.between),
        (module.mode, module.bias),
        dtype,
        native._entry(dtype),
        {},
    )


def _weights(module: DropIn, form: Form, flats: tuple[int, int], total: int) -> list[tuple[int, int]]:
    """For each weight the number of the tensor it lies in, and how many bytes into it."""
    found = []
    gates, (first, end) = GATES[module.mode], flats
    for name, shape in zip(form.names, form.shapes[-len(form.names) :], strict=True):
        kind, _, key = name.partition(".")
        if key == "projection":
            found.append((end - 1, 0))
            continue
        place = gates.index("n" if key == "hn" else key)
        inside = (module.mode, key) in (("GRU", "n"), ("GRU", "hn"))
        flat = {"W": first, "U": first + 1, "b": first + 2 + (key == "hn") if inside else total}[kind]
        size = form.dtype.itemsize
        for n in shape:
            size *= n
        found.append((flat, place * size))
    return found


class _Numbers(NamedTuple):
    """The numbers of the tensors of a call that come after those given."""

    output: int
    block: int  # after the final states


def _numbers(ones: Sequence[One]) -> _Numbers:
    output = ones[-1].flats[1] + len(ones)
    return _Numbers(output, output + 1 + len(ones[0].form.program.states))


def _forward(ones: Sequence[One], learning: bool) -> Scans:
    """The scans of all parts. Without a gradient two outputs at most and one scratch serve all layers."""
    numbers, layers = _numbers(ones), ones[-1].layer + 1
    steps, batch, _ = ones[0].form.shapes[0]
    wide, size = _width(ones[-1]), ones[0].form.dtype.itemsize
    room = _whole(steps * batch * wide, ones[0].form.dtype)
    outputs = [(numbers.block, (layer % 2) * room) for layer in range(layers - 1)]
    begin = min(layers - 1, 2) * room  # of the scratch
    scratch = 0
    draft = _Draft(ones)
    for index, one in enumerate(ones):
        frame = forward_frame(one.form, learning, ())
        if learning and one.layer < layers - 1:
            outputs[one.layer] = numbers.block, one.inside[0]
        output, at = (*outputs, (numbers.output, 0))[one.layer]
        word = draft.take(frame)
        draft.given(one, frame, word, outputs[one.layer - 1] if one.layer else (0, 0))
        finals = [numbers.output + 1 + s for s in range(len(one.form.program.states))]
        for result, number in zip(frame.results, (output, *finals), strict=True):
            if number in finals:
                n = one.form.shapes[1 + number - finals[0]]
                draft.places.append((word + result.word, number, index * n[0] * n[1] * size))
            else:
                draft.words[word + result.word + 1] = wide
                draft.places.append((word + result.word, number, (at + one.side * result.shape[-1]) * size))
        for place, number in frame.also:
            n = one.form.shapes[number]
            draft.places.append((word + place, numbers.output + number, index * n[0] * n[1] * size))
        inside = one.inside[1] if learning else begin
        draft.places += [(word + place, numbers.block, offset + inside * size) for place, offset in frame.places]
        scratch = max(scratch, inside + frame.scratch)
    return draft.scans(scratch)


def back(plan: Plan, wanted: tuple[bool, ...], lowest: int) -> Back:
    """The way back where these gradients of input and states are wanted, and of the layers from `lowest` on."""
    ones, size, sides = plan.ones, plan.dtype.itemsize, plan.sides
    numbers, layers, states = _numbers(ones), ones[-1].layer + 1, plan.states
    block, scratch = numbers.output + 1, numbers.output + 2  # no final states among what is given here
    more = scratch + 1  # gradients of inputs, then what nobody wants
    batch, wide = ones[0].form.shapes[0][1], _width(ones[-1])
    made: dict[int, Shape] = {}
    results: list[Place] = []
    adds: list[tuple[int, int] | None] = []
    arriving: list[tuple[int, int]] = []
    final: list[list[tuple[int, int]]] = [[] for _ in range(states)]
    both: list[tuple[int, int]] = []
    draft, room, extra = _Draft(ones), 0, more + 5

    def slopes(layer: int, side: int) -> int:
        """The number of the gradient of a layer's input by one direction."""
        if layer == 0:
            return side * (more + 4)
        return more + 2 * (layer % 2) + side  # the next layer's serve the one after it

    for layer in range(layers - 1, lowest - 1, -1):
        into = layer > lowest or (layer == 0 and wanted[0])
        for one in ones[layer * sides : (layer + 1) * sides]:
            index = layer * sides + one.side
            weights = [True] * len(one.form.names)
            frame = backward_frame(one.form, (), (into, *wanted[1:], *weights))
            word, last = draft.take(frame), layer == layers - 1
            here, at = (numbers.output, 0) if last else (block, one.inside[0])
            n = one.form.shapes[1][1]
            below = (block, ones[(layer - 1) * sides].inside[0]) if layer else (0, 0)
            draft.given(one, frame, word, below, (here, at + one.side * n))
            for place, number in frame.addresses:
                if number == len(one.form.shapes):
                    draft.words[word + place + 1] = wide
            inside = one.inside[1] * size
            draft.places += [(word + place, block, inside + offset) for place, offset in frame.kept]
            draft.places += [(word + place, scratch, offset) for place, offset in frame.places]
            room = max(room, frame.scratch)
            if last:
                arriving.append((word + ARRIVING, one.side * n * size))
            else:
                results.append((word + ARRIVING, slopes(layer + 1, 0), one.side * n * size))
                draft.words[word + ARRIVING + 1 : word + ARRIVING + 3] = array("q", (batch * wide, wide))
            for state, found in enumerate(final):
                found.append(
                    (
                        word + frame.states + STATE * state + ARRIVING_LAST,
                        index * batch * one.form.shapes[1 + state][1] * size,
                    )
                )
            made |= {number: plan.shapes[number] for number in range(*one.flats)}
            for result in frame.results:
                number = result.tensors[0]
                if number < 0:  # of biases that are not there
                    made[extra] = tuple(result.shape)
                    results.append((word + result.word, extra, 0))
                    extra += 1
                elif number == 0:
                    single = layer == 0 and plan.single
                    made[slopes(layer, one.side)] = plan.shapes[0] if single else tuple(result.shape)
                    results.append((word + result.word, slopes(layer, one.side), 0))
                else:
                    tensor, offset = one.where[number]
                    tensor = one.biases if tensor == one.total else tensor
                    made[tensor] = plan.shapes[tensor]
                    results.append((word + result.word, tensor, offset))
            if one.biases:
                rows = plan.shapes[one.biases][0]
                shared = rows // 3 * 2 if plan.module[0] == "GRU" else rows
                both.append((one.biases, shared))
                if shared == rows:
                    del made[one.biases + 1]
        adds.append((slopes(layer, 0), slopes(layer, 1)) if into and sides == 2 else None)
    scans = draft.scans(room)
    return Back(
        scans, tuple(made.items()), tuple(results), tuple(adds), tuple(arriving), tuple(map(tuple, final)), tuple(both)
    )


class _Draft:
    """The words of several scans while they are put together."""

    def __init__(self, ones: Sequence[One]) -> None:
        self.states = len(ones[0].form.program.states)
        self.size = ones[0].form.dtype.itemsize
        self.words = array("q")
        self.calls: list[tuple[int, int]] = []
        self.threads: list[tuple[int, int]] = []
        self.places: list[Place] = []

    def take(self, frame: Frame) -> int:
        """Add the words of a frame; returns the number of the first."""
        word = len(self.words)
        self.calls.append((word * self.words.itemsize, len(frame.words)))
        self.threads.append((word + THREADS, frame.threads))
        self.words.extend(frame.words)
        return word

    def given(self, one: One, frame: Frame, word: int, input: tuple[int, int], *more: tuple[int, int]) -> None:
        """Where the addresses of what a scan reads come from: tensors, and for input and outputs the element in it."""
        where = [(number, at * self.size) for number, at in (input, *more)]
        where = [where[0], *one.where[1:], *where[1:]]
        self.places += [(word + place, *where[number]) for place, number in frame.addresses]

    def scans(self, scratch: int) -> Scans:
        bare = [(word, n, 0 if 1 <= n <= self.states else offset) for word, n, offset in self.places]
        return Scans(self.words, tuple(self.calls), tuple(self.threads), tuple(self.places), tuple(bare), scratch)


def _width(one: One) -> int:
    """Of an output: both directions together."""
    return (1 + one.side) * one.form.shapes[1][1]


def _whole(elements: int, dtype: torch.dtype) -> int:
    """So many that what comes after begins at a border of the cache's lines."""
    line = LINE // dtype.itemsize
    return -(-elements // line) * line


def _strides(shape: Shape) -> Shape:
    return torch.empty(shape, device="meta").stride()
