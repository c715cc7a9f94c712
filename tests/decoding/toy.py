"""Toy models for decoding: small enough to be worked out by hand, written without riverrun's layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Remembering(nn.Module):
    """The next token depends on all before it: logits = A[last] + B[(V + sum of the earlier ones) mod (V + 1)].

    It records the batch sizes it was called with, and whether it was in training mode or gradients were on.
    """

    def __init__(self, vocabulary: int, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.last = nn.Parameter(torch.randn(vocabulary, vocabulary, generator=draw, dtype=torch.float64) * 2)
        self.before = nn.Parameter(torch.randn(vocabulary + 1, vocabulary, generator=draw, dtype=torch.float64))
        self.vocabulary = vocabulary
        self.batches: list[int] = []
        self.modes: set[tuple[bool, bool]] = set()

    def initial_state(self, batch: int) -> tuple[tuple[Tensor]]:
        return ((torch.full((batch,), self.vocabulary),),)

    def step(self, state: tuple[tuple[Tensor]], token: Tensor) -> tuple[Tensor, tuple[tuple[Tensor]]]:
        self.batches.append(len(token))
        self.modes.add((self.training, torch.is_grad_enabled()))
        earlier = state[0][0]
        return self.last[token] + self.before[earlier], (((earlier + token) % (self.vocabulary + 1),),)

    def forward(self, inputs: Tensor, state: tuple[tuple[Tensor]]) -> tuple[Tensor, tuple[tuple[Tensor]]]:
        logits = []
        for token in inputs:
            one, state = self.step(state, token)
            logits.append(one)
        return torch.stack(logits), state


def probabilities(model: Remembering, ids: list[int]) -> list[list[float]]:
    """p(next | ids[:i + 1]) for every i, straight from the tables."""
    rows = []
    for i in range(len(ids)):
        rows.append(last_probabilities(model, ids[: i + 1]))
    return rows


def last_probabilities(model: Remembering, ids: list[int]) -> list[float]:
    """p(next | ids)."""
    earlier = (model.vocabulary + sum(ids[:-1])) % (model.vocabulary + 1)
    return torch.softmax(model.last[ids[-1]] + model.before[earlier], 0).tolist()
