"""Streamer: a stack with its weights frozen, one step at a time, for generation and for serving."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from riverrun.engine import chain
from riverrun.engine.step import Stream
from riverrun.engine.writer import Layer
from riverrun.layers.masks import loop_masks
from riverrun.layers.projection import WEIGHT
from riverrun.layers.stack import Stack, State, feedforward


class Streamer:
    """The stack as it is in evaluation, on a copy of the weights made and packed now; later training does not reach it.

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
        program, like = stack.evaluation, next(iter(self._weights.values()))
        masks = loop_masks(program, stack.sizes, 1, 1, stack.dropouts, training=False, like=like)
        self._streams = [
            Stream(program, {n: w for n, w in stack.own(self._weights, part).items() if n in program.weights}, masks)
            for part in stack.parts
        ]
        self._calls: chain.Calls = {}
        # Each layer reads the output of the one below, and nothing else happens.
        self._is_chain = (
            stack.skip == "none" and not stack.projects_outside and stack.depth.input == stack.depth.output == 1
        )

    def layers(self) -> list[Layer] | None:
        """The layers as the engine's writer takes them; None where something stands between them."""
        if not self._is_chain:
            return None
        return [Layer(stream.program, stream.weights, stream.masks, stream.panels) for stream in self._streams]

    def initial_state(self, batch: int) -> State:
        """The state from which that many sequences start."""
        return self._stack.initial(self._weights, batch, next(iter(self._weights.values())))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x [B, I] and the state before it -> (output [B, n], the state after it), without gradient."""
        if not self._is_chain:
            return self._step(x, state)
        new = chain.step(self._streams, self._calls, x, state)
        return new[-1][0], new

    @torch.no_grad()
    def _step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        stack, new = self._stack, []
        below = [feedforward(self._weights, "input", stack.depth.input, x)]
        for part, stream, before in zip(stack.parts, self._streams, state, strict=True):
            into = torch.cat(below, -1) if stack.skip == "dense" else below[-1]  # [B, I of this layer]
            after = stream.step(into, before)
            out = after[0]  # [B, n]
            if stack.projects_outside:
                out = functional.linear(out, self._weights[f"{part.prefix}U.{WEIGHT}"])
            if stack.skip == "residual" and out.shape[-1] == below[-1].shape[-1]:
                out = out + below[-1]
            below.append(out)
            new.append(after)
        return feedforward(self._weights, "output", stack.depth.output, below[-1]), tuple(new)
