"""The encoder-decoder: against the papers' equations, row by row, step by step; every option acts; it learns."""

from __future__ import annotations

import math
import re
from dataclasses import fields

import numpy as np
import pytest
import torch
from models import encoder_decoder_oracle as oracle

from riverrun.attention import additive
from riverrun.cells import Cell, names, tanh
from riverrun.combinations import Layer, settled
from riverrun.data.pair_batch import BEGIN, END, PairBatch
from riverrun.decoding.sequence_protocol import select
from riverrun.errors import OptionError, UsageError
from riverrun.models import decoder_attention
from riverrun.models.encoder_decoder import EncoderDecoder
from riverrun.models.encoder_decoder_options import EncoderDecoderOptions
from riverrun.sequences import Sequences

SOURCE, TARGET = 9, 7
STEPS = 120


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


EQUATIONS = {
    **{name: way for name, way in WAYS.items() if name not in ("deep", "projected")},
    "coverage in the recurrence": {"attention": "additive", "coverage": True, "coverage_loss": 0.3},
    "all tied": {"shared": True, "tied": True, "bridge": "copy", "label_smoothing": 0.2},
    "nothing handed over": {"bridge": "zero", "bidirectional": False, "attention": "dot"},
    "smoothed copies": {"attention": "concat", "copy": True, "label_smoothing": 0.1, "attention_size": 5},
}


@pytest.mark.parametrize("way", EQUATIONS)
def test_it_is_what_the_papers_equations_say(way):
    ours, b = model(cell="elman", **EQUATIONS[way]), batch()
    with torch.no_grad():
        for parameter in ours.parameters():  # biases, too, are then something
            parameter += 0.3 * torch.randn_like(parameter)
    weights = {name: tensor.numpy() for name, tensor in ours.state_dict().items()}
    nats, total, loss, (_, looked) = 0.0, 0.0, ours.loss(b), by_steps(ours, b)
    for place in range(4):
        one = row(b, place)
        source, copies, target = (part[:, 0].tolist() for part in (one.source.data, one.copies, one.target.data))
        costs = oracle.pair(weights, ours.options, source, target, copies, 6)
        nats, total = nats + costs[0], total + costs[1]
        if looked is not None:
            np.testing.assert_allclose(looked[: len(target), place, : len(source)].numpy(), costs[2], atol=1e-9)
    assert abs(float(loss.nats) - nats) < 1e-9
    assert abs(float(loss.total.detach()) - total) < 1e-9


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
        token = torch.where(wanted < 100, wanted, BEGIN)[rows]
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


@pytest.mark.parametrize("way", ["copy", "reversed", "all that looks back"])
def test_tokens_that_the_vocabulary_lacks_are_copied_and_read_as_unknown(way):
    ours, b = model(**WAYS[way], label_smoothing=0.1), batch()
    S = len(b.copies)
    b.copies[:] = torch.where(b.copies < 0, TARGET + torch.arange(S)[:, None] % 3, b.copies)
    b.copies[2, 0] = b.target.data[1, 0] = TARGET + 3
    log_p, _ = by_steps(ours, b, beams=2)
    nats = -sum(
        float(log_p[t, i, b.target.data[t, i]]) for i, n in enumerate(b.target.lengths.tolist()) for t in range(n)
    )
    loss = ours.loss(b)
    assert float(loss.nats) == pytest.approx(nats, abs=1e-9)
    assert bool(loss.total.isfinite())
    loss.total.backward()
    assert all(bool(one.grad.isfinite().all()) for one in ours.parameters())
    torch.testing.assert_close(by_steps(ours.generator(), b, beams=2)[0], log_p, rtol=1e-7, atol=1e-9)
    alone = by_steps(ours, row(b, 0))[0][: int(b.target.lengths[0]), 0]
    torch.testing.assert_close(alone, log_p[: len(alone), 0, : alone.shape[1]], rtol=1e-7, atol=1e-9)


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
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        along = [torch.randn(one.shape, dtype=one.dtype, generator=generator) for one in ours.parameters()]
        ends = []
        with torch.no_grad():
            for step in (1e-5, -2e-5, 1e-5):
                for parameter, direction in zip(ours.parameters(), along, strict=True):
                    parameter += step * direction
                ends.append(float(ours.loss(b).total))
        slope = (ends[0] - ends[1]) / 2e-5
        ours_ = sum(float((one.grad * way).sum()) for one, way in zip(ours.parameters(), along, strict=True))
        assert abs(slope - ours_) < 1e-6 * max(1, abs(slope))


