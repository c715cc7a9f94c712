"""TokenReader: a stack over tokens with its weights frozen; the first layer's input products are looked up."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from riverrun.engine import chain
from riverrun.engine.lookup import Lookup
from riverrun.engine.scan import scan
from riverrun.engine.step import Stream
from riverrun.layers.masks import loop_masks
from riverrun.layers.stack import Recurrence, Stack, State


class TokenReader:
    """The stack as it is in evaluation, over vectors[token], on a copy of the weights made now.

    vectors: [V, I], one for each token.

    >>> from riverrun.layers import Recurrent
    >>> layer = Recurrent("gru", 3, 5, direction="both")
    >>> reader = TokenReader(layer.stack, layer.weights(), torch.zeros(7, 3))
    >>> reader.run(torch.tensor([[6, 0], [2, 1]]), torch.tensor([2, 1])).output.shape
    torch.Size([2, 2, 10])
    """

    def __init__(self, stack: Stack, weights: Mapping[str, Tensor], vectors: Tensor) -> None:
        assert self.serves(stack)
        self._stack = stack
        self._weights = {name: weight.detach().clone() for name, weight in weights.items()}
        program, like = stack.evaluation, next(iter(self._weights.values()))
        self._masks = loop_masks(program, stack.sizes, 1, 1, stack.dropouts, training=False, like=like)
        own = [self._own(place) for place in range(len(stack.parts))]
        first = [weights for part, weights in zip(stack.parts, own, strict=True) if part.layer == 0]
        self._first = [Lookup(program, weights, vectors, self._masks) for weights in first]
        self._streams = [Stream(program, weights, self._masks) for weights in own[len(first) :]]
        self._calls: chain.Calls = {}

    @staticmethod
    def serves(stack: Stack) -> bool:
        """Whether each layer reads the output of the one below, the lowest the tokens, and nothing else happens."""
        return stack.skip == "none" and not stack.projects_outside and stack.depth.input == stack.depth.output == 1

    def _own(self, place: int) -> dict[str, Tensor]:
        own = self._stack.own(self._weights, self._stack.parts[place])
        return {name: weight for name, weight in own.items() if name in self._stack.evaluation.weights}

    def initial_state(self, batch: int) -> State:
        """The state from which that many sequences start."""
        return self._stack.initial(self._weights, batch, next(iter(self._weights.values())))

    @torch.no_grad()
    def run(self, tokens: Tensor, lengths: Tensor) -> Recurrence:
        """From the initial state over tokens [T, B], which are ids also in the padding; as `Recurrent` does it."""
        rows, stack = tokens.shape[1], self._stack
        state, after, below = self.initial_state(rows), [], tokens
        masks = {name: mask.expand(rows, -1) for name, mask in self._masks.items()}  # [B, n]
        for layer in range(stack.num_layers):
            outputs = []
            for place, part in enumerate(stack.parts):
                if part.layer != layer:
                    continue
                reverse = part.direction == "reverse"
                if layer == 0:
                    output, last = self._first[place].run(tokens, state[place], lengths, reverse=reverse)
                else:
                    done = scan(
                        stack.evaluation, self._own(place), below, state[place],
                        lengths=lengths, masks=masks, reverse=reverse,
                    )  # fmt: skip
                    output, last = done.outputs, done.states
                outputs.append(output)
                after.append(last)
            below = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)  # [T, B, n or 2 n]
        return Recurrence(below, tuple(after), {})

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """token [B] and the state before it -> (output [B, n], the state after it), without gradient."""
        self._stack.must_stream()
        output, first = self._first[0].run(token[None], state[0])
        if not self._streams:
            return output[0], (first,)
        new = chain.step(self._streams, self._calls, output[0], state[1:])
        return new[-1][0], (first, *new)
