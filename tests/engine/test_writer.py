"""Tokens that the library writes by itself: those of step after step, drawn by NumPy, and the same bits left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from engine.bits import threads
from engine.calls import same_bits

from riverrun import cells
from riverrun.cells.cell import Cell
from riverrun.decoding.sampling import Sampling, choose, uniforms
from riverrun.engine.library import library
from riverrun.engine.trace import tanh
from riverrun.engine.writer import Draws
from riverrun.errors import UsageError
from riverrun.models.generator import Generator
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions

pytestmark = pytest.mark.skipif(library().handle is None, reason=library().reason)

V = 11
OPTIONS = [
    {"layers": 1},
    {"layers": 2, "one_hot": True},
    {"layers": 3, "hidden": 33},
    {"layers": 2, "tied": True, "hidden": 16},
    {"layers": 2, "bias": False},
    {"layers": 1, "bias": False, "one_hot": True},
    {"layers": 2, "zoneout": 0.3, "norm": True},
    {"layers": 2, "hidden_depth": 2, "learned_initial": True},
]
SAMPLINGS = [
    Sampling(temperature=1.0, seed=5),
    Sampling(temperature=0.7, top_k=4, seed=2**64 - 1),
    Sampling(temperature=1.3, top_p=0.8, seed=2**63),
    Sampling(temperature=0),
]


class Blind(Cell):
    """A step that reads no input."""

    states = ("h",)

    @staticmethod
    def step(x, U, b, h):
        return tanh(U.h @ h + b.own)


def made(
    vocabulary: int = V, dtype: torch.dtype = torch.float64, cell: str | type[Cell] = "lstm", **options: object
) -> Generator:
    torch.manual_seed(3)
    named = {"cell": cell} if isinstance(cell, str) else {}
    chosen = LanguageModelOptions(**{"hidden": 9, "layers": 1, "dropout": 0.0, **named, **options})
    model = LanguageModel(chosen, vocabulary, cell=None if named else cell).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.6, 0.6).mul_(min(1.0, 5 / chosen.hidden**0.5))
    return model.eval().generator()


def begun(generator: Generator, batch: int, vocabulary: int = V) -> tuple:
    """States, logits after a first token, the tokens, and which streams go on; all of them memory of their own."""
    token = torch.arange(batch) % vocabulary
    logits, state = generator.step(generator.initial_state(batch), token)
    state = tuple(tuple(one.clone() for one in layer) for layer in state)
    return state, logits, token, torch.ones(batch, dtype=torch.uint8)


def by_steps(generator, start, count, sampling, excluded=()):
    """Tokens [count, B], logits and states of the step path, one after each token."""
    state, logits, token, _ = start
    u = np.stack([uniforms(sampling.seed, b, 0, count) for b in range(len(token))])
    tokens, left = [], []
    for position in range(count):
        if position:
            logits, state = generator.step(state, torch.from_numpy(tokens[-1]))
        tokens.append(choose(logits, u[:, position], sampling, excluded))
        left.append([logits, *(one for layer in state for one in layer)])
    return np.stack(tokens), left


def write(generator, start, count, sampling, excluded=(), position=0, stop=None):
    state, logits, token, running = start
    draws = Draws(sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed, tuple(excluded))
    answer, ids = generator.write(state, logits, token, running, count, draws=draws, position=position, stop=stop)
    assert answer == 0
    return ids.numpy()


def writes_what_steps_write(
    generator, batch=3, sampling=SAMPLINGS[0], excluded=(), chunks=(1, 2, 9, 0, 14), vocabulary=V
):
    expected, left = by_steps(generator, begun(generator, batch, vocabulary), sum(chunks), sampling, excluded)
    start, position = begun(generator, batch, vocabulary), 0
    for count in chunks:
        found = write(generator, start, count, sampling, excluded, position)
        assert found.tolist() == expected[position : position + count].tolist()
        position += count
        state, logits, token, running = start
        assert same_bits([logits, *(one for layer in state for one in layer)], left[position - 1])
        assert token.tolist() == expected[position - 1].tolist()
        assert running.all()
    assert len(np.unique(expected)) > 1 or sampling.temperature == 0


@pytest.mark.parametrize("cell", cells.names())
def test_every_cell(cell):
    for number, dtype in enumerate((torch.float32, torch.float64)):
        generator = made(cell=cell, dtype=dtype, layers=1 + number)
        writes_what_steps_write(generator, sampling=SAMPLINGS[number])


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=range(len(SAMPLINGS)))
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(f"{k}={v}" for k, v in options.items()))
def test_every_stack_that_is_a_plain_one_and_every_way_to_draw(options, sampling):
    generator = made(**options, cell="peephole")
    assert generator.writes
    writes_what_steps_write(generator, sampling=sampling, excluded=(3, 0) if options["layers"] == 2 else ())


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 65, 70, 130])
def test_any_number_of_streams(batch, engine):
    for dtype in (torch.float32, torch.float64):
        writes_what_steps_write(made(dtype=dtype, layers=2), batch, chunks=(5, 7))


@pytest.mark.parametrize("vocabulary", [2, 16, 65, 300])
def test_any_vocabulary(vocabulary, engine):
    for hidden in (3, 64, 70):
        generator = made(vocabulary, dtype=torch.float32, cell="gru", hidden=hidden)
        writes_what_steps_write(generator, batch=2, chunks=(30,), vocabulary=vocabulary)


@pytest.mark.parametrize("count", [2, 3])
def test_threads_share_the_weights_of_one_stream_or_the_streams(count, engine):
    """More than 768 KB of weights (csrc/scan.hpp), or as much work as csrc/generate.hpp wants for each thread."""
    for dtype, hidden in ((torch.float32, 230), (torch.float64, 165)):
        generator = made(dtype=dtype, hidden=hidden, layers=2, embedding=8)
        with threads(1):
            start = begun(generator, 1)
            expected = write(generator, start, 12, SAMPLINGS[0])
        with threads(count):
            again = begun(generator, 1)
            assert write(generator, again, 12, SAMPLINGS[0]).tolist() == expected.tolist()
            assert same_bits([again[1], *again[0][0], *again[0][1]], [start[1], *start[0][0], *start[0][1]])
    generator = made(dtype=torch.float32, hidden=48)
    with threads(1):
        start = begun(generator, 70)
        expected = write(generator, start, 70, SAMPLINGS[0], stop=2)
    with threads(count):
        again = begun(generator, 70)
        assert write(generator, again, 70, SAMPLINGS[0], stop=2).tolist() == expected.tolist()
        assert again[3].tolist() == start[3].tolist()


def test_a_stream_writes_the_same_whatever_is_written_beside_it():
    generator = made(layers=2)
    many = write(generator, begun(generator, 67), 40, SAMPLINGS[0])
    few = write(generator, begun(generator, 5), 40, SAMPLINGS[0])
    assert many[:, :5].tolist() == few.tolist()


def test_a_stop_token_ends_its_stream_and_the_last_one_the_writing():
    generator = made()
    free = write(generator, begun(generator, 6), 200, SAMPLINGS[0])
    ends = [int(np.flatnonzero(free[:, b] == 4)[0]) for b in range(6)]
    assert len(set(ends)) > 2
    start = begun(generator, 6)
    found = [write(generator, start, 3, SAMPLINGS[0], position=0, stop=4)]
    found.append(write(generator, start, 197, SAMPLINGS[0], position=3, stop=4))
    tokens = np.concatenate(found)
    assert len(tokens) == max(ends) + 1
    for b, end in enumerate(ends):
        assert tokens[: end + 1, b].tolist() == free[: end + 1, b].tolist()
        assert set(tokens[end + 1 :, b].tolist()) <= {-1}
    assert not start[3].any()
    assert write(generator, start, 5, SAMPLINGS[0], position=9, stop=4).shape == (0, 6)


def test_a_step_that_reads_no_input():
    writes_what_steps_write(made(cell=Blind))
    writes_what_steps_write(made(cell=Blind, layers=2, one_hot=True))


@pytest.mark.parametrize("options", [{"skip": "residual"}, {"skip": "dense"}, {"projection": 4}, {"input_depth": 2}])
def test_other_stacks_do_not_write_by_themselves(options):
    generator = made(layers=2, **options)
    assert generator.writes == ("projection" in options and not generator._streamer._stack.projects_outside)


def test_what_does_not_fit_is_refused_and_named():
    generator = made()
    state, logits, token, running = begun(generator, 2)
    for wrong in (
        (state, logits.float(), token, running),
        (state, logits[:, :-1], token, running),
        (state, logits, token.int(), running),
        (state, logits, token, running.bool()),
        (tuple(tuple(one[:1] for one in layer) for layer in state), logits, token, running),
        (state, logits.T.contiguous().T, token, running),
    ):
        with pytest.raises(UsageError, match="write: expected"):
            write(generator, wrong, 3, SAMPLINGS[0])


def test_words_with_wrong_numbers_are_refused_or_harmless():
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":allocator_may_return_null=1:max_malloc_fill_size=65536"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "corrupt_writer.py"), "0", "1500"],
        env={**os.environ, "ASAN_OPTIONS": sanitizer.removeprefix(":")},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    answers = eval(done.stdout.splitlines()[-1])
    assert set(answers) <= {0, 1, 16, 17}
    assert answers[16] > answers[0] > 0
