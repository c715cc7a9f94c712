"""The code of a scan for the native engine: a program, with every width a number, as a list of small integers.

`forward_code` and `backward_code` are pure functions of the program and its widths, so their results are kept. What
they cannot know is where the arrays lie: `arrays` and `weights` say, in order, what native.py has to point to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from riverrun.engine.adjoint import adjoint
from riverrun.engine.program import Node, Program
from riverrun.engine.segments import (
    BATCH,
    CARRY_IN,
    CARRY_OUT,
    SERIES,
    STATE,
    TOTAL,
    VECTOR,
    Segments,
    Slot,
    X,
    segmented,
)

OF_SERIES, OF_PRODUCTS, OF_TOTALS = range(3)  # sums, as in csrc/call.hpp
Sizes = tuple[tuple[str, int], ...]  # what `lower.measure` found, as something that can be a key


class Array(NamedTuple):
    """Something that the engine reads or writes, `rows` long: a series is [T, B, width].

    role     after: a state after every step (key: which)       kept: a node's value at every step (key: the node)
             mask, vector: as passed (key: its name)            columns: gradients side by side (key: which buffer)
             sum: a gradient summed over steps and rows (key: the number of the sum)
             total: gradients that each row of the batch adds up over its steps, [B, width]
    """

    role: str
    key: str | int
    width: int


class Weight(NamedTuple):
    """A matrix as the engine reads it: `name` [n, m], transposed (v @ w^T) or as it lies (g @ w)."""

    name: str
    transposed: bool


class Sum(NamedTuple):
    """A gradient that is a sum over steps and rows: [sum of rows, m], or [sum of rows] where m is 0."""

    names: tuple[str, ...]  # the parameters whose gradients lie side by side in it
    widths: tuple[int, ...]
    m: int


@dataclass(frozen=True, eq=False)
class Code:
    """What the engine interprets, and what it has to be given with it."""

    words: npt.NDArray[np.int32]
    constants: npt.NDArray[np.float64]
    arrays: tuple[Array, ...]
    weights: tuple[Weight, ...]
    sums: tuple[Sum, ...] = ()


class _Names:
    """Numbers for arrays and weights, in the order in which they are first asked for."""

    def __init__(self, program: Program, sizes: Sizes, stepwise: frozenset[str]) -> None:
        self.program, self.sizes, self.stepwise = program, dict(sizes), stepwise
        self.arrays: dict[tuple[str, str | int], Array] = {}
        self.weights: dict[Weight, int] = {}
        for index, symbol in enumerate(program.state_widths):
            self.array("after", index, self.sizes[symbol])

    def width(self, node: Node) -> int:
        return self.sizes.get(node.width, 1)

    def array(self, role: str, key: str | int, width: int) -> int:
        self.arrays.setdefault((role, key), Array(role, key, width))
        return list(self.arrays).index((role, key))

    def weight(self, name: str, transposed: bool) -> int:
        return self.weights.setdefault(Weight(name, transposed), len(self.weights))

    def static(self, node: Node) -> Slot:
        """Where a leaf lies that is the same in the step and in its adjoint."""
        width = self.width(node)
        if node.op == "mask":
            kind = SERIES if node.key in self.stepwise else BATCH
            return Slot(kind, self.array("mask", node.key, width), width)
        name = f"{'b' if node.op == 'bias' else 'p'}.{node.key}"
        return Slot(VECTOR, self.array("vector", name, width), width)

    def state(self, name: str) -> Slot:
        index = self.program.states.index(name)
        return Slot(STATE, index, self.sizes[self.program.state_widths[index]])

    def kept(self, index: int) -> Slot:
        """Where a node's values of all steps lie: those of a new state are the state itself."""
        node = self.program.nodes[index]
        role: tuple[str, int] = ("kept", index)
        if index in self.program.outputs:
            role = ("after", self.program.outputs.index(index))
        return Slot(SERIES, self.array(*role, self.width(node)), self.width(node))


