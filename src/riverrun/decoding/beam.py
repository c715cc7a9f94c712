"""Beam search: the likeliest few beginnings are kept at every step, and those that end are ranked (Graves 2012).

Each source has `width` places. A step extends every beginning by every token; the likeliest extensions take the places.
One that chose END has ended: it keeps its place, so the beam narrows as in Sutskever et al. 2014. A beginning that
cannot come before the `best` ended ones any more, whatever it says (Ranking.bound), is dropped, and its place is free.
A source is finished when no beginning is left. So normalisation by length cannot make it stop too early: what is
dropped could not have been among the answers.

Width 1 is greedy decoding. As wide as there are targets it is exhaustive search.
"""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from riverrun.data.pair_batch import BEGIN, END
from riverrun.decoding.constraints import Constraints, bounds, constrain
from riverrun.decoding.hypothesis import BROKEN, Hypothesis, Trace
from riverrun.decoding.inputs import Inputs
from riverrun.decoding.prior import Prior
from riverrun.decoding.protocol import device_of, evaluating
from riverrun.decoding.ranking import Ranking
from riverrun.decoding.sequence_protocol import State, Transducer, select
from riverrun.errors import ModelError, OptionError

CROWDED = 0.9  # sources are dropped when fewer than this share of them still runs
IMPOSSIBLE = -100.0  # what ln q of a prior counts at least: what it rules out is not worth infinitely much


class _Sources(NamedTuple):
    """What is known of the B sources that still run."""

    number: Tensor  # [B] int64: which of all it is
    left: Tensor  # [B] int64: places that no ended hypothesis has taken
    scores: Tensor  # [B, best] float64: the best ended ones, -inf where there is none yet
    limit: Tensor  # [B] int64: tokens that a target may have
    far: Tensor  # [B, 1] int64: predictions that it may have
    prefix: Tensor | None  # [B, P]
    valid: Tensor | None  # [B, S] bool: no padding; with a coverage penalty


class _Rows(NamedTuple):
    """What is known of the B * W beginnings, those of a source side by side, likeliest first."""

    model: State
    prior: State  # None where there is no prior, or no longer
    history: Tensor | None  # [B W, position]: the tokens; where repeats are ruled out
    looked: Tensor | None  # [B W, S]: attention so far; with a coverage penalty
    log_p: Tensor | None  # [B W] float64: the model's own log-probability, where a prior ranks by another


def beam(
    model: Transducer,
    given: Inputs,
    *,
    width: int = 5,
    best: int = 1,
    ranking: Ranking | None = None,
    constraints: Constraints | None = None,
    prior: Prior | None = None,
    attention: bool = False,
) -> list[list[Hypothesis]]:
    """The `best` hypotheses of each source, best first (fewer where fewer have ended).

    All beginnings of all sources take a step in one call of the model. attention: keep it.
    Raises OptionError where best > width, or a coverage penalty meets a model without attention; ModelError for NaN.
    """
    if width < 1:
        raise OptionError("beam", f"expected a width of at least 1, got {width}.")
    if not 1 <= best <= width:
        raise OptionError("n_best", f"expected 1 to {width}, the width of the beam, got {best}.")
    anything: Any = model
    with evaluating(anything):
        search = _Search(model, given, width, best, ranking or Ranking(), constraints or Constraints(), prior)
        trace = Trace(given.source.lengths, attention=attention)
        if given.size:
            search.run(trace)
    return trace.hypotheses(best)


