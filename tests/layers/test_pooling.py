"""Pooling: each kind against NumPy on one sequence at a time, whatever the padding holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import TOLERANCE

from riverrun.layers.pooling import AttentionPooling, ends, greatest, last, mean
from riverrun.sequences import Sequences

VALUE, INVARIANCE = TOLERANCE[torch.float64, "value"], TOLERANCE[torch.float64, "invariance"]
LENGTHS = torch.tensor([5, 1, 0, 3])


def ragged(padding: float = float("nan")) -> Sequences:
    torch.manual_seed(4)
    sequences = Sequences(torch.randn(7, 4, 6, dtype=torch.float64), LENGTHS)
    return sequences._replace(data=torch.where(sequences.valid()[..., None], sequences.data, padding))


ORACLES = {
    last: lambda rows: rows[-1],
    ends: lambda rows: np.concatenate([rows[-1, :3], rows[0, 3:]]),
    mean: lambda rows: rows.mean(0),
    greatest: lambda rows: rows.max(0),
}


@pytest.mark.parametrize("pool", ORACLES)
def test_a_pooling_sees_its_own_steps_alone(pool):
    sequences = ragged()
    found = pool(sequences).numpy()
    for row, length in enumerate(LENGTHS.tolist()):
        own = sequences.data[:length, row].numpy()
        np.testing.assert_allclose(found[row], ORACLES[pool](own) if length else np.zeros(6), **VALUE)


@pytest.mark.parametrize("pool", ORACLES)
def test_no_steps_at_all_are_zeros(pool):
    assert (pool(Sequences(torch.zeros(0, 2, 6), torch.zeros(2, dtype=torch.int64))) == torch.zeros(2, 6)).all()


def attention() -> AttentionPooling:
    torch.manual_seed(5)
    made = AttentionPooling(6, 4).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-1, 1)
    return made


def test_attention_is_a_softmax_over_its_own_steps():
    made, sequences = attention(), ragged()
    pooled, weights = made(sequences)
    inner, bias = made.inner.weight.detach().numpy(), made.inner.bias.detach().numpy()
    for row, length in enumerate(LENGTHS.tolist()):
        own = sequences.data[:length, row].numpy()
        scores = np.exp([made.score.detach().numpy() @ np.tanh(inner @ h + bias) for h in own])
        expected = scores / scores.sum() if length else scores
        np.testing.assert_allclose(weights[:length, row].detach().numpy(), expected, **VALUE)
        np.testing.assert_allclose(pooled[row].detach().numpy(), expected @ own if length else np.zeros(6), **VALUE)
        assert (weights[length:, row] == 0).all()


def test_attention_begins_as_the_mean():
    torch.manual_seed(6)
    sequences = ragged()
    torch.testing.assert_close(AttentionPooling(6, 4).double()(sequences)[0], mean(sequences), **VALUE)


def test_padding_and_empty_rows_leave_gradients_finite():
    grads = []
    for padding in (0.0, float("nan"), 1e9):
        made, (data, lengths) = attention(), ragged(padding)
        data.requires_grad_()
        pooled, _ = made(Sequences(data, lengths))
        (pooled**2).sum().backward()
        assert (data.grad[~Sequences(data, lengths).valid()] == 0).all()
        grads.append([data.grad, *(parameter.grad for parameter in made.parameters())])
    for other in grads[1:]:
        for one, two in zip(grads[0], other, strict=True):
            assert torch.isfinite(one).all()
            torch.testing.assert_close(one, two, **INVARIANCE)
