"""A step as segments: interpreted in NumPy, block of columns by block of columns, they compute what the nodes say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from engine.steps import STEPS, program_of

from riverrun.engine.adjoint import adjoint
from riverrun.engine.program import RSTD_EPSILON
from riverrun.engine.rewrite import layer_norm, state_dropout, transition, zoneout
from riverrun.engine.segments import CONST, LANDING, OPERATIONS, ROW, SERIES, STATE, TILE, Slot, segmented

ROWS, BLOCK = 3, 4  # rows of the batch, and columns of a tile
WIDTHS = {"H": 6, "O": 9, "P": 5}
NAMES = {number: name for name, number in OPERATIONS.items()}
REWRITES = {
    "plain": lambda p: p,
    "normed": layer_norm,
    "deep": lambda p: transition(p, 3),
    "all": lambda p: zoneout(state_dropout(layer_norm(transition(p, 2))), p.states[-1]),
}


def mean(v):
    return np.broadcast_to(v.mean(-1, keepdims=True), v.shape)


def rstd(v):
    return np.broadcast_to(1 / np.sqrt(v.var(-1, keepdims=True) + RSTD_EPSILON), v.shape)


APPLY = {
    "copy": lambda a: a,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "neg": np.negative,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "exp": np.exp,
    "log": np.log,
    "softplus": lambda a: np.logaddexp(a, 0),
    "square": np.square,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "positive": lambda a: (a > 0) * 1.0,
    "sigmoid_grad": lambda g, y: g * y * (1 - y),
    "tanh_grad": lambda g, y: g * (1 - y * y),
    "fma": lambda a, b, c: a * b + c,
    "mean": mean,
    "rstd": rstd,
}


class Step:
    """A list of nodes with a number for every width, random numbers in the leaves, and a random matrix a product."""

    def __init__(self, nodes):
        self.nodes = nodes
        random = np.random.default_rng(len(nodes))
        self.leaf, self.matrix, self.slots = {}, [], {}
        self.terms = {}
        for index, node in enumerate(nodes):
            if node.op in ("matmul", "matmul_t"):
                self.terms[index] = []
                for read in node.inputs:
                    self.terms[index].append((read, len(self.matrix)))
                    self.matrix.append(random.standard_normal((self.width(nodes[read]), self.width(node))) / 3)
            elif node.op == "const":
                self.leaf[index] = np.full((ROWS, 1), node.value)
            elif not node.inputs:
                self.leaf[index] = random.standard_normal((ROWS, self.width(node))) + 0.2
                self.slots[index] = Slot(STATE, index, self.width(node))

    @staticmethod
    def width(node):
        return WIDTHS.get(node.width, 1)

    def values(self):
        """Of every node, one after the other."""
        found = []
        for index, node in enumerate(self.nodes):
            if index in self.leaf:
                found.append(self.leaf[index])
            elif index in self.terms:
                found.append(sum(found[read] @ self.matrix[number] for read, number in self.terms[index]))
            else:
                with np.errstate(all="ignore"):
                    value = APPLY[node.op](*(found[i] for i in node.inputs))
                found.append(np.broadcast_to(value, (ROWS, self.width(node))))
        return found

    def lowered(self, wanted):
        """The segments that leave these nodes in series 0, 1, ...; a node may be wanted several times."""
        places = {}
        for number, index in enumerate(wanted):
            places.setdefault(index, []).append(Slot(SERIES, number, self.width(self.nodes[index])))
        return segmented(self.nodes, self.width, self.slots, places, lambda index: self.terms[index])

    def interpreted(self, code):
        """The series, after every block of every segment; what nobody has written is NaN."""
        nan = float("nan")
        memory = {}
        for slot in code.slots:
            wide = BLOCK if slot.kind in (TILE, LANDING) else slot.width
            memory.setdefault((slot.kind, slot.number), np.full((ROWS, max(wide, 1)), nan))
        for number, value in self.leaf.items():
            if (STATE, number) in memory:
                memory[STATE, number] = value
        for number, value in enumerate(code.constants):
            memory[CONST, number] = np.full((ROWS, 1), value)

        def view(at, first, count):
            slot = code.slots[at]
            array = memory[slot.kind, slot.number]
            if slot.kind == CONST:
                return np.broadcast_to(array, (ROWS, count))
            begin = 0 if slot.kind in (TILE, LANDING) else first
            return array[:, begin : begin + count]

        rowwise = [code.slots[out] for segment in code.segments for _, _, out in segment.row_operations]
        for segment in code.segments:
            for op, read, out in segment.row_operations:
                assert code.slots[out].kind in (ROW, SERIES, LANDING)
                count = min(BLOCK, segment.width) if code.slots[out].kind == LANDING else segment.width
                value = APPLY[NAMES[op]](view(read, 0, segment.width))
                view(out, 0, count)[:] = np.broadcast_to(value, (ROWS, segment.width))[:, :count]
            for first in range(0, segment.width, BLOCK):
                count = min(BLOCK, segment.width - first)
                for slot in code.slots:
                    if slot.kind in (TILE, LANDING) and slot not in rowwise:
                        memory[slot.kind, slot.number][:] = nan
                for product in segment.products:
                    z = 0 if product.start < 0 else view(product.start, first, count)
                    for operand, weight in product.terms:
                        assert code.slots[operand].kind in (STATE, ROW, SERIES)
                        matrix = self.matrix[weight]
                        z = z + view(operand, 0, len(matrix)) @ matrix[:, first : first + count]
                    view(product.out, first, count)[:] = z
                for op, a, b, c, out in segment.instructions:
                    name = NAMES[op]
                    inputs = [view(i, first, count) for i in (a, b, c) if i >= 0]
                    with np.errstate(all="ignore"):
                        view(out, first, count)[:] = APPLY[name](*inputs)
        return memory


def equals(step, wanted):
    code = step.lowered(wanted)
    memory, right = step.interpreted(code), step.values()
    for number, index in enumerate(wanted):
        np.testing.assert_allclose(memory[SERIES, number], right[index], rtol=1e-9, atol=1e-12)
    return code


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("name", STEPS)
def test_the_code_of_every_step_leaves_what_is_wanted_of_it(name, rewrite):
    program = REWRITES[rewrite](program_of(name))
    step = Step(program.nodes)
    equals(step, program.outputs)
    equals(step, [*program.outputs, *(i for i in range(len(program.nodes)) if program.nodes[i].op != "const")])


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("name", STEPS)
def test_the_code_of_every_gradient_leaves_what_is_wanted_of_it(name, rewrite):
    back = adjoint(REWRITES[rewrite](program_of(name)))
    parts = [index for group in (back.products, back.x, back.rows) for _, index in group]
    equals(Step(back.nodes), [i for i in (*back.states, *parts) if i >= 0])


def forward(name, rewrite="plain"):
    program = REWRITES[rewrite](program_of(name))
    return equals(Step(program.nodes), program.outputs)


@pytest.mark.parametrize(("name", "segments"), [("lstm", 1), ("gru_after", 1), ("gru", 2), ("multiplicative", 2)])
def test_a_segment_ends_only_where_a_product_waits_for_a_whole_row(name, segments):
    assert len(forward(name).segments) == segments


def test_every_product_of_an_lstm_starts_from_its_projected_input_and_lands_in_a_tile():
    program = program_of("lstm")
    step = Step(program.nodes)
    code = step.lowered(program.outputs)
    (segment,) = code.segments
    of_x = {step.slots[i] for i, node in enumerate(program.nodes) if node.op == "x"}
    assert {code.slots[product.start] for product in segment.products} == of_x
    assert [code.slots[product.out].kind for product in segment.products] == [LANDING] * 4
    assert not code.rows


def test_a_product_plus_something_is_one_instruction():
    (segment,) = forward("lstm").segments
    done = Counter(NAMES[op] for op, *_ in segment.instructions)
    assert done == {"sigmoid": 3, "tanh": 2, "mul": 2, "fma": 1}  # f * c + (i * g), o * tanh(c)


def test_tiles_are_used_again():
    assert forward("lstm").tiles <= 4
    assert forward("everything").tiles <= 6


def test_what_nobody_reads_elsewhere_stays_in_a_tile():
    assert len(forward("gru").rows) == 3  # r * h for the second product; z and (1 - z) * h for after it
    assert forward("elman").rows == ()


def test_a_value_that_is_wanted_twice_is_computed_once_and_copied():
    code = forward("twins")
    done = Counter(NAMES[op] for segment in code.segments for op, *_ in segment.instructions)
    assert done["copy"] == done["tanh"] == 1