# For each option a value that is not its default, and what else must be given for it to act.
CHANGED = {
    "cell": "gru",
    "hidden": 9,
    "layers": 2,
    "projection": 4,
    "bias": False,
    "norm": True,
    "skip": ("dense", {"layers": 2}),
    "learned_initial": True,
    "dropout": 0.5,
    "variational": 0.5,
    "recurrent_dropout": 0.5,
    "weight_dropout": 0.5,
    "zoneout": 0.5,
    "input_depth": 2,
    "hidden_depth": 2,
    "output_depth": 2,
    "recurrent_init": "identity",
    "forget_bias": 3.0,
    "chrono": 20,
    "attention": "dot",
    "attention_size": (3, {"attention": "concat"}),
    "input_feeding": True,
    "coverage": (True, {"attention": "concat", "coverage_loss": 0.0}),
    "coverage_loss": (2.0, {"attention": "concat", "coverage": True}),
    "location": (2, {"attention": "additive"}),
    "location_reach": (1, {"attention": "additive", "location": 2}),
    "copy": True,
    "bidirectional": False,
    "reverse_source": (True, {"bidirectional": False}),
    "encoder_layers": 2,
    "bridge": "copy",
    "embedding": 5,
    "tied": True,
    "shared": True,
    "label_smoothing": 0.1,
    "scheduled_sampling": 0.5,
}
DRAWN = {"dropout", "variational", "recurrent_dropout", "weight_dropout", "zoneout", "scheduled_sampling"}


def test_the_table_of_options_is_complete():
    assert set(CHANGED) == {option.name for option in fields(EncoderDecoderOptions)}


@pytest.mark.parametrize("option", CHANGED)
def test_every_option_acts(option):
    value, beside = CHANGED[option] if isinstance(CHANGED[option], tuple) else (CHANGED[option], {})
    plain, changed = model(**beside), model(**beside, **{option: value})
    losses = []
    for one in (plain, changed):
        torch.manual_seed(5)
        losses.append(float(one.loss(batch()).total.detach()))
    weights = [{name: tuple(p.shape) for name, p in one.named_parameters()} for one in (plain, changed)]
    if option == "learned_initial":  # it begins at zero, as the fixed one
        assert weights[0] != weights[1]
    else:
        assert abs(losses[0] - losses[1]) > 1e-6
    if option in DRAWN:
        assert weights[0] == weights[1]


@pytest.mark.parametrize("way", ["general", "additive", "location"])
@pytest.mark.parametrize("option", sorted(DRAWN - {"zoneout"}))
def test_what_is_drawn_acts_in_training_only_and_differs_each_time(way, option):
    given = {**WAYS[way], "layers": 2}
    ours = model(**given, **{option: 0.5})
    assert len({float(ours.loss(batch()).total.detach()) for _ in range(3)}) == 3
    ours.eval()
    torch.testing.assert_close(ours.loss(batch()).nats, model(**given).eval().loss(batch()).nats, rtol=1e-9, atol=0)


def test_the_encoder_s_outputs_and_what_the_output_layer_reads_are_dropped_in_training():
    ours = model(dropout=0.5, hidden=20)
    b = batch((6,) * 40, (6,) * 40)
    memory = ours.remember(b.source)
    reading = ours.read(memory, Sequences(b.target.data, b.target.lengths))
    for seen in (memory.values, ours.readout(reading.output, reading.context)):
        assert abs(float((seen == 0).double().mean()) - 0.5) < 0.03
        assert float(seen.detach().abs().max()) > 1  # what is kept is doubled
    assert bool((reading.output != 0).all())  # the decoder's one layer is dropped only after attention
    ours.eval()
    assert bool((ours.remember(b.source).values != 0).all())


def test_bahdanau_s_decoder_asks_with_the_output_of_its_highest_layer_before_the_step():
    ours, b = model(attention="additive", layers=2), batch()
    memory = ours.encode(b.source)
    state, token = ours.start(memory), torch.full((4,), BEGIN)
    _, _, weights = ours.step(memory, state, token)
    for layer, number, matters in ((0, 0, False), (0, 1, False), (1, 0, True), (1, 1, False)):
        recurrent = [list(one) for one in state.recurrent]
        recurrent[layer][number] = recurrent[layer][number] + 0.5
        moved = state._replace(recurrent=tuple(map(tuple, recurrent)))
        assert torch.equal(ours.step(memory, moved, token)[2], weights) is not matters


