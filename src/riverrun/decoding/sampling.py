"""Sampling: tokens drawn from a model, one counter-based uniform a token, the same tokens from any engine.

Token `position` of stream `stream` under `seed` depends on these three numbers and on the logits, and on nothing else:
not on how many streams run beside it, nor on how many tokens were drawn before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from riverrun.decoding import filters
from riverrun.decoding.protocol import State, StepModel, device_of, evaluating
from riverrun.engine.writer import Draws
from riverrun.errors import ModelError, UsageError

Ids = npt.NDArray[np.int64]

PROMPT_WINDOW = 256  # steps of the prompt in one call of the model
WRITTEN_BLOCK = 4096  # tokens that a model which draws by itself writes in one call, at most
WRITTEN_SECONDS = 0.05  # and no more than it writes in about this time, since they come all at once
BROKEN = "the model's logits must be finite, but NaN or infinity came: its weights are broken."
UNIFORM_BLOCK = 1024  # uniforms of a stream made at a time; no result depends on it


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn. Raises UsageError, naming the option, where a value cannot be served."""

    temperature: float = field(
        default=0.8, metadata={"help": "divides the logits: 0 always takes the likeliest token, 1 is the model's own"}
    )
    top_k: int = field(default=0, metadata={"help": "draw among the k likeliest tokens only; 0 = all"})
    top_p: float = field(
        default=1.0, metadata={"help": "draw among the likeliest tokens that hold this probability; 1 = all"}
    )
    seed: int = field(default=0, metadata={"help": "the same seed draws the same tokens"})

    def __post_init__(self) -> None:
        probe = np.zeros((1, 2))
        filters.top_p(filters.top_k(filters.temperature(probe, self.temperature), self.top_k), self.top_p)
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"seed must lie between 0 and 2^64 - 1, but {self.seed} came.")


