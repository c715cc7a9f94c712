"""Words a second that are decoded: riverrun beside plain torch decoders of the same model, greedy and with a beam.

    python benchmarks/decoding.py CMUDICT [--model RUN] [--rounds 5] [--threads 2] [--width 5]

CMUDICT is cmudict.dict or cmudict.dict.gz; the test part is that of `riverrun train --no-stress`. Without --model a
model of the g2p preset's shape is trained first, for --seconds, so that targets end as they do in use. Peers: torch.nn
modules with the same weights, (a) one word at a time, (b) in the same batches. Before the timing all find the outputs
of the same words; where two differ, their scores may differ by no more than rounding. (a) runs with one thread and with
all, and the faster counts; it decodes --alone words in a round, the others the whole test part. Prints one JSON object:
medians of interleaved rounds, and ratios, by the clock and, for a machine that others use, by processor time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import decoding_peers as peers
import numpy as np
import torch

from riverrun.data import pair_coder, pairs
from riverrun.data.pair_arrays import PairArrays, PairBatches
from riverrun.data.pair_batch import UNKNOWN
from riverrun.data.pair_options import PairOptions
from riverrun.data.pair_splits import split
from riverrun.decoding.beam import beam
from riverrun.decoding.constraints import Constraints
from riverrun.decoding.greedy import greedy
from riverrun.decoding.inputs import ROWS, batches, in_batches, inputs
from riverrun.decoding.ranking import Ranking
from riverrun.models.encoder_decoder import EncoderDecoder
from riverrun.models.encoder_decoder_options import EncoderDecoderOptions
from riverrun.training.loop import fit
from riverrun.training.options import ExampleTraining

ALPHA, LIMIT = 0.6, 40
ROUNDING = 1e-4  # of a score: single precision, added up over a word

Sources = list[np.ndarray]
Found = list[tuple[tuple[int, ...], float]]


def prepared(path: str) -> tuple[Any, Any]:
    """The parts of the dictionary without stress, and its vocabularies."""
    options = PairOptions(stress=False)
    corpus = pairs.read([path], options).load()
    parts = split(corpus, options)
    return parts, pair_coder.learn(parts.train.sources, parts.train.targets, corpus.format, options)


def trained(parts: Any, coder: Any, seconds: float, hidden: int) -> EncoderDecoder:
    """A model of the g2p preset's shape, taught for so long."""
    torch.manual_seed(0)
    options = EncoderDecoderOptions(hidden=hidden, dropout=0.3)
    model = EncoderDecoder(options, coder.source.size, coder.target.size)
    training = ExampleTraining(minutes=seconds / 60, batch=128, lr=0.002)
    valid = list(PairArrays(parts.valid, coder).batches())

    def evaluate() -> float:
        model.eval()
        with torch.no_grad():
            losses = [model.loss(batch) for batch in valid]
        model.train()
        return float(sum(float(loss.nats) for loss in losses) / sum(loss.tokens for loss in losses))

    result = fit(model, PairBatches(PairArrays(parts.train, coder), rows=128), training, evaluate=evaluate)
    model.load_state_dict(result.weights)
    return model.eval()


def opened(path: str) -> tuple[Any, Any]:
    """The model of a run, and its vocabularies."""
    from riverrun.pipeline.opened import open_model

    found = open_model(Path(path))
    return found.model.float().eval(), found.coder


def ours(model: Any, sources: Sources, width: int) -> Found:
    """riverrun's search; the generator is made anew, since a user pays for it, too."""
    constraints, transducer = Constraints(max_length=LIMIT, never=(UNKNOWN,)), model.generator()
    search = partial(greedy, transducer, constraints=constraints)
    if width > 1:
        search = partial(beam, transducer, width=width, ranking=Ranking(alpha=ALPHA), constraints=constraints)
    return [(one.tokens, one.score) for [one] in in_batches(search, sources)]


def alone(model: peers.PlainEncoderDecoder, sources: Sources, width: int) -> Found:
    """One word after another."""
    if width == 1:
        return [(peers.greedy_alone(model, ids.tolist(), LIMIT), 0.0) for ids in sources]
    return [peers.beam_alone(model, ids.tolist(), width, ALPHA, LIMIT) for ids in sources]


def batched(model: peers.PlainEncoderDecoder, sources: Sources, width: int) -> Found:
    """The batches that riverrun makes: words of about equal length."""
    found: Found = [((), 0.0)] * len(sources)
    for batch in batches([len(one) for one in sources], ROWS, 1 << 30):
        ids, lengths = inputs([sources[i] for i in batch]).source
        if width == 1:
            answers = [(one, 0.0) for one in peers.greedy_batched(model, ids, lengths, LIMIT)]
        else:
            answers = peers.beam_batched(model, ids, lengths, width, ALPHA, LIMIT)
        for i, answer in zip(batch, answers, strict=True):
            found[i] = answer
    return found


