"""Sampling: the uniforms are Philox's, the draw is the distribution's, and a stream depends on nothing beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from decoding.toy import Remembering, last_probabilities, probabilities

from riverrun.decoding.sampling import PROMPT_WINDOW, UNIFORM_BLOCK, Sampling, choose, draw, generate, uniforms
from riverrun.errors import ModelError, UsageError

PLAIN = Sampling(temperature=1.0)


def philox(key: tuple[int, int], counter: int) -> list[int]:
    """Philox4x64-10 in plain integers, from Salmon et al. 2011, table 2 and section 3.3."""
    mask = 2**64 - 1
    words, (k0, k1) = [counter, 0, 0, 0], key
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * words[0], 0xCA5A826395121157 * words[2]
        words = [(b >> 64) ^ words[1] ^ k0, b & mask, (a >> 64) ^ words[3] ^ k1, a & mask]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return words


@pytest.mark.parametrize(("seed", "stream"), [(0, 0), (7, 3), (2**64 - 1, 2**40)])
def test_uniforms_are_the_documented_words_of_philox(seed, stream):
    words = [word for block in range(1, 6) for word in philox((seed, stream), block)]
    assert uniforms(seed, stream, 0, 20).tolist() == [(word >> 11) / 2**53 for word in words]


@pytest.mark.parametrize("start", [0, 1, 3, 4, 1022])
def test_a_uniform_depends_on_its_position_and_not_on_where_the_reading_began(start):
    whole = uniforms(5, 2, 0, 1100)
    assert uniforms(5, 2, start, 60).tolist() == whole[start : start + 60].tolist()


def test_seeds_and_streams_differ():
    drawn = {uniforms(seed, stream, 0, 1)[0] for seed in range(20) for stream in range(20)}
    assert len(drawn) == 400


def test_draw_inverts_the_distribution_in_id_order():
    logits = np.log([[0.125, 0.5, 0.375]])
    for u, token in [(0.0, 0), (0.124, 0), (0.126, 1), (0.624, 1), (0.626, 2), (1 - 2**-53, 2)]:
        assert draw(logits, np.array([u])) == token


def test_draw_never_takes_a_token_of_probability_zero():
    logits = np.array([[-np.inf, 0.0, -np.inf, 1.0, -np.inf]])
    for u in [0.0, 0.1, 0.5, 1 - 2**-53]:
        assert draw(logits, np.array([u]))[0] in (1, 3)


def test_frequencies_are_the_probabilities():
    p = np.array([0.05, 0.15, 0.3, 0.5])
    logits = torch.tensor(np.log(p)).repeat(40_000, 1)
    tokens = choose(logits, uniforms(3, 0, 0, 40_000), PLAIN)
    found = np.bincount(tokens, minlength=4) / 40_000
    assert np.abs(found - p).max() < 4 * np.sqrt(0.25 / 40_000)


def run(model, prompt, length, state=None, **how):
    return np.array(list(generate(model, state, prompt, length, **how)))  # [T, B]


def by_hand(model, prompt, length, seed, stream, temperature=1.0):
    ids = list(prompt)
    for position in range(length):
        p = np.array(last_probabilities(model, ids)) ** (1 / temperature)
        ids.append(int((np.cumsum(p) <= uniforms(seed, stream, position, 1)[0] * p.sum()).sum()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_generate_writes_what_the_tables_and_the_uniforms_say(temperature):
    model = Remembering(9)
    written = run(model, [4, 2, 7], 40, sampling=Sampling(temperature=temperature, seed=11), count=3)
    for stream in range(3):
        assert written[:, stream].tolist() == by_hand(model, [4, 2, 7], 40, 11, stream, temperature)


def test_a_stream_does_not_depend_on_how_many_run_beside_it():
    model = Remembering(9)
    assert run(model, [1], 30, count=5)[:, 0].tolist() == run(model, [1], 30, count=1)[:, 0].tolist()


def test_a_shorter_text_is_the_beginning_of_a_longer_one_also_across_a_block_of_uniforms():
    model = Remembering(3)
    long = run(model, [1], UNIFORM_BLOCK + 30, sampling=PLAIN)[:, 0].tolist()
    assert run(model, [1], 5, sampling=PLAIN)[:, 0].tolist() == long[:5]
    assert long == by_hand(model, [1], UNIFORM_BLOCK + 30, 0, 0)


def test_the_whole_prompt_is_read_also_where_it_is_longer_than_a_window():
    model = Remembering(9)
    prompt = np.random.default_rng(0).integers(0, 9, 2 * PROMPT_WINDOW + 3).tolist()
    assert run(model, prompt, 20, sampling=PLAIN)[:, 0].tolist() == by_hand(model, prompt, 20, 0, 0)


def test_a_state_that_was_carried_here_is_used():
    model = Remembering(9)
    _, state = model(torch.tensor([[5], [3]]), model.initial_state(1))
    assert run(model, [8], 20, state=state)[:, 0].tolist() == run(model, [5, 3, 8], 20)[:, 0].tolist()


def test_temperature_zero_writes_the_likeliest_token_every_time():
    model = Remembering(9)
    ids = [4]
    for _ in range(12):
        ids.append(int(np.argmax(last_probabilities(model, ids))))
    assert run(model, [4], 12, sampling=Sampling(temperature=0))[:, 0].tolist() == ids[1:]


def test_top_k_top_p_and_excluded_ids_act_on_what_is_written():
    model = Remembering(9)
    free = set(run(model, [4], 400, sampling=PLAIN)[:, 0].tolist())
    assert free == set(range(9))
    for sampling in (Sampling(temperature=1.0, top_k=2), Sampling(temperature=1.0, top_p=0.3)):
        ids = [4, *run(model, [4], 200, sampling=sampling)[:, 0].tolist()]
        for p, token in zip(probabilities(model, ids), ids[1:], strict=False):
            above = sorted(p, reverse=True)
            assert token in np.argsort(p)[-2:] if sampling.top_k else sum(above[: above.index(p[token])]) < 0.3
    assert not {0, 5} & set(run(model, [4], 400, sampling=PLAIN, excluded=(0, 5))[:, 0].tolist())


def test_a_stop_token_ends_its_stream_and_the_last_one_ends_the_writing():
    model = Remembering(4)
    free = run(model, [1], 60, sampling=PLAIN, count=3)
    written = run(model, [1], 60, sampling=PLAIN, count=3, stop=2)
    ends = [int(np.flatnonzero(free[:, b] == 2)[0]) for b in range(3)]
    assert len(written) == max(ends) + 1
    for b, end in enumerate(ends):
        assert written[: end + 1, b].tolist() == free[: end + 1, b].tolist()
        assert set(written[end + 1 :, b].tolist()) <= {-1}


def test_tokens_come_one_at_a_time_and_the_consumer_keeps_its_gradients():
    model = Remembering(4)
    tokens = generate(model, None, [1], 5)
    next(tokens)
    assert torch.is_grad_enabled()
    assert sum(model.batches) == 1  # the prompt only: nothing was written ahead
    next(tokens)
    assert torch.is_grad_enabled()


def test_a_model_in_training_is_sampled_in_evaluation_mode_and_left_as_it_was():
    model = Remembering(4).train()
    run(model, [1], 5)
    assert model.training
    assert model.modes == {(False, False)}


def test_no_length_writes_nothing_and_does_not_call_the_model():
    model = Remembering(4)
    assert run(model, [1], 0).tolist() == []
    assert model.batches == []


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("prompt", {"prompt": []}),
        ("length", {"length": -1}),
        ("count", {"count": 0}),
    ],
)
def test_a_wrong_argument_is_refused_at_the_call(name, how):
    arguments = {"prompt": [1], "length": 3, **how}
    with pytest.raises(UsageError, match=name):
        generate(Remembering(4), None, **arguments)  # not iterated


@pytest.mark.parametrize("how", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"seed": -1}, {"seed": 2**64}])
def test_a_wrong_option_is_refused_by_name(how):
    with pytest.raises(UsageError, match=next(iter(how))):
        Sampling(**how)


@pytest.mark.parametrize("bad", [[0.0, float("nan")], [0.0, float("inf")], [-float("inf"), -float("inf")]])
def test_logits_that_are_not_finite_are_an_error_and_no_token(bad):
    with pytest.raises(ModelError, match="finite"):
        choose(torch.tensor([[0.0, 1.0], bad]), np.array([0.5, 0.5]), PLAIN)
