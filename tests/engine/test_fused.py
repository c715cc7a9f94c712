"""The fused path against a scan written row by row, with every buffer filled with NaN before it is used."""

import gc
import itertools
import weakref

import pytest
import torch
from engine.steps import STEPS, case, gradients, naive, weighed
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import TOLERANCE

from riverrun.engine import eager, fused
from riverrun.engine.scanned import Override

LENGTHS = torch.tensor([5, 0, 2, 3])
PATHS = {"fused": fused.run, "eager": eager.loop}


@pytest.fixture(autouse=True)
def _nan_filled_memory():
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    assert torch.isnan(torch.empty(2)).all()
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]


def poisoned(input, lengths):
    """The input with NaN at padding, with gradient to the input."""
    if lengths is None:
        return input
    padding = torch.arange(input.shape[0])[:, None, None] >= lengths[:, None]
    return input + torch.zeros_like(input).masked_fill(padding, float("nan"))


def drawn_overrides(c, seed):
    generator = torch.Generator().manual_seed(seed)
    T, B = c.input.shape[:2]
    found = []
    for index, (state, value) in enumerate(zip(c.program.states, c.initial, strict=True)):
        shape = value.shape if index else (T, *value.shape)
        new = torch.randn(shape, generator=generator, dtype=value.dtype).requires_grad_()
        found.append(Override(state, torch.rand(T, B, generator=generator) < 0.4, new))
    return found


def same(name, c, lengths, overrides, reverse, path):
    leaves = [*c.leaves(), *(o.value for o in overrides)]
    options = {"lengths": lengths, "overrides": overrides, "reverse": reverse}
    found = PATHS[path](c.program, c.weights, poisoned(c.input, lengths), c.initial, **options)
    outputs, finals = naive(name, c.weights, c.input, c.initial, **options)
    for ours, expected in zip((found.outputs, *found.states), (outputs, *finals), strict=True):
        torch.testing.assert_close(ours, expected, **TOLERANCE[torch.float64, "value"])
    ours = gradients(weighed(found.outputs, *found.states), leaves)
    for gradient, expected in zip(ours, gradients(weighed(outputs, *finals), leaves), strict=True):
        torch.testing.assert_close(gradient, expected, **TOLERANCE[torch.float64, "gradient"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", STEPS)
def test_every_step_equals_the_naive_scan_in_values_and_gradients(name, path):
    for ragged, forced, reverse in itertools.product((False, True), repeat=3):
        c = case(name)
        overrides = drawn_overrides(c, 3) if forced else []
        same(name, c, LENGTHS if ragged else None, overrides, reverse, path)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(STEPS)),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5)),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_any_shape_any_lengths_and_any_overrides_equal_the_naive_scan(name, shape, seed, data):
    T, B, I, H = shape
    c = case(name, T=T, B=B, I=I, H=H, seed=seed)
    lengths = data.draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B).map(torch.tensor))
    overrides = drawn_overrides(c, seed) if data.draw(st.booleans()) else []
    same(name, c, lengths, overrides, data.draw(st.booleans()), "fused")


@pytest.mark.parametrize("name", STEPS)
def test_the_gradient_passes_gradcheck(name):
    c = case(name, T=3, B=2, I=2, H=2)

    def function(input, *rest):
        states, weights = rest[: len(c.initial)], dict(zip(c.weights, rest[len(c.initial) :], strict=True))
        found = fused.run(c.program, weights, input, states, lengths=torch.tensor([3, 1]))
        return found.outputs, *found.states

    assert torch.autograd.gradcheck(function, c.leaves())


@pytest.mark.parametrize("name", ["lstm", "gru", "everything"])
def test_the_gradient_can_be_differentiated(name):
    c = case(name, T=3, B=2, I=2, H=2)

    def function(input, *rest):
        states, weights = rest[: len(c.initial)], dict(zip(c.weights, rest[len(c.initial) :], strict=True))
        return fused.run(c.program, weights, input, states, lengths=torch.tensor([3, 1])).outputs

    assert torch.autograd.gradgradcheck(function, c.leaves())


@pytest.mark.parametrize("name", STEPS)
def test_no_gradient_is_all_zero(name):
    c = case(name, H=7)
    found = fused.run(c.program, c.weights, c.input, c.initial)
    unread = {"straight": {1, 2}}.get(name, set())  # its states are new at every step
    for index, gradient in enumerate(gradients(weighed(found.outputs, *found.states), c.leaves())):
        assert (gradient.abs().max() > 1e-6) == (index not in unread)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_every_named_value_is_recorded_as_the_eager_loop_computes_it(name, reverse):
    c = case(name)
    names = list(c.program.names)
    options = {"record": names, "lengths": LENGTHS, "reverse": reverse, "overrides": drawn_overrides(c, 5)}
    ours = fused.run(c.program, c.weights, poisoned(c.input, LENGTHS), c.initial, **options)
    theirs = eager.loop(c.program, c.weights, poisoned(c.input, LENGTHS), c.initial, **options)
    assert list(ours.records) == list(theirs.records) == names
    for record in names:
        assert not ours.records[record].requires_grad
        torch.testing.assert_close(ours.records[record], theirs.records[record], **TOLERANCE[torch.float64, "value"])


