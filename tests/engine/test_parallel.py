"""States that enter linearly, found for all steps at once, against the loop."""

from __future__ import annotations

import pytest
import torch
from cells.material import NAMES, material
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import TOLERANCE

from riverrun.engine import eager, parallel, rewrite
from riverrun.engine.scanned import Override
from riverrun.engine.trace import maximum, sigmoid, softplus, tanh, trace


def quasi(x, h, c):
    """A quasi-recurrent cell: c runs by itself, h reads its course."""
    f = sigmoid(x.f)
    c = f * c + (1 - f) * tanh(x.g)
    return sigmoid(x.o) * tanh(c), c


def ladder(x, U, b, p, a, c, h):
    """Three states, each linear in itself, built on old and new values of the others, with a product between."""
    c_new = (c - x.c) / softplus(x.s + 1.0) * p.d - maximum(x.c, 0.1) + b.q
    h_new = -(h * sigmoid(U.h @ c_new + c)) + x.h
    return sigmoid(x.a) * (a + x.b - h_new) + (a * 0.5 - h), c_new, h_new


PROGRAMS = {
    "mingru": material("mingru").program,
    "minlstm": material("minlstm").program,
    "quasi": trace(quasi, states=("h", "c")),
    "ladder": trace(ladder, states=("a", "c", "h")),
}


def drawn(name, steps, batch, seed=0):
    """Leaves for one of the programs."""
    traced = PROGRAMS[name]
    torch.manual_seed(seed)

    def leaf(*shape):
        return (0.7 * torch.randn(*shape, dtype=torch.float64)).requires_grad_()

    weights = {k: leaf(*s) for k, s in traced.resolve({"H": 3, "I": 2}).items()}
    return weights, leaf(steps, batch, 2), [leaf(batch, 3) for _ in traced.states]


def agree(name, steps, batch, **how):
    traced = PROGRAMS[name]
    weights, x, initial = drawn(name, steps, batch)
    record = list(traced.names)
    found = parallel.match(traced)
    results = []
    for run in (
        lambda: parallel.run(found, traced, weights, x, initial, record=record, **how),
        lambda: eager.loop(traced, weights, x, initial, record=record, **how),
    ):
        result = run()
        torch.manual_seed(3)
        total = (result.outputs * torch.randn_like(result.outputs)).sum()
        total = total + sum((s * torch.randn_like(s)).sum() for s in result.states)
        leaves = [*weights.values(), x, *initial, *(o.value for o in how.get("overrides", ()))]
        results.append((result, torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)))
    (ours, slopes), (theirs, expected) = results
    torch.testing.assert_close(ours.outputs, theirs.outputs, **TOLERANCE[torch.float64, "value"])
    torch.testing.assert_close(ours.states, theirs.states, **TOLERANCE[torch.float64, "value"])
    torch.testing.assert_close(ours.records, theirs.records, **TOLERANCE[torch.float64, "value"])
    torch.testing.assert_close(slopes, expected, **TOLERANCE[torch.float64, "gradient"])
    assert not any(value.requires_grad for value in ours.records.values())


@pytest.mark.parametrize("name", NAMES)
def test_of_the_cells_minGRU_and_minLSTM_are_found(name):
    found = parallel.match(material(name).program)
    assert (found is not None) == (name in ("mingru", "minlstm"))


def test_states_are_found_in_the_order_in_which_they_build_on_each_other():
    assert parallel.match(PROGRAMS["quasi"]).order == (1, 0)
    assert parallel.match(PROGRAMS["ladder"]).order == (1, 2, 0)


@pytest.mark.parametrize(
    "step",
    [
        lambda x, h: h * h * x.a,
        lambda x, h: tanh(h) + x.a,
        lambda x, h: x.a / h,
        lambda x, U, h: U.a @ h + x.a,
        lambda x, h: sigmoid(h) * h + x.a,
        lambda x, h: maximum(h, x.a),
    ],
)
def test_a_state_that_enters_otherwise_is_not_found(step):
    assert parallel.match(trace(step, states=("h",))) is None


