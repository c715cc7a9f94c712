"""The searches over encoder-decoders of every kind: in any batch the same, and exhaustive where wide enough."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from decoding.table import targets

from riverrun.data.pair_batch import BEGIN, END
from riverrun.decoding.beam import beam
from riverrun.decoding.constraints import Constraints
from riverrun.decoding.greedy import greedy
from riverrun.decoding.inputs import in_batches, inputs
from riverrun.decoding.ranking import Ranking
from riverrun.decoding.sampling import Sampling
from riverrun.decoding.sequence_sampling import sample
from riverrun.models.encoder_decoder import EncoderDecoder
from riverrun.models.encoder_decoder_options import EncoderDecoderOptions

SIZE = 5
KINDS = {
    "thought vector": {"attention": "none"},
    "general": {},
    "fed": {"input_feeding": True, "layers": 2},
    "additive": {"attention": "additive", "coverage": True, "location": 2},
    "copying": {"copy": True, "cell": "gru"},
}


def built(kind: str) -> EncoderDecoder:
    torch.manual_seed(2)
    model = EncoderDecoder(EncoderDecoderOptions(hidden=6, dropout=0.0, **KINDS[kind]), source=8, target=SIZE).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0)  # surer, so that sources differ
        model.output.bias.normal_()
    return model.eval()


def material(kind: str, count: int = 14) -> tuple[list, list | None]:
    draw = np.random.default_rng(5)
    sources = [draw.integers(3, 8, n) for n in draw.integers(1, 7, count)]
    return sources, [np.where(one < SIZE, one, -1) for one in sources] if kind == "copying" else None


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_means_the_same_as_one_source_at_a_time(kind):
    model, (sources, copies) = built(kind).generator(), material(kind)
    rules = Constraints(max_length=8)
    searches = [
        lambda batch: greedy(model, batch, constraints=rules, attention=True),
        lambda batch: beam(model, batch, width=3, best=2, constraints=rules, attention=True),
        lambda batch: sample(
            model, batch, count=2, sampling=Sampling(temperature=1.0), constraints=rules, attention=True
        ),
    ]
    for search in searches:
        whole = in_batches(search, sources, copies=copies, rows=5)
        assert len({one.tokens for [one, *_] in whole}) > 2
        for i, source in enumerate(sources):
            alone = search(inputs([source], copies=None if copies is None else [copies[i]], places=[i]))[0]
            assert [one.tokens for one in whole[i]] == [one.tokens for one in alone]
            for one, other in zip(whole[i], alone, strict=True):
                assert one.score == pytest.approx(other.score, abs=1e-6)
                if kind == "thought vector":
                    assert one.attention is None
                    continue
                assert one.attention == pytest.approx(other.attention, abs=1e-6)
                assert one.attention.shape == (len(one.tokens), len(source))
                assert one.attention.sum(1) == pytest.approx(np.ones(len(one.tokens)), abs=1e-6)


def score(model: EncoderDecoder, source, copies, tokens) -> float:
    """ln p by the plain model's own steps."""
    given = inputs([source], copies=None if copies is None else [copies])
    memory = model.encode(given.source, given.copies)
    state, before, total = model.start(memory), BEGIN, 0.0
    for token in (*tokens, END):
        log_p, state, _ = model.step(memory, state, torch.tensor([before]))
        total += float(log_p[0, token])
        before = token
    return total


@pytest.mark.parametrize("kind", ["thought vector", "additive", "copying"])
def test_a_wide_beam_is_exhaustive_search(kind):
    model, (sources, copies) = built(kind), material(kind, 2)
    ranking = Ranking(normalise="mean", alpha=1.0)
    for i, source in enumerate(sources):
        own = None if copies is None else copies[i]
        batch = inputs([source], copies=None if copies is None else [own])
        [found] = beam(
            model.generator(), batch, width=30, best=3, ranking=ranking, constraints=Constraints(max_length=3)
        )
        everything = sorted(((score(model, source, own, t) / (len(t) + 1), t) for t in targets(SIZE, 3)), reverse=True)
        assert [one.tokens for one in found] == [tokens for _, tokens in everything[:3]]
        assert [one.score for one in found] == pytest.approx([value for value, _ in everything[:3]], abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_width_one_is_greedy(kind):
    model, (sources, copies) = built(kind).generator(), material(kind)
    batch, rules = inputs(sources, copies=copies), Constraints(max_length=8)
    narrow = beam(model, batch, width=1, constraints=rules)
    assert [one.tokens for [one] in narrow] == [one.tokens for [one] in greedy(model, batch, constraints=rules)]
