"""The linear recurrence as one differentiable operation."""

from __future__ import annotations

import pytest
import torch
from tolerances import TOLERANCE

from riverrun.engine import prefixes as module
from riverrun.engine.prefixes import prefixes, stepwise, tree


def loop(a, b):
    s = [b[0]]
    for t in range(1, len(a)):
        s.append(a[t] * s[-1] + b[t])
    return torch.stack(s)


def drawn(*shape):
    torch.manual_seed(sum(shape))
    return tuple(torch.randn(*shape, dtype=torch.float64, requires_grad=True) for _ in range(2))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 7, 8, 9, 16, 33])
@pytest.mark.parametrize("way", [tree, stepwise, prefixes])
def test_every_way_equals_the_loop(way, steps):
    a, b = drawn(steps, 2, 3)
    with torch.no_grad():
        torch.testing.assert_close(way(a, b), loop(a, b), **TOLERANCE[torch.float64, "value"])


def test_nothing_is_left_unwritten(monkeypatch):
    monkeypatch.setattr(torch, "empty_like", lambda t: torch.full_like(t, torch.nan))
    a, b = drawn(7, 2)
    for way in (tree, stepwise):
        assert not way(a.detach(), b.detach()).isnan().any()


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script:DeprecationWarning"
)  # torch's own, on its first forward-mode call
@pytest.mark.parametrize("small", [0, 4096])
def test_its_gradients_of_first_and_second_order_and_its_tangent_are_right(small, monkeypatch):
    monkeypatch.setattr(module, "SMALL", small)
    a, b = drawn(5, 2)
    assert torch.autograd.gradcheck(prefixes, (a, b), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(prefixes, (a, b))


def test_vmap_runs_each_recurrence_by_itself():
    a, b = (t.detach() for t in drawn(6, 4, 3))
    both = torch.func.vmap(prefixes, in_dims=(1, 1), out_dims=1)(a, b)
    torch.testing.assert_close(both, loop(a, b))
    shared = torch.func.vmap(prefixes, in_dims=(None, 1), out_dims=1)(a[:, 0], b)
    torch.testing.assert_close(shared, loop(a[:, :1].expand_as(b), b))


def test_coefficients_of_zero_and_tiny_ones_over_many_steps_stay_finite():
    a = torch.full((300, 1), 1e-3)
    a[100] = 0.0
    b = torch.ones(300, 1)
    s = prefixes(a.requires_grad_(), b)
    s.sum().backward()
    assert s.isfinite().all()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    torch.testing.assert_close(s[100], torch.ones(1))
