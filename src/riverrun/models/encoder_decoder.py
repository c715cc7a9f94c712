"""The encoder-decoder: one recurrent stack reads a sequence, another writes the answer, and looks back by attention.

    h_1 .. h_S = encoder(E_x x_1 .. E_x x_S)          s_0 = bridge(last state of the encoder)
    s_t = decoder(E_y y_{t-1}, s_{t-1})               a_t = softmax over s of score(s_t, h_s)      c_t = sum_s a_ts h_s
    r_t = tanh(W_c [c_t; s_t])                        p(y_t) = softmax(V r_t + b)

This is Luong's order, the default. docs/attention.md has the others: Bahdanau's, input feeding, no attention at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.cells.cell import Cell
from riverrun.data.pair_batch import BEGIN, UNKNOWN, PairBatch
from riverrun.errors import OptionError, UsageError
from riverrun.layers.masks import dropout
from riverrun.layers.stack import State
from riverrun.layers.stepper import Stepper
from riverrun.models.bridge import Bridge
from riverrun.models.copying import mixed
from riverrun.models.decoder_attention import DecoderAttention, Memory, Past
from riverrun.models.encoder_decoder_options import EncoderDecoderOptions
from riverrun.models.loss import cross_entropy
from riverrun.models.pair_generator import PairGenerator
from riverrun.models.protocol import Loss, map_state
from riverrun.models.recurrent import recurrent_stack
from riverrun.sequences import Sequences

EMBEDDING_STD = 1.0  # as a language model's

Recur = Callable[[Tensor, State], tuple[Tensor, State]]
Encoder = Callable[[Sequences], tuple[Tensor, State]]


class DecoderState(NamedTuple):
    """Where a decoder stands; the batch comes first."""

    recurrent: State
    fed: Tensor | None  # [B, n], what input feeding feeds into the next step
    past: Past


class Reading(NamedTuple):
    """What the output layer is given of a step, or of many: [..., width]."""

    embedded: Tensor | None  # of the token before; None where nobody asks
    output: Tensor  # the decoder's
    context: Tensor | None  # what attention read; None without attention
    weights: Tensor | None  # [..., S], how
    readout: Tensor | None  # r; None where it is still to be computed


class EncoderDecoder(nn.Module):
    """Target sequences given source sequences.

    options: the [model] section. source, target: how many tokens the two vocabularies have.
    cell: a class of one's own, in place of the one that `options.cell` names, on both sides.

    `loss` teaches it; `generator` gives it frozen, for decoding (decoding/sequence_protocol.py). `encode`, `start` and
    `step` are the same, plainly, without gradient and in the mode that the module is in.

    >>> model = EncoderDecoder(EncoderDecoderOptions(hidden=8, dropout=0.0), source=7, target=5)
    >>> memory = model.encode(Sequences(torch.tensor([[3], [6], [4]]), torch.tensor([3])))
    >>> log_p, state, weights = model.step(memory, model.start(memory), torch.tensor([BEGIN]))
    >>> log_p.shape, weights.shape
    (torch.Size([1, 5]), torch.Size([1, 3]))
    """

    def __init__(
        self, options: EncoderDecoderOptions, source: int, target: int, *, cell: type[Cell] | None = None
    ) -> None:
        super().__init__()
        if options.shared and source != target:
            raise OptionError(
                "shared", f"one table of vectors needs one vocabulary, there are two, of {source} and {target} tokens."
            )
        self.options, self.vocabulary = options, target
        width = options.embedding_size
        self.target_embedding = nn.Embedding(target, width)
        self.source_embedding = None if options.shared else nn.Embedding(source, width)
        sides = "both" if options.bidirectional else "forward"
        self.encoder = recurrent_stack(_encoder_options(options), width, cell=cell, direction=sides)
        into, m = width, self.encoder.output_width
        if options.attention == "additive":
            into += m
        if options.input_feeding:
            into += options.output_size
        self.decoder = recurrent_stack(_decoder_options(options), into, cell=cell)
        n = self.decoder.output_width
        self.bridge = Bridge(options.bridge, self.encoder, self.decoder)
        self.attention = self.combine = self.gate = None
        if options.attention != "none":
            query = self.decoder.stack.state_sizes[0] if options.attention == "additive" else n
            self.attention = DecoderAttention(options, query, m)
            self.combine = _linear(m + n, options.output_size)
        if options.copy:
            self.gate = _linear(m + n + width, 1)
        # Tied: the output layer is a bias only, so that no weight has two names.
        self.output = None if options.tied else _linear(options.output_size, target)
        self.output_bias = nn.Parameter(torch.zeros(target)) if options.tied else None
        nn.init.normal_(self.target_embedding.weight, std=width**-0.5 if options.tied else EMBEDDING_STD)
        if self.source_embedding is not None:
            nn.init.normal_(self.source_embedding.weight, std=EMBEDDING_STD)

    # ------------------------------------------------------------------ learning

    def loss(self, batch: PairBatch, state: object = None) -> Loss:
        """The loss of the targets of a batch, each token given those before it. `state` is not used: pairs are apart.

        Every valid position counts once, whatever the batch is padded to.
        """
        memory = self.remember(batch.source, batch.copies)
        targets, lengths = batch.target
        valid = batch.target.valid().to(targets.device)  # [T, B]
        targets = targets.masked_fill(~valid, BEGIN)
        inputs = torch.cat([torch.full_like(targets[:1], BEGIN), targets[:-1]])  # [T, B]
        reading = self.read(memory, Sequences(inputs, lengths))
        places = valid.flatten().nonzero()[:, 0]  # [N], the valid positions
        wanted = reading if self.gate is not None else reading._replace(embedded=None, weights=None)
        logits = self.predict(map_state(lambda v: v.flatten(0, 1).index_select(0, places), wanted), memory, places)
        total, nats = self._cross_entropy(logits, targets.flatten()[places])
        if self.options.coverage and self.options.coverage_loss:
            assert reading.weights is not None
            total = total + self.options.coverage_loss * repeated(reading.weights, valid)
        return Loss(total, batch.tokens, nats, None)

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        smoothing = self.options.label_smoothing
        if self.gate is None or not smoothing:
            return cross_entropy(logits, targets, smoothing)
        total, nats = cross_entropy(logits, targets)  # smoothed over the vocabulary, and not over what a source lends
        return (1 - smoothing) * total - smoothing * logits[:, : self.vocabulary].mean(-1).sum(), nats

    def embedded(self, token: Tensor) -> Tensor:
        """The vectors of target ids; what was copied and has no id in the vocabulary is read as unknown."""
        vectors: Tensor = self.target_embedding(self.known(token))
        return vectors

    def known(self, token: Tensor) -> Tensor:
        """Target ids, UNKNOWN in place of those from the vocabulary's size on."""
        return token if self.gate is None else token.masked_fill(token >= self.vocabulary, UNKNOWN)

    def remember(self, source: Sequences, copies: Tensor | None = None, encoder: Encoder | None = None) -> Memory:
        """The sources as the decoder sees them, with gradient. source: [S, B] ids. copies: as in PairBatch.

        encoder: what runs the encoder in place of the module's own call.
        """
        ids, lengths = source.data, source.lengths.to(source.data.device)
        valid = source.valid().to(ids.device)  # [S, B]
        ids, order = ids.masked_fill(~valid, BEGIN), None
        if self.options.reverse_source:
            steps = torch.arange(len(ids), device=ids.device)[:, None]  # [S, 1]
            order = torch.where(valid, lengths - 1 - steps, steps)  # [S, B], its own inverse
            ids = ids.gather(0, order)
        output, state = (encoder or self._encode)(Sequences(ids, lengths))  # [S, B, m]
        initial = self.bridge(state, self.decoder)
        if self.attention is None:
            return Memory(initial, lengths)
        if order is not None:  # position s is the source's again
            output = output.gather(0, order[..., None].expand_as(output))
        values = dropout(output, self.options.dropout, self.training)
        keys = self.attention.keys(values)
        if self.gate is None:
            copies = None
        elif copies is None:
            raise UsageError("copies: a model with copy=True needs the target id of every source token; came None.")
        else:
            copies = copies.masked_fill(~valid, -1).T
        mask = None if bool(valid.all()) else valid.T
        return Memory(initial, lengths, values.transpose(0, 1), keys.transpose(0, 1), mask, copies)

    def _encode(self, source: Sequences) -> tuple[Tensor, State]:
        """The encoder's outputs [S, B, m] and its last state; source: ids, also in the padding."""
        embedding = self.target_embedding if self.source_embedding is None else self.source_embedding
        output, state, _ = self.encoder(Sequences(embedding(source.data), source.lengths))
        return output, state

    def read(self, memory: Memory, inputs: Sequences) -> Reading:
        """All steps under teacher forcing: inputs [T, B], the tokens before; the reading is [T, B, ...].

        What does not feed back runs at once: the recurrence, in one scan, where attention does not enter it; and
        attention, in one product, where it does not depend on itself.
        """
        if self.options.feeds_back or (self.training and self.options.scheduled_sampling):
            return self._read_by_steps(memory, inputs)
        embedded = self.embedded(inputs.data)  # [T, B, E]
        output = self.decoder(Sequences(embedded, inputs.lengths), memory.initial).output  # [T, B, n]
        if self.attention is None:
            return Reading(embedded, output, None, None, None)
        if not self.options.looks_back:
            return Reading(embedded, output, *self.attention.look_at_once(memory, output), None)
        past, looked = self.attention.past(memory, inputs.data.shape[1]), []
        for query in output:
            looked.append(self.attention.look(memory, query, past))
            past = past.after(looked[-1][1])
        context, weights = (torch.stack(steps) for steps in zip(*looked, strict=True))
        return Reading(embedded, output, context, weights, None)

    def _read_by_steps(self, memory: Memory, inputs: Sequences) -> Reading:
        """`read` where a step has to wait for the one before."""
        rows, chance = inputs.data.shape[1], self.options.scheduled_sampling if self.training else 0.0
        stepper = Stepper(self.decoder.stack, self.decoder.weights(), rows=rows, training=self.training)
        state, readings = self.begin(memory), list[Reading]()
        for token in inputs.data:
            if chance and readings:
                own = self._drawn(readings[-1], memory)
                token = torch.where(torch.rand(rows, device=token.device) < chance, own, token)
            reading, state = self.advance(stepper.step, memory, state, token)
            readings.append(reading)
        return _stacked(readings)

    @torch.no_grad()
    def _drawn(self, reading: Reading, memory: Memory) -> Tensor:
        """[B], a token of the model's own choice after one step, drawn from its distribution."""
        places = torch.arange(len(reading.output), device=reading.output.device)
        logits = self.predict(reading, memory, places).float()
        return torch.multinomial(logits.softmax(-1), 1)[:, 0]

    def predict(self, reading: Reading, memory: Memory, places: Tensor) -> Tensor:
        """Logits [N, V] of N readings; with copying they are log-probabilities, [N, V + K] (copying.py).

        places: [N], where in [T, B] each stands, counted row by row, so that places % B is its source.
        """
        readout = reading.readout
        if readout is None:
            readout = self.readout(reading.output, reading.context)
        logits = functional.linear(readout, *self.output_weights())
        if self.gate is None:
            return logits
        assert reading.embedded is not None
        assert reading.context is not None
        assert reading.weights is not None
        assert memory.copies is not None
        gate = self.gate(torch.cat([reading.context, reading.output, reading.embedded], -1))[:, 0]
        return mixed(logits, gate, reading.weights, memory.copies[places % len(memory.copies)])

    def readout(self, output: Tensor, context: Tensor | None) -> Tensor:
        """r = tanh(W_c [c; s]), [..., n], or s where there is no attention; dropped in training."""
        if self.combine is not None:
            assert context is not None
            output = torch.tanh(self.combine(torch.cat([context, output], -1)))
        return dropout(output, self.options.dropout, self.training)

    def output_weights(self) -> tuple[Tensor, Tensor]:
        """The output layer's weight [V, n] and bias [V], whoever they belong to."""
        if self.output is not None:
            return self.output.weight, self.output.bias
        assert self.output_bias is not None
        return self.target_embedding.weight, self.output_bias

    # ------------------------------------------------------------------ one step

    def begin(self, memory: Memory) -> DecoderState:
        """The state before the first token, one row for each of the memory."""
        rows, like = len(memory.lengths), memory.initial[0][0]
        fed = like.new_zeros(rows, self.options.output_size) if self.options.input_feeding else None
        return DecoderState(
            memory.initial, fed, Past() if self.attention is None else self.attention.past(memory, rows)
        )

    def advance(self, recur: Recur, memory: Memory, state: DecoderState, token: Tensor) -> tuple[Reading, DecoderState]:
        """One step over `token` [B K], the one before; `recur` runs the decoder's recurrent stack."""
        embedded = self.embedded(token)  # [B K, E]
        if self.attention is None:
            output, recurrent = recur(embedded, state.recurrent)
            return Reading(embedded, output, None, None, None), state._replace(recurrent=recurrent)
        if self.options.attention == "additive":  # Bahdanau: asks with s_{t-1}, and the recurrence reads the context
            context, weights = self.attention.look(memory, state.recurrent[-1][0], state.past)
            output, recurrent = recur(torch.cat([embedded, context], -1), state.recurrent)
            return Reading(embedded, output, context, weights, None), DecoderState(
                recurrent, None, state.past.after(weights)
            )
        x = embedded if state.fed is None else torch.cat([embedded, state.fed], -1)
        output, recurrent = recur(x, state.recurrent)
        context, weights = self.attention.look(memory, output, state.past)
        readout = self.readout(output, context)
        fed = None if state.fed is None else readout
        return Reading(embedded, output, context, weights, readout), DecoderState(
            recurrent, fed, state.past.after(weights)
        )

    # ------------------------------------------------------------------ what decoding asks for

    def generator(self) -> PairGenerator:
        """This model as it is now, frozen and packed, to decode with."""
        return PairGenerator(self)

    @torch.no_grad()
    def encode(self, source: Sequences, copies: Tensor | None = None) -> Memory:
        """What decoding looks at; source and copies as in PairBatch."""
        return self.remember(source, copies)

    @torch.no_grad()
    def start(self, memory: Memory) -> DecoderState:
        """The state before the first token."""
        return self.begin(memory)

    @torch.no_grad()
    def step(self, memory: Memory, state: DecoderState, token: Tensor) -> tuple[Tensor, DecoderState, Tensor | None]:
        """The log-probabilities [B K, V] of the token after `token` [B K], the new state, the weights [B K, S]."""
        reading, state = self.advance(self.decoder.step, memory, state, token)
        beams = len(token) // len(memory.lengths)
        places = torch.arange(len(token), device=token.device) // beams
        logits = self.predict(reading, memory, places)
        return (
            functional.log_softmax(logits.float() if logits.dtype is torch.bfloat16 else logits, -1),
            state,
            reading.weights,
        )


def repeated(weights: Tensor, valid: Tensor) -> Tensor:
    """Coverage loss: the sum over steps and positions of min(a_ts, c_ts), c the sum of the weights before (eq. 12).

    weights: [T, B, S].  valid: [T, B] bool.
    """
    covered = weights.cumsum(0) - weights  # [T, B, S]
    return torch.minimum(weights, covered).sum(-1).masked_fill(~valid, 0).sum()


def _stacked(readings: Iterable[Reading]) -> Reading:
    """The readings of T steps as one of them all, [T, B, ...]."""
    fields: list[Any] = [None if steps[0] is None else torch.stack(steps) for steps in zip(*readings, strict=True)]
    return Reading(*fields)


def _linear(into: int, out: int) -> nn.Linear:
    """A layer that starts at Glorot's weights and a zero bias."""
    layer = nn.Linear(into, out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _encoder_options(options: EncoderDecoderOptions) -> EncoderDecoderOptions:
    return replace(options, layers=options.encoder_layers or options.layers)


def _decoder_options(options: EncoderDecoderOptions) -> EncoderDecoderOptions:
    """A state that the bridge makes leaves none to learn."""
    return replace(options, learned_initial=options.learned_initial and options.bridge == "zero")