def equal(model: Any, sources: Sources, mine: Found, other: Found, width: int) -> int:
    """How many outputs differ, all of them by rounding; SystemExit where one differs by more."""
    differ = [i for i, (one, two) in enumerate(zip(mine, other, strict=True)) if one[0] != two[0]]
    for i in differ:
        scores = [scored(model, sources[i], tokens, width) for tokens in (mine[i][0], other[i][0])]
        if width > 1 and abs(scores[0] - scores[1]) > ROUNDING:
            raise SystemExit(f"source {i}: {mine[i][0]} with {scores[0]}, the peer {other[i][0]} with {scores[1]}")
    if len(differ) > 0.002 * len(sources):
        raise SystemExit(f"{len(differ)} of {len(sources)} outputs differ")
    return len(differ)


def scored(model: Any, source: np.ndarray, tokens: tuple[int, ...], width: int) -> float:
    """The score of a target, by a forced prefix."""
    rules = Constraints(max_length=len(tokens))
    given = inputs([source], prefixes=[tokens])
    [[found]] = beam(model, given, width=1, ranking=Ranking(alpha=ALPHA), constraints=rules)
    return found.score


def timed(call: Callable[[], Any], words: int) -> tuple[float, float]:
    """Words a second, and words a second of processor time, of all threads together."""
    began, used = time.perf_counter(), time.process_time()
    call()
    return words / (time.perf_counter() - began), words / (time.process_time() - used)


def compare(model: Any, sources: Sources, width: int, few: int, rounds: int, threads: int) -> dict[str, Any]:
    """The speeds of all, after they agreed."""
    plain = peers.plain(model)
    part: Sequence[Any] = sources[:: max(1, len(sources) // few)][:few]
    part = list(part)
    mine = ours(model, sources, width)
    differ = {
        "alone": equal(model, part, ours(model, part, width), alone(plain, part, width), width),
        "batched": equal(model, sources, mine, batched(plain, sources, width), width),
    }
    speeds: dict[str, list[tuple[float, float]]] = {"riverrun": [], "alone": [], "alone, one thread": [], "batched": []}
    for _ in range(rounds):
        speeds["riverrun"].append(timed(lambda: ours(model, sources, width), len(sources)))
        speeds["batched"].append(timed(lambda: batched(plain, sources, width), len(sources)))
        speeds["alone"].append(timed(lambda: alone(plain, part, width), len(part)))
        torch.set_num_threads(1)
        speeds["alone, one thread"].append(timed(lambda: alone(plain, part, width), len(part)))
        torch.set_num_threads(threads)
    return {
        "by_the_clock": ratios({name: statistics.median(one for one, _ in found) for name, found in speeds.items()}),
        "by_processor_time": ratios(
            {name: statistics.median(one for _, one in found) for name, found in speeds.items()}
        ),
        "outputs_that_differ_by_rounding": differ,
        "mean_length": round(float(np.mean([len(tokens) for tokens, _ in mine])), 2),
    }


def ratios(medians: dict[str, float]) -> dict[str, float]:
    """Words a second, and riverrun's over the peers'."""
    single = max(medians["alone"], medians["alone, one thread"])
    return {
        **{name: round(value, 1) for name, value in medians.items()},
        "over_one_at_a_time": round(medians["riverrun"] / single, 2),
        "over_batched": round(medians["riverrun"] / medians["batched"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dictionary", help="cmudict.dict[.gz]")
    parser.add_argument("--model", help="a run folder; its model must have been trained on the same dictionary")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training, without --model")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--width", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--words", type=int, default=0, help="of the test part; 0: all")
    parser.add_argument("--alone", type=int, default=300, help="words of (a) in a round")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    parts, coder = prepared(arguments.dictionary)
    if arguments.model:
        model, coder = opened(arguments.model)
    else:
        model = trained(parts, coder, arguments.seconds, arguments.hidden)
    words = list(dict.fromkeys(parts.test.sources))[: arguments.words or None]
    encoded = coder.source.encode(words)
    sources = np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])
    figures = {
        name: compare(model, sources, width, arguments.alone, arguments.rounds, arguments.threads)
        for name, width in (("greedy", 1), (f"beam {arguments.width}", arguments.width))
    }
    about = {"words": len(words), "hidden": model.options.hidden, "threads": arguments.threads, "batch": ROWS}
    print(json.dumps({**about, **figures}, indent=1))


if __name__ == "__main__":
    main()
