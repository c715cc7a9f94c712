"""The recurrent language model: embedding, recurrent stack, output layer.

e_t = E[x_t]        h_t, s_t = recurrent(e_t, s_{t-1})        p(x_{t+1}) = softmax(V h_t + b)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.cells.cell import Cell
from riverrun.data.batch import Batch
from riverrun.layers.masks import dropout
from riverrun.models.generator import Generator
from riverrun.models.loss import regularised
from riverrun.models.options import LanguageModelOptions
from riverrun.models.protocol import Loss
from riverrun.models.recurrent import recurrent_stack

State = Any  # what `Recurrent` passes on: for each layer a tuple of [B, n]

# Of a token's vector. At 0.1 the same network had learnt less after 120 updates than at 1 after 60 (tinyshakespeare).
EMBEDDING_STD = 1.0


class LanguageModel(nn.Module):
    """A recurrent language model over a vocabulary of token ids, time first.

    options: the [model] section. vocabulary: V, how many tokens there are. cell: a class of one's own, in place of the
    one that `options.cell` names.

    The embedding starts at N(0, 1) (tied weights at N(0, 1 / width): they are the output layer too), the output
    layer at Glorot's with a zero bias, so that the first prediction is close to uniform.

    >>> model = LanguageModel(LanguageModelOptions(hidden=8, layers=1, dropout=0.0), vocabulary=5)
    >>> logits, state = model(torch.tensor([[1], [4], [2]]))
    >>> logits.shape
    torch.Size([3, 1, 5])
    """

    def __init__(self, options: LanguageModelOptions, vocabulary: int, *, cell: type[Cell] | None = None) -> None:
        super().__init__()
        self.options, self.vocabulary = options, vocabulary
        width = vocabulary if options.one_hot else options.embedding_size
        self.embedding = None if options.one_hot else nn.Embedding(vocabulary, width)
        self.recurrent = recurrent_stack(options, width, cell=cell)
        # Tied: the output layer is a bias only, so that no weight has two names.
        self.output = None if options.tied else nn.Linear(self.recurrent.output_width, vocabulary)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary)) if options.tied else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=width**-0.5 if options.tied else EMBEDDING_STD)
        if self.output is not None:
            nn.init.xavier_uniform_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    def initial_state(self, batch: int) -> State:
        """The state before the first token of `batch` sequences."""
        return self.recurrent.initial_state(batch)

    def forward(self, inputs: Tensor, state: State = None, resets: Tensor | None = None) -> tuple[Tensor, State]:
        """Logits of the token that follows each input, [T, B, V], and the state after the last.

        inputs: [T, B] int64. state: from an earlier call, None for the initial one. resets: [T, B] bool, True where the
        state starts anew before that step.
        """
        output, state = self._read(inputs, state, resets)
        return self._logits(self._drop(output)), state

    def loss(self, batch: Batch, state: State = None) -> Loss:
        """The loss of a window of a text that goes on from `state`."""
        output, state = self._read(batch.inputs, state, batch.resets)
        dropped = self._drop(output)
        return regularised(self.options, batch, self._logits(dropped), dropped, output, state)

    @torch.no_grad()
    def step(self, state: State, token: Tensor) -> tuple[Tensor, State]:
        """The logits, [B, V], of the token that follows `token`, [B], and the new state."""
        logits, state = self(token[None], state)
        return logits[0], state

    def _read(self, inputs: Tensor, state: State, resets: Tensor | None) -> tuple[Tensor, State]:
        recurrence = self.recurrent(self._embed(inputs), state, resets=resets)
        return recurrence.output, recurrence.state

    def _embed(self, inputs: Tensor) -> Tensor:
        """[T, B] -> [T, B, E]."""
        if self.embedding is None:
            # functional.one_hot looks through the tokens, and gives integers: five times the time of a short window
            like = self.output_weights()[0]
            return like.new_zeros(*inputs.shape, self.vocabulary).scatter_(-1, inputs[..., None], 1)
        weight, drop = self.embedding.weight, self.options.embedding_dropout
        if self.training and drop:  # whole tokens, everywhere in the window (Gal & Ghahramani 2016; Merity et al. 2018)
            weight = weight * dropout(weight.new_ones(self.vocabulary, 1), drop, True)
        return functional.embedding(inputs, weight)

    def _drop(self, output: Tensor) -> Tensor:
        return dropout(output, self.options.dropout, self.training)

    def generator(self) -> Generator:
        """This model as it is now, frozen and packed, to write token after token with."""
        return Generator(self)

    def output_weights(self) -> tuple[Tensor, Tensor]:
        """The output layer's weight [V, n] and bias [V], whoever they belong to."""
        if self.output is not None:
            return self.output.weight, self.output.bias
        assert self.embedding is not None
        assert self.output_bias is not None
        return self.embedding.weight, self.output_bias

    def _logits(self, output: Tensor) -> Tensor:
        """[T, B, n] -> [T, B, V]."""
        return functional.linear(output, *self.output_weights())
