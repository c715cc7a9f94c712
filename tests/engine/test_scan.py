"""scan: every path means the same, under every transform, at every border of its arguments."""

import pytest
import torch
from engine.steps import STEPS, case, gradients, naive, program_of, weighed
from tolerances import TOLERANCE

from riverrun.engine.choose import PATHS, choose
from riverrun.engine.library import library
from riverrun.engine.rewrite import state_dropout, zoneout
from riverrun.engine.scan import Override, scan
from riverrun.errors import UsageError

# torch's own forward mode loads rules that it still keeps in TorchScript.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
VALUE = TOLERANCE[torch.float64, "value"]
GRADIENT = TOLERANCE[torch.float64, "gradient"]


def paths_of(name):
    found = []
    for path in PATHS:
        try:
            found.append(choose(program_of(name), path=path).path)
        except UsageError:
            continue
    return found


SERVED = [(name, path) for name in STEPS for path in paths_of(name)]


def test_every_program_has_a_fused_and_an_eager_path_and_some_have_others():
    everywhere = {"fused", "eager"} | ({"native"} if library().handle else set())
    assert {path for _, path in SERVED} == {"torch", "parallel", *everywhere}
    assert all((name, path) in SERVED for name in STEPS for path in everywhere)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("name", "path"), SERVED)
def test_every_path_equals_the_naive_scan(name, path, reverse):
    c = case(name)
    lengths = torch.tensor([5, 0, 2, 3])
    reset = Override(c.program.states[0], torch.rand(5, 4) < 0.3, torch.randn_like(c.initial[0]).requires_grad_())
    options = {"lengths": lengths, "overrides": [reset], "reverse": reverse}
    found = scan(c.program, c.weights, c.input, c.initial, path=path, **options)
    outputs, finals = naive(name, c.weights, c.input, c.initial, **options)
    for ours, expected in zip((found.outputs, *found.states), (outputs, *finals), strict=True):
        torch.testing.assert_close(ours, expected, **VALUE)
    leaves = [*c.leaves(), reset.value]
    expected = gradients(weighed(outputs, *finals), leaves)
    for ours, theirs in zip(gradients(weighed(found.outputs, *found.states), leaves), expected, strict=True):
        torch.testing.assert_close(ours, theirs, **GRADIENT)


@pytest.mark.parametrize(("name", "path"), SERVED)
def test_a_scan_cut_in_two_is_the_uncut_one(name, path):
    c = case(name, T=7)
    whole = scan(c.program, c.weights, c.input, c.initial, path=path)
    first = scan(c.program, c.weights, c.input[:3], c.initial, path=path)
    second = scan(c.program, c.weights, c.input[3:], first.states, path=path)
    torch.testing.assert_close(torch.cat([first.outputs, second.outputs]), whole.outputs, **VALUE)
    expected = gradients(weighed(whole.outputs), c.leaves())
    ours = gradients(weighed(torch.cat([first.outputs, second.outputs])), c.leaves())
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, **GRADIENT)


@pytest.mark.parametrize(("name", "path"), SERVED)
@pytest.mark.parametrize("steps", [0, 3])
def test_no_step_leaves_the_initial_state_with_its_gradient(name, path, steps):
    c = case(name, T=steps)
    lengths = torch.zeros(4, dtype=torch.long) if steps else None
    found = scan(c.program, c.weights, c.input, c.initial, lengths=lengths, path=path)
    assert found.outputs.shape == (steps, *c.initial[0].shape)
    assert not found.outputs.any()
    for state, initial in zip(found.states, c.initial, strict=True):
        assert torch.equal(state, initial)
        (gradient,) = torch.autograd.grad(state.sum(), initial, retain_graph=True)
        assert torch.equal(gradient, torch.ones_like(initial))


@pytest.mark.parametrize("name", STEPS)
def test_no_row_is_no_error(name):
    c = case(name, B=0)
    found = scan(c.program, c.weights, c.input, c.initial, lengths=torch.zeros(0, dtype=torch.long))
    assert found.outputs.shape == (5, *c.initial[0].shape)


@pytest.mark.parametrize(("name", "path"), SERVED)
def test_rows_do_not_depend_on_padding_or_on_their_neighbours(name, path):
    c = case(name, T=6, B=3)
    lengths = torch.tensor([6, 4, 1])
    together = scan(c.program, c.weights, c.input, c.initial, lengths=lengths, path=path)
    for row, length in enumerate(lengths.tolist()):
        initial = [state[row : row + 1] for state in c.initial]
        alone = scan(c.program, c.weights, c.input[:length, row : row + 1], initial, path=path)
        torch.testing.assert_close(
            together.outputs[:length, row : row + 1], alone.outputs, **TOLERANCE[torch.float64, "invariance"]
        )


