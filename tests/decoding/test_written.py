"""A generator that draws by itself writes the tokens that its steps and NumPy's draws would give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from riverrun.decoding import sampling as module
from riverrun.decoding.sampling import WRITTEN_BLOCK, WRITTEN_SECONDS, Sampling, generate
from riverrun.engine import native, writer
from riverrun.engine.library import Library, library
from riverrun.errors import ModelError, UsageError
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions

V = 11
SAMPLING = Sampling(temperature=1.0, seed=2**64 - 1)
needs_library = pytest.mark.skipif(library().handle is None, reason=library().reason)


class Stepping:
    """A model seen by its steps alone."""

    def __init__(self, model):
        self.model, self.initial_state, self.step = model, model.initial_state, model.step

    def __call__(self, inputs, state):
        return self.model(inputs, state)


def made(**options):
    torch.manual_seed(3)
    model = LanguageModel(LanguageModelOptions(**{"hidden": 9, "layers": 2, **options}), V).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.9, 0.9)
    return model.eval()


def run(model, length=300, prompt=(4, 2, 7), state=None, **how):
    return np.array(list(generate(model, state, prompt, length, **{"sampling": SAMPLING, **how})))  # [T, B]


@needs_library
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"count": 5, "stop": 2},
        {"count": 3, "excluded": [0, 6], "stop": 6},
        {"count": 2, "sampling": Sampling(temperature=0.6, top_k=5, top_p=0.9, seed=2**63)},
        {"count": 2, "sampling": Sampling(temperature=1e-320)},
        {"sampling": Sampling(temperature=1.0, top_k=10**30)},
    ],
    ids=range(6),
)
def test_generate_writes_the_tokens_of_the_steps(how):
    generator = made().generator()
    assert generator.writes
    assert run(generator, **how).tolist() == run(Stepping(generator), **how).tolist()


OTHERS = [
    {},
    {"skip": "dense", "input_depth": 2, "output_depth": 2},
    {"skip": "residual", "cell": "gru"},
    {"projection": 4},
    {"projection": 4, "cell": "mut1", "hidden_depth": 2},
]


@pytest.mark.parametrize("options", OTHERS, ids=lambda options: "-".join(options) or "default")
def test_a_generator_writes_the_tokens_of_its_model(options):
    model = made(**options)
    assert run(model.generator(), 60, count=3).tolist() == run(model, 60, count=3).tolist()


@needs_library
@pytest.mark.parametrize("options", OTHERS, ids=lambda options: "-".join(options) or "default")
def test_without_the_library_the_tokens_are_the_same(options, monkeypatch):
    there = run(made(**options).generator(), 60, count=3)
    with monkeypatch.context() as patch:
        for user in (native, writer):
            patch.setattr(user, "library", lambda: Library(None, "it is not there"))
        without = made(**options).generator()
        assert not without.writes
        assert run(without, 60, count=3).tolist() == there.tolist()


def test_a_shorter_text_is_the_beginning_of_a_longer_one():
    generator = made().generator()
    long = run(generator, count=2).tolist()
    for length in (1, 7, 8, 9, 25, 299):
        assert run(generator, length, count=2).tolist() == long[:length]


def test_the_state_that_is_given_is_left_as_it_was():
    generator = made().generator()
    state = tuple(tuple(one + 2 for one in layer) for layer in generator.initial_state(2))
    before = [one.clone() for layer in state for one in layer]
    first = run(generator, 20, (4,), state=state, count=2)
    assert all(torch.equal(a, b) for a, b in zip(before, (one for layer in state for one in layer), strict=True))
    assert run(generator, 20, (4,), state=state, count=2).tolist() == first.tolist()
    assert run(generator, 20, (4,), count=2).tolist() != first.tolist()


def test_two_texts_of_one_generator_do_not_disturb_each_other():
    generator = made().generator()
    other = Sampling(temperature=1.0, seed=9)
    a, b = run(generator, 60), run(generator, 60, sampling=other)
    together = list(zip(generate(generator, None, [4, 2, 7], 60, sampling=SAMPLING),
                        generate(generator, None, [4, 2, 7], 60, sampling=other), strict=True))  # fmt: skip
    assert np.array([one for one, _ in together]).tolist() == a.tolist()
    assert np.array([one for _, one in together]).tolist() == b.tolist()


@pytest.mark.parametrize("stepping", [False, True])
def test_broken_weights_are_an_error_and_no_tokens(stepping):
    for number in (float("nan"), float("inf"), -float("inf")):
        model = made()
        with torch.no_grad():
            model.output.bias.fill_(number)
        generator = model.generator()
        with pytest.raises(ModelError, match="finite"):
            run(Stepping(generator) if stepping else generator, count=2)
    model = made()
    with torch.no_grad():
        next(weight for name, weight in model.named_parameters() if name.endswith("U.i"))[0, 0] = float("nan")
    tokens = generate(Stepping(model.generator()) if stepping else model.generator(), None, [1], 5)
    with pytest.raises(ModelError, match="finite"):
        next(tokens)


@pytest.mark.parametrize("stepping", [False, True])
def test_ids_that_cannot_be_excluded_are_named(stepping):
    generator = made().generator()
    model = Stepping(generator) if stepping else generator
    for excluded, message in ((range(V), "at least one token of 11"), ([V], "from 0 to 10"), ([-1], "from 0 to 10")):
        with pytest.raises(UsageError, match=message):
            run(model, excluded=list(excluded))


@needs_library
def test_tokens_come_in_blocks_of_about_as_long_as_one_waits(monkeypatch):
    """Twice as many as before while that is quick, fewer where it is slow; no token depends on it."""
    generator, blocks, clock = made().generator(), [], [0.0]
    write, speed = generator.write, [1e-6]

    def slowly(state, logits, token, running, count, **how):
        blocks.append(count)
        clock[0] += count * speed[0]
        return write(state, logits, token, running, count, **how)

    monkeypatch.setattr(generator, "write", slowly)
    monkeypatch.setattr(module, "perf_counter", lambda: clock[0])
    expected = run(Stepping(generator), 2000).tolist()
    assert run(generator, 2000).tolist() == expected
    assert blocks[:5] == [8, 16, 32, 64, 128]
    assert max(blocks) <= WRITTEN_BLOCK
    blocks.clear()
    speed[0] = 1e-2
    assert run(generator, 100).tolist() == expected[:100]
    assert max(blocks) * speed[0] <= 2 * WRITTEN_SECONDS
    assert min(blocks[:-1]) * speed[0] >= WRITTEN_SECONDS / 4
    blocks.clear()
    speed[0] = 10
    assert run(generator, 20).tolist() == expected[:20]
    assert blocks == [8, 4, 2, 1, 1, 1, 1, 1, 1]
