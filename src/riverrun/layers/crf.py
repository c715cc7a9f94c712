"""Linear-chain conditional random field: the exact forward algorithm, marginals and best paths, in log space, batched.

    score(y) = start[y_1] + sum_t s_t[y_t] + sum_t transitions[y_{t-1}, y_t] + end[y_T]
    p(y) = exp(score(y)) / Z,      Z = sum over all K^T paths of exp(score)

    forward     a_t[j] = s_t[j] + log sum_i exp(a_{t-1}[i] + transitions[i, j])
                log Z = log sum_j exp(a_T[j] + end[j])
    backward    p(y_{t-1} = i, y_t = j) = p(y_t = j) exp(a_{t-1}[i] + transitions[i, j] - (a_t[j] - s_t[j]))
                p(y_{t-1} = i) = sum_j of it, from p(y_T = j) = exp(a_T[j] + end[j] - log Z) on

Scores are [T, B, K], time first, with a length for each of the B sequences; what stands at padding is never read (NaN
there reaches neither values nor gradients). The empty path of a sequence of length 0 scores 0. A transition of -inf is
never taken. Source: Lafferty, McCallum & Pereira 2001; n-best: the list Viterbi algorithm (Seshadri & Sundberg 1994).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Chain(NamedTuple):
    """transitions: [K, K], from row to column. start, end: [K]."""

    transitions: Tensor
    start: Tensor
    end: Tensor


class Paths(NamedTuple):
    """The n best paths of each sequence, the best first. tags: [n, T, B] int64, 0 at padding. scores: [n, B].

    Where a sequence has fewer than n paths, the scores of those that do not exist are -inf.
    """

    tags: Tensor
    scores: Tensor


def log_partition(scores: Tensor, lengths: Tensor, chain: Chain) -> Tensor:
    """log Z of each sequence, [B]. Its gradient by the scores is the marginals."""
    found: Tensor = _LogPartition.apply(scores, lengths, *chain)  # type: ignore[no-untyped-call]
    return found


def marginals(scores: Tensor, lengths: Tensor, chain: Chain) -> Tensor:
    """p(y_t = j) of every step, [T, B, K], zero at padding; without gradient."""
    with torch.no_grad():
        found, _ = _backward(scores, lengths, chain, *_forward(scores, lengths, chain), None)
    return found


def path_score(scores: Tensor, tags: Tensor, lengths: Tensor, chain: Chain) -> Tensor:
    """score(y) of one path a sequence, [B]. tags: [T, B] int64; at padding any number."""
    steps, rows, _ = scores.shape
    if not steps:
        return scores.new_zeros(rows)
    valid = _valid(scores, lengths)  # [T, B]
    tags = torch.where(valid, tags, 0)
    zero = scores.new_zeros(())
    unary = torch.where(valid, scores.gather(2, tags[..., None])[..., 0], zero).sum(0)  # [B]
    pairs = torch.where(valid[1:], chain.transitions[tags[:-1], tags[1:]], zero).sum(0)
    last = tags.gather(0, (lengths.to(tags.device) - 1).clamp(min=0)[None])[0]  # [B]
    ends = torch.where(valid[0], chain.start[tags[0]] + chain.end[last], zero)
    return unary + pairs + ends


@torch.no_grad()
def best_paths(scores: Tensor, lengths: Tensor, chain: Chain, n: int = 1) -> Paths:
    """The n paths with the highest scores of each sequence."""
    steps, rows, tags = scores.shape
    valid = _valid(scores, lengths)
    lowest = scores.new_full((), -torch.inf)
    best = scores.new_full((rows, tags, n), -torch.inf)  # of the paths that end in a tag, the n best
    if steps:
        best[:, :, 0] = torch.where(valid[0][:, None], chain.start + scores[0], lowest)
    into = chain.transitions.T[None, :, :, None]  # [1, to, from, 1]
    stay = torch.arange(tags * n, device=scores.device).view(tags, n).expand(rows, tags, n)
    pointers = []
    for t in range(1, steps):
        candidates = (best[:, None] + into).flatten(2)  # [B, to, from * n]
        value, pointer = candidates.max(2, keepdim=True) if n == 1 else candidates.topk(n, 2)
        inside = valid[t][:, None, None]
        best = torch.where(inside, value + scores[t][..., None], best)
        pointers.append(torch.where(inside, pointer, stay))
    finished = (best + chain.end[:, None]).flatten(1)  # [B, K * n]
    values, place = finished.topk(n, 1)  # [B, n]
    found = scores.new_zeros((n, steps, rows), dtype=torch.int64)
    for t in range(steps - 1, -1, -1):
        found[:, t] = (place // n).T
        if t:
            place = pointers[t - 1].flatten(1).gather(1, place)
    empty = lengths.to(scores.device) == 0
    first = torch.arange(n, device=scores.device)[:, None] == 0
    values = torch.where(empty, torch.where(first, values.new_zeros(()), lowest), values.T)
    return Paths(torch.where(valid, found, 0), values)


class _LogPartition(torch.autograd.Function):
    """No graph of T steps, which would hold T tensors of [B, K, K]: backward goes over what forward has saved."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, lengths: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
        chain = Chain(transitions, start, end)
        a, before, log_z = _forward(scores, lengths, chain)
        ctx.save_for_backward(scores, lengths, *chain, a, before, log_z)
        return log_z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scores, lengths, transitions, start, end, a, before, log_z = ctx.saved_tensors
        chain = Chain(transitions, start, end)
        found, pairs = _backward(scores, lengths, chain, a, before, log_z, gradient)
        found = found * gradient[:, None]  # [T, B, K]
        if not scores.shape[0]:
            return found, None, pairs, torch.zeros_like(start), torch.zeros_like(end)
        last = _last(found, lengths)
        return found, None, pairs, found[0].sum(0), last.sum(0)


