"""DecoderAttention: the weights of an attention, and how a decoder looks at a memory with them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.attention import additive, attend, coverage, inner, location
from riverrun.layers.stack import State
from riverrun.models.encoder_decoder_options import SUMMED, EncoderDecoderOptions

TOGETHER = 1 << 24  # numbers inside an additive score that are held at a time, where no gradient needs them


class Memory(NamedTuple):
    """What an encoder made of B sources; the batch comes first.

    initial: the decoder's first state, for each layer a tuple of [B, n].
    lengths: [B], of the sources.
    values: [B, S, m], the encoder's outputs, zero at padding; keys: [B, S, a], the same as the score wants them;
    mask: [B, S] bool, True where a source goes on. None without attention; a mask also where all sources are as long.
    copies: [B, S], the id of each source token as a target, as in PairBatch; None where nothing is copied.
    """

    initial: State
    lengths: Tensor
    values: Tensor | None = None
    keys: Tensor | None = None
    mask: Tensor | None = None
    copies: Tensor | None = None


class Past(NamedTuple):
    """What attention remembers of the steps before, [B K, S] each; None where the score does not look back."""

    covered: Tensor | None = None  # the sum of all weights so far
    before: Tensor | None = None  # the weights of the last step

    def after(self, weights: Tensor) -> Past:
        """The past of the next step; weights: [B K, S]."""
        return Past(None if self.covered is None else self.covered + weights, None if self.before is None else weights)


class DecoderAttention(nn.Module):
    """Scores between states of the decoder, of width n, and outputs of the encoder, of width m.

    dot        e = s . h                 of two directions h is their sum, so that it has s's width
    general    e = s . W h
    concat     e = v . tanh(W s + U h + b + terms)
    additive   the same; a decoder asks with the state before its step

    The terms are w c with c the coverage, and U_f (F * a) with a the last weights. What depends on the memory alone is
    computed once (`keys`).
    """

    def __init__(self, options: EncoderDecoderOptions, query: int, value: int) -> None:
        super().__init__()
        self.kind, self.reach = options.attention, options.location_reach
        self.size = size = (options.attention_size or options.hidden) if self.kind in SUMMED else query
        summed = self.kind in SUMMED
        self.key = None if self.kind == "dot" else nn.Parameter(_started(size, value))
        self.query = nn.Parameter(_started(size, query)) if summed else None
        self.bias = nn.Parameter(torch.zeros(size)) if summed else None
        self.v = nn.Parameter(_started(1, size)[0]) if summed else None
        self.coverage = nn.Parameter(_started(size, 1)[:, 0]) if options.coverage else None
        filters = options.location
        self.filters = nn.Parameter(_started(filters, 2 * self.reach + 1)) if filters else None
        self.features = nn.Parameter(_started(size, filters)) if filters else None

    def keys(self, values: Tensor) -> Tensor:
        """values: [B, S, m] -> [B, S, a]."""
        if self.key is not None:
            return functional.linear(values, self.key)
        if values.shape[-1] == self.size:
            return values
        return values.view(*values.shape[:2], values.shape[2] // self.size, self.size).sum(2)  # of two directions

    def past(self, memory: Memory, rows: int) -> Past:
        """Before the first step of so many rows."""
        assert memory.keys is not None
        none = memory.keys.new_zeros(rows, memory.keys.shape[1])
        return Past(None if self.coverage is None else none, None if self.filters is None else none)

    def look(self, memory: Memory, query: Tensor, past: Past) -> tuple[Tensor, Tensor]:
        """One step of B K rows: query [B K, n] -> context [B K, m], weights [B K, S]."""
        assert memory.keys is not None
        rows = memory.keys.shape[0]
        term = self._term(past)
        context, weights = self._look(
            memory,
            query.view(rows, -1, query.shape[-1]),
            None if term is None else term.view(rows, -1, *term.shape[1:]),
        )
        return context.flatten(0, 1), weights.flatten(0, 1)

    def look_at_once(self, memory: Memory, query: Tensor) -> tuple[Tensor, Tensor]:
        """All steps, where no step's score looks back: query [T, B, n] -> context [T, B, m], weights [T, B, S]."""
        context, weights = self._look(memory, query.transpose(0, 1), None)
        return context.transpose(0, 1), weights.transpose(0, 1)

    def _look(self, memory: Memory, query: Tensor, term: Tensor | None) -> tuple[Tensor, Tensor]:
        """query: [B, T, n], term: [B, T, S, a] -> context [B, T, m], weights [B, T, S]."""
        assert memory.keys is not None
        assert memory.values is not None
        if self.v is None:
            scores = inner(query, memory.keys)
        else:
            assert self.query is not None
            steps = query.shape[1]
            if term is None and not torch.is_grad_enabled():  # [B, T, S, a] may be far more than all else
                steps = max(1, TOGETHER // max(1, memory.keys.numel()))
            parts = torch.split(functional.linear(query, self.query, self.bias), max(1, steps), 1)
            scores = torch.cat([additive(part, memory.keys, self.v, term) for part in parts], 1)
        return attend(scores, memory.values, memory.mask)

    def _term(self, past: Past) -> Tensor | None:
        """[B K, S, a], or None."""
        term = None
        if self.coverage is not None:
            assert past.covered is not None
            term = coverage(past.covered, self.coverage)
        if self.filters is not None:
            assert past.before is not None
            assert self.features is not None
            seen = location(past.before, self.filters, self.features)
            term = seen if term is None else term + seen
        return term


def _started(rows: int, columns: int) -> Tensor:
    return nn.init.xavier_uniform_(torch.empty(rows, columns))