@lru_cache(maxsize=256)
def forward_code(
    program: Program, sizes: Sizes, keep: frozenset[int], biases: frozenset[str], stepwise: frozenset[str]
) -> Code:
    """The code of all steps.

    keep: nodes whose values are wanted at every step (a state's value before the step is always at hand, but is kept
    too if it is among these); biases: which of program.x_biases are given; stepwise: masks that differ from step to
    step.
    """
    names = _Names(program, sizes, stepwise)
    leaves: dict[int, Slot] = {}
    projections, column = [], 0
    for key in program.x_keys:
        width = names.sizes[program.weights[f"W.{key}"][0]]
        bias = names.array("vector", f"b.{key}", width) if key in biases else -1
        projections.append((names.weight(f"W.{key}", True), bias, column))
        leaves |= {i: Slot(X, 0, width, column) for i, n in enumerate(program.nodes) if n.op == "x" and n.key == key}
        column += width
    for index, node in enumerate(program.nodes):
        if node.op == "state":
            leaves[index] = names.state(node.key)
        elif node.op in ("mask", "bias", "vector"):
            leaves[index] = names.static(node)
    places: dict[int, list[Slot]] = {}
    for which, output in enumerate(program.outputs):
        width = names.sizes[program.state_widths[which]]
        places.setdefault(output, []).append(Slot(SERIES, names.array("after", which, width), width))
    for index in sorted(keep - set(program.outputs)):
        places[index] = [names.kept(index)]

    def terms(index: int) -> list[tuple[int, int]]:
        node = program.nodes[index]
        return [(node.inputs[0], names.weight(f"U.{node.key}", True))]

    segments = segmented(program.nodes, names.width, leaves, places, terms)
    padded = [0, *(names.array("kept", i, names.width(program.nodes[i])) for i in keep - set(program.outputs))]
    return _code(names, segments, x_width=column, projections=projections, padded=padded)


@lru_cache(maxsize=256)
def backward_code(
    program: Program, sizes: Sizes, biases: frozenset[str], stepwise: frozenset[str], to_input: bool
) -> Code:
    """The code of the gradient of all steps; to_input: whether that of the input is wanted."""
    back = adjoint(program)
    names = _Names(program, sizes, stepwise)
    leaves: dict[int, Slot] = {}
    for index, node in enumerate(back.nodes):
        if node.op == "gradient":
            leaves[index] = Slot(CARRY_IN, program.states.index(node.key), names.width(node))
        elif node.op == "saved":
            leaves[index] = _saved(names, int(node.key))
        elif node.op in ("mask", "bias", "vector"):
            leaves[index] = names.static(node)
    columns = _Columns(names, back.nodes)
    gradient_of = dict(back.products)
    for which, group in enumerate(program.groups):
        columns.put(which, [gradient_of[m] for m in group.members if m in gradient_of])
    columns.put(-1, [index for _, index in back.x])
    places = {index: [slot] for index, slot in columns.places.items()}
    nodes, totals = list(back.nodes), _Columns(names, back.nodes, TOTAL)
    totals.put(0, [index for _, index in back.rows if index not in columns.places])
    for index, slot in totals.places.items():  # the total goes on where the step after this one has left it
        leaves[len(nodes)] = slot
        places[len(nodes) + 1] = [slot]
        symbol = nodes[index].width
        nodes += [Node("total", key=str(index), width=symbol), Node("add", (index, len(nodes)), width=symbol)]
    for which, index in enumerate(back.states):
        if index >= 0:
            width = names.sizes[program.state_widths[which]]
            places.setdefault(index, []).append(Slot(CARRY_OUT, which, width))

    def terms(index: int) -> list[tuple[int, int]]:
        node = back.nodes[index]
        members = next(g for g in program.groups if g.operand == int(node.key)).members
        keys = [program.nodes[m].key for m in members if m in gradient_of]
        return [(i, names.weight(f"U.{key}", False)) for i, key in zip(node.inputs, keys, strict=True)]

    segments = segmented(nodes, names.width, leaves, places, terms)
    slots = dict.fromkeys(segments.slots)
    sums: list[Sum] = []
    words: list[tuple[int, ...]] = []

    def slot_number(slot: Slot) -> int:
        slots.setdefault(slot)
        return list(slots).index(slot)

    def add(parts: Sequence[tuple[str, int]], operand: Slot | None, m: int, columns: _Columns = columns) -> None:
        for run in columns.runs(parts):
            found = Sum(tuple(name for name, _ in run), tuple(columns.places[i].width for _, i in run), m)
            first = columns.places[run[0][1]]
            kind = OF_TOTALS if columns is totals else OF_PRODUCTS if m else OF_SERIES
            out = names.array("sum", len(sums), m or sum(found.widths))
            at = -1 if operand is None else slot_number(operand)
            words.append((kind, first.number, first.column, sum(found.widths), at, m, out))
            sums.append(found)

    for group in program.groups:
        operand = _saved(names, group.operand)
        parts = [(f"U.{program.nodes[m].key}", gradient_of[m]) for m in group.members if m in gradient_of]
        add(parts, operand, operand.width)
    add([(f"W.{key}", index) for key, index in back.x], None, names.sizes["I"])
    add([(f"b.{key}", index) for key, index in back.x if key in biases], None, 0)
    add([(key, index) for key, index in back.rows if index in columns.places], None, 0)
    add([(key, index) for key, index in back.rows if index not in columns.places], None, 0, totals)
    input_terms = [
        (slot_number(columns.places[index]), names.weight(f"W.{key}", False)) for key, index in back.x if to_input
    ]
    return _code(
        names,
        segments._replace(slots=tuple(slots)),
        summed=words,
        input_terms=input_terms,
        results=[int(index >= 0) for index in back.states],
        sums=tuple(sums),
    )


