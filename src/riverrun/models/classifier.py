"""The classifier: many to one.

e_t = E[x_t]    c = convolution(e), if any    h = recurrent(c or e), in one direction or both    v = pool(h)
logits = head(v) + n-grams(x), if any
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.cells.cell import Cell
from riverrun.data.labelled_batch import LabelledBatch
from riverrun.data.labels import Labels
from riverrun.layers import pooling
from riverrun.layers.convolution import Convolution, shortened
from riverrun.layers.masks import dropout
from riverrun.layers.ngrams import LEFT_OUT, NGrams
from riverrun.models.classifier_options import ClassifierOptions
from riverrun.models.label_heads import head
from riverrun.models.protocol import Loss
from riverrun.models.recurrent import recurrent_stack
from riverrun.sequences import Sequences

EMBEDDING_STD = 0.1  # of a token's vector when training begins


class Read(NamedTuple):
    """What a classifier makes of texts: logits [B, C], and the attention on each token, [T, B], or None without."""

    logits: Tensor
    attention: Tensor | None


class Classifier(nn.Module):
    """A classifier of texts, given as token ids, time first.

    options: the [model] section. vocabulary: V, how many tokens there are. labels: what is told apart. unknown: the id
    that stands for tokens left out (None: their vectors are zero). cell: a class of one's own.

    >>> labels = Labels("one", ("no", "yes"), (3, 4), 7)
    >>> model = Classifier(ClassifierOptions(hidden=8), vocabulary=5, labels=labels)
    >>> model(Sequences(torch.tensor([[1, 4], [2, 0]]), torch.tensor([2, 1]))).shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        options: ClassifierOptions,
        vocabulary: int,
        labels: Labels,
        *,
        unknown: int | None = None,
        cell: type[Cell] | None = None,
    ) -> None:
        super().__init__()
        self.options, self.vocabulary, self.unknown, self.outputs = options, vocabulary, unknown, len(labels.names)
        width = vocabulary if options.one_hot else options.embedding_size
        self.embedding = None if options.one_hot else nn.Embedding(vocabulary, width)
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=EMBEDDING_STD)
        self.convolution = None
        if options.convolution:
            self.convolution = Convolution(width, options.convolution, [options.convolution_width])
            width = self.convolution.output_width
        direction = "both" if options.bidirectional else "forward"
        self.recurrent = recurrent_stack(options, width, cell=cell, direction=direction)
        width = self.recurrent.output_width
        self.attention = pooling.AttentionPooling(width, width) if options.pooling == "attention" else None
        if options.pooling == "last" and self._mixed:
            width *= 2
        self.head = head(labels, width, class_weights=options.class_weights, smoothing=options.label_smoothing)
        self.ngrams = None
        if options.ngrams:  # labels on a scale have one number, moved along it
            outputs = 1 if labels.kind == "ordered" else self.outputs
            self.ngrams = NGrams(options.ngrams, outputs, options.ngram_buckets)

    @property
    def _mixed(self) -> bool:
        """Whether the directions can no longer be told apart in the stack's output: tanh layers lie after them."""
        return self.options.bidirectional and self.options.output_depth > 1

    def forward(self, texts: Sequences) -> Tensor:
        """Logits [B, C] (of ordered labels [B, C - 1]) of texts [T, B] int64; `head.probabilities` turns them."""
        return self.read(texts).logits

    def read(self, texts: Sequences) -> Read:
        """The same with the attention on each token."""
        texts = texts._replace(data=self.leave_out(texts.data))
        found = self.read_vectors(texts._replace(data=self.embed(texts.data)))
        return found if self.ngrams is None else found._replace(logits=found.logits + self.ngrams(texts))

    def leave_out(self, ids: Tensor) -> Tensor:
        """[T, B]: the ids; in training, those that token dropout leaves out are the unknown one, or LEFT_OUT."""
        if not (self.training and self.options.token_dropout):
            return ids
        left_out = torch.rand(ids.shape, device=ids.device) < self.options.token_dropout
        return torch.where(left_out, LEFT_OUT if self.unknown is None else self.unknown, ids)

    def embed(self, ids: Tensor) -> Tensor:
        """[T, B] -> [T, B, E]: the tokens' vectors, zero for LEFT_OUT; in training less what dropouts take."""
        options, given = self.options, ids
        ids = ids.clamp(min=0)
        if self.embedding is None:
            like = next(self.parameters())
            vectors = like.new_zeros(*ids.shape, self.vocabulary).scatter_(-1, ids[..., None], 1)
        else:
            weight = self.embedding.weight
            if self.training and options.embedding_dropout:  # whole tokens, everywhere in the batch
                weight = weight * dropout(weight.new_ones(self.vocabulary, 1), options.embedding_dropout, True)
            vectors = dropout(functional.embedding(ids, weight), options.input_dropout, self.training)
        if self.training and options.token_dropout and self.unknown is None:
            vectors = vectors.masked_fill((given == LEFT_OUT)[..., None], 0)
        return vectors

    def read_vectors(self, vectors: Sequences) -> Read:
        """Logits and attention of tokens' vectors, [T, B, E]; n-grams have none."""
        steps = vectors
        if self.convolution is not None:
            steps = shortened(self.convolution(vectors), self.options.convolution_pool)
        steps = steps._replace(data=self.recurrent(steps).output)  # [T', B, n]
        pooled, weights = self._pool(steps)
        logits = self.head(dropout(pooled, self.options.dropout, self.training))
        return Read(logits, None if weights is None else self._on_tokens(weights, vectors))

    def loss(self, batch: LabelledBatch, state: None = None) -> Loss:
        """What a batch costs, summed over its texts."""
        costs, nats = self.head.costs(self(batch.texts), batch.targets)
        return Loss(costs.sum(), batch.tokens, nats.sum(), None)

    def probabilities(self, texts: Sequences) -> Tensor:
        """[B, C]: how likely each label is."""
        return self.head.probabilities(self(texts))

    def _pool(self, steps: Sequences) -> tuple[Tensor, Tensor | None]:
        """[T', B, n] -> [B, n or 2 n], and attention's weights [T', B]."""
        if self.attention is not None:
            pooled, weights = self.attention(steps)
            return pooled, weights
        if self.options.pooling == "last":
            if self._mixed:
                first = steps._replace(data=steps.data[:1], lengths=steps.lengths.clamp(max=1))
                return torch.cat([pooling.last(steps), pooling.last(first)], 1), None
            return (pooling.ends if self.options.bidirectional else pooling.last)(steps), None
        return (pooling.mean if self.options.pooling == "mean" else pooling.greatest)(steps), None

    def _on_tokens(self, weights: Tensor, vectors: Sequences) -> Tensor:
        """Weights of steps, [T', B], as weights of the tokens, [T, B], that were made one step."""
        factor = self.options.convolution_pool if self.convolution is not None else 1
        if factor == 1:
            return weights
        shared = weights.repeat_interleave(factor, 0)[: vectors.data.shape[0]]  # [T, B]
        places = torch.arange(weights.shape[0], device=weights.device)[:, None] * factor
        sizes = (vectors.lengths.to(weights.device) - places).clamp(1, factor).repeat_interleave(factor, 0)
        return torch.where(vectors.valid().to(weights.device), shared / sizes[: len(shared)], shared.new_zeros(()))
