"""Attention against the papers' equations, written out as loops over numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from riverrun.attention import additive, attend, coverage, inner, location

B, T, S, N, M, A, K, R = 3, 4, 5, 2, 3, 6, 2, 1
LENGTHS = (5, 3, 1)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mask() -> torch.Tensor:
    return torch.arange(S)[None] < torch.tensor(LENGTHS)[:, None]


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def test_inner_products_are_luong_s_dot_and_with_projected_keys_his_general():
    query, keys, W = drawn(B, T, N), drawn(B, S, M, seed=1), drawn(N, M, seed=2)
    scores = inner(query, keys @ W.T)
    for b in range(B):
        for t in range(T):
            for s in range(S):
                general = sum(
                    float(query[b, t, i]) * float(W[i, j]) * float(keys[b, s, j]) for i in range(N) for j in range(M)
                )
                assert abs(float(scores[b, t, s]) - general) < 1e-12


def test_the_additive_score_is_bahdanau_s_and_luong_s_concat_with_the_two_terms_of_the_past():
    W, U, v, b_ = drawn(A, N), drawn(A, M, seed=1), drawn(A, seed=2), drawn(A, seed=3)
    query, keys = drawn(B, T, N, seed=4), drawn(B, S, M, seed=5)
    covered, before = drawn(B, S, seed=6).abs(), drawn(B, S, seed=7).abs()
    w_c, filters, U_f = drawn(A, seed=8), drawn(K, 2 * R + 1, seed=9), drawn(A, K, seed=10)
    term = coverage(covered, w_c) + location(before, filters, U_f)  # [B, S, A], the same at all T here
    scores = additive(query @ W.T + b_, keys @ U.T, v, term[:, None])
    for b in range(B):
        for t in range(T):
            for s in range(S):
                e = 0.0
                for a in range(A):
                    inside = float(b_[a])
                    inside += sum(float(W[a, i]) * float(query[b, t, i]) for i in range(N))
                    inside += sum(float(U[a, j]) * float(keys[b, s, j]) for j in range(M))
                    inside += float(w_c[a]) * float(covered[b, s])
                    for k in range(K):
                        f = 0.0
                        for place in range(-R, R + 1):
                            if 0 <= s + place < S:
                                f += float(filters[k, place + R]) * float(before[b, s + place])
                        inside += float(U_f[a, k]) * f
                    e += float(v[a]) * math.tanh(inside)
                assert abs(float(scores[b, t, s]) - e) < 1e-12
    joined = torch.cat([W, U], 1).numpy()  # Luong: v . tanh(W [s; h])
    plain = additive(query @ W.T, keys @ U.T, v)
    both = np.concatenate([query[0, 1].numpy(), keys[0, 2].numpy()])
    assert abs(float(plain[0, 1, 2]) - float(v.numpy() @ np.tanh(joined @ both))) < 1e-12


def test_weights_are_a_softmax_over_the_valid_positions_and_exactly_zero_elsewhere():
    scores, values = drawn(B, T, S), drawn(B, S, M, seed=1)
    context, weights = attend(scores, values, mask())
    for b, length in enumerate(LENGTHS):
        for t in range(T):
            expected = softmax(scores[b, t, :length].tolist())
            np.testing.assert_allclose(weights[b, t, :length].numpy(), expected, rtol=1e-12)
            assert not weights[b, t, length:].any()
            mean = [sum(expected[s] * float(values[b, s, m]) for s in range(length)) for m in range(M)]
            np.testing.assert_allclose(context[b, t].numpy(), mean, rtol=1e-10)


def test_what_stands_in_the_padding_does_not_matter_however_large():
    scores, values = drawn(B, T, S), drawn(B, S, M, seed=1)
    filled, far = scores.clone(), values.clone()
    filled.masked_fill_(~mask()[:, None], 1e300)
    far.masked_fill_(~mask()[..., None], 1e300)
    for a, b in zip(attend(scores, values, mask()), attend(filled, far, mask()), strict=True):
        assert torch.equal(a, b)


def test_without_a_mask_all_positions_count():
    scores, values = drawn(B, T, S), drawn(B, S, M, seed=1)
    whole = attend(scores, values, torch.ones(B, S, dtype=torch.bool))
    for a, b in zip(attend(scores, values), whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def test_a_memory_without_valid_positions_gives_zeros_and_no_nan_in_the_gradient():
    scores, values = drawn(1, 2, 3).requires_grad_(), drawn(1, 3, 2, seed=1).requires_grad_()
    context, weights = attend(scores, values, torch.zeros(1, 3, dtype=torch.bool))
    assert not context.any()
    assert not weights.any()
    context.sum().backward()
    assert not scores.grad.any()
    assert not values.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_scores_as_low_as_numbers_go_stay_weights(dtype):
    scores = torch.tensor([[[-1e30, -3e38, 0.0]]], dtype=dtype)
    _, weights = attend(scores, torch.zeros(1, 3, 1, dtype=dtype), torch.tensor([[True, True, False]]))
    assert weights.tolist() == [[[1.0, 0.0, 0.0]]]


def test_no_number_near_the_smallest_floats_comes_of_sharp_attention():
    # Products with subnormal numbers are hundreds of times slower.
    scores = (120 * drawn(B, T, S)).float().requires_grad_()
    values = drawn(B, S, M, seed=1).float().requires_grad_()
    context, weights = attend(scores, values)
    (context**2).sum().backward()
    for found in (context, weights, scores.grad, values.grad):
        assert ((found == 0) | (found.abs() > torch.finfo(torch.float32).tiny)).all()
    assert (weights == 0).any()
    exact = scores.double().softmax(-1)
    torch.testing.assert_close(weights.double(), exact, rtol=1e-6, atol=1e-25)


def test_all_gradients_are_those_of_the_equations():
    tensors = [
        drawn(B, T, A), drawn(B, S, A, seed=1), drawn(A, seed=2), drawn(B, S, M, seed=3), drawn(B, S, seed=4),
        drawn(A, seed=5), drawn(B, S, seed=6), drawn(K, 2 * R + 1, seed=7), drawn(A, K, seed=8),
    ]  # fmt: skip

    def whole(query, keys, v, values, covered, w, before, filters, U):
        term = coverage(covered, w) + location(before, filters, U)
        return attend(additive(query, keys, v, term[:, None]), values, mask())

    assert gradcheck(whole, [tensor.requires_grad_() for tensor in tensors])
    assert gradcheck(lambda q, k, v: attend(inner(q, k), v, mask()), [tensors[0], tensors[1], tensors[3]])
