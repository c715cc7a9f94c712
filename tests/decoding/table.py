"""A transducer that is a table, small enough that all targets can be listed; and the list."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from riverrun.data.pair_batch import BEGIN, END, FIRST
from riverrun.sequences import Sequences


class Table:
    """log p of the next token from the source's sum of ids, the token before, and the number of tokens so far.

    It looks at nothing else, and never at padding. The attention of step j is a softmax over the source's ids times j.
    `calls` holds the rows of every step.
    """

    def __init__(self, size: int = 6, *, seed: int = 0, kinds: int = 7, steps: int = 12, attends: bool = True) -> None:
        draw = np.random.default_rng(seed)
        logits = draw.normal(size=(kinds, steps, size, size)) * 1.5
        logits[..., BEGIN] = -np.inf
        self.log_p = torch.from_numpy(logits).log_softmax(-1)  # [kind, step, token before, next token]
        self.kinds, self.attends = kinds, attends
        self.calls: list[int] = []

    def kind(self, source: list[int]) -> int:
        return sum(source) % self.kinds

    def encode(self, source: Sequences, copies: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        data = torch.where(source.valid(), source.data, 0)
        return data.sum(0) % self.kinds, torch.where(source.valid(), source.data, -1).T  # [B], [B, S]

    def start(self, memory):
        return (torch.zeros_like(memory[0]),)

    def step(self, memory, state, token):
        kind, source = memory
        rows = len(token) // len(kind)
        assert len(token) == rows * len(kind) == len(state[0])
        self.calls.append(len(token))
        kind, source = kind.repeat_interleave(rows), source.repeat_interleave(rows, 0)
        at = state[0]
        weights = None
        if self.attends:
            weights = (source * (at[:, None] + 1)).double().masked_fill(source < 0, -torch.inf).softmax(1).float()
        steps = self.log_p.shape[1]
        return self.log_p[kind, at.clamp(max=steps - 1), token].clone(), (at + 1,), weights

    def score(self, source: list[int], tokens: tuple[int, ...]) -> float:
        """ln p(tokens, END | source), straight from the table."""
        table, before, total = self.log_p.numpy()[self.kind(source)], BEGIN, 0.0
        for at, token in enumerate((*tokens, END)):
            total += float(table[min(at, len(table) - 1), before, token])
            before = token
        return total

    def looks(self, source: list[int], steps: int) -> np.ndarray:
        """The attention [steps, S]."""
        rows = np.array([[math.exp((one - max(source)) * (at + 1)) for one in source] for at in range(steps)])
        rows = rows.reshape(steps, len(source))
        return rows / rows.sum(1, keepdims=True)


def targets(size: int, longest: int, least: int = 0) -> list[tuple[int, ...]]:
    """Every target of `least` to `longest` tokens over a vocabulary of `size`, UNKNOWN among them."""
    tokens = [token for token in range(size) if token not in (BEGIN, END)]
    return [one for n in range(least, longest + 1) for one in itertools.product(tokens, repeat=n)]


def sources(count: int, seed: int = 0, longest: int = 6) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [(FIRST + draw.integers(0, 4, draw.integers(1, longest + 1))).tolist() for _ in range(count)]
