"""The tagger: word vectors, what the letters say, a bidirectional stack, and a softmax or a CRF over the tags.

v_t = [E[w_t]; P[w_t]; spelling(w_t)]      h = recurrent(v), both directions      s_t = V h_t + b
p(y_t) = softmax(s_t),  or  p(y) = CRF(s)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.cells.cell import Cell
from riverrun.data.schemes import may_follow
from riverrun.data.tag_batch import TagBatch
from riverrun.data.vocabularies import FIRST, IGNORED, TagCoder
from riverrun.layers.crf import Chain, best_paths, log_partition, marginals, path_score
from riverrun.layers.masks import dropout
from riverrun.models.loss import cross_entropy
from riverrun.models.protocol import Loss
from riverrun.models.recurrent import recurrent_stack
from riverrun.models.spelling import Spelling
from riverrun.models.tagger_options import TaggerOptions
from riverrun.sequences import Sequences

# Of a word's vector. At 1 a tagger of EWT had reached 89.5 % after two epochs and a half, at this 92.8 %: what the
# letters say was lost among random numbers.
WORD_STD = 0.1


class Decoded(NamedTuple):
    """The n best sequences of tags, the best first. tags: [n, T, B] int64. log_p: [n, B], -inf where there is none.

    shares: [T, B], how probable each tag of the best one is by itself; zero at padding.
    """

    tags: Tensor
    log_p: Tensor
    shares: Tensor


class Tagger(nn.Module):
    """A tagger over the vocabularies of a coder, time first.

    options: the [model] section. coder: words, letters, tags, and the pretrained vectors where there are such.
    cell: a class of one's own, in place of the one that `options.cell` names.

    What a word gets depends on its own sentence alone: neither on padding nor on the batch's other sentences.
    """

    counts: Tensor
    known: Tensor | None
    legal: Tensor | None

    def __init__(self, options: TaggerOptions, coder: TagCoder, *, cell: type[Cell] | None = None) -> None:
        super().__init__()
        self.options = options
        tags = len(coder.tags)
        self.embedding = nn.Embedding(1 + coder.known, options.word_width)
        nn.init.normal_(self.embedding.weight, std=WORD_STD)
        self.register_buffer("counts", torch.tensor([0, *coder.counts[: coder.known]]), persistent=False)  # [V]
        self._hold_vectors(coder)
        self.spelling = None
        if options.letters != "none":
            letters = FIRST + len(coder.letters)
            self.spelling = Spelling(options.letters, letters, options.letter_width, options.letter_hidden)
        width = options.word_width + (coder.vectors.width if coder.vectors is not None else 0)
        width += self.spelling.output_width if self.spelling is not None else 0
        self.recurrent = recurrent_stack(options, width, cell=cell, direction="both")
        self.output = nn.Linear(self.recurrent.output_width, tags)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        # A CRF begins as a softmax of each word.
        sizes = {"transitions": (tags, tags), "start": (tags,), "end": (tags,)} if options.crf else {}
        self.chain = nn.ParameterDict({name: nn.Parameter(torch.zeros(shape)) for name, shape in sizes.items()})
        mask = _legal(coder) if options.legal and coder.scheme else None  # [K + 1, K + 1]
        self.register_buffer("legal", mask, persistent=False)

    def forward(self, batch: TagBatch) -> Tensor:
        """Scores of each tag, [T, B, K]; what stands at padding means nothing."""
        rows = batch.rows.data
        parts = [self.embedding(self._forgotten(batch.words[rows]))]  # each [T, B, n]
        vectors = self.known if self.known is not None else self.tuned
        if vectors is not None:
            parts.append(functional.embedding(batch.vectors[rows], vectors))
        if self.spelling is not None:
            parts.append(functional.embedding(rows, self.spelling(batch.letters)))
        words = dropout(torch.cat(parts, -1), self.options.input_dropout, self.training)
        output = self.recurrent(Sequences(words, batch.rows.lengths)).output
        scores: Tensor = self.output(dropout(output, self.options.dropout, self.training))
        return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores

    def loss(self, batch: TagBatch, state: Any = None) -> Loss:
        """The loss of the sentences of a batch: of each word, or with a CRF of each sentence, as sums."""
        scores = self(batch)
        if not self.options.crf:
            total, nats = cross_entropy(scores, batch.targets, self.options.label_smoothing)
            return Loss(total, batch.tokens, nats, None)
        lengths, chain = batch.rows.lengths, self._chain(legal=False)
        total = (log_partition(scores, lengths, chain) - self._given(scores, batch, chain)).sum()
        return Loss(total, batch.tokens, total.detach(), None)

    @torch.no_grad()
    def decode(self, batch: TagBatch, n: int = 1) -> Decoded:
        """The n likeliest sequences of tags of each sentence, of those that the scheme allows."""
        scores, lengths = self(batch), batch.rows.lengths
        shares = self._shares(scores, batch)
        if n == 1 and self._apart:
            tags = shares.argmax(2)[None]  # [1, T, B]
            own = shares.gather(2, tags[0][..., None])[..., 0]
            inside = batch.rows.valid().to(own.device)
            return Decoded(tags, torch.where(inside, own.log(), 0.0).sum(0)[None], own)
        chain = self._chain()
        paths = best_paths(scores, lengths, chain, n)
        own = shares.gather(2, paths.tags[0][..., None])[..., 0]
        return Decoded(paths.tags, paths.scores - log_partition(scores, lengths, chain), own)

    @torch.no_grad()
    def shares(self, batch: TagBatch) -> Tensor:
        """The probability of each tag of each word, [T, B, K], zero at padding."""
        return self._shares(self(batch), batch)

    @property
    def _apart(self) -> bool:
        """Whether each word's tag has nothing to do with its neighbours' tags."""
        return not self.options.crf and self.legal is None

    def _shares(self, scores: Tensor, batch: TagBatch) -> Tensor:
        if not self._apart:
            return marginals(scores, batch.rows.lengths, self._chain())
        inside = batch.rows.valid().to(scores.device)[..., None]
        return torch.where(inside, torch.softmax(scores, 2), 0.0)

    def _given(self, scores: Tensor, batch: TagBatch, chain: Chain) -> Tensor:
        """log of the sum over all paths that agree with the targets, [B]: of one path, where all words have a tag."""
        lengths, targets = batch.rows.lengths, batch.targets
        if batch.tokens == int(lengths.sum()):
            return path_score(scores, targets, lengths, chain)
        tags = torch.arange(scores.shape[2], device=scores.device)
        agrees = (targets[..., None] == IGNORED) | (targets[..., None] == tags)  # [T, B, K]
        return log_partition(torch.where(agrees, scores, -torch.inf), lengths, chain)

    def _chain(self, *, legal: bool = True) -> Chain:
        """The transitions of the CRF, or zeros; -inf where the scheme allows none and it is to be heeded."""
        if self.options.crf:
            found = Chain(self.chain["transitions"], self.chain["start"], self.chain["end"])
        else:
            bias = self.output.bias
            found = Chain(bias.new_zeros(len(bias), len(bias)), bias.new_zeros(len(bias)), bias.new_zeros(len(bias)))
        if self.legal is None or not legal:
            return found
        mask = self.legal.to(found.start.dtype)
        return Chain(found.transitions + mask[:-1, :-1], found.start + mask[-1, :-1], found.end + mask[:-1, -1])

    def _hold_vectors(self, coder: TagCoder) -> None:
        """Pretrained vectors, [1 + N, width]: row 0 is that of words without one. Frozen they are no parameter."""
        self.tuned: nn.Parameter | None = None
        self.register_buffer("known", None)
        if coder.vectors is None:
            return
        matrix = torch.zeros(1 + len(coder.vectors.words), coder.vectors.width)
        if len(coder.vectors.matrix):
            matrix[1:] = torch.from_numpy(coder.vectors.matrix)
        if self.options.tune_vectors:
            self.tuned = nn.Parameter(matrix)
        else:
            self.known = matrix

    def _forgotten(self, words: Tensor) -> Tensor:
        """Ids of words, some of them unknown: in training, the rarer the likelier."""
        share = self.options.word_dropout
        if not self.training or not share:
            return words
        chance = share / (share + self.counts[words])
        return torch.where(torch.rand(words.shape, device=words.device) < chance, 0, words)


def _legal(coder: TagCoder) -> Tensor | None:
    """[K + 1, K + 1]: 0 where the scheme lets the column's tag follow the row's, else -inf; the last: begin, or end.

    None where no tag may stand alone, as often as one likes, for then some sentences would have no legal sequence.
    """
    tags = [*coder.tags, None]
    allowed = torch.tensor([[may_follow(coder.scheme, before, tag) for tag in tags] for before in tags])
    alone = allowed[-1, :-1] & allowed.diagonal()[:-1] & allowed[:-1, -1]  # [K]
    return torch.where(allowed, 0.0, -torch.inf) if bool(alone.any()) else None
