"""The conformance table: every cell, on every path that can run it, has every property.

The oracle is NumPy written from the papers (oracle.py), with weights drawn separately for each gate. A cell that is
added to the folder is in the table by itself, and fails it until the oracle knows it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from cells import oracle
from cells.material import NAMES, SIZES, material
from tolerances import TOLERANCE

from riverrun import cells
from riverrun.cells.cell import program
from riverrun.engine import kernels, parallel
from riverrun.engine.library import library
from riverrun.engine.scan import Override, scan

F64 = torch.float64
PATHS = [
    (name, path)
    for name in NAMES
    for path, able in (
        ("eager", True),
        ("native", library().handle is not None),
        ("fused", True),
        ("torch", kernels.match(program(cells.find(name)))),
        ("parallel", parallel.match(program(cells.find(name)))),
    )
    if able
]
every_path = pytest.mark.parametrize(("name", "path"), PATHS, ids=[f"{n}-{p}" for n, p in PATHS])


def run(m, path, dtype=F64, gradient=False, **how):
    return scan(m.program, *m.tensors(dtype, gradient), path=path, **how)


@every_path
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
def test_outputs_and_states_equal_the_papers(name, path, bias):
    m = material(name, bias=bias)
    expected, final = oracle.run(name, m.weights, m.x, m.initial)
    result = run(m, path)
    np.testing.assert_allclose(result.outputs.numpy(), expected, **TOLERANCE[F64, "value"])
    assert len(result.states) == len(final)
    for ours, theirs in zip(result.states, final, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, **TOLERANCE[F64, "value"])


@cache
def papers_gradients(name, bias, lengths):
    """(material, along, ends, slopes) of a random linear form of outputs and states, by the complex step."""
    m = material(name, steps=3, batch=2, bias=bias, seed=1)
    random = np.random.default_rng(1)
    along = random.standard_normal((3, 2, m.initial[0].shape[1]))
    ends = tuple(random.standard_normal(s.shape) for s in m.initial)
    return m, along, ends, oracle.gradients(name, m.weights, m.x, m.initial, along, ends)


@every_path
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
def test_every_gradient_equals_the_papers_and_none_is_all_zero(name, path, bias):
    m, along, ends, expected = papers_gradients(name, bias, None)
    weights, x, initial = m.tensors()
    result = scan(m.program, weights, x, initial, path=path)
    total = (result.outputs * torch.tensor(along)).sum()
    total = total + sum((s * torch.tensor(e)).sum() for s, e in zip(result.states, ends, strict=True))
    total.backward()
    leaves = {**weights, "x": x, **{f"state.{n}": s for n, s in enumerate(initial)}}
    assert set(leaves) == set(expected)
    for key, leaf in leaves.items():
        assert leaf.grad.abs().max() > 1e-6, f"the gradient of {key} is all zero"
        kind = "weight" if key in weights else "gradient"
        np.testing.assert_allclose(leaf.grad.numpy(), expected[key], **TOLERANCE[F64, kind], err_msg=key)


@every_path
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_gradcheck_with_lengths_and_a_learned_reset(name, path, reverse):
    m = material(name, steps=3, batch=2, sizes={"H": 2, "Y": 3, "I": 1})
    weights, x, initial = m.tensors()
    keys = list(weights)
    mask = torch.tensor([[False, False], [True, False], [False, True]])

    def outputs(x, *rest):
        states, restart, tensors = rest[: len(initial)], rest[len(initial)], rest[len(initial) + 1 :]
        given = dict(zip(keys, tensors, strict=True))
        override = Override(m.program.states[0], mask, restart)
        lengths = torch.tensor([3, 2])
        result = scan(m.program, given, x, states, lengths=lengths, overrides=[override], reverse=reverse, path=path)
        return result.outputs, *result.states

    restart = torch.randn_like(initial[0], requires_grad=True)
    assert torch.autograd.gradcheck(outputs, (x, *initial, restart, *weights.values()), fast_mode=True)


@every_path
def test_a_sequence_cut_in_two_and_continued_equals_the_uncut_one(name, path):
    m = material(name, steps=7)
    weights, x, initial = m.tensors(gradient=False)
    whole = scan(m.program, weights, x, initial, path=path)
    first = scan(m.program, weights, x[:3], initial, path=path)
    second = scan(m.program, weights, x[3:], first.states, path=path)
    torch.testing.assert_close(
        torch.cat([first.outputs, second.outputs]), whole.outputs, **TOLERANCE[F64, "invariance"]
    )
    torch.testing.assert_close(second.states, whole.states, **TOLERANCE[F64, "invariance"])


@every_path
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_row_depends_on_neither_its_padding_nor_its_neighbours(name, path, reverse):
    m = material(name, steps=6, batch=4)
    lengths = torch.tensor([6, 0, 3, 1])
    for row, length in enumerate(lengths.tolist()):
        m.x[length:, row] = np.nan
    weights, x, initial = m.tensors(gradient=False)
    together = scan(m.program, weights, x, initial, lengths=lengths, reverse=reverse, path=path)
    for row, length in enumerate(lengths.tolist()):
        own = [s[row : row + 1] for s in initial]
        alone = scan(m.program, weights, x[:length, row : row + 1], own, reverse=reverse, path=path)
        torch.testing.assert_close(together.outputs[:length, row], alone.outputs[:, 0], **TOLERANCE[F64, "invariance"])
        assert (together.outputs[length:, row] == 0).all()
        for ours, theirs in zip(together.states, alone.states, strict=True):
            torch.testing.assert_close(ours[row], theirs[0], **TOLERANCE[F64, "invariance"])


@every_path
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_nan_in_the_padding_reaches_no_gradient(name, path, reverse):
    m = material(name, steps=4, batch=3)
    m.x[2:, 1] = m.x[:, 2] = np.nan
    weights, x, initial = m.tensors()
    result = scan(m.program, weights, x, initial, lengths=torch.tensor([4, 2, 0]), reverse=reverse, path=path)
    (result.outputs.sum() + sum(s.sum() for s in result.states)).backward()
    for leaf in (*weights.values(), x, *initial):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()


@every_path
def test_reverse_is_the_flipped_sequence_and_flipped_outputs(name, path):
    m = material(name)
    weights, x, initial = m.tensors(gradient=False)
    backwards = scan(m.program, weights, x, initial, reverse=True, path=path)
    expected, final = oracle.run(name, m.weights, m.x[::-1], m.initial)
    np.testing.assert_allclose(backwards.outputs.numpy(), expected[::-1], **TOLERANCE[F64, "value"])
    for ours, theirs in zip(backwards.states, final, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, **TOLERANCE[F64, "value"])


@every_path
def test_a_reset_is_a_cut_with_a_fresh_state_in_both_directions(name, path):
    m = material(name, steps=6, batch=2)
    weights, x, initial = m.tensors(gradient=False)
    mask = torch.zeros(6, 2, dtype=torch.bool)
    mask[2] = True
    fresh = [torch.zeros_like(s) for s in initial]
    overrides = [Override(s, mask, f) for s, f in zip(m.program.states, fresh, strict=True)]
    for reverse in (False, True):
        before, after = (fresh, initial) if reverse else (initial, fresh)
        joined = scan(m.program, weights, x, initial, overrides=overrides, reverse=reverse, path=path)
        left = scan(m.program, weights, x[:2], before, reverse=reverse, path=path)
        right = scan(m.program, weights, x[2:], after, reverse=reverse, path=path)
        torch.testing.assert_close(
            joined.outputs, torch.cat([left.outputs, right.outputs]), **TOLERANCE[F64, "invariance"]
        )
        last = left if reverse else right
        torch.testing.assert_close(joined.states, last.states, **TOLERANCE[F64, "invariance"])


@every_path
@pytest.mark.parametrize(("steps", "batch", "width"), [(0, 2, 3), (1, 1, 1), (2, 1, 7), (3, 5, 2)])
def test_odd_shapes_are_shapes(name, path, steps, batch, width):
    m = material(name, steps=steps, batch=batch, sizes={"H": width, "Y": width + 1, "I": 2})
    result = run(m, path)
    expected, final = oracle.run(name, m.weights, m.x, m.initial)
    assert result.outputs.shape == expected.shape
    np.testing.assert_allclose(result.outputs.numpy(), expected, **TOLERANCE[F64, "value"])
    for ours, theirs in zip(result.states, final, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, **TOLERANCE[F64, "value"])


@every_path
def test_float32_is_near_float64(name, path):
    m = material(name, scale=0.4)
    low, high = run(m, path, torch.float32), run(m, path)
    assert low.outputs.dtype == torch.float32
    torch.testing.assert_close(low.outputs.double(), high.outputs, **TOLERANCE[torch.float32, "value"])


RECORDING = [(n, p) for n, p in PATHS if p != "torch"]


@pytest.mark.parametrize(("name", "path"), RECORDING, ids=[f"{n}-{p}" for n, p in RECORDING])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_gates_and_states_are_recorded_and_recording_changes_nothing(name, path, reverse):
    m = material(name)
    names = tuple(dict.fromkeys([*m.cell.gates, *m.cell.states]))
    lengths = torch.tensor([5, 2, 0])
    weights, x, initial = m.tensors()
    how = {"lengths": lengths, "reverse": reverse, "path": path}
    plain = scan(m.program, weights, x, initial, **how)
    seen = scan(m.program, weights, x, initial, record=names, **how)
    torch.testing.assert_close(seen.outputs, plain.outputs, rtol=0, atol=0)
    assert set(seen.records) == set(names)
    for record in seen.records.values():
        assert record.shape[:2] == (5, 3)
        assert not record.requires_grad
        assert (record[2:, 1] == 0).all()
        assert (record[:, 2] == 0).all()
    torch.testing.assert_close(seen.records[m.cell.states[0]], plain.outputs.detach())
    for key in set("ifoz") & set(names):  # gates lie between 0 and 1
        assert ((seen.records[key][:, 0] > 0) & (seen.records[key][:, 0] < 1)).all()


def test_recorded_gates_are_the_papers_gates():
    """By hand for the LSTM: after one step from h, i is logistic(W_i x + U_i h + b_i), and so on."""
    m = material("lstm", steps=1)
    seen = run(m, "fused", record=("i", "f", "g", "o", "c")).records
    for key, squash in (("i", oracle.logistic), ("f", oracle.logistic), ("g", np.tanh), ("o", oracle.logistic)):
        expected = [squash(oracle.net(m.weights, key, x, h)) for x, h in zip(m.x[0], m.initial[0], strict=True)]
        np.testing.assert_allclose(seen[key][0].numpy(), expected, **TOLERANCE[F64, "value"])
    c = seen["f"][0].numpy() * m.initial[1] + seen["i"][0].numpy() * seen["g"][0].numpy()
    np.testing.assert_allclose(seen["c"][0].numpy(), c, **TOLERANCE[F64, "value"])


def test_the_material_has_no_two_gates_alike():
    for name in NAMES:
        m = material(name)
        arrays = list(m.weights.values())
        for n, a in enumerate(arrays):
            assert not any(a.shape == b.shape and np.allclose(a, b) for b in arrays[:n])
    assert len(set(SIZES.values())) == len(SIZES)