def test_a_table_of_vectors_for_both_sides_needs_one_vocabulary():
    with pytest.raises(OptionError, match="shared: one table of vectors needs one vocabulary, there are two"):
        EncoderDecoder(options(shared=True), 9, 7)


def test_options_that_cannot_stand_together_are_refused():
    with pytest.raises(OptionError, match="bridge: without attention the encoder's last state is all"):
        options(attention="none", bridge="zero")
    with pytest.raises(OptionError, match="embedding: tied weights need vectors as wide as the decoder's output, 6"):
        options(tied=True, embedding=5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"attention_size": 3}, "attention_size: does nothing with attention='general'"),
        ({"attention": "additive", "input_feeding": True}, "input_feeding: does nothing with attention='additive'"),
        ({"coverage": True}, "coverage: does nothing with attention='general'"),
        ({"attention": "concat", "coverage_loss": 2.0}, "coverage_loss: does nothing with coverage=False"),
        ({"location": 2}, "location: does nothing with attention='general'"),
        ({"attention": "concat", "location_reach": 3}, "location_reach: does nothing with location=0"),
        ({"attention": "none", "copy": True}, "copy: does nothing with attention='none'"),
        ({"reverse_source": True}, "reverse_source: does nothing with bidirectional=True"),
    ],
)
def test_options_that_do_nothing_beside_others_are_refused(given, message):
    schema = {"model": EncoderDecoderOptions}
    with pytest.raises(UsageError, match=re.escape(message)):
        settled(schema, [Layer({"model": given})])


def test_copying_needs_to_be_told_the_target_s_ids():
    ours, b = model(copy=True), batch()
    with pytest.raises(UsageError, match="copies: a model with copy=True needs the target id of every source token"):
        ours.loss(b._replace(copies=None))


def test_without_attention_or_copying_the_source_s_target_ids_are_not_looked_at():
    for given in ({}, {"attention": "none"}):
        ours, b = model(**given), batch()
        assert torch.equal(ours.loss(b).total, ours.loss(b._replace(copies=None)).total)


