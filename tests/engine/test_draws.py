"""Tokens drawn by the library are those that decoding/sampling.py draws with NumPy: no exception, however close."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from riverrun.decoding.sampling import Sampling, choose, uniforms
from riverrun.engine.library import library
from riverrun.engine.trace import trace
from riverrun.engine.writer import Draws, Layer, Writer, packed

pytestmark = pytest.mark.skipif(library().handle is None, reason=library().reason)

INF = float("inf")
SEEDS = (0, 1, 2**63, 2**64 - 1)
SIZES = (2, 3, 7, 8, 9, 16, 17, 64, 65, 100, 129, 255, 1000)
KEEP = trace(lambda x, h: x.h, states=("h",))


def native(logits, sampling, excluded=()):
    """What the library draws first, in as many streams as there are rows, and its answer."""
    batch, vocabulary = logits.shape
    weights = {"W.h": logits.new_ones(1, 1)}
    layer = Layer(KEEP, weights, {}, {name: packed(weight) for name, weight in weights.items()})
    bias = logits.new_zeros(vocabulary)
    writer = Writer(logits.new_ones(vocabulary, 1), [layer], packed(logits.new_zeros(vocabulary, 1)), bias)
    answer, ids = writer.write(
        logits.clone(),
        [[logits.new_zeros(batch, 1)]],
        torch.zeros(batch, dtype=torch.int64),
        torch.ones(batch, dtype=torch.uint8),
        1,
        draws=Draws(sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed, tuple(excluded)),
        position=0,
        stop=None,
    )
    return answer, ids[0].tolist() if len(ids) else []


def same_tokens(logits, sampling, excluded=()):
    u = np.concatenate([uniforms(sampling.seed, b, 0, 1) for b in range(len(logits))])
    expected = choose(logits, u, sampling, excluded)
    assert native(logits, sampling, excluded) == (0, expected.tolist())


def random_logits(random, batch, vocabulary):
    """Rows of one kind: smooth, tied, equal, mostly -inf, peaked, of probabilities that are powers of two."""
    kind, shape = random.integers(7), (batch, vocabulary)
    if kind == 0:
        return random.normal(size=shape) * random.choice([0.01, 1, 3, 10, 100])
    if kind == 1:
        return random.integers(-3, 4, shape).astype(float)
    if kind == 2:
        return np.zeros(shape) + random.normal()
    if kind == 3:
        some = np.where(random.random(shape) < 0.5, -INF, random.normal(size=shape) * 3)
        some[:, -1] = 1.0
        return some
    if kind == 4:
        return np.log(random.dirichlet(np.full(vocabulary, 0.3), batch) + 1e-300)
    if kind == 5:
        return random.normal(size=shape) * random.choice([1e-5, 1e3, 1e5])
    return np.log(2.0) * -random.integers(0, 6, shape)


def random_sampling(random, vocabulary):
    return Sampling(
        temperature=float(random.choice([0, 0.5, 0.8, 1, 1, random.uniform(0.05, 3), 1e-4, 50])),
        top_k=int(random.choice([0, 0, 1, 2, 5, 40, max(vocabulary - 1, 1), vocabulary, vocabulary + 3])),
        top_p=float(random.choice([1, 1, 0.9, 0.5, 0.25, 0.75, random.uniform(1e-9, 1), 1 - 1e-15, 1e-300])),
        seed=int(random.choice(np.array(SEEDS, dtype=np.uint64))),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_random_draws_of_every_kind(engine, dtype):
    random = np.random.default_rng(0)
    for vocabulary in SIZES * 8:
        logits = torch.from_numpy(random_logits(random, 25, vocabulary)).to(dtype)
        excluded = random.permutation(vocabulary - 1)[: random.choice([0, 0, 1, 2, 5])].tolist()  # never the last one
        same_tokens(logits, random_sampling(random, vocabulary), excluded)


def close(number, random, shape=None):
    """Numbers so near that an estimate is in doubt, and so far that the last bit of an exponential does not matter."""
    return number * (1 + random.choice([-1, 1], shape) * 2e-14 * random.integers(1, 30, shape))


def test_uniforms_next_to_a_border(engine):
    random = np.random.default_rng(1)
    for seed in SEEDS:
        for vocabulary in (2, 8, 65, 300):
            u = np.concatenate([uniforms(seed, b, 0, 1) for b in range(40)])[:, None]
            p = random.dirichlet(np.ones(vocabulary), 40)
            last = random.integers(0, vocabulary - 1, (40, 1))
            near, below = close(u, random, u.shape), np.take_along_axis(p.cumsum(axis=1), last, 1)
            p = np.where(np.arange(vocabulary) <= last, p * near / below, p * (1 - near) / (1 - below))
            same_tokens(torch.from_numpy(np.log(p)), Sampling(temperature=1.0, seed=seed))


def test_a_top_p_next_to_what_some_tokens_hold(engine):
    random = np.random.default_rng(2)
    for seed in SEEDS:
        for vocabulary in (3, 8, 65, 300):
            p = random.dirichlet(np.ones(vocabulary))
            held = np.sort(p)[::-1].cumsum()[random.integers(0, vocabulary - 1)]
            logits = torch.from_numpy(np.log(p)).repeat(40, 1)
            same_tokens(logits, Sampling(temperature=1.0, seed=seed, top_p=min(close(held, random), 1.0)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [1e-30, 1e-200, 1e-308, 1e-320, 5e-324, 1e308])
def test_temperatures_so_small_that_quotients_are_infinite_take_the_likeliest_token(temperature, dtype):
    rows = [[3, -5, 7, 7], [-3, -5, -3.5, -9], [0, 0, 1e-30, 0], [0, -1, 0, -INF], [1e30, 2e30, -2e30, 0]]
    logits = torch.tensor(rows, dtype=dtype).repeat(5, 1)
    for more in ({}, {"top_k": 2}, {"top_p": 0.5}, {"top_k": 3, "top_p": 0.9}):
        same_tokens(logits, Sampling(temperature=temperature, **more))
    if temperature < 1e-300:
        drawn = native(logits[:2], Sampling(temperature=temperature))[1]
        assert drawn == [2, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_that_are_no_numbers_are_an_answer(engine, dtype):
    for vocabulary in (2, 7, 8, 16, 17, 33):
        for place in range(vocabulary):
            for bad in (INF, float("nan")):
                logits = torch.zeros(3, vocabulary, dtype=dtype)
                logits[1, place] = bad
                assert native(logits, Sampling())[0] == 1
                assert native(logits, Sampling(), [place])[0] == 1  # broken weights are told, excluded or not


def test_where_nothing_is_left_or_an_id_is_none_of_the_vocabulary_it_is_an_answer():
    two = torch.tensor([[1.0, 2.0]])
    assert native(two, Sampling(), [0, 1])[0] == 2
    assert native(torch.full((1, 3), -INF), Sampling())[0] == 2
    assert native(torch.tensor([[1.0, -INF]]), Sampling(), [0])[0] == 2
    assert native(two, Sampling(), [2])[0] == native(two, Sampling(), [-1])[0] == 3
