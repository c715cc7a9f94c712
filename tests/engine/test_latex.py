"""A Program as LaTeX."""

from __future__ import annotations

import pytest
from cells.material import NAMES, material

from riverrun.engine import rewrite
from riverrun.engine.latex import latex
from riverrun.engine.program import OPERATIONS, Node, Program
from riverrun.engine.trace import exp, sqrt, square, tanh, trace


def of(step, *states):
    return latex(trace(step, states=states or ("h",)))


def test_the_gru_reads_as_the_lectures_write_it():
    assert latex(material("gru").program) == [
        r"r_t = \sigma\left(W_{r} x_t + b_{r} + U_{r} h_{t-1}\right)",
        r"z_t = \sigma\left(W_{z} x_t + b_{z} + U_{z} h_{t-1}\right)",
        r"n_t = \tanh\left(W_{n} x_t + b_{n} + U_{n} \left(r_t \odot h_{t-1}\right)\right)",
        r"h_t = \left(1 - z_t\right) \odot h_{t-1} + z_t \odot n_t",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_has_an_equation_for_each_gate_and_each_state(name):
    lines = latex(material(name).program)
    left = [line.split(" = ")[0] for line in lines]
    assert len(set(left)) == len(left)
    for value in (*material(name).cell.gates, *material(name).cell.states):
        assert f"{value}_t" in left
    for line in lines:
        assert line.count("{") == line.count("}")
        assert line.count(r"\left") == line.count(r"\right")


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (lambda x, h: h - (h - x.b), r"h_t = h_{t-1} - \left(h_{t-1} - \left(W_{b} x_t + b_{b}\right)\right)"),
        (lambda x, h: -(h + 1) * h, r"h_t = \left(-\left(h_{t-1} + 1\right)\right) \odot h_{t-1}"),
        (lambda p, h: h * p.a * p.b, r"h_t = h_{t-1} \odot p_{a} \odot p_{b}"),
        (lambda p, h: h + -p.a, r"h_t = h_{t-1} - p_{a}"),
        (lambda p, h: (h + 1) / (p.a * h), r"h_t = \frac{h_{t-1} + 1}{p_{a} \odot h_{t-1}}"),
        (lambda p, h: square(h + p.alpha), r"h_t = \left(h_{t-1} + p_{\alpha}\right)^2"),
        (lambda h: sqrt(exp(h)), r"h_t = \sqrt{\exp\left(h_{t-1}\right)}"),
        (lambda U, h: U.up @ (U.down @ h), r"h_t = U_{up} \left(U_{\mathit{down}} h_{t-1}\right)"),
    ],
)  # fmt: skip
def test_brackets_stand_where_they_are_needed_and_nowhere_else(step, line):
    assert of(step) == [line]


def test_a_state_that_is_another_states_value_is_said():
    assert of(lambda x, h, c: (tanh(x.h + c), c), "h", "c")[-1] == "c_t = c_{t-1}"
    twice = of(lambda x, h, c: (x.h + h, x.h + h), "h", "c")
    assert len(twice) == 2


def test_a_bias_that_stands_inside_the_loop_is_written_there_and_not_beside_x():
    (line,) = latex(rewrite.layer_norm(material("elman").program))[-1:]
    assert line.count("b_{h}") == 1
    assert "W_{h} x_t + b_{h}" not in line


def test_every_operation_can_be_written():
    for op in OPERATIONS:
        leaf = Node("state", key="h")
        nodes = (leaf, Node(op, (0,), "k")) if op != "const" else (leaf, Node(op, value=2.0))
        if op in ("add", "sub", "mul", "div", "maximum", "minimum"):
            nodes = (leaf, Node(op, (0, 0)))
        assert latex(Program(nodes=nodes, states=("h",), outputs=(1,)))
