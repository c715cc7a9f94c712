"""The adjoint alone, on one step, against autograd on the step itself."""

import pytest
import torch
from engine.steps import STEPS, case, program_of

from riverrun.engine import fused
from riverrun.engine.adjoint import adjoint
from riverrun.engine.backward import lower_back
from riverrun.engine.lower import lower
from riverrun.engine.trace import (
    exp,
    log,
    maximum,
    minimum,
    relu,
    run_step,
    sigmoid,
    softplus,
    sqrt,
    square,
    tanh,
    trace,
)

EXACT = {"rtol": 1e-12, "atol": 1e-12}

OPERATIONS = {
    "add": lambda x, h: x.a + h,
    "sub": lambda x, h: x.a - h,
    "mul": lambda x, h: x.a * h,
    "mul itself": lambda x, h: (h + x.a) * (h + x.a),
    "div": lambda x, h: x.a / (2.5 + sigmoid(h)),
    "number minus": lambda x, h: 1 - 2 * h,
    "number over": lambda x, h: 3 / (2 + square(h + x.a)),
    "maximum": lambda x, h: maximum(x.a, h) * 2,
    "minimum": lambda x, h: minimum(x.a, h) * h,
    "maximum of a number": lambda x, h: maximum(h, 0.1) * x.a,
    "neg": lambda x, h: -h * -x.a,
    "sigmoid": lambda x, h: sigmoid(h * x.a),
    "tanh": lambda x, h: tanh(h * x.a),
    "relu": lambda x, h: relu(h * x.a),
    "exp": lambda x, h: exp(h * x.a),
    "log": lambda x, h: log(1 + square(h * x.a)),
    "softplus": lambda x, h: softplus(h * x.a),
    "square": lambda x, h: square(h * x.a),
    "sqrt": lambda x, h: sqrt(0.5 + square(h * x.a)),
    "abs": lambda x, h: abs(h * x.a),
    "used thrice": lambda x, h: tanh(h) * h + sigmoid(h) / (2 + tanh(h)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_gradient_of_every_operation_is_autograds(name):
    step = OPERATIONS[name]
    c = case(trace(step, states=("h",)), T=1)
    found = fused.run(c.program, c.weights, c.input, c.initial).outputs
    x = {key: c.input[0] @ c.weights[f"W.{key}"].T + c.weights[f"b.{key}"] for key in c.program.x_keys}
    (expected,) = run_step(step, x, c.weights, c.initial)
    torch.testing.assert_close(found[0], expected, **EXACT)
    for ours, theirs in zip(
        torch.autograd.grad(found.sin().sum(), c.leaves(), allow_unused=True),
        torch.autograd.grad(expected.sin().sum(), c.leaves(), allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(ours, torch.zeros_like(ours) if theirs is None else theirs, **EXACT)


def test_at_a_tie_the_gradient_is_shared_as_torch_shares_it():
    for step in (lambda x, h: maximum(x.a, h), lambda x, h: minimum(x.a, h), lambda x, h: relu(x.a - h)):
        program = trace(step, states=("h",))
        h = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
        x = torch.ones(1, 1, 1, dtype=torch.float64, requires_grad=True)
        weights = {"W.a": torch.ones(2, 1, dtype=torch.float64), "b.a": torch.zeros(2, dtype=torch.float64)}
        ours = torch.autograd.grad(fused.run(program, weights, x, [h]).outputs.sum(), [x, h])
        (expected,) = run_step(step, {"a": x[0] @ weights["W.a"].T}, {}, [h])
        for a, b in zip(ours, torch.autograd.grad(expected.sum(), [x, h]), strict=True):
            torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("name", STEPS)
def test_the_adjoint_has_as_many_products_as_the_step(name):
    program = program_of(name)
    products = [node for node in adjoint(program).nodes if node.op == "matmul_t"]
    assert len(products) == len(program.groups)


def test_the_backward_grouping_waits_where_the_forward_one_does_not():
    program = program_of("gru")
    order = [node.key for node in adjoint(program).nodes if node.op == "matmul_t"]
    first, second = (program.nodes[int(operand)] for operand in order)
    assert first.op == "mul"  # r * h: the product of n comes first
    assert second.op == "state"


def test_what_tells_its_own_slope_is_saved_and_not_its_argument():
    program = program_of("elman")
    ops = {program.nodes[index].op for index in adjoint(program).saved}
    assert ops == {"tanh", "state"}  # the state is the operand of the product


def test_a_state_that_nothing_reads_has_no_gradient():
    assert adjoint(program_of("straight")).states == (adjoint(program_of("straight")).states[0], -1)


@pytest.mark.parametrize("name", STEPS)
def test_the_gradients_of_a_group_stand_in_columns_of_their_own(name):
    program = program_of(name)
    back = lower_back(lower(program, frozenset(adjoint(program).saved)))
    columns = [slot for (kind, _), slot in back.columns.items() if kind == "product"]
    assert len(set(columns)) == len(columns) == len(program.u_keys) + (name == "everything")
