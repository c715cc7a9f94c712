"""Torch's kernels, found by the graph, and everything that is put around them."""

from __future__ import annotations

import pytest
import torch
from cells.material import NAMES, material
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import TOLERANCE
from torch import nn

from riverrun.cells.cell import program, sigmoid, tanh
from riverrun.engine import eager, kernels, rewrite
from riverrun.engine.scanned import Override
from riverrun.engine.trace import trace

KERNELS = {"lstm": "lstm", "gru-after": "gru", "elman": "rnn_tanh", "elman-relu": "rnn_relu"}


@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_cells_that_torch_has_are_found(name):
    found = kernels.match(material(name).program)
    assert (found.kernel if found else None) == KERNELS.get(name)


def test_a_users_own_lstm_is_found_whatever_its_names_and_order():
    def step(x, U, out, cell):
        cell = tanh(U.new @ out + x.new) * sigmoid(U.write @ out + x.write) + cell * sigmoid(x.keep + U.keep @ out)
        return tanh(cell) * sigmoid(U.show @ out + x.show), cell

    found = kernels.match(trace(step, states=("out", "cell")))
    assert found is not None
    assert found.gates == (("write", "write"), ("keep", "keep"), ("new", "new"), ("show", "show"))


def test_an_lstm_with_one_thing_changed_is_not_found():
    def no_tanh(x, U, h, c):
        c = sigmoid(x.f + U.f @ h) * c + sigmoid(x.i + U.i @ h) * tanh(x.g + U.g @ h)
        return sigmoid(x.o + U.o @ h) * c, c

    def other_state(x, U, h, c):
        c = sigmoid(x.f + U.f @ h) * c + sigmoid(x.i + U.i @ h) * tanh(x.g + U.g @ c)
        return sigmoid(x.o + U.o @ h) * tanh(c), c

    def shared_gate(x, U, h, c):
        c = sigmoid(x.i + U.i @ h) * c + sigmoid(x.i + U.i @ h) * tanh(x.g + U.g @ h)
        return sigmoid(x.o + U.o @ h) * tanh(c), c

    for step in (no_tanh, other_state, shared_gate):
        assert kernels.match(trace(step, states=("h", "c"))) is None


def test_rewritten_programs_are_not_found():
    lstm = material("lstm").program
    assert kernels.match(rewrite.zoneout(lstm, "c")) is None
    assert kernels.match(rewrite.recurrent_dropout(lstm, "g")) is None
    assert kernels.match(rewrite.layer_norm(lstm)) is None


MODULES = {"lstm": nn.LSTM, "gru-after": nn.GRU, "elman": nn.RNN}


@pytest.mark.parametrize("name", MODULES)
def test_the_weights_reach_torchs_gates(name):
    m = material(name)
    weights, x, initial = m.tensors(gradient=False)
    found = kernels.match(m.program)
    module = MODULES[name](4, 3).double()
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.cat([weights[f"W.{w}"] for w, _ in found.gates]))
        module.weight_hh_l0.copy_(torch.cat([weights[f"U.{u}"] for _, u in found.gates]))
        module.bias_ih_l0.copy_(torch.cat([weights[f"b.{w}"] for w, _ in found.gates]))
        module.bias_hh_l0.zero_()
        if found.inner:
            module.bias_hh_l0[-3:] = weights[f"b.{found.inner}"]
        expected, last = module(x, tuple(s[None] for s in initial) if name == "lstm" else initial[0][None])
    ours = kernels.run(found, weights, x, initial)
    torch.testing.assert_close(ours.outputs, expected, **TOLERANCE[torch.float64, "value"])
    for mine, theirs in zip(ours.states, last if name == "lstm" else (last,), strict=True):
        torch.testing.assert_close(mine, theirs[0], **TOLERANCE[torch.float64, "value"])