@pytest.mark.parametrize("name", STEPS)
def test_forward_mode_gives_the_directional_derivative_and_never_zero(name):
    c = case(name)
    direction = torch.randn_like(c.input)
    weights = {key: w.detach() for key, w in c.weights.items()}
    initial = [state.detach() for state in c.initial]

    def function(input):
        return scan(c.program, weights, input, initial).outputs

    _, tangent = torch.func.jvp(function, (c.input.detach(),), (direction,))
    step = 1e-6
    difference = (function(c.input.detach() + step * direction) - function(c.input.detach() - step * direction)) / (
        2 * step
    )
    assert tangent.abs().max() > 1e-3
    torch.testing.assert_close(tangent, difference, **TOLERANCE[torch.float64, "difference"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_dual_tensor_of_forward_mode_is_seen_wherever_it_is(dtype):
    c = case("lstm", dtype=dtype)
    with torch.no_grad(), torch.autograd.forward_ad.dual_level():
        for name in c.weights:
            weights = {k: w.detach() for k, w in c.weights.items()}
            weights[name] = torch.autograd.forward_ad.make_dual(weights[name], torch.ones_like(weights[name]))
            outputs = scan(c.program, weights, c.input, c.initial).outputs
            tangent = torch.autograd.forward_ad.unpack_dual(outputs).tangent
            assert tangent is not None
            assert tangent.abs().max() > 1e-4


@pytest.mark.parametrize("name", STEPS)
def test_vmap_is_a_loop_over_examples(name):
    c = case(name)
    inputs = torch.randn(3, *c.input.shape, dtype=c.input.dtype)
    weights = {key: w.detach() for key, w in c.weights.items()}

    def function(input):
        return scan(
            c.program, weights, input, [s.detach() for s in c.initial], lengths=torch.tensor([5, 0, 2, 3])
        ).outputs

    expected = torch.stack([function(input) for input in inputs])
    torch.testing.assert_close(torch.func.vmap(function)(inputs), expected, **VALUE)


def test_per_example_gradients_by_vmap_of_grad_are_those_of_autograd():
    c = case("gru")
    inputs = torch.randn(3, *c.input.shape, dtype=c.input.dtype)
    plain = {key: w.detach() for key, w in c.weights.items()}

    def loss(weights, input):
        return weighed(scan(c.program, weights, input, [s.detach() for s in c.initial]).outputs)

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(plain, inputs)
    for index, input in enumerate(inputs):
        for name, expected in zip(c.weights, gradients(loss(c.weights, input), list(c.weights.values())), strict=True):
            torch.testing.assert_close(found[name][index], expected, **GRADIENT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["lstm", "gru", "gru_after", "elman", "minimal"])
def test_a_gradient_penalty_has_the_gradient_of_the_autograd_loop_on_the_path_that_is_chosen(name, dtype):
    c = case(name, dtype=dtype)
    found = []
    for path in (None, "eager"):
        outputs = scan(c.program, c.weights, c.input, c.initial, path=path, lengths=torch.tensor([5, 1, 2, 3])).outputs
        (slope,) = torch.autograd.grad(outputs.square().sum(), c.input, create_graph=True)
        found.append(gradients(slope.square().sum(), c.leaves()))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "peephole", "gru", "gru_after", "minimal"])
def test_under_autocast_values_and_gradients_stay_close_and_parameters_keep_their_dtype(name):
    c = case(name, dtype=torch.float32)
    full = scan(c.program, c.weights, c.input, c.initial).outputs
    expected = gradients(full.sum(), c.leaves())
    with torch.autocast("cpu", torch.bfloat16):
        found = scan(c.program, c.weights, c.input.bfloat16(), c.initial).outputs
        torch.testing.assert_close(found.float(), full, **TOLERANCE[torch.bfloat16, "value"])
        for ours, theirs, leaf in zip(gradients(found.float().sum(), c.leaves()), expected, c.leaves(), strict=True):
            assert ours.dtype == leaf.dtype
            torch.testing.assert_close(ours, theirs, rtol=5e-2, atol=1e-1)


@pytest.mark.parametrize("name", ["peephole", "gru", "multiplicative", "jordan"])
def test_under_autocast_the_error_against_float64_is_at_most_twice_that_of_plain_torch(name):
    exact, c = (case(name, T=20, B=8, I=6, H=16, dtype=dtype) for dtype in (torch.float64, torch.float32))
    for weight in (*exact.weights.values(), *c.weights.values()):
        weight.data.mul_(0.4)  # no chaos
    expected = naive(name, exact.weights, exact.input, exact.initial)[0]
    with torch.autocast("cpu", torch.bfloat16):
        ours = scan(c.program, c.weights, c.input, c.initial).outputs
        theirs = naive(name, c.weights, c.input, c.initial)[0]
    slopes = gradients(weighed(expected), exact.leaves())
    found = []
    for outputs in (ours, theirs):
        assert outputs.dtype == torch.float32 or outputs is theirs
        errors = [(outputs.double() - expected).norm() / expected.norm()]
        grads = gradients(weighed(outputs.float()), c.leaves())
        for gradient, right in zip(grads, slopes, strict=True):
            errors.append((gradient.double() - right).norm() / right.norm())
        found.append(torch.stack(errors))
    assert found[0][0] < 2 * found[1][0]  # the outputs
    assert found[0].norm() < 2 * found[1].norm()  # and all gradients together
    assert found[0].max() > 1e-4  # it is bfloat16 indeed