def test_the_recorded_output_state_is_the_output():
    c = case("lstm")
    found = fused.run(c.program, c.weights, c.input, c.initial, record=("h", "c"), lengths=LENGTHS)
    assert torch.equal(found.records["h"], found.outputs.detach())
    assert torch.equal(found.records["c"][1, 2], found.states[1][2])


def test_changing_a_record_or_an_output_in_place_changes_no_gradient():
    c = case("peephole")
    expected = gradients(weighed(fused.run(c.program, c.weights, c.input, c.initial).outputs), c.leaves())
    found = fused.run(c.program, c.weights, c.input, c.initial, record=("i", "c", "h"))
    for record in found.records.values():
        record.fill_(7.0)
    for ours, theirs in zip(gradients(weighed(found.outputs), c.leaves()), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_changing_the_output_in_place_is_refused_where_the_adjoint_reads_it_and_right_elsewhere():
    c = case("peephole")
    plain = gradients(fused.run(c.program, c.weights, c.input, c.initial).outputs.sum(), c.leaves())
    doubled = fused.run(c.program, c.weights, c.input, c.initial).outputs
    doubled.mul_(2)
    for ours, theirs in zip(gradients(doubled.sum(), c.leaves()), plain, strict=True):
        torch.testing.assert_close(ours, 2 * theirs, **TOLERANCE[torch.float64, "gradient"])
    c = case("elman")
    outputs = fused.run(c.program, c.weights, c.input, c.initial).outputs
    outputs.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_without_gradient_the_bits_are_those_with_gradient():
    c = case("lstm", dtype=torch.float32)
    with torch.no_grad():
        free = fused.run(c.program, c.weights, c.input, c.initial)
    assert torch.equal(free.outputs, fused.run(c.program, c.weights, c.input, c.initial).outputs)
    assert free.outputs.grad_fn is None


@pytest.mark.parametrize("wanted", ["input", "initial", "weights"])
def test_only_what_wants_a_gradient_gets_one(wanted):
    c = case("gru")
    groups = {"input": [c.input], "initial": c.initial, "weights": list(c.weights.values())}
    full = gradients(weighed(fused.run(c.program, c.weights, c.input, c.initial).outputs), groups[wanted])
    for group, tensors in groups.items():
        for tensor in tensors:
            tensor.requires_grad_(group == wanted)
    weighed(fused.run(c.program, c.weights, c.input, c.initial).outputs).backward()
    for tensor, expected in zip(groups[wanted], full, strict=True):
        torch.testing.assert_close(tensor.grad, expected, **TOLERANCE[torch.float64, "gradient"])
    assert all(t.grad is None for group, tensors in groups.items() if group != wanted for t in tensors)


def test_a_gradient_at_a_final_state_alone_is_enough():
    c = case("lstm")
    found = fused.run(c.program, c.weights, c.input, c.initial, lengths=LENGTHS)
    _, finals = naive("lstm", c.weights, c.input, c.initial, lengths=LENGTHS)
    for ours, theirs in zip(
        gradients(weighed(found.states[1]), c.leaves()), gradients(weighed(finals[1]), c.leaves()), strict=True
    ):
        torch.testing.assert_close(ours, theirs, **TOLERANCE[torch.float64, "gradient"])


def test_a_gradient_of_nan_at_padding_does_no_harm():
    c = case("gru")
    found = fused.run(c.program, c.weights, c.input, c.initial, lengths=LENGTHS)
    padding = torch.arange(5)[:, None, None] >= LENGTHS[:, None]
    arriving = torch.ones_like(found.outputs)
    clean = torch.autograd.grad(found.outputs, c.leaves(), arriving, retain_graph=True)
    poisoned_too = torch.autograd.grad(found.outputs, c.leaves(), arriving.masked_fill(padding, float("nan")))
    for a, b in zip(clean, poisoned_too, strict=True):
        assert torch.equal(a, b)


def test_a_missing_bias_is_a_zero_bias():
    c = case("gru_after")
    zero = {name: torch.zeros_like(w) if name.startswith("b.") else w for name, w in c.weights.items()}
    without = {name: w for name, w in c.weights.items() if not name.startswith("b.")}
    found = fused.run(c.program, without, c.input, c.initial)
    expected = fused.run(c.program, zero, c.input, c.initial)
    assert torch.equal(found.outputs, expected.outputs)
    leaves = [c.input, *without.values()]
    for a, b in zip(gradients(found.outputs.sum(), leaves), gradients(expected.outputs.sum(), leaves), strict=True):
        assert torch.equal(a, b)


def test_backward_twice_on_one_graph_gives_the_same():
    c = case("lstm")
    loss = weighed(fused.run(c.program, c.weights, c.input, c.initial).outputs)
    first = torch.autograd.grad(loss, c.leaves(), retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(loss, c.leaves()), strict=True):
        assert torch.equal(a, b)


def test_the_values_that_are_saved_are_freed_with_the_graph():
    c = case("lstm")
    found = fused.run(c.program, c.weights, c.input, c.initial)
    saved = weakref.ref(found.outputs.grad_fn)
    del found
    gc.collect()
    assert saved() is None