def uniforms(seed: int, stream: int, start: int, count: int) -> npt.NDArray[np.float64]:
    """`count` uniforms in [0, 1) of a stream, from position `start` on.

        u(seed, stream, position) = (w >> 11) / 2^53,   w = word (position mod 4) of Philox4x64-10
                                                        with key (seed, stream), counter (position div 4) + 1

    Philox is a counter-based generator (Salmon et al. 2011): any position costs the same and none needs the ones
    before. The + 1 is NumPy's, which counts before it draws; the words are those of
    `numpy.random.Philox(key=[seed, stream], counter=position // 4)`.

    >>> uniforms(0, 0, 2, 3).tolist() == uniforms(0, 0, 0, 5)[2:].tolist()
    True
    """
    key = np.array([seed, stream], dtype=np.uint64)
    counter = np.array([start // 4, 0, 0, 0], dtype=np.uint64)
    words = np.asarray(np.random.Philox(key=key, counter=counter).random_raw(start % 4 + count), dtype=np.uint64)
    return (words[start % 4 :] >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw(logits: filters.Logits, uniform: npt.NDArray[np.float64]) -> Ids:
    """The token [B] that a uniform [B] picks from logits [B, V], by inversion in id order.

        token = the least k with  p_0 + ... + p_k > u,   p = softmax(logits)

    A token of probability 0 is never drawn, whatever the rounding.
    """
    cumulative = filters.softmax(logits).cumsum(axis=1)  # [B, V]
    below = cumulative <= (uniform * cumulative[:, -1])[:, None]
    picked = below.sum(axis=1)
    last = logits.shape[1] - 1 - np.isfinite(logits[:, ::-1]).argmax(axis=1)  # rounding can at most pass the end
    ids: Ids = np.minimum(picked, last).astype(np.int64)
    return ids


def choose(logits: Tensor, uniform: npt.NDArray[np.float64], sampling: Sampling, excluded: Sequence[int] = ()) -> Ids:
    """One token [B] from a model's logits [B, V]: excluded ids, temperature, top-k, top-p, then the draw.

    Raises ModelError where a logit is NaN or +inf, or all of them are -inf: the model's weights are broken.
    """
    values: filters.Logits = logits.detach().to("cpu", torch.float64).numpy()
    if not np.isfinite(values.max(axis=1)).all():  # NaN is the maximum of whatever it is among
        raise ModelError(BROKEN)
    values = filters.temperature(filters.exclude(values, excluded), sampling.temperature)
    return draw(filters.top_p(filters.top_k(values, sampling.top_k), sampling.top_p), uniform)


def generate(
    model: StepModel,
    state: State,
    prompt: Sequence[int] | Ids,
    length: int,
    *,
    sampling: Sampling | None = None,
    count: int = 1,
    stop: int | None = None,
    excluded: Sequence[int] = (),
) -> Iterator[Ids]:
    """Continue a prompt by `length` tokens, one at a time, in `count` independent streams.

    state: before the prompt, of `count` columns; None is the model's initial state.
    prompt: the ids that every stream reads first, one at least. They are read, not given back.
    stop: a token that ends its stream; it is given, and -1 after it. The iterator ends with the last stream.
    excluded: ids that are never drawn.

    Yields ids [count], int64. Stream 0 of `count=5` writes what `count=1` writes (as far as the model's logits do not
    depend on the batch). Arguments are checked at the call, not at the first token.
    """
    sampling = sampling or Sampling()
    ids = np.asarray(prompt, dtype=np.int64)
    if ids.ndim != 1 or len(ids) == 0:
        raise UsageError("prompt must hold at least one token, since a model predicts from what it has read: give one.")
    if length < 0:
        raise UsageError(f"length must be 0 or a number of tokens, but {length} came.")
    if count < 1:
        raise UsageError(f"count must be 1 or more, but {count} came.")
    return _generate(model, state, ids, length, sampling, count, stop, excluded)


def _generate(
    model: StepModel,
    state: State,
    prompt: Ids,
    length: int,
    sampling: Sampling,
    count: int,
    stop: int | None,
    excluded: Sequence[int],
) -> Iterator[Ids]:
    if length == 0:
        return
    with evaluating(model):
        state = model.initial_state(count) if state is None else state
        device = device_of(state)
        logits, state = read_prompt(model, state, prompt, count, device)
    if getattr(model, "writes", False):
        yield from _written(model, state, logits, length, sampling, count, stop, excluded)
        return
    running = np.ones(count, dtype=bool)
    for position in range(length):
        offset = position % UNIFORM_BLOCK
        if offset == 0:
            block = np.stack([uniforms(sampling.seed, b, position, UNIFORM_BLOCK) for b in range(count)])
        token = choose(logits, block[:, offset], sampling, excluded)  # [B]
        yield np.where(running, token, -1)
        running &= token != stop
        if position + 1 == length or not running.any():
            return
        with evaluating(model):
            logits, state = model.step(state, torch.from_numpy(token).to(device))


def _written(
    model: Any,
    state: State,
    logits: Tensor,
    length: int,
    sampling: Sampling,
    count: int,
    stop: int | None,
    excluded: Sequence[int],
) -> Iterator[Ids]:
    """The same tokens from a model that draws by itself, some at a time: few at first, so that the first come soon."""
    draws = Draws(sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed, tuple(excluded))
    state = tuple(tuple(one.detach().clone(memory_format=torch.contiguous_format) for one in layer) for layer in state)
    logits, running = logits.detach().clone(), torch.ones(count, dtype=torch.uint8)
    token = torch.zeros(count, dtype=torch.int64)
    position, block = 0, 8
    while position < length:
        begun = perf_counter()
        answer, ids = model.write(
            state, logits, token, running, min(block, length - position), draws=draws, position=position, stop=stop
        )  # fmt: skip
        taken = perf_counter() - begun
        if answer:
            choose(logits, np.zeros(count), sampling, excluded)  # which says what is wrong with them
            raise ModelError(BROKEN)
        drawn: Ids = ids.numpy()
        yield from drawn
        position += len(drawn)
        if not running.any():
            return
        if taken < WRITTEN_SECONDS / 2:
            block = min(2 * block, WRITTEN_BLOCK)
        elif taken > WRITTEN_SECONDS:
            block = max(block // 2, 1)


def read_prompt(model: StepModel, state: State, prompt: Ids, count: int, device: torch.device) -> tuple[Tensor, State]:
    """The logits [B, V] after every id of the prompt was read by `count` columns, and the state."""
    logits: Tensor | None = None
    for start in range(0, len(prompt), PROMPT_WINDOW):
        window = torch.from_numpy(prompt[start : start + PROMPT_WINDOW]).to(device)
        all_logits, state = model(window[:, None].expand(-1, count), state)  # [T, B, V]
        logits = all_logits[-1]
    assert logits is not None  # the prompt is not empty
    return logits, state