def agree(m, *, lengths=None, overrides=(), reverse=False, match=None, traced=None):
    """The kernel and the loop on leaves of their own: values, and gradients of everything."""
    traced = traced or m.program
    match = match or kernels.match(traced)
    results = []
    for run in (
        lambda w, x, i, **o: kernels.run(match, w, x, i, **o),
        lambda w, x, i, **o: eager.loop(traced, w, x, i, **o),
    ):
        weights, x, initial = m.tensors()
        values = [o.value.detach().clone().requires_grad_() for o in overrides]
        mine = [Override(o.state, o.mask, v) for o, v in zip(overrides, values, strict=True)]
        result = run(weights, x, initial, lengths=lengths, overrides=mine, reverse=reverse)
        torch.manual_seed(3)
        total = (result.outputs * torch.randn_like(result.outputs)).sum()
        total = total + sum((s * torch.randn_like(s)).sum() for s in result.states)
        leaves = [*weights.values(), x, *initial, *values]
        gradients = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        results.append((result, gradients))
    (ours, slopes), (theirs, expected) = results
    torch.testing.assert_close(ours.outputs, theirs.outputs, **TOLERANCE[torch.float64, "value"])
    for mine, other in zip(ours.states, theirs.states, strict=True):
        torch.testing.assert_close(mine, other, **TOLERANCE[torch.float64, "value"])
    for mine, other in zip(slopes, expected, strict=True):
        torch.testing.assert_close(mine, other, **TOLERANCE[torch.float64, "gradient"])


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("name", KERNELS)
def test_it_equals_the_loop_with_lengths_overrides_and_both_directions(name, bias):
    m = material(name, steps=6, batch=4, bias=bias)
    width = m.initial[0].shape[1]
    torch.manual_seed(0)
    mask = torch.rand(6, 4) < 0.3
    overrides = [Override(state, mask, torch.randn(4, width, dtype=torch.float64)) for state in m.program.states] + [
        Override(m.program.states[0], torch.rand(6, 4) < 0.2, torch.randn(6, 4, width, dtype=torch.float64))
    ]
    for lengths in (None, torch.tensor([6, 0, 3, 1])):
        for reverse in (False, True):
            agree(m, lengths=lengths, reverse=reverse)
            agree(m, lengths=lengths, reverse=reverse, overrides=overrides)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(KERNELS)),
    steps=st.integers(0, 5),
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    reverse=st.booleans(),
)
def test_it_equals_the_loop_whatever_the_shape(name, steps, lengths, reverse):
    m = material(name, steps=steps, batch=len(lengths))
    agree(m, lengths=torch.tensor(lengths).clamp(max=steps), reverse=reverse)


def test_a_projected_lstm_runs_as_torchs():
    def step(x, U, h, c):
        c = sigmoid(x.f + U.f @ h) * c + sigmoid(x.i + U.i @ h) * tanh(x.g + U.g @ h)
        return U.down @ (sigmoid(x.o + U.o @ h) * tanh(c)), c

    traced = trace(step, states=("h", "c"), sizes={"h": "P"})
    found = kernels.match(traced)
    assert found is not None
    assert found.projection == "down"
    torch.manual_seed(0)
    shapes = traced.resolve({"H": 5, "P": 2, "I": 3})
    weights = {k: torch.randn(s, dtype=torch.float64) for k, s in shapes.items()}
    x = torch.randn(4, 3, 3, dtype=torch.float64)
    initial = [torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)]
    for lengths in (None, torch.tensor([4, 0, 2])):
        ours = kernels.run(found, weights, x, initial, lengths=lengths)
        theirs = eager.loop(traced, weights, x, initial, lengths=lengths)
        torch.testing.assert_close(ours.outputs, theirs.outputs)
        torch.testing.assert_close(ours.states, theirs.states)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", KERNELS)
def test_nan_in_the_padding_reaches_neither_values_nor_gradients(name, reverse):
    m = material(name, steps=4, batch=3)
    lengths = torch.tensor([4, 1, 0])
    m.x[1:, 1] = m.x[:, 2] = float("nan")
    weights, x, initial = m.tensors()
    result = kernels.run(kernels.match(m.program), weights, x, initial, lengths=lengths, reverse=reverse)
    assert not result.outputs.isnan().any()
    assert (result.outputs[1:, 1] == 0).all()
    torch.testing.assert_close(result.states[0][2], initial[0][2])
    (result.outputs.sum() + sum(s.sum() for s in result.states)).backward()
    for leaf in (*weights.values(), x, *initial):
        assert not leaf.grad.isnan().any()


@pytest.mark.parametrize("name", KERNELS)
def test_under_bfloat16_autocast_outputs_are_bfloat16_and_states_keep_their_dtype(name):
    m = material(name)
    weights, x, initial = m.tensors(torch.float32)
    found = kernels.match(m.program)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = kernels.run(found, weights, x, initial)
    assert result.outputs.dtype == torch.bfloat16
    assert {s.dtype for s in result.states} == {torch.float32}
    exact = eager.loop(m.program, *m.tensors(torch.float64))
    torch.testing.assert_close(result.outputs.double(), exact.outputs, **TOLERANCE[torch.bfloat16, "value"])
    result.outputs.float().sum().backward()
    assert all(w.grad is not None and w.grad.dtype == torch.float32 for w in weights.values())


def test_float32_is_no_further_from_float64_than_twice_torchs_own_layer():
    torch.manual_seed(0)
    module = nn.LSTM(32, 48)
    x = torch.randn(40, 8, 32)
    exact = nn.LSTM(32, 48).double()
    exact.load_state_dict(module.state_dict())
    truth = exact(x.double())[0]
    traced = program(material("lstm").cell)
    parts = {
        f"{letter}.{gate}": part
        for letter, tensor in (
            ("W", module.weight_ih_l0), ("U", module.weight_hh_l0), ("b", module.bias_ih_l0 + module.bias_hh_l0)
        )
        for gate, part in zip("ifgo", tensor.chunk(4), strict=True)
    }  # fmt: skip
    zeros = [torch.zeros(8, 48)] * 2
    ours = kernels.run(kernels.match(traced), parts, x, zeros).outputs
    assert (ours - truth).abs().max() <= 2 * max((module(x)[0] - truth).abs().max(), 1e-7)
