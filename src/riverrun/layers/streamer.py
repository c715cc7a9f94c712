"""Streamer: a stack with its weights frozen, one step at a time, for generation and for serving."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from riverrun.layers.stack import Stack, State


class Streamer:
    """The stack as it is in evaluation, on a copy of the weights made now; later training does not reach it.

    >>> from riverrun.layers import Recurrent
    >>> streamer = Recurrent("gru", 3, 5).streamer()
    >>> output, state = streamer.step(torch.zeros(2, 3), streamer.initial_state(2))
    >>> output.shape
    torch.Size([2, 5])
    """

    def __init__(self, stack: Stack, weights: Mapping[str, Tensor]) -> None:
        stack.must_stream()
        self._stack = stack
        self._weights = {name: weight.detach().clone() for name, weight in weights.items()}

    def initial_state(self, batch: int) -> State:
        """The state from which that many sequences start."""
        return self._stack.initial(self._weights, batch, next(iter(self._weights.values())))

    @torch.no_grad()
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x [B, I] and the state before it -> (output [B, n], the state after it), without gradient."""
        output, new, _ = self._stack.run(self._weights, x[None], None, state, training=False)
        return output[0], new