class _Search:
    """One call of `beam`: what stays the same while it runs, and the start."""

    def __init__(
        self,
        model: Transducer,
        given: Inputs,
        width: int,
        best: int,
        ranking: Ranking,
        constraints: Constraints,
        prior: Prior | None,
    ) -> None:
        self.model, self.width, self.ranking, self.constraints = model, width, ranking, constraints
        self.prior = prior if prior is not None and prior.weight else None
        self.memory = model.encode(given.source, given.copies)
        state, device = model.start(self.memory), given.source.data.device
        limit, prefix = bounds(constraints, given)
        B, S = given.size, given.source.data.shape[0]
        valid = given.source.valid().T.to(device) if ranking.coverage else None
        self.sources = _Sources(
            number=torch.arange(B, device=device),
            left=torch.full((B,), width, device=device),
            scores=torch.full((B, best), -torch.inf, dtype=torch.float64, device=device),
            limit=limit,
            far=limit[:, None] + 1,
            prefix=prefix,
            valid=valid,
        )
        zeros = torch.zeros(B, dtype=torch.float64, device=device)
        self.rows = _Rows(
            model=state,
            prior=None,
            history=torch.zeros(B, 0, dtype=torch.int64, device=device) if constraints.no_repeat else None,
            looked=torch.zeros(B, S, device=device) if ranking.coverage else None,
            log_p=zeros if self.prior else None,
        )
        if self.prior:
            begun = self.prior.model.start()
            first = torch.zeros(B, dtype=torch.int64, device=device_of(begun))
            self.rows = self.rows._replace(prior=select(begun, first))

    def run(self, trace: Trace) -> None:
        """All steps."""
        B, W = len(self.sources.number), 1
        device = self.sources.number.device
        total = torch.zeros(B, W, dtype=torch.float64, device=device)  # L; -inf: the place is free
        token = torch.full((B,), BEGIN, device=device)
        parent: Tensor | None = None
        ended = False
        for position in count():
            trace.feed(token, parent)
            log_p, gain, weights = self._step(position, token, W)
            trace.look(weights)
            total, row, token = _extensions(total, gain, self.width)  # [B, C] each, likeliest first
            if total.isnan().any():
                raise ModelError(BROKEN)
            taken = (torch.arange(total.shape[1], device=device) < self.sources.left[:, None]) & (total > -torch.inf)
            ends = token == END
            done, live = taken & ends, taken & ~ends
            if done.any():
                self._end(trace, position, total, log_p, row, done)
                ended = True
            if ended and (self.prior is None or position + 1 >= self.prior.tokens):
                live &= self.ranking.bound(total, position + 2, self.sources.far) > self.sources.scores[:, -1:]
            many = live.sum(1)  # [B]
            widest, running = int(many.max()), int((many > 0).sum())
            if not running:
                return
            at = torch.arange(B, device=device)
            if running < CROWDED * B:
                at = many.nonzero()[:, 0]
                self.memory, self.sources = select((self.memory, self.sources), at)
                total, row, token, live = select((total, row, token, live), at)
            if widest < total.shape[1]:  # no source needs all places: the live ones, in their order, go first
                order = (~live).to(torch.uint8).sort(dim=1, stable=True).indices[:, :widest]
                total, row, token, live = (one.gather(1, order) for one in (total, row, token, live))
            total = total.masked_fill(~live, -torch.inf)
            parent = (at[:, None] * W + row).flatten()  # [B widest], of the rows before
            token = token.flatten()
            self._move(parent, token, log_p)
            B, W = total.shape

    def _step(self, position: int, token: Tensor, W: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """One call of the model: log-probabilities [B W, V], what they add to L, and the attention [B W, S]."""
        rows, limit = self.rows, self.sources.limit.repeat_interleave(W)
        log_p, state, weights = self.model.step(self.memory, rows.model, token)
        looked = rows.looked
        if looked is not None:
            if weights is None:
                raise OptionError("coverage", "expected 0, since this model has no attention.")
            looked = looked + weights
        forced, prefix = None, self.sources.prefix
        if prefix is not None and position < prefix.shape[1]:
            forced = prefix[:, position].repeat_interleave(W)
        gain = log_p = constrain(log_p, self.constraints, position, limit, forced, rows.history)
        prior = rows.prior
        if self.prior and prior is not None:
            log_q, prior = self.prior.model.step(prior, token, log_p.shape[1])
            gain = log_p - self.prior.weight * log_q.clamp(min=IMPOSSIBLE)
            if position + 1 == self.prior.tokens:
                prior = None
        self.rows = rows._replace(model=state, prior=prior, looked=looked)
        return log_p, gain, weights

    def _end(self, trace: Trace, position: int, total: Tensor, log_p: Tensor, row: Tensor, done: Tensor) -> None:
        """Hypotheses have ended, where `done` [B, C] says so: they are scored, and their places are taken."""
        sources, W = self.sources, log_p.shape[0] // len(done)
        where, rank = done.nonzero(as_tuple=True)  # [n] each
        before = where * W + row[where, rank]
        own = value = total[where, rank]
        if self.rows.log_p is not None:
            own = self.rows.log_p[before] + log_p[before, END]
        score = value / self.ranking.penalty(position + 1).to(value.device)
        if self.rows.looked is not None and sources.valid is not None:
            score = score + self.ranking.covered(self.rows.looked[before], sources.valid[where])
        trace.end(before, sources.number[where], score, own)
        scores = torch.full_like(total, -torch.inf)
        scores[where, rank] = score
        self.sources = sources._replace(
            left=sources.left - done.sum(1),
            scores=torch.cat([sources.scores, scores], 1).topk(sources.scores.shape[1], 1).values,
        )

    def _move(self, parent: Tensor, token: Tensor, log_p: Tensor) -> None:
        """The rows that go on: each row is its parent's, one token further."""
        self.rows = select(self.rows, parent)
        if self.rows.log_p is not None:
            self.rows = self.rows._replace(log_p=self.rows.log_p + log_p[parent, token])
        if self.rows.history is not None:
            self.rows = self.rows._replace(history=torch.cat([self.rows.history, token[:, None]], 1))


def _extensions(total: Tensor, gain: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The likeliest `width` extensions of each source's beginnings, likeliest first.

    total: [B, W], L of the beginnings. gain: [B W, V], what each token adds. Returns L [B, C], the beginning that each
    extends, 0 to W - 1, [B, C], and the token [B, C]; C is width, or less where there are not so many.
    """
    B, W = total.shape
    k = min(width, gain.shape[1])
    if k == 1:
        value, token = gain.max(1, keepdim=True)
    else:
        value, token = gain.topk(k, 1)  # [B W, k]: of one beginning no more than `width` can be among the likeliest
    value = (total[:, :, None] + value.view(B, W, k)).view(B, W * k)
    if W == 1:
        return value, torch.zeros_like(token), token
    value, place = value.topk(min(width, W * k), 1)  # [B, C]
    return value, place.div(k, rounding_mode="floor"), token.view(B, W * k).gather(1, place)
