"""What a recurrent language model has to beat: unigram, n-grams, a fixed-window network, xz; each as good as it gets.

All are trained on the training part alone and judged on the same tokens as the network; nothing is chosen by the test.
Each says how many training tokens it learnt from and what the most is: n-grams and xz hold what they learn from in
memory, so of a longer text they get the end. Everything else is read in windows.
"""

from __future__ import annotations

import lzma
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from riverrun.data.splits import Splits
from riverrun.data.streams import Streams
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.models.fixed_window import FixedWindow
from riverrun.models.kneser_ney import KneserNey, kneser_ney, nats_by_order
from riverrun.models.ngram import Unsmoothed, by_window, count, frequencies, unigram_nats
from riverrun.models.options import LanguageModelOptions
from riverrun.tasks.measures.blocks import Blocks, Floats
from riverrun.tasks.measures.evaluation import carried_nats, unknown_tokens
from riverrun.tasks.measures.intervals import bootstrap
from riverrun.training.loop import fit
from riverrun.training.options import StreamTraining

COUNTED = 5_000_000  # training tokens that n-grams are counted from: the last ones, of a longer text
PICKED = 1_000_000  # held-out tokens that pick an order: the first ones, of a longer part
ORDERS = 10  # Kneser-Ney orders tried; where one of the last two is the best, up to LONGEST
LONGEST = 32
GRAMS = 40_000_000  # orders times tokens beyond which no longer ones are tried: about 2 GB hold what was counted
UNSMOOTHED = 10  # the order that the lectures show (Goldberg 2015)
COMPRESSED = 8_000_000  # bytes of training text that xz gets: the last ones, of a longer text
BLOCK = 1 << 16  # tokens turned into text at once
WINDOW_MODEL = LanguageModelOptions(model="window", hidden=256, embedding=32, context=8, dropout=0.0)
WINDOW_TRAINING = StreamTraining(lanes=64, window=50, lr=0.01, steps=1000, precision="float32")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A model that is not the network. low, high: the 95 % interval of nats_per_character, None where there is none.

    nats_per_character is None where a token of the test has the probability 0 (the loss is infinite).
    trained_on: the training tokens that it learnt from. limit: the most that it may learn from, "" where there is none.
    """

    name: str
    nats_per_character: float | None
    bits_per_character: float | None
    low: float | None
    high: float | None
    seconds: float
    trained_on: int
    limit: str
    note: str

    def as_dict(self) -> dict[str, Any]:
        """What `eval/metrics.json` holds of it."""
        return asdict(self)


class Judged(NamedTuple):
    """What a baseline makes of the test part: its nats, summed by block, [K], and what there is to say of it.

    infinite: of how many tokens the nats are infinite; those are left out of the sums.
    """

    name: str
    nats: Floats
    infinite: int
    trained_on: int
    limit: str
    note: str


def baselines(splits: Splits, tokenizer: Tokenizer, *, seconds: float = 30.0) -> Iterator[Baseline]:
    """Each baseline as soon as it is there, on the test part of `splits`.

    seconds: how long the fixed-window network may train, up to 1000 steps; 0 leaves it out. The others take what they
    need, for a million characters about 10 s together.
    """
    test, size = Blocks.of(splits.test), tokenizer.size
    characters = test.summed(tokenizer.lengths)  # [K]
    spelt = tokenizer.spelling * unknown_tokens(test, tokenizer)  # [K]
    for make in (unigram, best_kneser_ney, unsmoothed):
        start = time.perf_counter()
        yield _baseline(make(splits, test, size), spelt, characters, start)
    if seconds > 0 and len(splits.train.ids) > 2 * WINDOW_TRAINING.lanes:
        start = time.perf_counter()
        yield _baseline(fixed_window(splits, test, size, seconds), spelt, characters, start)
    yield xz(splits, tokenizer)


def unigram(splits: Splits, test: Blocks, vocabulary: int) -> Judged:
    """Tokens by their frequency."""
    nats = test.summed(unigram_nats(frequencies(splits.train.ids, vocabulary)))
    return Judged("unigram", nats, 0, len(splits.train.ids), "", "frequencies of single tokens, one added to each")


def best_kneser_ney(splits: Splits, test: Blocks, vocabulary: int) -> Judged:
    """Interpolated modified Kneser-Ney of the order that validation picks.

    Where there is no validation part, the last 5 % of the training part pick the order, and all of it is counted then.
    """
    train, cut = _last(splits.train)
    if splits.valid is not None:
        first, held_out, where = train, splits.valid, "the validation part"
        if len(held_out.ids) > PICKED:
            held_out, where = held_out.part(0, PICKED), f"the validation part's first {PICKED:,} tokens"
    else:
        begin = len(train.ids) - max(1, len(train.ids) // 20)
        first, held_out, where = train.part(0, begin), train.part(begin, len(train.ids)), "the training part's last 5 %"
    longest = max(1, 2 * len(train.ids) // len(train.starts))  # n-grams longer than documents are padding
    tried, most = min(ORDERS, longest), min(LONGEST, longest, max(ORDERS, GRAMS // len(train.ids)))
    losses = nats_by_order(first.ids, held_out.ids, vocabulary, tried, first.starts, held_out.starts)
    if int(np.argmin(losses)) >= tried - 2 and tried < most:
        tried = most
        losses = nats_by_order(first.ids, held_out.ids, vocabulary, tried, first.starts, held_out.starts)
    order = int(np.argmin(losses)) + 1
    nats, infinite = _nats(kneser_ney(train.ids, vocabulary, order, train.starts), test)
    note = f"order picked on {where}, of 1 to {tried}{cut}"
    return Judged(f"Kneser-Ney, order {order}", nats, infinite, len(train.ids), f"{COUNTED:,} tokens", note)


def unsmoothed(splits: Splits, test: Blocks, vocabulary: int) -> Judged:
    """The unsmoothed model, infinite where it excludes what came."""
    train, cut = _last(splits.train)
    nats, infinite = _nats(Unsmoothed(count(train.ids, vocabulary, UNSMOOTHED, train.starts), UNSMOOTHED), test)
    note = f"unsmoothed, backs off to the longest context seen{cut}"
    if infinite:
        finite = test.size - infinite
        rest = f"; {nats.sum() / finite:.3f} nats on the others" if finite else ""
        note = f"infinite: {infinite / test.size:.1%} of the tokens have probability 0{rest}; {note}"
    return Judged(f"unsmoothed, order {UNSMOOTHED}", nats, infinite, len(train.ids), f"{COUNTED:,} tokens", note)


def fixed_window(splits: Splits, test: Blocks, vocabulary: int, seconds: float) -> Judged:
    """The fixed-window network after 1000 steps, or `seconds` if sooner."""
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
    nats = carried_nats(model, test, window=200, lanes=lanes, overlap=WINDOW_MODEL.context)
    read = min(result.tokens, len(splits.train.ids))
    limit = f"{options.steps:,} steps of {options.lanes * options.window:,} tokens, {seconds:.0f} s"
    return Judged("fixed-window network", nats, 0, read, limit, note)


def xz(splits: Splits, tokenizer: Tokenizer) -> Baseline:
    """What the compressor xz (preset 9e) needs for the test text after the training text: all of it, to whole bytes."""
    start = time.perf_counter()
    train, read = _end(splits.train, tokenizer)
    note = "size of training and test text together less that of the training text, preset 9e; it learns from the test"
    if read < len(splits.train.ids):
        note += f"; of the training text the last {COMPRESSED:,} bytes"
    bits = 8.0 * (_compressed([train], _text(splits.test, tokenizer)) - _compressed([train]))
    found = frequencies(splits.test.ids, tokenizer.size)
    if tokenizer.unknown is not None:
        bits += float(found[tokenizer.unknown]) * tokenizer.spelling / math.log(2)
    characters = int(found @ tokenizer.lengths)
    rate = bits / characters if characters else math.nan
    return Baseline(
        name="xz",
        nats_per_character=rate * math.log(2),
        bits_per_character=rate,
        low=None,
        high=None,
        seconds=time.perf_counter() - start,
        trained_on=read,
        limit=f"{COMPRESSED:,} bytes",
        note=note,
    )


def _compressed(*texts: Iterable[bytes]) -> int:
    """The bytes that xz makes of texts one after the other, fed to it piece by piece."""
    xz = lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME)
    return sum(len(xz.compress(piece)) for text in texts for piece in text) + len(xz.flush())


def _text(tokens: Tokens, tokenizer: Tokenizer) -> Iterator[bytes]:
    """The text of tokens, piece by piece."""
    for begin in range(0, len(tokens.ids), BLOCK):
        yield tokenizer.decode_bytes(tokens.ids[begin : begin + BLOCK])


def _end(tokens: Tokens, tokenizer: Tokenizer) -> tuple[bytes, int]:
    """The last COMPRESSED bytes of the text of tokens, and from how many tokens they are."""
    pieces: list[bytes] = []
    size, begin = 0, len(tokens.ids)
    while begin and size < COMPRESSED:
        begin, end = max(begin - BLOCK, 0), begin
        pieces.append(tokenizer.decode_bytes(tokens.ids[begin:end]))
        size += len(pieces[-1])
    read = len(tokens.ids) - begin
    if size > COMPRESSED:  # of the first block a part is too much
        lengths = np.cumsum([len(tokenizer.symbols[id]) for id in tokens.ids[begin : begin + BLOCK]])
        read -= int(np.searchsorted(lengths, size - COMPRESSED, side="right"))
    return b"".join(reversed(pieces))[-COMPRESSED:], read


def _nats(model: KneserNey | Unsmoothed, test: Blocks) -> tuple[Floats, int]:
    """The nats of the predicted tokens, summed by block, [K], without the infinite ones, and how many those are."""
    sums, infinite, tokens = test.zeros(), 0, test.tokens
    for begin, nats in by_window(model.nats, tokens.ids, tokens.starts, model.order - 1):
        places = test.among(begin, begin + len(nats))
        found = nats[places - begin]
        finite = np.isfinite(found)
        test.add(sums, places[finite], found[finite])
        infinite += int(np.count_nonzero(~finite))
    return sums, infinite


def _last(train: Tokens) -> tuple[Tokens, str]:
    """The last COUNTED tokens, and the words that say so where that is not all."""
    size = len(train.ids)
    if size <= COUNTED:
        return train, ""
    return train.part(size - COUNTED, size), f"; counted from the last {COUNTED:,} of {size:,} training tokens"


def _baseline(judged: Judged, spelt: Floats, characters: Floats, start: float) -> Baseline:
    """The figures per character. spelt: what unknown tokens cost beside being unknown; by block, [K], like all here."""
    rate = low = high = None
    nats = judged.nats + spelt
    if not judged.infinite and np.isfinite(nats).all() and characters.sum():
        low, high = bootstrap(nats, characters)
        rate = float(nats.sum() / characters.sum())
    return Baseline(
        name=judged.name,
        nats_per_character=rate,
        bits_per_character=None if rate is None else rate / math.log(2),
        low=low,
        high=high,
        seconds=time.perf_counter() - start,
        trained_on=judged.trained_on,
        limit=judged.limit,
        note=judged.note,
    )
