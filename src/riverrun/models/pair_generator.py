"""PairGenerator: an encoder-decoder with its weights frozen and packed once, for decoding.

The model's own `step` packs its weights and goes through the whole layer at every token; this does not. And what a step
would compute of the memory is computed when the source is read: with P_s = W_c,context h_s,

    r_t = tanh(sum over s of a_ts P_s + W_c,state s_t + b),

so that no step multiplies a context.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from riverrun.engine import writer
from riverrun.layers.recurrent import Recurrent
from riverrun.layers.stack import State
from riverrun.layers.token_reader import TokenReader
from riverrun.models.decoder_attention import Memory
from riverrun.sequences import Sequences

if TYPE_CHECKING:
    from riverrun.models.encoder_decoder import DecoderState, EncoderDecoder


class Prepared(NamedTuple):
    """A memory, and what a generator's step reads of it."""

    memory: Memory
    turned: Tensor | None = None  # [B, a, S], the keys
    combined: Tensor | None = None  # [B, S, n], P
    bias: Tensor | None = None  # [B, 1, S], 0 where a position is valid, else the lowest number


class PairGenerator:
    """What decoding asks of a model (decoding/sequence_protocol.py), on a copy of the weights made now.

    Later training does not reach it. Log-probabilities are the model's own but for rounding.

    >>> from riverrun.models.encoder_decoder import EncoderDecoder
    >>> from riverrun.models.encoder_decoder_options import EncoderDecoderOptions
    >>> generator = EncoderDecoder(EncoderDecoderOptions(hidden=8), source=7, target=5).generator()
    >>> memory = generator.encode(Sequences(torch.tensor([[3], [6], [4]]), torch.tensor([3])))
    >>> log_p, state, weights = generator.step(memory, generator.start(memory), torch.tensor([0]))
    >>> log_p.shape, weights.shape
    (torch.Size([1, 5]), torch.Size([1, 3]))
    """

    def __init__(self, model: EncoderDecoder) -> None:
        self._model = model = copy.deepcopy(model).eval().requires_grad_(False)
        source = model.target_embedding if model.source_embedding is None else model.source_embedding
        self._encoder = _reader(model.encoder, source.weight)
        # Where the recurrence reads nothing but tokens.
        self._decoder = None if model.options.feeds_back else _reader(model.decoder, model.target_embedding.weight)
        self._streamer = model.decoder.streamer()
        self._head = _Linear(*model.output_weights())
        # Nothing but inner products, and a context that only the readout reads.
        self._is_lean = model.attention is not None and model.attention.v is None and model.gate is None
        if model.combine is not None:
            weight, m = model.combine.weight, model.encoder.output_width
            self._combine_context = _Linear(weight[:, :m].contiguous(), None)
            self._combine_output = _Linear(weight[:, m:].contiguous(), model.combine.bias)

    @torch.no_grad()
    def encode(self, source: Sequences, copies: Tensor | None = None) -> Prepared:
        """What decoding looks at; source and copies as in PairBatch."""
        memory = self._model.remember(source, copies, None if self._encoder is None else self._encode)
        if memory.values is None or memory.keys is None or not self._is_lean or bool((memory.lengths == 0).any()):
            return Prepared(memory)
        B, S, m = memory.values.shape
        combined = self._combine_context(memory.values.transpose(0, 1).reshape(S * B, m)).view(S, B, -1)
        prepared = Prepared(memory, memory.keys.transpose(1, 2), combined.transpose(0, 1))
        if memory.mask is None:
            return prepared
        bias = torch.zeros_like(memory.mask, dtype=combined.dtype)
        bias.masked_fill_(~memory.mask, torch.finfo(bias.dtype).min)
        return prepared._replace(bias=bias[:, None])

    def _encode(self, source: Sequences) -> tuple[Tensor, State]:
        assert self._encoder is not None
        output, state, _ = self._encoder.run(*source)
        return output, state

    def start(self, memory: Prepared) -> DecoderState:
        """The state before the first token."""
        return self._model.start(memory.memory)

    @torch.no_grad()
    def step(self, memory: Prepared, state: DecoderState, token: Tensor) -> tuple[Tensor, DecoderState, Tensor | None]:
        """The log-probabilities [B K, V] of the token after `token` [B K], the new state, the weights [B K, S]."""
        if memory.turned is None:
            return self._plainly(memory.memory, state, token)
        if self._decoder is not None:
            output, recurrent = self._decoder.step(token, state.recurrent)  # [B K, n]
        else:
            x = self._model.target_embedding.weight[token]  # [B K, E]
            x = x if state.fed is None else torch.cat([x, state.fed], -1)
            output, recurrent = self._streamer.step(x, state.recurrent)
        assert memory.combined is not None
        queries = output.view(len(memory.turned), -1, output.shape[-1])  # [B, K, n]
        if memory.bias is None:
            scores = torch.bmm(queries, memory.turned)  # [B, K, S]
        else:
            scores = torch.baddbmm(memory.bias, queries, memory.turned)
        weights = scores.softmax(-1)
        inside = self._combine_output(output).view(*queries.shape[:2], -1)
        readout = torch.baddbmm(inside, weights, memory.combined).tanh_().flatten(0, 1)  # [B K, n]
        fed = None if state.fed is None else readout
        log_p = self._head(readout).log_softmax(-1)
        return log_p, state._replace(recurrent=recurrent, fed=fed), weights.flatten(0, 1)

    def _plainly(
        self, memory: Memory, state: DecoderState, token: Tensor
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """The model's own step on packed weights."""
        decoder, token = self._decoder, self._model.known(token)
        recur = self._streamer.step if decoder is None else lambda _, before: decoder.step(token, before)
        reading, state = self._model.advance(recur, memory, state, token)
        places = torch.arange(len(token), device=token.device) // (len(token) // len(memory.lengths))
        return self._model.predict(reading, memory, places).log_softmax(-1), state, reading.weights


def _reader(layer: Recurrent, vectors: Tensor) -> TokenReader | None:
    """The layer over tokens of these vectors; None where it needs the vectors themselves."""
    return TokenReader(layer.stack, layer.weights(), vectors) if TokenReader.serves(layer.stack) else None


class _Linear:
    """x @ weight.T + bias: natively on the CPU, where a row's bits depend on the row alone."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias
        native = weight.device.type == "cpu" and writer.serves(weight.dtype)
        self._packed = writer.packed(weight) if native else None

    def __call__(self, x: Tensor) -> Tensor:
        """x: [N, K]."""
        if self._packed is not None:
            return writer.linear(x, self._packed, self._bias)
        return functional.linear(x, self._weight, self._bias)
