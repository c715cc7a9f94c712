"""The chain against the enumeration of all its paths: values, gradients, marginals, n-best lists; padding unread."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import TOLERANCE

from riverrun.layers.crf import Chain, best_paths, log_partition, marginals, path_score

LENGTHS = torch.tensor([4, 1, 0, 3])
T, B, K = 5, 4, 3


def material(seed: int = 0, *, steps: int = T, lengths: torch.Tensor = LENGTHS, tags: int = K):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(steps, len(lengths), tags, generator=generator, dtype=torch.float64)
    chain = Chain(
        *(torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((tags, tags), (tags,), (tags,)))
    )
    return scores, chain


def score(scores: torch.Tensor, chain: Chain, path: tuple[int, ...]) -> torch.Tensor:
    """Of one path of one sequence, [T, K], in plain Python."""
    if not path:
        return scores.new_zeros(())
    total = chain.start[path[0]] + chain.end[path[-1]]
    for t, tag in enumerate(path):
        total = total + scores[t, tag]
        if t:
            total = total + chain.transitions[path[t - 1], tag]
    return total


def all_paths(scores: torch.Tensor, chain: Chain, length: int) -> dict[tuple[int, ...], torch.Tensor]:
    return {path: score(scores, chain, path) for path in product(range(scores.shape[1]), repeat=length)}


def enumerated(scores: torch.Tensor, lengths: torch.Tensor, chain: Chain) -> torch.Tensor:
    rows = [list(all_paths(scores[:, b], chain, int(n)).values()) for b, n in enumerate(lengths)]
    return torch.stack([torch.logsumexp(torch.stack(row), 0) for row in rows])


def with_gradient(scores, chain):
    leaves = [tensor.clone().requires_grad_() for tensor in (scores, *chain)]
    return leaves, leaves[0], Chain(*leaves[1:])


def test_the_partition_and_its_gradients_equal_the_enumeration_of_all_paths():
    weights = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
    gradients = []
    for function in (log_partition, enumerated):
        leaves, scores, chain = with_gradient(*material())
        value = function(scores, LENGTHS, chain)
        gradients.append((value, torch.autograd.grad((weights * value).sum(), leaves)))
    (ours, our_gradients), (theirs, their_gradients) = gradients
    torch.testing.assert_close(ours, theirs, **TOLERANCE[torch.float64, "value"])
    for a, b in zip(our_gradients, their_gradients, strict=True):
        assert b.any()
        torch.testing.assert_close(a, b, **TOLERANCE[torch.float64, "gradient"])


def test_the_gradient_is_that_of_finite_differences():
    leaves, scores, chain = with_gradient(*material(3))
    assert torch.autograd.gradcheck(lambda *given: log_partition(given[0], LENGTHS, Chain(*given[1:])), leaves)
    del scores, chain


def test_a_path_s_score_and_its_gradient_equal_the_plain_sum():
    tags = torch.tensor([[0, 2, 1, 1], [1, 9, 9, 0], [2, 9, 9, 2], [1, -1, 9, 9], [9, 9, 9, 9]])
    gradients = []
    for ours in (True, False):
        leaves, scores, chain = with_gradient(*material(1))
        if ours:
            values = path_score(scores, tags, LENGTHS, chain)
        else:
            paths = [tuple(tags[:n, b].tolist()) for b, n in enumerate(LENGTHS.tolist())]
            values = torch.stack([score(scores[:, b], chain, path) for b, path in enumerate(paths)])
        gradients.append((values, torch.autograd.grad(values.pow(2).sum(), leaves)))
    torch.testing.assert_close(*(value for value, _ in gradients), **TOLERANCE[torch.float64, "value"])
    for a, b in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[torch.float64, "gradient"])


def test_the_marginals_are_shares_of_the_paths_and_the_gradient_of_the_partition():
    scores, chain = material(2)
    found = marginals(scores, LENGTHS, chain)
    for b, n in enumerate(LENGTHS.tolist()):
        paths = all_paths(scores[:, b], chain, n)
        total = torch.logsumexp(torch.stack(list(paths.values())), 0)
        for t, tag in product(range(T), range(K)):
            share = sum(float(torch.exp(s - total)) for path, s in paths.items() if t < n and path[t] == tag)
            assert abs(float(found[t, b, tag]) - share) < 1e-12
    leaf = scores.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(log_partition(leaf, LENGTHS, chain).sum(), leaf)
    torch.testing.assert_close(found, gradient, **TOLERANCE[torch.float64, "value"])


def test_a_tag_that_no_path_reaches_has_no_share_and_leaves_the_others_finite():
    scores, chain = material(5)
    chain.start[0] = chain.transitions[:, 0] = -torch.inf
    within = Chain(chain.transitions[1:, 1:], chain.start[1:], chain.end[1:])
    torch.testing.assert_close(marginals(scores, LENGTHS, chain)[..., 1:],
                               marginals(scores[..., 1:], LENGTHS, within))  # fmt: skip
    leaves, leaf, made = with_gradient(scores, chain)
    gradients = torch.autograd.grad(log_partition(leaf, LENGTHS, made).sum(), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][..., 0].any()


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_the_n_best_paths_are_the_first_of_all_paths_in_order(n):
    scores, chain = material(4)
    found = best_paths(scores, LENGTHS, chain, n)
    assert found.tags.shape == (n, T, B)
    for b, length in enumerate(LENGTHS.tolist()):
        paths = sorted(all_paths(scores[:, b], chain, length).items(), key=lambda item: -float(item[1]))[:n]
        for place, (path, value) in enumerate(paths):
            assert tuple(found.tags[place, :length, b].tolist()) == path
            assert abs(float(found.scores[place, b] - value)) < 1e-12
        assert found.scores[len(paths) :, b].eq(-torch.inf).all(), "paths that do not exist"
    assert not found.tags[:, LENGTHS.max() :].any()


@settings(max_examples=25, deadline=None)  # each example enumerates up to 4^4 paths in Python
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.integers(0, 1),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(0, 9),
)
def test_any_shape_agrees_with_the_enumeration(lengths, padding, tags, n, seed):
    lengths = torch.tensor(lengths)
    scores, chain = material(seed, steps=int(lengths.max()) + padding, lengths=lengths, tags=tags)
    torch.testing.assert_close(log_partition(scores, lengths, chain), enumerated(scores, lengths, chain))
    found = best_paths(scores, lengths, chain, n)
    for b, length in enumerate(lengths.tolist()):
        values = sorted((float(v) for v in all_paths(scores[:, b], chain, length).values()), reverse=True)[:n]
        np.testing.assert_allclose(found.scores[: len(values), b], values, rtol=1e-10, atol=1e-10)


def test_nan_in_padding_reaches_neither_values_nor_gradients_nor_paths():
    scores, chain = material(5)
    spoilt = scores.clone()
    spoilt[torch.arange(T)[:, None] >= LENGTHS] = torch.nan
    results = []
    for given_scores in (scores, spoilt):
        leaves, leaf, parts = with_gradient(given_scores, chain)
        value = log_partition(leaf, LENGTHS, parts) - path_score(leaf, torch.zeros(T, B).long(), LENGTHS, parts)
        paths = best_paths(given_scores, LENGTHS, chain, 3)
        given_marginals = marginals(given_scores, LENGTHS, chain)
        results.append([value, *torch.autograd.grad(value.sum(), leaves), given_marginals, *paths])
    for clean, other in zip(*results, strict=True):
        assert torch.equal(clean, other)


def test_a_row_alone_gives_the_same_as_in_the_batch():
    scores, chain = material(6)
    whole, paths = log_partition(scores, LENGTHS, chain), best_paths(scores, LENGTHS, chain, 4)
    for b, n in enumerate(LENGTHS.tolist()):
        alone, lengths = scores[:n, b : b + 1], LENGTHS[b : b + 1]
        tolerance = TOLERANCE[torch.float64, "invariance"]
        torch.testing.assert_close(log_partition(alone, lengths, chain), whole[b : b + 1], **tolerance)
        assert torch.equal(best_paths(alone, lengths, chain, 4).tags[:, :, 0], paths.tags[:, :n, b])


def test_a_forbidden_transition_is_never_taken():
    scores, chain = material(7)
    forbidden = Chain(chain.transitions.clone(), chain.start.clone(), chain.end.clone())
    forbidden.transitions[0, 1] = forbidden.start[2] = forbidden.end[0] = -torch.inf
    leaves, leaf, parts = with_gradient(scores, forbidden)
    value = log_partition(leaf, LENGTHS, parts)
    torch.testing.assert_close(value, enumerated(scores, LENGTHS, forbidden))
    gradients = torch.autograd.grad(value.sum(), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert gradients[1][0, 1] == gradients[2][2] == gradients[3][0] == 0
    for path in best_paths(scores, LENGTHS, forbidden, 5).tags[:, :4, 0].tolist():
        assert path[0] != 2
        assert path[-1] != 0
        assert (0, 1) not in list(pairwise(path))


def test_large_scores_neither_overflow_nor_vanish():
    scores, chain = material(8)
    found = log_partition((1000 * scores).float(), LENGTHS, Chain(*(500 * part.float() for part in chain)))
    expected = enumerated(1000 * scores, LENGTHS, Chain(*(500 * part for part in chain)))
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-2)
    assert found.isfinite().all()


def test_a_chain_without_transitions_is_a_softmax_of_each_step():
    scores, _ = material(9)
    chain = Chain(torch.zeros(K, K).double(), torch.zeros(K).double(), torch.zeros(K).double())
    expected = torch.where(torch.arange(T)[:, None] < LENGTHS, torch.logsumexp(scores, 2), 0.0).sum(0)
    torch.testing.assert_close(log_partition(scores, LENGTHS, chain), expected)
    shares = marginals(scores, LENGTHS, chain)
    torch.testing.assert_close(shares[:4, 0], torch.softmax(scores[:4, 0], 1))