def test_two_states_that_need_each_other_are_not_found():
    assert parallel.match(trace(lambda x, h, c: (c * x.a, h * x.b), states=("h", "c"))) is None


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_equals_the_loop_with_lengths_and_overrides(name, reverse):
    states = PROGRAMS[name].states
    torch.manual_seed(1)
    overrides = [
        Override(s, torch.rand(7, 4) < 0.3, torch.randn(4, 3, dtype=torch.float64, requires_grad=True)) for s in states
    ]
    overrides.append(
        Override(states[0], torch.rand(7, 4) < 0.2, torch.randn(7, 4, 3, dtype=torch.float64, requires_grad=True))
    )
    for lengths in (None, torch.tensor([7, 0, 4, 1])):
        agree(name, 7, 4, lengths=lengths, reverse=reverse)
        agree(name, 7, 4, lengths=lengths, reverse=reverse, overrides=overrides)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(PROGRAMS)),
    steps=st.integers(0, 9),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    reverse=st.booleans(),
)
def test_it_equals_the_loop_whatever_the_shape(name, steps, lengths, reverse):
    agree(name, steps, len(lengths), lengths=torch.tensor(lengths).clamp(max=steps), reverse=reverse)


def test_masks_act():
    m = material("mingru", steps=5, batch=3)
    for traced, key in (
        (rewrite.recurrent_dropout(m.program, "n"), None),
        (rewrite.zoneout(m.program, "h"), None),
    ):
        (key,) = traced.mask_keys
        found = parallel.match(traced)
        assert found is not None
        weights, x, initial = m.tensors()
        for shape in ((3, 3), (5, 3, 3)):
            for reverse in (False, True):
                masks = {key: torch.rand(*shape, dtype=torch.float64)}
                how = {"masks": masks, "lengths": torch.tensor([5, 2, 0]), "reverse": reverse}
                ours = parallel.run(found, traced, weights, x, initial, **how)
                theirs = eager.loop(traced, weights, x, initial, **how)
                torch.testing.assert_close(ours.outputs, theirs.outputs)
                torch.testing.assert_close(ours.states, theirs.states)


@pytest.mark.parametrize("name", PROGRAMS)
def test_nan_in_the_padding_reaches_neither_values_nor_gradients(name):
    weights, x, initial = drawn(name, 5, 3)
    lengths = torch.tensor([5, 2, 0])
    with torch.no_grad():
        x[2:, 1] = x[:, 2] = float("nan")
    found = parallel.match(PROGRAMS[name])
    for reverse in (False, True):
        result = parallel.run(found, PROGRAMS[name], weights, x, initial, lengths=lengths, reverse=reverse)
        assert (result.outputs[2:, 1] == 0).all()
        assert (result.outputs[:, 2] == 0).all()
        torch.testing.assert_close(result.states[0][2], initial[0][2])
        total = result.outputs.sum() + sum(s.sum() for s in result.states)
        for slope in torch.autograd.grad(total, [*weights.values(), x, *initial]):
            assert slope.isfinite().all()


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script:DeprecationWarning"
)  # torch's own, on its first forward-mode call
def test_double_backward_forward_mode_and_vmap_pass_through():
    weights, x, initial = drawn("minlstm", 4, 2)
    keys, found = list(weights), parallel.match(PROGRAMS["minlstm"])

    def outputs(x, h, *tensors):
        return parallel.run(found, PROGRAMS["minlstm"], dict(zip(keys, tensors, strict=True)), x, [h]).outputs

    arguments = (x, initial[0], *weights.values())
    assert torch.autograd.gradgradcheck(outputs, arguments)
    _, tangent = torch.func.jvp(lambda x: outputs(x, *arguments[1:]), (x,), (torch.ones_like(x),))
    assert tangent.abs().min() > 0
    xs = torch.stack([x, 2 * x]).detach()
    both = torch.func.vmap(lambda x: outputs(x, *arguments[1:]))(xs)
    torch.testing.assert_close(both[1], outputs(2 * x, *arguments[1:]))
