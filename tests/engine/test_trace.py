import inspect
import math

import numpy as np
import pytest
import torch
from engine.steps import STEPS, gru, jordan, lstm, program_of
from tolerances import TOLERANCE

from riverrun.engine.trace import maximum, run_step, sigmoid, softplus, square, tanh, trace
from riverrun.errors import CellError


def line_of(function) -> int:
    return inspect.getsourcelines(function)[1]


def refused(step, states=("h",), **options) -> str:
    with pytest.raises(CellError) as caught:
        trace(step, states=states, **options)
    return str(caught.value)


def test_a_step_becomes_its_operations_in_order():
    program = trace(lambda x, U, h: tanh(x.h + U.h @ h), states=("h",))
    assert [node.op for node in program.nodes] == ["state", "x", "matmul", "add", "tanh"]
    assert program.outputs == (4,)


def test_equal_values_are_one_node():
    program = trace(lambda x, h: sigmoid(x.a) * h + sigmoid(x.a), states=("h",))
    assert [node.op for node in program.nodes].count("sigmoid") == 1


def test_what_no_new_state_reads_is_not_traced():
    def step(x, U, h):
        unused = tanh(x.unused + U.unused @ h)
        del unused
        return tanh(x.h)

    assert set(trace(step, states=("h",)).weights) == {"W.h", "b.h"}


def test_the_named_values_are_the_steps_locals_and_the_new_states():
    program = trace(lstm, states=("h", "c"))
    assert set(program.names) == {"i", "f", "o", "g", "h", "c"}
    assert (program.names["h"], program.names["c"]) == program.outputs
    assert program.nodes[program.names["g"]].op == "tanh"


def test_locals_are_found_in_code_that_has_no_source():
    space = {"tanh": tanh}
    exec("def step(x, U, h):\n    v = tanh(x.h + U.h @ h)\n    return v * h\n", space)
    assert set(trace(space["step"], states=("h",)).names) == {"v", "h"}


def test_widths_follow_from_states_and_sizes():
    program = trace(jordan, states=("y",), sizes={"y": "O"})
    assert program.weights == {
        "W.h": ("H", "I"), "U.h": ("H", "O"), "U.y": ("O", "H"), "b.h": ("H",), "b.y": ("O",),
    }  # fmt: skip
    assert program.sizes == ("H", "O")
    assert program.state_widths == ("O",)


def test_torchs_and_numpys_scalars_and_torchs_functions_trace_like_ours():
    ours = trace(lambda x, h: 2.0 * tanh(x.h) - sigmoid(h), states=("h",))
    theirs = trace(lambda x, h: np.float64(2) * torch.tanh(x.h) - torch.sigmoid(h), states=("h",))
    assert ours.nodes == theirs.nodes
    assert trace(lambda h: torch.sub(1, h), states=("h",)).nodes == trace(lambda h: 1 - h, states=("h",)).nodes
    assert trace(lambda h: torch.rsub(h, 1), states=("h",)).nodes == trace(lambda h: 1 - h, states=("h",)).nodes


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda x, U, h: h @ U.h, "Write U.h @ v"),
        (lambda x, U, h: torch.matmul(U.h, h), "Write U.k @ v"),
        (lambda x, U, h: torch.nn.functional.linear(h, U.h), "Write U.k @ v"),
        (lambda x, U, h: U.h * h, "Only U.h @ v means something"),
        (lambda x, U, h: h * U.h, "Only U.h @ v means something"),
        (lambda x, U, h: U.h @ 3, "Write U.h @ v"),
        (lambda x, U, h: U @ h, "with a key k for each matrix"),
        (lambda x, U, h: U.h.T, "U.h.T"),
        (lambda x, h: x + h, "Write x.k"),
        (lambda x, h: h * x, "Write x.k"),
        (lambda x, h: h if h > 0 else -h, "maximum, minimum or relu"),
        (lambda x, h: h if h else -h, "a branch on a value"),
        (lambda x, h: max(h, 0), "a comparison of values"),
        (lambda x, h: np.tanh(h), "numpy's tanh"),
        (lambda x, h: np.array(h), "a numpy array"),
        (lambda x, h: math.exp(h), "a plain number"),
        (lambda x, h: torch.cumsum(h, 0), "torch's cumsum"),
        (lambda x, h: torch.add(h, x.a, alpha=2), "torch's add"),
        (lambda x, h: torch.ones(4) * h, "p.k"),
        (lambda x, h: h * torch.ones(4), "p.k"),
        (lambda x, h: h[0], "indexing"),
        (lambda x, h: sum(h), "indexing"),
        (lambda x, h: h.tanh(), "Write tanh(v)"),
        (lambda x, h: h**3, "a power of 3"),
        (lambda x, h: h + "a", "came str"),
        (lambda x, h: h + None, "came NoneType"),
        (lambda x, b, h: x.h + b.h, "Pick another key"),
        (lambda x, h: (h, h), "came 2 value(s)"),
        (lambda x, h: 1.0, "came float"),
        (lambda x, h: None, "came NoneType"),
        (lambda x, q, h: h, "'q' is neither"),
        (lambda x: x.h, "expected an argument for the state 'h'"),
        (lambda *a: a, "expected plain arguments"),
    ],
)
def test_what_cannot_be_traced_is_an_error_that_names_the_line_and_says_what_to_write(step, says):
    message = refused(step)
    assert says in message
    assert message.startswith(f"{__file__}:{step.__code__.co_firstlineno}:")