def _forward(scores: Tensor, lengths: Tensor, chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """a_t of every step, [T, B, K] (at padding that of the last step), a_t - s_t, the same, and log Z, [B]."""
    steps, rows, _ = scores.shape
    if not steps:
        return scores, scores, scores.new_zeros(rows)
    valid = _valid(scores, lengths)[..., None]  # [T, B, 1]
    into = chain.transitions.T.contiguous()  # [to, from]
    before = chain.start.expand(rows, -1)  # [B, K]
    a = torch.where(valid[0], before + scores[0], scores.new_zeros(()))
    found, found_before = [a], [before]
    for t in range(1, steps):
        before = torch.logsumexp(a[:, None, :] + into, 2)
        a = torch.where(valid[t], before + scores[t], a)
        found.append(a)
        found_before.append(before)
    log_z = torch.logsumexp(a + chain.end, 1)
    log_z = torch.where(valid[0, :, 0], log_z, log_z.new_zeros(()))
    return torch.stack(found), torch.stack(found_before), log_z


def _backward(
    scores: Tensor, lengths: Tensor, chain: Chain, a: Tensor, before: Tensor, log_z: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """p(y_t = j), [T, B, K], and, where weights [B] are given, the expected transitions of all rows, [K, K].

    By smoothing what forward has filtered, it takes one exponential of [B, K, K] a step, half of what b_t would.
    """
    pairs = torch.zeros_like(chain.transitions)
    if not scores.shape[0]:
        return torch.zeros_like(scores), pairs
    valid = _valid(scores, lengths)[..., None]  # [T, B, 1]
    # Of a tag that no path reaches `before` is -inf, and its share is zero whatever is taken off.
    before = torch.where(before == -torch.inf, before.new_zeros(()), before)
    share = torch.exp(a[-1] + chain.end - log_z[:, None])  # [B, K]
    found = [share]
    for t in range(scores.shape[0] - 1, 0, -1):
        onwards = (share.log() - before[t])[:, None, :]  # [B, 1, to]
        both = torch.exp(a[t - 1][:, :, None] + chain.transitions + onwards)  # [B, from, to]
        both = torch.where(valid[t][..., None], both, both.new_zeros(()))  # a row that has ended is no part of it
        if weight is not None:
            pairs += (weight @ both.flatten(1)).view_as(pairs)
        share = torch.where(valid[t], both.sum(2), share)
        found.append(share)
    shares = torch.stack(found[::-1])
    return torch.where(valid, shares, shares.new_zeros(())), pairs


def _last(values: Tensor, lengths: Tensor) -> Tensor:
    """What stands at the last step of each sequence, [T, B, K] -> [B, K]; zero where there is none."""
    lengths = lengths.to(values.device)
    found = values[(lengths - 1).clamp(min=0), torch.arange(values.shape[1], device=values.device)]
    return torch.where((lengths > 0)[:, None], found, found.new_zeros(()))


def _valid(scores: Tensor, lengths: Tensor) -> Tensor:
    """[T, B] bool."""
    steps = torch.arange(scores.shape[0], device=scores.device)
    return steps[:, None] < lengths.to(scores.device)
