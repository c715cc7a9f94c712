"""The fixed-window neural language model: what the lectures set against the recurrent one, and a baseline here.

    e = [E[x_{t-n+1}]; ...; E[x_t]]      h = tanh(W e + b_1)      p(x_{t+1}) = softmax(U h + b_2)

Bengio, Ducharme, Vincent & Jauvin 2003, "A neural probabilistic language model", without its direct connections.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.data.batch import Batch
from riverrun.layers.masks import dropout
from riverrun.models.loss import regularised
from riverrun.models.options import LanguageModelOptions
from riverrun.models.protocol import Loss

State = tuple[Tensor]  # [n - 1, B] int64, the tokens read last; V where there was none


class FixedWindow(nn.Module):
    """A language model that sees `options.context` tokens and nothing before them, time first.

    options: the [model] section, of which hidden, embedding, tied, one_hot, context, dropout, embedding_dropout,
    label_smoothing, activity and temporal_activity act. vocabulary: V, how many tokens there are.

    Its state is the tokens that the window still needs. Where a text begins, a vector of zeros stands in their place.

    >>> model = FixedWindow(LanguageModelOptions(model="window", hidden=8, context=3), vocabulary=5)
    >>> logits, (last,) = model(torch.tensor([[1], [4], [2]]))
    >>> logits.shape, last.tolist()
    (torch.Size([3, 1, 5]), [[4], [2]])
    """

    def __init__(self, options: LanguageModelOptions, vocabulary: int) -> None:
        super().__init__()
        self.options, self.vocabulary = options, vocabulary
        width = vocabulary if options.one_hot else options.embedding_size
        self.embedding = None if options.one_hot else nn.Embedding(vocabulary, width)
        self.hidden = nn.Linear(options.context * width, options.hidden)
        self.output = None if options.tied else nn.Linear(options.hidden, vocabulary)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary)) if options.tied else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=width**-0.5 if options.tied else 0.1)
        for layer in (self.hidden, self.output):
            if layer is not None:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def initial_state(self, batch: int) -> State:
        """The state before the first token of `batch` sequences: no token yet."""
        shape = (self.options.context - 1, batch)
        return (torch.full(shape, self.vocabulary, dtype=torch.int64, device=self.hidden.weight.device),)

    def forward(self, inputs: Tensor, state: State | None = None, resets: Tensor | None = None) -> tuple[Tensor, State]:
        """Logits of the token that follows each input, [T, B, V], and the state after the last.

        inputs: [T, B] int64. state: from an earlier call, None for the initial one. resets: [T, B] bool, True where
        nothing before that step is seen any more.
        """
        output, state = self._read(inputs, state, resets)
        return self._logits(self._drop(output)), state

    def loss(self, batch: Batch, state: State | None = None) -> Loss:
        """The loss of a window of a text that goes on from `state`."""
        output, state = self._read(batch.inputs, state, batch.resets)
        dropped = self._drop(output)
        return regularised(self.options, batch, self._logits(dropped), dropped, output, state)

    @torch.no_grad()
    def step(self, state: State, token: Tensor) -> tuple[Tensor, State]:
        """The logits, [B, V], of the token that follows `token`, [B], and the new state."""
        logits, state = self(token[None], state)
        return logits[0], state

    def _read(self, inputs: Tensor, state: State | None, resets: Tensor | None) -> tuple[Tensor, State]:
        n, steps = self.options.context, len(inputs)
        before = (self.initial_state(inputs.shape[1]) if state is None else state)[0]
        if not steps:
            return self.hidden.weight.new_zeros(0, inputs.shape[1], self.options.hidden), (before,)
        tokens = torch.cat([before, inputs])  # [n-1+T, B]
        windows = self._embed(tokens).unfold(0, n, 1)  # [T, B, E, n]
        if resets is not None:
            text = torch.zeros_like(tokens)  # which text each token belongs to, counted by the resets
            text[n - 1 :] = resets.cumsum(0)
            same = text.unfold(0, n, 1) == text[n - 1 :, :, None]  # [T, B, n]
            windows = windows * same[:, :, None].to(windows.dtype)
            tokens = torch.where(text == text[-1:], tokens, self.vocabulary)
        hidden = self.hidden(windows.transpose(2, 3).flatten(2))  # [T, B, n E] -> [T, B, H]
        return torch.tanh(hidden), (tokens[steps:],)

    def generator(self) -> FixedWindow:
        """Itself: one step costs no more than its products, so that there is nothing to pack."""
        return self

    def _embed(self, tokens: Tensor) -> Tensor:
        """[T, B] -> [T, B, E], zeros where there is no token."""
        if self.embedding is None:
            one_hot = functional.one_hot(tokens, self.vocabulary + 1)[..., : self.vocabulary]
            return one_hot.to(self.hidden.weight.dtype)
        weight, drop = self.embedding.weight, self.options.embedding_dropout
        if self.training and drop:
            weight = weight * dropout(weight.new_ones(self.vocabulary, 1), drop, True)
        return functional.embedding(tokens, functional.pad(weight, (0, 0, 0, 1)))

    def _drop(self, output: Tensor) -> Tensor:
        return dropout(output, self.options.dropout, self.training)

    def _logits(self, output: Tensor) -> Tensor:
        """[T, B, H] -> [T, B, V]."""
        if self.output is not None:
            return self.output(output)  # type: ignore[no-any-return]
        assert self.embedding is not None
        return functional.linear(output, self.embedding.weight, self.output_bias)
