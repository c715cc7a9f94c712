"""Stepper: a stack one step at a time with gradient, for a decoder whose input waits for what it gave before."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from riverrun.engine.scan import scan
from riverrun.layers.masks import drop_connections, dropout, inverted, loop_masks
from riverrun.layers.projection import WEIGHT
from riverrun.layers.stack import Stack, State, feedforward


class Stepper:
    """`Recurrent` over a batch of sequences, step after step: in evaluation, what one call over all steps gives.

    What is drawn once a sequence (variational dropout, DropConnect) is drawn when the stepper is made, so each batch
    has one of its own; the rest is drawn anew at every step.

    rows: B, how many sequences. training: whether dropouts act.

    >>> from riverrun.layers import Recurrent
    >>> layer = Recurrent("gru", 3, 5)
    >>> stepper = Stepper(layer.stack, layer.weights(), rows=2, training=False)
    >>> output, state = stepper.step(torch.zeros(2, 3), layer.initial_state(2))
    >>> output.shape
    torch.Size([2, 5])
    """

    def __init__(self, stack: Stack, weights: Mapping[str, Tensor], *, rows: int, training: bool) -> None:
        stack.must_stream()
        self._stack, self._weights, self._rows, self._training = stack, weights, rows, training
        self._program = stack.training if training else stack.evaluation
        self._like = next(iter(weights.values()))
        variational = stack.dropouts.variational if training else 0.0
        self._own, self._into, self._kept = [], [], []
        for part in stack.parts:
            own = stack.own(weights, part)
            if training and stack.dropouts.weight:
                own = drop_connections(own, stack.dropouts.weight, spared=f"U.{WEIGHT}")
            self._own.append(own)
            self._into.append(inverted((rows, part.input_size), variational, self._like) if variational else None)
            self._kept.append({key: mask for key, mask in self._masks().items() if key.startswith("state.")})

    def _masks(self) -> dict[str, Tensor]:
        """The masks of one step of one layer."""
        stack = self._stack
        return loop_masks(self._program, stack.sizes, 1, self._rows, stack.dropouts, self._training, self._like)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x [B, I] and the state before it -> (output [B, n], the state after it)."""
        stack, program, new = self._stack, self._program, []
        below = [feedforward(self._weights, "input", stack.depth.input, x)]
        layers = zip(stack.parts, self._own, self._into, self._kept, state, strict=True)
        for part, own, mask, kept, before in layers:
            into = torch.cat(below, -1) if stack.skip == "dense" else below[-1]  # [B, I of this layer]
            if mask is not None:
                into = into * mask.to(into.dtype)
            done = scan(
                program,
                {name: own[name] for name in program.weights if name in own},
                into[None],
                before,
                masks={**self._masks(), **kept} if program.mask_keys else None,
            )
            out = done.outputs[0]  # [B, n]
            if stack.projects_outside:
                out = functional.linear(out, own[f"U.{WEIGHT}"])
            if stack.skip == "residual" and out.shape[-1] == into.shape[-1]:
                out = out + below[-1]
            if part.layer + 1 < stack.num_layers:
                out = dropout(out, stack.dropouts.between, self._training)
            below.append(out)
            new.append(done.states)
        return feedforward(self._weights, "output", stack.depth.output, below[-1]), tuple(new)
