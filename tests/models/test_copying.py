"""The mixture of generated and copied tokens."""

from __future__ import annotations

import math

import torch

from riverrun.data.pair_batch import UNKNOWN
from riverrun.models.copying import mixed


def test_a_token_that_stands_twice_is_copied_with_both_weights_and_one_without_an_id_as_unknown():
    logits, gate = torch.randn(1, 6, dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.0]], dtype=torch.float64)
    p = mixed(logits, gate, weights, torch.tensor([[5, 4, 5, -1, 3]])).exp()[0]
    g, generated = 1 / (1 + math.exp(-0.3)), logits.softmax(-1)[0]
    copied = {5: 0.4, 4: 0.2, UNKNOWN: 0.4}
    for token in range(6):
        assert abs(float(p[token]) - (g * float(generated[token]) + (1 - g) * copied.get(token, 0.0))) < 1e-12
    assert abs(float(p.sum()) - 1) < 1e-12


def test_what_the_vocabulary_lacks_is_copied_to_ids_of_its_own_and_nobody_elses():
    logits, gate = torch.randn(2, 4, dtype=torch.float64), torch.tensor([0.3, -1.0], dtype=torch.float64)
    weights = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], dtype=torch.float64)
    log_p = mixed(logits, gate, weights, torch.tensor([[5, 3, 5], [4, 3, -1]]))
    p = log_p.exp()
    assert p.shape == (2, 6)
    torch.testing.assert_close(p.sum(1), torch.ones(2, dtype=torch.float64))
    closed = (-gate).sigmoid()
    wanted = [[0.0, 0.8 * float(closed[0])], [0.5 * float(closed[1]), 0.0]]
    torch.testing.assert_close(p[:, 4:], torch.tensor(wanted, dtype=torch.float64))
    assert log_p[0, 4] == log_p[1, 5] == -torch.inf


def test_a_gate_that_is_shut_and_a_token_that_is_nowhere_leave_finite_numbers_and_gradients():
    logits = torch.tensor([[0.0, -80.0, 80.0, 1.0]], requires_grad=True)
    gate = torch.tensor([-200.0], requires_grad=True)
    weights = torch.tensor([[1.0, 0.0]], requires_grad=True)
    log_p = mixed(logits, gate, weights, torch.tensor([[3, 1]]))
    assert bool(log_p.isfinite().all())
    log_p.sum().backward()
    for tensor in (logits, gate, weights):
        assert bool(tensor.grad.isfinite().all())
