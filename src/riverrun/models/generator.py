"""Generator: a language model with its weights frozen and packed once, for one token after another.

The model's own `step` packs its weights and goes through the whole layer at every token; this does not. Where the
native engine serves and the stack is a plain one, `write` makes many tokens in one call of the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from riverrun.engine import writer

if TYPE_CHECKING:
    from riverrun.models.language_model import LanguageModel

State = Any


class Generator:
    """What decoding asks of a model, on a copy of the weights made now; later training does not reach it.

    >>> from riverrun.models.language_model import LanguageModel
    >>> from riverrun.models.options import LanguageModelOptions
    >>> generator = LanguageModel(LanguageModelOptions(hidden=8), vocabulary=5).generator()
    >>> logits, state = generator.step(generator.initial_state(2), torch.tensor([3, 1]))
    >>> logits.shape
    torch.Size([2, 5])
    """

    def __init__(self, model: LanguageModel) -> None:
        self._streamer = model.recurrent.streamer()
        vectors = model.embedding.weight if model.embedding is not None else None
        self._vectors = None if vectors is None else vectors.detach().clone()  # [V, E]; None: one-hot
        weight, bias = model.output_weights()
        self._weight, self._bias = weight.detach().clone(), bias.detach().clone()
        native = weight.device.type == "cpu" and writer.serves(weight.dtype)
        self._head = writer.packed(self._weight) if native else None
        self._writer: writer.Writer | None = None
        if self._head is not None and (layers := self._streamer.layers()) is not None:
            self._writer = writer.Writer(self._vectors, layers, self._head, self._bias)

    def initial_state(self, batch: int) -> State:
        """The state before the first token of `batch` streams."""
        return self._streamer.initial_state(batch)

    @torch.no_grad()
    def step(self, state: State, token: Tensor) -> tuple[Tensor, State]:
        """The logits, [B, V], of the token that follows `token`, [B], and the new state."""
        if self._vectors is None:
            x = functional.one_hot(token, len(self._weight)).to(self._weight.dtype)
        else:
            x = self._vectors[token]  # [B, E]
        output, state = self._streamer.step(x, state)
        if self._head is not None:
            return writer.linear(output, self._head, self._bias), state
        return functional.linear(output, self._weight, self._bias), state

    @property
    def writes(self) -> bool:
        """Whether `write` serves."""
        return self._writer is not None

    @torch.no_grad()
    def write(
        self,
        state: State,
        logits: Tensor,
        token: Tensor,
        running: Tensor,
        count: int,
        *,
        draws: writer.Draws,
        position: int,
        stop: int | None,
    ) -> tuple[int, Tensor]:
        """Draw up to `count` tokens: `engine.writer.Writer.write`, which writes over all that it is given."""
        assert self._writer is not None
        return self._writer.write(logits, state, token, running, count, draws=draws, position=position, stop=stop)

    def __call__(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """The logits after every one of inputs [T, B], T at least 1: [T, B, V], and the state after the last."""
        state = self.initial_state(inputs.shape[1]) if state is None else state
        found = []
        for token in inputs:
            logits, state = self.step(state, token)
            found.append(logits)
        return torch.stack(found), state