def test_lengths_that_are_all_full_change_nothing():
    c = case("lstm", dtype=torch.float32)
    full = scan(c.program, c.weights, c.input, c.initial, lengths=torch.full((4,), 5))
    assert torch.equal(full.outputs, scan(c.program, c.weights, c.input, c.initial).outputs)


def test_a_reset_at_t_separates_t_minus_1_from_t_in_both_directions():
    c = case("gru")
    mask = torch.zeros(5, 4, dtype=torch.bool)
    mask[2] = True
    for reverse in (False, True):
        whole = scan(
            c.program, c.weights, c.input, c.initial, reverse=reverse, overrides=[Override("h", mask, c.initial[0])]
        ).outputs
        left = scan(c.program, c.weights, c.input[:2], c.initial, reverse=reverse).outputs
        right = scan(c.program, c.weights, c.input[2:], c.initial, reverse=reverse).outputs
        torch.testing.assert_close(whole, torch.cat([left, right]), **VALUE)


@pytest.mark.parametrize("shape", ["row", "step"])
def test_masks_reach_the_program_in_either_shape_and_nan_in_them_at_padding_does_no_harm(shape):
    program = zoneout(program_of("gru"), "h")
    c = case(program)
    lengths = torch.tensor([5, 0, 2, 3])
    mask = torch.rand(5, 4, 4, dtype=torch.float64) if shape == "step" else torch.rand(4, 4, dtype=torch.float64)
    if shape == "step":
        mask = mask.masked_fill(torch.arange(5)[:, None, None] >= lengths[:, None], float("nan"))
    found = [
        scan(program, c.weights, c.input, c.initial, lengths=lengths, masks={"zoneout.h": mask}, path=path)
        for path in ("fused", "eager")
    ]
    torch.testing.assert_close(found[0].outputs, found[1].outputs, **VALUE)
    grads = [gradients(weighed(f.outputs), c.leaves()) for f in found]
    for a, b in zip(*grads, strict=True):
        assert torch.isfinite(a).all()
        torch.testing.assert_close(a, b, **GRADIENT)


def test_a_mask_with_a_gradient_gets_it():
    program = zoneout(program_of("gru"), "h")
    c = case(program)
    mask = torch.rand(4, 4, dtype=torch.float64).requires_grad_()
    outputs = scan(program, c.weights, c.input, c.initial, masks={"zoneout.h": mask}).outputs
    assert torch.autograd.grad(outputs.sum(), mask)[0].abs().max() > 1e-3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"input": torch.zeros(5, 3)}, "input: expected [T, B, I]"),
        ({"initial": []}, "initial: expected a tensor for each"),
        ({"initial": [torch.zeros(3, 4).double()]}, "initial: expected [B = 4, n] for h"),
        ({"initial": [torch.zeros(4, 4)]}, "initial[0]: expected torch.float64"),
        ({"lengths": torch.tensor([1, 2])}, "lengths: expected [B = 4]"),
        ({"lengths": torch.tensor([1, 2, 3, 6])}, "lengths: expected 0 to T = 5, came 1 to 6"),
        ({"lengths": torch.tensor([1, -2, 3, 4])}, "came -2 to 4"),
        ({"lengths": torch.tensor([1.0, 2.0, 3.0, 4.0])}, "lengths: expected integers"),
        ({"record": ["hh"]}, "record: expected"),
        ({"masks": {"zone": torch.zeros(4, 4)}}, "masks: 'zone' is not used"),
        ({"path": "fussed"}, "Did you mean 'fused'"),
        ({"path": "natve"}, "Did you mean 'native'"),
        ({"path": "parallel"}, "not linear"),
        ({"overrides": [Override("c", torch.zeros(5, 4).bool(), torch.zeros(4, 4))]}, "overrides: expected a state"),
        ({"overrides": [Override("h", torch.zeros(5, 4), torch.zeros(4, 4))]}, "of bool"),
        ({"overrides": [Override("h", torch.zeros(5, 4).bool(), torch.zeros(4, 5))]}, "overrides: value of h"),
    ],
)
def test_arguments_that_do_not_fit_are_named(change, says):
    c = case("gru")
    options = {"input": c.input, "initial": c.initial, **change}
    with pytest.raises(UsageError) as caught:
        scan(c.program, c.weights, options.pop("input"), options.pop("initial"), **options)
    assert says in str(caught.value)


@pytest.mark.parametrize("path", [None, "torch", "fused", "eager"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_no_path_computes_in_another_dtype_than_that_of_the_weights(path, dtype):
    c = case("lstm")
    with pytest.raises(UsageError, match=rf"input: expected torch\.float64 like W\.\w, came {dtype}"):
        scan(c.program, c.weights, c.input.to(dtype), c.initial, path=path)
    with pytest.raises(UsageError, match=r"initial\[1\]: expected torch\.float64"):
        scan(c.program, c.weights, c.input, [c.initial[0], c.initial[1].float()], path=path)


def test_a_mask_that_the_program_needs_and_does_not_get_is_named():
    program = state_dropout(program_of("gru"))
    c = case(program)
    with pytest.raises(UsageError, match=r"masks: state\.h is missing"):
        scan(program, c.weights, c.input, c.initial)