@pytest.mark.parametrize("way", ["thought vector", "general", "additive", "copy"])
def test_an_empty_source_and_a_batch_without_padding_are_served(way):
    ours, b = model(**WAYS[way]), batch((0, 3))
    b = b._replace(target=batch((3, 3), (2, 2)).target, tokens=4)
    for each in (ours, ours.generator()):
        log_p, weights = by_steps(each, b)
        assert bool(log_p.isfinite().all())
        assert weights is None or not weights[:, 0].any()
    ours.loss(b).total.backward()
    assert all(bool(one.grad.isfinite().all()) for one in ours.parameters())
    full = batch((3, 3), (2, 2))
    log_p, _ = by_steps(ours.generator(), full)
    torch.testing.assert_close(log_p, by_steps(ours, full)[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("cell", names())
def test_every_cell_goes_both_ways(cell):
    for way in ("general", "additive"):
        ours, b = model(cell=cell, **WAYS[way]), batch()
        log_p, _ = by_steps(ours.generator(), b)
        nats = -sum(float(log_p[t, i, b.target.data[t, i]]) for i in range(4) for t in range(b.target.lengths[i]))
        loss = ours.loss(b)
        assert abs(float(loss.nats) - nats) < 1e-8
        loss.total.backward()
        assert all(bool(one.grad.any()) for one in ours.parameters())


def test_a_cell_of_one_s_own_takes_the_place_of_the_named_one_on_both_sides():
    class Mine(Cell):
        states = ("h",)

        def step(x, U, h):
            return tanh(x.n + U.n @ h) * 0.5

    ours = EncoderDecoder(options(), SOURCE, TARGET, cell=Mine)
    assert {"encoder.layers.0.forward.U.n", "decoder.layers.0.forward.U.n"} <= set(ours.state_dict())
    ours.loss(batch()).total.backward()


def test_a_batch_of_empty_sources_is_served_by_inner_products_of_two_directions():
    model = EncoderDecoder(options(attention="dot"), SOURCE, TARGET).eval()
    source = Sequences(torch.zeros(0, 2, dtype=torch.int64), torch.tensor([0, 0]))
    memory = model.encode(source)
    log_p, _, weights = model.step(memory, model.start(memory), torch.tensor([BEGIN, BEGIN]))
    assert log_p.isfinite().all()
    assert weights.shape == (2, 0)


def test_scores_with_a_tanh_are_made_a_few_steps_at_a_time_where_no_gradient_needs_them(monkeypatch):
    model = EncoderDecoder(options(attention="concat"), SOURCE, TARGET).eval()
    ids, lengths = torch.randint(3, 7, (5, 4)), torch.tensor([5, 3, 1, 4])
    batch = PairBatch(Sequences(ids, lengths), Sequences(ids, lengths), None, 13, 0)
    whole, sizes = model.loss(batch), []
    monkeypatch.setattr(decoder_attention, "TOGETHER", 2 * 4 * 5 * 6)  # two steps of [4, 5, 6]
    monkeypatch.setattr(decoder_attention, "additive", lambda q, *rest: sizes.append(q.shape[1]) or additive(q, *rest))
    with torch.no_grad():
        assert float(model.loss(batch).total) == pytest.approx(float(whole.total), abs=1e-5)
    assert sizes == [2, 2, 1]
    model.loss(batch)
    assert sizes[3:] == [5]


def test_the_first_prediction_is_close_to_uniform():
    torch.manual_seed(0)
    ours = EncoderDecoder(EncoderDecoderOptions(hidden=64), 50, 50)
    sources, targets = torch.randint(3, 50, (12, 20)), torch.randint(3, 50, (10, 20))
    b = PairBatch(
        Sequences(sources, torch.full((20,), 12)), Sequences(targets, torch.full((20,), 10)), None, 200, 0
    )  # fmt: skip
    assert abs(float(ours.loss(b).nats) / 200 - math.log(50)) < 0.15


def test_under_bfloat16_the_loss_is_in_float32():
    for way in WAYS.values():
        ours, b = model(**way).float(), batch()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = ours.loss(b)
            loss.total.backward()
        assert loss.total.dtype == loss.nats.dtype == torch.float32
        exact = ours.loss(b)
        assert abs(float(loss.nats - exact.nats)) < 0.03 * float(exact.nats)


def test_own_predictions_are_read_with_the_chance_that_is_asked_for():
    ours, b = model(scheduled_sampling=0.25), batch((4,) * 400, (6,) * 400)
    memory = ours.remember(b.source)
    inputs = Sequences(torch.full((6, 400), 5), torch.full((400,), 6))
    own = ours.read(memory, inputs).embedded[1:] != ours.target_embedding.weight[5]
    share = float(own.any(-1).double().mean())  # own predictions that happen to be 5 do not show
    assert 0.25 * 5 / 7 < share < 0.25


def batch_of_strings(rows: int, seed: int, symbols: int = 6, longest: int = 5) -> PairBatch:
    """Random strings and the same reversed."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (rows,), generator=generator)
    source = torch.randint(3, 3 + symbols, (longest, rows), generator=generator)
    target = torch.full((longest + 1, rows), END)
    for b, n in enumerate(lengths.tolist()):
        target[:n, b] = source[:n, b].flip(0)
    return PairBatch(Sequences(source, lengths), Sequences(target, lengths + 1), source, int(lengths.sum()) + rows, 0)


@pytest.mark.parametrize("way", [{}, {"attention": "additive", "coverage": True}])
def test_it_learns_to_turn_strings_round(way):
    torch.manual_seed(1)
    ours = EncoderDecoder(EncoderDecoderOptions(hidden=32, dropout=0.0, **way), 9, 9)
    optimizer = torch.optim.Adam(ours.parameters())
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / STEPS)
        optimizer.zero_grad()
        loss = ours.loss(batch_of_strings(48, step))
        (loss.total / loss.tokens).backward()
        torch.nn.utils.clip_grad_norm_(ours.parameters(), 1.0)
        optimizer.step()
    b, frozen = batch_of_strings(200, 10**6), ours.generator()
    memory = frozen.encode(b.source, b.copies)
    state, token, written = frozen.start(memory), torch.full((200,), BEGIN), []
    for _ in range(6):
        log_p, state, _ = frozen.step(memory, state, token)
        token = log_p.argmax(-1)
        written.append(token)
    right = (torch.stack(written) == b.target.data) | ~b.target.valid()
    assert float(right.all(0).float().mean()) >= 0.97