def test_an_error_names_the_very_line_inside_a_step():
    def step(x, U, h):
        z = sigmoid(x.z)
        if z > 0.5:
            return h
        return z

    assert refused(step).startswith(f"{__file__}:{line_of(step) + 2}:")


def test_widths_that_differ_need_a_product_between_them():
    message = refused(lambda x, U, y, h: (y * h, h), states=("y", "h"), sizes={"y": "O"})
    assert "width O" in message
    assert "width H" in message
    assert message.startswith(__file__)


def test_a_reserved_or_repeated_state_is_refused():
    assert "reserved" in refused(lambda x, U: x.h, states=("x",))
    assert "each once" in refused(lambda h: (h, h), states=("h", "h"))
    assert "at least one" in refused(lambda x: x.h, states=())


def test_an_unknown_candidate_is_refused_with_the_nearest():
    assert "Did you mean 'n'" in refused(gru, candidate="nn")


def test_an_exception_of_the_step_itself_passes_and_the_profiler_is_as_before():
    import sys

    def step(x, h):
        raise KeyError("mine")

    before = sys.getprofile()
    with pytest.raises(KeyError, match="mine"):
        trace(step, states=("h",))
    assert sys.getprofile() is before


def test_on_tensors_a_matrix_times_a_value_is_the_row_convention_even_where_batch_equals_width():
    torch.manual_seed(0)
    U, h, x = torch.randn(4, 4), torch.randn(4, 4), torch.randn(4, 4)
    (new,) = run_step(lambda x, U, h: x.h + U.h @ h, {"h": x}, {"U.h": U}, [h])
    torch.testing.assert_close(new, x + h @ U.T, **TOLERANCE[torch.float32, "value"])
    for wrong in (lambda x, U, h: h @ U.h, lambda x, U, h: torch.matmul(U.h, h)):
        with pytest.raises(CellError, match=r"U\.h @ v"):
            run_step(wrong, {"h": x}, {"U.h": U}, [h])


def test_on_tensors_a_missing_bias_is_none_and_a_missing_vector_an_error():
    h = torch.randn(2, 3)
    (new,) = run_step(lambda h, b: h + b.k, {}, {}, [h])
    assert torch.equal(new, h)
    with pytest.raises(AttributeError, match=r"p\.k"):
        run_step(lambda h, p: h + p.k, {}, {}, [h])


def test_the_functions_take_tensors_and_numbers_beside_them():
    v = torch.tensor([-1.0, 2.0])
    assert torch.equal(maximum(v, 0.5), torch.tensor([0.5, 2.0]))
    assert torch.equal(maximum(0.5, v), torch.tensor([0.5, 2.0]))
    assert torch.equal(square(v), v * v)
    assert torch.equal(softplus(v), torch.nn.functional.softplus(v))


@pytest.mark.parametrize("name", STEPS)
def test_every_step_traces_and_prints(name):
    program = program_of(name)
    assert len(str(program).splitlines()) == len(program.nodes) + 1
