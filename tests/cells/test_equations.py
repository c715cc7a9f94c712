"""Every cell's step, run on tensors, against the NumPy oracle written from its paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cells import oracle
from cells.material import NAMES, material
from tolerances import TOLERANCE
from torch.nn.functional import linear

from riverrun import cells
from riverrun.engine.trace import run_step

EXACT = TOLERANCE[torch.float64, "value"]


def reference(m, weights, x, states):
    """One step after the other with the step function itself."""
    outputs = []
    for t in range(len(x)):
        projected = {k: linear(x[t], weights[f"W.{k}"], weights.get(f"b.{k}")) for k in m.program.x_keys}
        states = run_step(m.cell.step, projected, weights, dict(zip(m.cell.states, states, strict=True)))
        outputs.append(states[0])
    return torch.stack(outputs), states


def test_every_cell_has_an_oracle_and_every_oracle_a_cell():
    assert set(oracle.STEPS) == set(cells.names())


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("name", NAMES)
def test_the_step_equals_the_paper(name, bias):
    m = material(name, bias=bias)
    expected, final = oracle.run(name, m.weights, m.x, m.initial)
    outputs, states = reference(m, *m.tensors(gradient=False))
    np.testing.assert_allclose(outputs.numpy(), expected, **EXACT)
    for ours, theirs in zip(states, final, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_the_step_equals_the_papers(name):
    m = material(name, steps=3, batch=2)
    random = np.random.default_rng(1)
    along = random.standard_normal((3, 2, m.initial[0].shape[1]))
    ends = tuple(random.standard_normal(s.shape) for s in m.initial)
    expected = oracle.gradients(name, m.weights, m.x, m.initial, along, ends)
    weights, x, initial = m.tensors()
    outputs, states = reference(m, weights, x, initial)
    total = (outputs * torch.tensor(along)).sum()
    total = total + sum((s * torch.tensor(e)).sum() for s, e in zip(states, ends, strict=True))
    total.backward()
    leaves = {**weights, "x": x, **{f"state.{n}": s for n, s in enumerate(initial)}}
    assert set(leaves) == set(expected)
    for key, leaf in leaves.items():
        assert np.abs(expected[key]).max() > 1e-6, f"the gradient of {key} is all zero"
        np.testing.assert_allclose(
            leaf.grad.numpy(), expected[key], **TOLERANCE[torch.float64, "gradient"], err_msg=key
        )


def test_lecture_001s_exercise_of_one_logistic_unit():
    """W_xh = -0.1, W_hh = 0.5, W_hy = 0.25, b_h = 0.4, b_y = 0; inputs 18, 9, -8: h_0, y_1, y_2, by hand."""
    weights = {"W.h": torch.tensor([[-0.1]]), "U.h": torch.tensor([[0.5]]), "b.h": torch.tensor([0.4])}
    h, hidden = torch.zeros(1, 1), []
    for x in (18.0, 9.0, -8.0):
        projected = {"h": linear(torch.tensor([[x]]), weights["W.h"], weights["b.h"])}
        (h,) = run_step(cells.find("elman-logistic").step, projected, weights, [h])
        hidden.append(h.item())
    assert hidden[0] == pytest.approx(0.19781611, abs=1e-7)  # 1 / (1 + e^1.4)
    assert 0.25 * hidden[1] == pytest.approx(0.1002625, abs=1e-7)  # h_1 = logistic(-0.5 + 0.5 h_0)
    assert 0.25 * hidden[2] == pytest.approx(0.2005668, abs=1e-7)  # h_2 = logistic(1.2 + 0.5 h_1)


def test_chos_gru_keeps_where_z_is_zero_and_torchs_where_z_is_one():
    wide = torch.full((1, 1), 50.0)
    old, zero = torch.tensor([[0.7]]), torch.zeros(1, 1)
    weights = {f"U.{k}": zero for k in "rzn"}
    for name, keeping in (("gru", -wide), ("gru-after", wide)):
        (h,) = run_step(cells.find(name).step, {"r": zero, "z": keeping, "n": wide}, weights, [old])
        torch.testing.assert_close(h, old)


def test_peepholes_of_i_and_f_see_the_old_cell_state_and_that_of_o_the_new_one():
    zero, far = torch.zeros(1, 1), torch.tensor([[60.0]])
    weights = {f"U.{k}": zero for k in "ifgo"} | {"p.i": torch.tensor([1.0]), "p.f": torch.zeros(1), "p.o": 10 * far[0]}
    x = {"i": zero, "f": -far, "g": far, "o": zero}  # c = 0 * c + sigmoid(1 * old c) * 1
    h, c = run_step(cells.find("peephole").step, x, weights, {"h": zero, "c": torch.tensor([[-2.0]])})
    torch.testing.assert_close(c, torch.sigmoid(torch.tensor([[-2.0]])))
    torch.testing.assert_close(h, torch.tanh(c))  # o saturates at 1 only if it sees the new, positive c
