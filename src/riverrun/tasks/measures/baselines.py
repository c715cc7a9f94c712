"""What a recurrent language model has to beat: unigram, n-grams, a fixed-window network, xz; each as good as it gets.

All are trained on the training part alone and judged on the same tokens as the network; nothing is chosen by the test.
"""

from __future__ import annotations

import lzma
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from riverrun.data.splits import Splits
from riverrun.data.streams import Streams
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.models.fixed_window import FixedWindow
from riverrun.models.kneser_ney import kneser_ney, nats_by_order
from riverrun.models.ngram import Unsmoothed, count, unigram_nats
from riverrun.models.options import LanguageModelOptions
from riverrun.tasks.measures.evaluation import carried_nats, scored
from riverrun.tasks.measures.intervals import bootstrap
from riverrun.training.loop import fit
from riverrun.training.options import TrainingOptions

Floats = NDArray[np.float64]

COUNTED = 5_000_000  # training tokens that n-grams are counted from: the last ones, of a longer text
ORDERS = 10  # Kneser-Ney orders tried; where one of the last two is the best, up to LONGEST
LONGEST = 32
UNSMOOTHED = 10  # the order that the lectures show (Goldberg 2015)
COMPRESSED = 8_000_000  # bytes of training text that xz gets: the last ones, of a longer text
WINDOW_MODEL = LanguageModelOptions(model="window", hidden=256, embedding=32, context=8, dropout=0.0)
WINDOW_TRAINING = TrainingOptions(lanes=64, window=50, lr=0.01, steps=1000, precision="float32")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A model that is not the network. low, high: the 95 % interval of nats_per_character, None where there is none.

    nats_per_character is None where a token of the test has the probability 0 (the loss is infinite).
    """

    name: str
    nats_per_character: float | None
    bits_per_character: float | None
    low: float | None
    high: float | None
    seconds: float
    note: str

    def as_dict(self) -> dict[str, Any]:
        """What `eval/metrics.json` holds of it."""
        return asdict(self)


def baselines(splits: Splits, tokenizer: Tokenizer, *, seconds: float = 30.0) -> Iterator[Baseline]:
    """Each baseline as soon as it is there, on the test part of `splits`.

    seconds: how long the fixed-window network may train, up to 1000 steps; 0 leaves it out. The others take what they
    need, for a million characters about 10 s together.
    """
    lengths = tokenizer.lengths[scored(splits.test)].astype(np.float64)  # [N]
    for make in (unigram, best_kneser_ney, unsmoothed):
        start = time.perf_counter()
        name, nats, note = make(splits, tokenizer.size)
        yield _judged(name, nats, lengths, time.perf_counter() - start, note)
    if seconds > 0 and len(splits.train.ids) > 2 * WINDOW_TRAINING.lanes:
        start = time.perf_counter()
        name, nats, note = fixed_window(splits, tokenizer.size, seconds)
        yield _judged(name, nats, lengths, time.perf_counter() - start, note)
    yield xz(splits, tokenizer)


def unigram(splits: Splits, vocabulary: int) -> tuple[str, Floats, str]:
    """Name, nats per scored token, note: tokens by their frequency."""
    nats = unigram_nats(splits.train.ids, splits.test.ids, vocabulary)
    return "unigram", nats[_mask(splits.test)], "frequencies of single tokens, one added to each"


def best_kneser_ney(splits: Splits, vocabulary: int) -> tuple[str, Floats, str]:
    """Name, nats per scored token, note: interpolated modified Kneser-Ney of the order that validation picks.

    Where there is no validation part, the last 5 % of the training part pick the order, and all of it is counted then.
    """
    train, cut = _last(splits.train)
    if splits.valid is not None:
        first, held_out, where = train, splits.valid, "the validation part"
    else:
        begin = len(train.ids) - max(1, len(train.ids) // 20)
        first, held_out, where = train.part(0, begin), train.part(begin, len(train.ids)), "the training part's last 5 %"
    longest = max(1, 2 * len(train.ids) // len(train.starts))  # n-grams longer than documents are padding
    tried = min(ORDERS, longest)
    losses = nats_by_order(first.ids, held_out.ids, vocabulary, tried, first.starts, held_out.starts)
    if int(np.argmin(losses)) >= tried - 2 and tried < min(LONGEST, longest):
        tried = min(LONGEST, longest)
        losses = nats_by_order(first.ids, held_out.ids, vocabulary, tried, first.starts, held_out.starts)
    order = int(np.argmin(losses)) + 1
    model = kneser_ney(train.ids, vocabulary, order, train.starts)
    nats = model.nats(splits.test.ids, splits.test.starts)[_mask(splits.test)]
    return f"Kneser-Ney, order {order}", nats, f"order picked on {where}, of 1 to {tried}{cut}"


def unsmoothed(splits: Splits, vocabulary: int) -> tuple[str, Floats, str]:
    """Name, nats per scored token, note: the unsmoothed model, infinite where it excludes what came."""
    train, cut = _last(splits.train)
    model = Unsmoothed(count(train.ids, vocabulary, UNSMOOTHED, train.starts), UNSMOOTHED)
    nats = model.nats(splits.test.ids, splits.test.starts)[_mask(splits.test)]
    finite = np.isfinite(nats)
    note = f"unsmoothed, backs off to the longest context seen{cut}"
    if not finite.all():
        rest = f"; {nats[finite].mean():.3f} nats on the others" if finite.any() else ""
        note = f"infinite: {1 - finite.mean():.1%} of the tokens have probability 0{rest}; {note}"
    return f"unsmoothed, order {UNSMOOTHED}", nats, note


def fixed_window(splits: Splits, vocabulary: int, seconds: float) -> tuple[str, Floats, str]:
    """Name, nats per scored token, note: the fixed-window network after 1000 steps, or `seconds` if sooner."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FixedWindow(WINDOW_MODEL, vocabulary)
        options = replace(WINDOW_TRAINING, minutes=seconds / 60)
        streams = Streams(splits.train, lanes=options.lanes, window=options.window)
        result = fit(model, streams, options)
    if result.stopped == "signal":  # `fit` ends quietly where it is interrupted; a table must not go on
        raise KeyboardInterrupt
    model.load_state_dict(result.weights)
    size = sum(p.numel() for p in model.parameters())
    note = (
        f"{WINDOW_MODEL.context} tokens, {WINDOW_MODEL.hidden} tanh units, {size:,} weights, trained for "
        f"{result.seconds:.0f} s: {result.steps} steps, {streams.epoch:.1f} epochs"
    )
    lanes = max(1, min(32, len(splits.test.ids) // 1000))  # an overlap of its window makes lanes exact
    nats = carried_nats(model, splits.test, window=200, lanes=lanes, overlap=WINDOW_MODEL.context)
    return "fixed-window network", nats, note


def xz(splits: Splits, tokenizer: Tokenizer) -> Baseline:
    """What the compressor xz (preset 9e) needs for the test text after the training text: all of it, to whole bytes."""
    start = time.perf_counter()
    train = tokenizer.decode_bytes(splits.train.ids[-COMPRESSED:])[-COMPRESSED:]
    test = tokenizer.decode_bytes(splits.test.ids)
    note = "size of training and test text together less that of the training text, preset 9e; it learns from the test"
    if len(splits.train.ids) > COMPRESSED:
        note += f"; of the training text the last {COMPRESSED:,} bytes"
    bits = 8 * (_compressed(train + test) - _compressed(train))
    characters = int(tokenizer.lengths[np.asarray(splits.test.ids, np.int64)].sum())
    rate = bits / characters if characters else math.nan
    return Baseline(
        name="xz",
        nats_per_character=rate * math.log(2),
        bits_per_character=rate,
        low=None,
        high=None,
        seconds=time.perf_counter() - start,
        note=note,
    )


def _compressed(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def _last(train: Tokens) -> tuple[Tokens, str]:
    """The last COUNTED tokens, and the words that say so where that is not all."""
    size = len(train.ids)
    if size <= COUNTED:
        return train, ""
    return train.part(size - COUNTED, size), f"; counted from the last {COUNTED:,} of {size:,} training tokens"


def _mask(tokens: Tokens) -> NDArray[np.bool_]:
    """[N] bool: the tokens that are scored, all but the first of each document."""
    mask = np.ones(len(tokens.ids), bool)
    mask[tokens.starts[tokens.starts < len(mask)]] = False
    return mask


def _judged(name: str, nats: Floats, characters: Floats, seconds: float, note: str) -> Baseline:
    total = characters.sum()
    if not np.isfinite(nats).all() or not total:
        return Baseline(
            name=name, nats_per_character=None, bits_per_character=None, low=None, high=None, seconds=seconds, note=note
        )
    low, high = bootstrap(nats, characters)
    rate = float(nats.sum() / total)
    return Baseline(
        name=name,
        nats_per_character=rate,
        bits_per_character=rate / math.log(2),
        low=low,
        high=high,
        seconds=seconds,
        note=note,
    )
