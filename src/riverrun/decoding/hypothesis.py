"""Hypotheses: what decoding found, and the trace of a search from which they are read off at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from riverrun.errors import ModelError

BROKEN = "the model's log-probabilities must be numbers, but NaN came: its weights are broken."


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """A target sequence that a search ended with.

    tokens: T ids, without BEGIN and END. log_p: ln p(tokens, END | source), the model's own, in nats. score: what the
    search ranked it by. attention: [T, S], how much each token looked at each source position; None where the model has
    none or nobody asked.
    """

    tokens: tuple[int, ...]
    score: float
    log_p: float
    attention: npt.NDArray[np.float32] | None = field(default=None, compare=False)


class Trace:
    """A search's steps as tensors: at step t, N(t) rows are fed a token each, and each row came from one of step t - 1.

    Nothing is made of Python objects until `hypotheses` walks back from the rows that ended, all of them at once.
    """

    def __init__(self, lengths: Tensor, *, attention: bool) -> None:
        """lengths: [B], of the sources, in the order in which `hypotheses` answers."""
        self._lengths, self._attends = lengths, attention
        self._tokens: list[Tensor] = []
        self._parents: list[Tensor | None] = []
        self._weights: list[Tensor] = []
        self._ended: list[tuple[Tensor, ...]] = []

    def feed(self, token: Tensor, parent: Tensor | None) -> None:
        """The next step begins: token [N] is fed; parent [N] are rows of the step before, None where they are equal."""
        self._tokens.append(token)
        self._parents.append(parent)

    def look(self, weights: Tensor | None) -> None:
        """The attention [N, S] of this step, which chooses the tokens of the next one."""
        if self._attends and weights is not None:
            self._weights.append(weights)

    def end(self, row: Tensor, source: Tensor, score: Tensor, log_p: Tensor) -> None:
        """END was chosen in these rows of this step; all [n]. source: which of the B. score, log_p: float64."""
        step = torch.full_like(row, len(self._tokens) - 1)
        self._ended.append((step, row, source, score, log_p))

    def hypotheses(self, best: int) -> list[list[Hypothesis]]:
        """For each source the `best` hypotheses with the highest scores, of equals the one that ended first.

        A source for which nothing ended (a model that gives END no chance) has the empty one, of log-probability -inf.
        Raises ModelError where a score is NaN.
        """
        count = len(self._lengths)
        if not self._ended:
            return [[NOTHING] for _ in range(count)]
        step, row, source, score, log_p = (torch.cat(parts).cpu().numpy() for parts in zip(*self._ended, strict=True))
        if np.isnan(score).any():
            raise ModelError(BROKEN)
        order = np.lexsort((-score, source))  # stable: by source, then by score, then as they ended
        rank = np.arange(len(order)) - np.searchsorted(source[order], source[order])
        chosen = order[rank < best]
        tokens, attention = self._walk(step[chosen], row[chosen])
        ids, widths = tokens.tolist(), self._lengths.tolist()
        found: list[list[Hypothesis]] = [[] for _ in range(count)]
        for i, n in enumerate(chosen.tolist()):
            length, where = int(step[n]), int(source[n])
            found[where].append(
                Hypothesis(
                    tokens=tuple(ids[i][:length]),
                    score=float(score[n]),
                    log_p=float(log_p[n]),
                    attention=None if attention is None else attention[i, :length, : widths[where]],
                )
            )
        return [one or [NOTHING] for one in found]

    def _walk(
        self, step: npt.NDArray[np.int64], row: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None]:
        """The tokens [n, T] that led to each (step, row), and the attention [n, T, S] that chose them."""
        last = int(step.max(initial=0))
        tokens = np.zeros((len(step), last), np.int64)
        attention: npt.NDArray[np.float32] | None = None
        if self._weights:
            attention = np.zeros((len(step), last, self._weights[0].shape[1]), np.float32)
        at = row.copy()
        for t in range(last, 0, -1):
            on = np.flatnonzero(step >= t)
            tokens[on, t - 1] = _array(self._tokens[t])[at[on]]
            parent = self._parents[t]
            if parent is not None:
                at[on] = _array(parent)[at[on]]
            if attention is not None:
                attention[on, t - 1] = _array(self._weights[t - 1].float())[at[on]]
        return tokens, attention


NOTHING = Hypothesis(tokens=(), score=-np.inf, log_p=-np.inf)


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = tensor.cpu().numpy()
    return array
