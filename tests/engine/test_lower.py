import pytest
import torch
from engine.steps import STEPS, case, program_of

from riverrun.engine.lower import FUNCTIONS, Block, addcmul, lower, measure, pack
from riverrun.errors import UsageError


@pytest.mark.parametrize(
    ("name", "products"), [("minimal", 0), ("lstm", 1), ("gru", 2), ("gru_after", 1), ("three_products", 3)]
)
def test_a_step_has_as_many_products_as_groups(name, products):
    assert len(lower(program_of(name)).blocks) == products


def test_x_lands_in_the_columns_of_the_product_that_it_is_added_to():
    (block,) = lower(program_of("lstm")).blocks
    assert block.fused == 4
    assert not [c for c in lower(program_of("elman")).code if not isinstance(c, Block) and c.function is torch.add]


def test_a_value_that_is_to_be_kept_is_not_swallowed():
    program = program_of("elman")
    product = next(i for i, node in enumerate(program.nodes) if node.op == "matmul")
    (block,) = lower(program, frozenset([product])).blocks
    assert block.fused == 0
    assert block.landed == (product,)


def test_a_sum_with_a_product_is_one_call():
    functions = [c.function for c in lower(program_of("lstm")).code if not isinstance(c, Block)]
    assert functions.count(addcmul) == 1
    assert functions.count(torch.mul) == 2  # f c, and o tanh(c)


def test_the_weights_of_a_group_are_packed_side_by_side_in_the_order_of_the_plan():
    c = case("gru")
    plan = lower(c.program)
    packed = pack(plan, c.weights, measure(c.program, c.weights, 3, c.initial), c.initial[0])
    assert torch.equal(packed.W, torch.cat([c.weights[f"W.{key}"] for key in plan.x_order]))
    assert torch.equal(packed.U[0].T, torch.cat([c.weights["U.r"], c.weights["U.z"]]))


def test_a_missing_bias_is_zero_beside_others_that_are_there():
    c = case("gru")
    del c.weights["b.z"]
    plan = lower(c.program)
    packed = pack(plan, c.weights, measure(c.program, c.weights, 3, c.initial), c.initial[0])
    start = 4 * plan.x_order.index("z")
    assert torch.equal(packed.b[start : start + 4], torch.zeros(4).double())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"U.h": None}, "U.h is missing"),
        ({"U.q": torch.zeros(4, 4)}, "U.q is not used by this cell"),
        ({"U.h": torch.zeros(4, 5)}, "U.h [4, 5]: expected the width H = 4"),
        ({"W.h": torch.zeros(4, 7)}, "W.h [4, 7]: expected the width I = 3 (from the input)"),
        ({"b.h": torch.zeros(1, 4)}, "b.h: expected the shape [H]"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, says):
    c = case("elman")
    weights = {name: tensor for name, tensor in {**c.weights, **change}.items() if tensor is not None}
    with pytest.raises(UsageError) as caught:
        measure(c.program, weights, 3, c.initial)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_call_writes_to_out_what_it_returns(name):
    arity = 2 if name in ("add", "sub", "mul", "div", "maximum", "minimum", "sigmoid_grad", "tanh_grad") else 1
    values = [torch.rand(3, 5, dtype=torch.float64) + 0.1 for _ in range(arity)]
    out = torch.full((3, 7), float("nan"), dtype=torch.float64)[:, 1:6]
    FUNCTIONS[name](*values, out=out)
    torch.testing.assert_close(out, FUNCTIONS[name](*values), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", STEPS)
def test_a_plan_is_made_once(name):
    assert lower(program_of(name)) is lower(program_of(name))
