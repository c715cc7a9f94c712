"""Filters: what a user asks of the distribution before a token is drawn. Each is logits [B, V] -> logits [B, V].

A token that is ruled out has the logit -inf. All of them work in NumPy float64 and break ties by the lower id, so that
the same logits give the same tokens wherever they were computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from riverrun.errors import UsageError

Logits = npt.NDArray[np.float64]


def temperature(logits: Logits, value: float) -> Logits:
    """Divide the logits by a temperature: below 1 the likely become likelier, above 1 all become more alike.

        p_k proportional to exp(logit_k / value)

    A value of 0 is the limit, greedy decoding: only the most likely token (the lowest id among equals) remains. So it
    does where the value is so small that the largest quotient is infinite.

    >>> temperature(np.array([[1.0, 3.0]]), 0.5)
    array([[2., 6.]])
    """
    if not 0 <= value < float("inf"):
        raise UsageError(f"temperature must be 0 (greedy) or a positive number, but {value} came.")
    if value == 0:
        return top_k(logits, 1)
    with np.errstate(over="ignore"):
        divided = logits / value
    cold = np.isinf(divided.max(axis=1))
    if cold.any():
        divided[cold] = top_k(logits[cold], 1)
    return divided


def top_k(logits: Logits, k: int) -> Logits:
    """Keep the k most likely tokens (Fan et al. 2018, section 5.4); 0 keeps all.

    >>> top_k(np.array([[1.0, 3.0, 2.0, 3.0]]), 2)
    array([[-inf,   3., -inf,   3.]])
    """
    if k < 0:
        raise UsageError(f"top_k must be 0 (all tokens) or a positive number of tokens, but {k} came.")
    if k == 0 or k >= logits.shape[1]:
        return logits
    if k == 1:
        kept = logits.argmax(axis=1)[:, None]  # [B, 1]; argmax takes the lowest id among equals
    else:
        kept = np.argsort(-logits, axis=1, kind="stable")[:, :k]  # [B, k]
    filtered = np.full_like(logits, -np.inf)
    np.put_along_axis(filtered, kept, np.take_along_axis(logits, kept, axis=1), axis=1)
    return filtered


def top_p(logits: Logits, p: float) -> Logits:
    """Nucleus: keep the fewest tokens, likeliest first, that hold the probability p together; 1 keeps all.

    The likeliest token always stays. (Holtzman et al. 2020, section 3.1.)

    >>> top_p(np.log([[0.5, 0.3, 0.2]]), 0.6).round(2)
    array([[-0.69, -1.2 ,  -inf]])
    """
    if not 0 < p <= 1:
        raise UsageError(f"top_p must be above 0 and at most 1 (all tokens), but {p} came.")
    if p == 1:
        return logits
    order = np.argsort(-logits, axis=1, kind="stable")  # [B, V], likeliest first
    probabilities = np.take_along_axis(softmax(logits), order, axis=1)
    before = probabilities.cumsum(axis=1) - probabilities  # what the likelier ones hold together
    filtered = np.full_like(logits, -np.inf)
    kept = np.where(before < p, np.take_along_axis(logits, order, axis=1), -np.inf)
    kept[:, 0] = np.take_along_axis(logits, order[:, :1], axis=1)[:, 0]
    np.put_along_axis(filtered, order, kept, axis=1)
    return filtered


def exclude(logits: Logits, ids: Sequence[int]) -> Logits:
    """Rule tokens out, such as the one that stands for unknown words.

    >>> exclude(np.array([[1.0, 3.0]]), [1])
    array([[  1., -inf]])
    """
    if not ids:
        return logits
    if not all(0 <= one < logits.shape[1] for one in ids):
        raise UsageError(f"exclude: expected ids from 0 to {logits.shape[1] - 1}, came {list(ids)}.")
    filtered = logits.copy()
    filtered[:, list(ids)] = -np.inf
    if not np.isfinite(filtered).any(axis=1).all():
        raise UsageError(f"exclude must leave at least one token of {logits.shape[1]}, but {len(ids)} were excluded.")
    return filtered


def softmax(logits: Logits) -> Logits:
    """The probabilities [B, V] of logits [B, V]: exp(logit - max), normalised."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: Logits = weights / weights.sum(axis=1, keepdims=True)
    return normalised
