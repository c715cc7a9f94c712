"""The tagger: word vectors, what the letters say, a bidirectional stack, and a softmax or a CRF over the tags.

v_t = [E[w_t]; P[w_t]; spelling(w_t)]      h = recurrent(v), both directions      s_t = V h_t + b
p(y_t) = softmax(s_t),  or  p(y) = CRF(s)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.cells.cell import Cell
from riverrun.data.tag_batch import TagBatch
from riverrun.data.vocabularies import FIRST, TagCoder
from riverrun.layers.masks import dropout
from riverrun.models.loss import cross_entropy
from riverrun.models.protocol import Loss
from riverrun.models.recurrent import recurrent_stack
from riverrun.models.spelling import Spelling
from riverrun.models.tagger_options import TaggerOptions
from riverrun.sequences import Sequences


class Tagger(nn.Module):
    """A tagger over the vocabularies of a coder, time first.

    options: the [model] section. coder: words, letters, tags, and the pretrained vectors where there are such.
    cell: a class of one's own, in place of the one that `options.cell` names.
    """

    counts: Tensor

    def __init__(self, options: TaggerOptions, coder: TagCoder, *, cell: type[Cell] | None = None) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(1 + len(coder.words), options.word_width)
        nn.init.normal_(self.embedding.weight)
        self.spelling = None
        if options.letters != "none":
            letters = FIRST + len(coder.letters)
            self.spelling = Spelling(options.letters, letters, options.letter_width, options.letter_hidden)
        width = options.word_width + (self.spelling.output_width if self.spelling is not None else 0)
        self.recurrent = recurrent_stack(options, width, cell=cell, direction="both")
        self.output = nn.Linear(self.recurrent.output_width, len(coder.tags))
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.register_buffer("counts", torch.tensor([0, *coder.counts]), persistent=False)  # [V]

    def forward(self, batch: TagBatch) -> Tensor:
        """Scores of each tag, [T, B, K]; what stands at padding means nothing."""
        rows = batch.rows.data
        words = self._forgotten(batch.words[rows])  # [T, B]
        parts = [self.embedding(words)]
        if self.spelling is not None:
            parts.append(functional.embedding(rows, self.spelling(batch.letters)))
        vectors = dropout(torch.cat(parts, -1), self.options.input_dropout, self.training)  # [T, B, I]
        output = self.recurrent(Sequences(vectors, batch.rows.lengths)).output
        return self.output(dropout(output, self.options.dropout, self.training))

    def loss(self, batch: TagBatch, state: Any = None) -> Loss:
        """The loss of the sentences of a batch."""
        total, nats = cross_entropy(self(batch), batch.targets, self.options.label_smoothing)
        return Loss(total, batch.tokens, nats, None)

    def _forgotten(self, words: Tensor) -> Tensor:
        """Ids of words, some of them unknown: in training, the rarer the likelier."""
        share = self.options.word_dropout
        if not self.training or not share:
            return words
        chance = share / (share + self.counts[words])
        return torch.where(torch.rand(words.shape, device=words.device) < chance, 0, words)
