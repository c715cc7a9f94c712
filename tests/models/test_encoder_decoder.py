"""The encoder-decoder: its ways through a batch agree, rows know nothing of each other, every option acts, it learns."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch.nn import functional

from riverrun.cells import Cell, names, tanh
from riverrun.data.pair_batch import BEGIN, END, PairBatch
from riverrun.decoding.sequence_protocol import select
from riverrun.errors import OptionError, UsageError
from riverrun.models.encoder_decoder import EncoderDecoder
from riverrun.models.encoder_decoder_options import EncoderDecoderOptions
from riverrun.sequences import Sequences

SOURCE, TARGET = 9, 7


def options(**given) -> EncoderDecoderOptions:
    return EncoderDecoderOptions(**{"hidden": 6, "dropout": 0.0, **given})


def model(**given) -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(options(**given), SOURCE, SOURCE if given.get("shared") else TARGET).double()


def batch(sources: tuple[int, ...] = (5, 2, 4, 1), targets: tuple[int, ...] = (3, 4, 1, 6), seed: int = 0) -> PairBatch:
    """Pairs of those lengths, whose padding is full of ids that would be out of range."""
    generator = torch.Generator().manual_seed(seed)
    S, T, B = max(sources), max(targets), len(sources)
    source = torch.randint(3, SOURCE, (S, B), generator=generator)
    target = torch.randint(3, TARGET, (T, B), generator=generator)
    copies = torch.where(source < TARGET, source, -1)
    for b in range(B):
        source[sources[b] :, b], copies[sources[b] :, b], target[targets[b] :, b] = 999, 888, 777
        target[targets[b] - 1, b] = END
    ours, theirs = Sequences(source, torch.tensor(sources)), Sequences(target, torch.tensor(targets))
    return PairBatch(ours, theirs, copies, sum(targets), 0)


def row(b: PairBatch, place: int, *, padded: int = 0) -> PairBatch:
    """One pair alone, with so much padding of its own behind it."""
    found = []
    for data, lengths in ((b.source.data, b.source.lengths), (b.copies, b.source.lengths), b.target):
        length = int(lengths[place])
        padding = torch.full((padded,), 555)
        found.append(Sequences(torch.cat([data[:length, place], padding])[:, None], lengths[place : place + 1]))
    source, copies, target = found
    return PairBatch(source, target, copies.data, int(target.lengths), 0)


WAYS = {
    "thought vector": {"attention": "none"},
    "dot": {"attention": "dot"},
    "general": {},
    "concat": {"attention": "concat"},
    "additive": {"attention": "additive"},
    "input feeding": {"input_feeding": True},
    "coverage": {"attention": "concat", "coverage": True},
    "location": {"attention": "concat", "location": 2, "location_reach": 1},
    "all that looks back": {"attention": "additive", "coverage": True, "location": 2, "copy": True},
    "fed and looking back": {"attention": "concat", "coverage": True, "input_feeding": True},
    "copy": {"copy": True},
    "reversed": {"bidirectional": False, "reverse_source": True, "copy": True},
    "deep": {"layers": 2, "encoder_layers": 3, "bridge": "copy", "skip": "residual", "output_depth": 2},
    "projected": {"projection": 4, "input_feeding": True, "tied": True},
}


def by_steps(ours: EncoderDecoder, b: PairBatch, *, beams: int = 1) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log-probabilities [T, B, V] and weights [T, B, S], one step at a time, each row `beams` times."""
    memory = ours.encode(b.source, b.copies)
    rows = torch.arange(len(b.source.lengths)).repeat_interleave(beams)
    state = select(ours.start(memory), rows)
    token, log_ps, looked = torch.full((len(rows),), BEGIN), [], []
    for wanted in b.target.data:
        log_p, state, weights = ours.step(memory, state, token)
        log_ps.append(log_p.view(-1, beams, log_p.shape[-1])[:, -1])
        looked.append(weights)
        token = torch.where(wanted < TARGET, wanted, BEGIN)[rows]
    return torch.stack(log_ps), None if looked[0] is None else torch.stack(looked)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("beams", [1, 3])
def test_the_loss_of_a_batch_is_that_of_its_tokens_one_step_at_a_time(way, beams):
    ours, b = model(**WAYS[way]), batch()
    log_p, weights = by_steps(ours, b, beams=beams)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(log_p.shape[:2], dtype=log_p.dtype))
    nats = 0.0
    for place, length in enumerate(b.target.lengths.tolist()):
        for t in range(length):
            nats -= float(log_p[t, place, b.target.data[t, place]])
    loss = ours.loss(b)
    assert abs(nats - float(loss.nats)) < 1e-9
    assert loss.tokens == 14
    if weights is not None:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2], dtype=weights.dtype))
        valid = b.source.valid().T.repeat_interleave(beams, 0)
        assert not weights[:, ~valid].any()
        assert (weights[:, valid] > 0).all()


@pytest.mark.parametrize("way", WAYS)
def test_the_frozen_generator_gives_what_the_model_gives(way):
    ours, b = model(**WAYS[way], dropout=0.4).eval(), batch()
    log_p, weights = by_steps(ours, b, beams=3)
    frozen = ours.generator()
    for parameter in ours.parameters():
        parameter.data.zero_()  # the generator has a copy
    again, looked = by_steps(frozen, b, beams=3)
    torch.testing.assert_close(again, log_p, rtol=1e-9, atol=1e-11)
    assert not again.requires_grad
    if weights is not None:
        torch.testing.assert_close(looked, weights, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("way", WAYS)
def test_a_row_is_the_same_alone_in_a_batch_and_behind_other_padding(way):
    ours, b, nats = model(**WAYS[way]), batch(), 0.0
    wholes = [(each, *by_steps(each, b)) for each in (ours, ours.generator())]
    for place in range(4):
        steps, length = int(b.target.lengths[place]), int(b.source.lengths[place])
        for one in (row(b, place), row(b, place, padded=3)):
            loss = ours.loss(one).nats
            for each, whole, weights in wholes:
                log_p, looked = by_steps(each, one)
                torch.testing.assert_close(log_p[:steps, 0], whole[:steps, place], rtol=1e-6, atol=1e-9)
                if weights is not None:
                    torch.testing.assert_close(looked[:steps, 0, :length], weights[:steps, place, :length])
        nats += loss
    torch.testing.assert_close(nats, ours.loss(b).nats, rtol=1e-6, atol=0)


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_of_a_batch_is_the_sum_of_its_rows_gradients_and_none_is_zero(way):
    ours, b = model(**WAYS[way], learned_initial=True), batch()
    ours.loss(b).total.backward()
    whole = {name: parameter.grad.clone() for name, parameter in ours.named_parameters()}
    assert all(bool(gradient.any()) for gradient in whole.values())
    ours.zero_grad()
    for place in range(4):
        ours.loss(row(b, place, padded=place)).total.backward()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, whole[name], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("way", WAYS)
def test_every_gradient_is_the_slope_of_the_loss(way):
    ours, b = model(**WAYS[way], hidden=4), batch()
    loss = ours.loss(b).total
    ours.zero_grad()
    loss.backward()
    generator = torch.Generator().manual_seed(3)
    for name, parameter in ours.named_parameters():
        direction = torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator)
        ends = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter += step * direction
                ends.append(float(ours.loss(b).total))
                parameter -= step * direction
        slope = (ends[0] - ends[1]) / 2e-5
        assert abs(slope - float((parameter.grad * direction).sum())) < 1e-6 * max(1, abs(slope)), name
