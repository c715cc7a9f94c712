"""Heads: costs and probabilities against NumPy, and what class weights do to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import TOLERANCE

from riverrun.data.labels import Labels
from riverrun.models.label_heads import Head, head

VALUE = TOLERANCE[torch.float64, "value"]
LABELS = {
    "one": Labels("one", ("a", "b", "c"), (5, 3, 2), 10),
    "several": Labels("several", ("a", "b", "c"), (5, 3, 2), 10),
    "ordered": Labels("ordered", ("1", "2", "3"), (5, 3, 2), 10),
}
VECTORS = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
ROWS = {
    "one": torch.tensor([0, 1, 2, 2, 1, 0]),
    "ordered": torch.tensor([0, 1, 2, 2, 1, 0]),
    "several": torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1], [1, 0, 1]]).float(),
}


def made(kind: str, **options) -> Head:
    torch.manual_seed(2)
    found = head(LABELS[kind], 4, **options).double()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.uniform_(-1, 1)
    return found


def logistic(x):
    return 1 / (1 + np.exp(-x))


def by_hand(kind: str, found: Head) -> np.ndarray:
    """[B, C]: the probabilities, from the weights."""
    weights = {name: tensor.detach().numpy() for name, tensor in found.named_parameters()}
    v = VECTORS.numpy()
    if kind == "ordered":
        place = v @ weights["linear.weight"][0]
        cuts = weights["first"] + np.concatenate([[0], np.cumsum(np.exp(weights["gaps"]))])
        above = np.stack([np.ones(6), *(logistic(place - cut) for cut in cuts), np.zeros(6)], 1)  # P(y >= k)
        return above[:, :-1] - above[:, 1:]
    scores = v @ weights["linear.weight"].T + weights["linear.bias"]
    if kind == "several":
        return logistic(scores)
    e = np.exp(scores)
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("kind", LABELS)
def test_probabilities_and_costs_are_those_of_the_equations(kind):
    found = made(kind)
    p, targets = by_hand(kind, found), ROWS[kind]
    logits = found(VECTORS)
    np.testing.assert_allclose(found.probabilities(logits).detach().numpy(), p, **VALUE)
    y = targets.numpy()
    if kind == "several":
        expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(1)
    else:
        expected = -np.log(p[np.arange(6), y])
    for costs in found.costs(logits, targets):
        np.testing.assert_allclose(costs.detach().numpy(), expected, **VALUE)


@pytest.mark.parametrize("kind", LABELS)
def test_class_weights_multiply_what_is_minimised_and_not_what_is_shown(kind):
    plain, weighted = made(kind), made(kind, class_weights=0.5)
    logits, targets = plain(VECTORS), ROWS[kind]
    total, nats = weighted.costs(logits, targets)
    np.testing.assert_allclose(nats, plain.costs(logits, targets)[1], **VALUE)
    counts = np.array([5, 3, 2])
    if kind == "several":
        p, y = plain.probabilities(logits).detach().numpy(), targets.numpy()
        weights = np.sqrt((10 - counts) / counts)
        expected = -(weights * y * np.log(p) + (1 - y) * np.log(1 - p)).sum(1)
    else:
        weights = 1 / np.sqrt(counts / 10)
        weights /= (counts / 10 * weights).sum()  # the mean over the training examples is 1
        expected = weights[targets.numpy()] * nats.numpy()
    np.testing.assert_allclose(total.detach().numpy(), expected, rtol=1e-6)  # the weights are of single precision


def test_smoothing_mixes_in_every_label():
    found = made("one", smoothing=0.3)
    logits = found(VECTORS)
    log_p = np.log(by_hand("one", found))
    expected = -0.7 * log_p[np.arange(6), ROWS["one"].numpy()] - 0.3 * log_p.mean(1)
    np.testing.assert_allclose(found.costs(logits, ROWS["one"])[0].detach().numpy(), expected, **VALUE)


def test_a_scale_begins_with_the_shares_of_the_training_part():
    found = head(LABELS["ordered"], 4)
    np.testing.assert_allclose(found.probabilities(found(torch.zeros(1, 4)))[0].detach(), [0.5, 0.3, 0.2], rtol=1e-5)


@pytest.mark.parametrize("place", [-200.0, 200.0])
def test_a_text_far_off_the_scale_costs_a_finite_sum_with_a_gradient(place):
    found = made("ordered")
    logits = torch.tensor([[place + 1.0, place]], dtype=torch.float64, requires_grad=True)
    for target in range(3):
        total, _ = found.costs(logits, torch.tensor([target]))
        (gradient,) = torch.autograd.grad(total.sum(), logits)
        assert torch.isfinite(total).all()
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("kind", LABELS)
def test_logits_in_bfloat16_are_summed_in_single_precision(kind):
    found = made(kind).float()
    logits = found(VECTORS.float()).bfloat16()
    assert found.probabilities(logits).dtype == torch.float32
    assert found.costs(logits, ROWS[kind])[0].dtype == torch.float32