def _saved(names: _Names, index: int) -> Slot:
    node = names.program.nodes[index]
    return names.state(node.key) if node.op == "state" else names.kept(index)


class _Columns:
    """Where gradients are left for the sums after the loop: those of one group side by side in one buffer.

    kind: SERIES, of every step, or TOTAL, of all steps.
    """

    def __init__(self, names: _Names, nodes: Sequence[Node], kind: int = SERIES) -> None:
        self.names, self.nodes, self.kind = names, nodes, kind
        self.places: dict[int, Slot] = {}

    def put(self, buffer: int, indices: Iterable[int]) -> None:
        """Give each node that has no place yet one in this buffer."""
        new = [i for i in dict.fromkeys(indices) if i not in self.places]
        widths = [self.names.width(self.nodes[i]) for i in new]
        if new:
            role = "total" if self.kind == TOTAL else "columns"
            array, column = self.names.array(role, buffer, sum(widths)), 0
            for index, width in zip(new, widths, strict=True):
                self.places[index] = Slot(self.kind, array, width, column)
                column += width

    def runs(self, parts: Sequence[tuple[str, int]]) -> list[list[tuple[str, int]]]:
        """(parameter, node) in runs that lie side by side, so that each is one sum."""
        found: list[list[tuple[str, int]]] = []
        end: tuple[int, int] | None = None  # the array, and the column after the last
        for name, index in sorted(parts, key=lambda part: (self.places[part[1]].number, self.places[part[1]].column)):
            slot = self.places[index]
            if end == (slot.number, slot.column):
                found[-1].append((name, index))
            else:
                found.append([(name, index)])
            end = (slot.number, slot.column + slot.width)
        return found


def _code(
    names: _Names,
    segments: Segments,
    *,
    x_width: int = 0,
    projections: Sequence[tuple[int, int, int]] = (),
    summed: Sequence[tuple[int, ...]] = (),
    input_terms: Sequence[tuple[int, int]] = (),
    results: Sequence[int] = (),
    padded: Sequence[int] = (),
    sums: tuple[Sum, ...] = (),
) -> Code:
    """The words, in the order of `Code::read` in call.hpp."""
    table: list[tuple[int, ...]] = []
    row_operations: list[tuple[int, ...]] = []
    products: list[tuple[int, ...]] = []
    terms: list[tuple[int, ...]] = []
    instructions: list[tuple[int, ...]] = []
    for segment in segments.segments:
        counts = (len(row_operations), len(segment.row_operations), len(products), len(segment.products))
        table.append((segment.width, *counts, len(instructions), len(segment.instructions)))
        row_operations += segment.row_operations
        for product in segment.products:
            products.append((len(terms), len(product.terms), product.start, product.out))
            terms += product.terms
        instructions += segment.instructions
    halves = [tuple(half) for half in np.array(segments.constants, np.float64).view(np.int32).reshape(-1, 2).tolist()]
    header = (
        len(segments.slots), len(table), len(row_operations), len(products), len(terms), len(instructions),
        len(projections), len(segments.constants), segments.tiles, segments.landings, len(segments.rows), x_width,
        len(summed), len(input_terms), len(results), len(padded),
    )  # fmt: skip
    sections: list[Iterable[tuple[int, ...]]] = [
        [header], segments.slots, table, row_operations, products, terms, instructions, projections,
        [tuple(segments.rows)], summed, input_terms, [tuple(results)], [tuple(padded)], halves,
    ]  # fmt: skip
    return Code(
        words=np.array([word for section in sections for row in section for word in row], dtype=np.int32),
        constants=np.array(segments.constants or (0.0,), dtype=np.float64),
        arrays=tuple(names.arrays.values()),
        weights=tuple(names.weights),
        sums=sums,
    )
