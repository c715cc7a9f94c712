"""Results: what a model of pairs is worth: targets written, their scores beside baselines, what the report shows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from riverrun.data.pair_arrays import PairArrays
from riverrun.data.pair_coder import PairCoder
from riverrun.data.pairs import PairCorpus, Pairs
from riverrun.decoding.protocol import evaluating
from riverrun.files import write_atomic
from riverrun.run import RunFolder
from riverrun.tasks.measures import error_rate, translation
from riverrun.tasks.measures.classification import Figure, as_json
from riverrun.tasks.measures.neighbours import baselines as all_baselines
from riverrun.tasks.pairs.options import Decoding
from riverrun.tasks.pairs.predict import alignment
from riverrun.tasks.pairs.prepare import Prepared
from riverrun.tasks.pairs.scores import Score, score_of
from riverrun.tasks.pairs.writing import Target, write
from riverrun.tasks.task import Say
from riverrun.training.update import moved

SHOWN = 120  # letters of a target that is shown while a model trains
MISTAKES = 50  # that are shown, the worst first
ROWS = 8  # of the table by length, at most
ALIGNED = 6  # sources whose attention is shown
MOST_ALIGNED = 30  # tokens of such a source
NO_ATTENTION = "This model has no attention: its decoder sees the source as one vector."


class Scored(NamedTuple):
    """What was written for each different source of a part, and what was wanted. places: the file and line of each.
    seconds: of the writing."""

    sources: list[str]
    places: list[str]
    references: list[list[str]]
    targets: list[Target]
    seconds: float


def nats_per_token(model: Any, arrays: PairArrays) -> float:
    """The mean surprise of a target token (END is one), in nats, given the source and the tokens before it."""
    device = next(model.parameters()).device
    nats, tokens = 0.0, 0
    with evaluating(model):
        for batch in arrays.batches():
            loss = model.loss(moved(batch, device), None)
            nats, tokens = nats + float(loss.nats), tokens + loss.tokens
    return nats / max(tokens, 1)


def shown(model: Any, coder: PairCoder) -> str:
    """A few validation sources with what the model writes for them, greedily, and what was expected."""
    pairs = coder.facts.get("shown", [])
    with evaluating(model):
        written = write(model, coder, [source for source, _ in pairs], Decoding(beam=1, max_length=60))
    lines = []
    for (source, target), (found, *_) in zip(pairs, written, strict=True):
        said = found.text if len(found.text) <= SHOWN else found.text[:SHOWN] + " ..."
        lines.append(f"{source} -> {said}" + ("" if found.text == target else f"  (expected: {target})"))
    return "\n".join(lines)


def measure(model: Any, prepared: Prepared, *, say: Say, baselines: bool) -> dict[str, Any]:
    """What eval/metrics.json holds: the test part's figures, and the baselines that learnt from the same pairs."""
    found, metrics = _measured(
        model, prepared.coder, prepared.decoding, prepared.splits.test, prepared if baselines else None, say
    )
    prepared.scored = found
    return metrics


def measure_other(
    model: Any, coder: PairCoder, decoding: Decoding, corpus: PairCorpus, *, say: Say, beside: Prepared | None
) -> dict[str, Any]:
    """The same of any other pairs; baselines where the pairs are there that they learn from (`beside`)."""
    return _measured(model, coder, decoding, corpus.pairs, beside, say)[1]


def written(model: Any, coder: PairCoder, decoding: Decoding, pairs: Pairs) -> Scored:
    """A target for each different source, or for `decoding.scored` of them from all over the part."""
    items = list(pairs.references().items())
    if 0 < decoding.scored < len(items):
        items = [items[place] for place in np.linspace(0, len(items) - 1, decoding.scored).astype(int)]
    began = time.perf_counter()
    targets = write(model, coder, [source for source, _ in items], decoding)
    seconds = time.perf_counter() - began
    first = dict(zip(reversed(pairs.sources), reversed(pairs.places), strict=True))
    return Scored(
        [source for source, _ in items],
        [first[source] for source, _ in items],
        [wanted for _, wanted in items],
        [best for best, *_ in targets],
        seconds,
    )


def _measured(
    model: Any, coder: PairCoder, decoding: Decoding, pairs: Pairs, beside: Prepared | None, say: Say
) -> tuple[Scored, dict[str, Any]]:
    score = score_of(decoding, coder, pairs.targets)
    say("")
    how = f"a beam of {decoding.beam}" if decoding.beam > 1 else "greedy decoding"
    say(f"evaluating {len(pairs.sources):,} pairs, {how} ...")
    copies = bool(model.options.copy)
    loss = nats_per_token(model, PairArrays(pairs, coder, copies=copies))
    found = written(model, coder, decoding, pairs)
    main = score.judge([target.text for target in found.targets], found.references)
    remarks = _remarks(found, pairs, coder, decoding, score)
    say(f"  {'':<28}" + "".join(f"{figure.name:>24}" for figure in main))
    say(_line("this model", main))
    say(f"  loss {loss:.4f} nats a token; {len(found.sources) / found.seconds:,.0f} sources a second")
    for remark in remarks:
        say(remark)
    rows: list[dict[str, Any]] = []
    if beside is not None:
        say("baselines, from the same training part:")
        for row in _baselines(beside, found, score):
            rows.append(row)
            say(_line(row["name"], [Figure(**figure) for figure in row["figures"]]))
    return found, {
        "task": "seq2seq",
        "part": "test",
        "count": len(found.sources),
        "of": "sources",
        "unit": "token",
        "figures": as_json(main),
        "score": score.kind,
        "computed": score.computed,
        "loss": loss,
        "pairs": len(pairs.sources),
        "seconds": found.seconds,
        "decoding": asdict(decoding),
        "remarks": remarks,
        "baselines": rows,
    }


def _remarks(found: Scored, pairs: Pairs, coder: PairCoder, decoding: Decoding, score: Score) -> list[str]:
    """What is to be known beside the figures: sources left out or longer than any that was learnt, targets cut."""
    remarks = [score.remark] if score.remark else []
    sources = len(set(pairs.sources))
    if len(found.sources) < sources:
        remarks.append(f"{len(found.sources):,} of {sources:,} sources were scored (--scored), from all over the part.")
    lengths = coder.source.encode(found.sources).lengths
    longer = int((lengths > coder.longest).sum())
    if longer:
        remarks.append(f"{longer:,} sources are longer than any of the training part ({coder.longest:,} tokens).")
    empty = sum(not target.text for target in found.targets)
    if empty:
        remarks.append(f"For {empty:,} sources nothing was written.")
    cut = sum(len(target.tokens) >= decoding.max_length for target in found.targets)
    if cut:
        remarks.append(
            f"{cut:,} targets have the {decoding.max_length:,} tokens that are written at most (--max-length)."
        )
    return remarks


def _baselines(beside: Prepared, found: Scored, score: Score) -> list[dict[str, Any]]:
    train = beside.splits.train
    words = beside.coder.source.tokenizer.kind != "chars"

    def judge(outputs: list[str]) -> list[Figure]:
        return score.judge(outputs, found.references)

    rows = list(all_baselines(train.sources, train.targets, found.sources, judge, words=words))
    if score.kind == "diversity":
        began = time.perf_counter()
        people = judge([wanted[0] for wanted in found.references])
        note = "what was really answered"
        rows.append(
            {"name": "people", "figures": as_json(people), "seconds": time.perf_counter() - began, "note": note}
        )
    return rows


def conclude(run: RunFolder, model: Any, prepared: Prepared, metrics: Mapping[str, Any], *, say: Say) -> dict[str, Any]:
    """Write what the report shows beside the figures: by length, alignments, mistakes; and all predictions."""
    coder, decoding = prepared.coder, prepared.decoding
    found = prepared.scored or written(model, coder, decoding, prepared.splits.test)
    score = score_of(decoding, coder, prepared.splits.test.targets)
    outputs = [target.text for target in found.targets]
    lengths = coder.source.encode(found.sources).lengths.tolist()
    unit = f"source {coder.source.tokenizer.unit}s"
    by_length = translation.by_length(outputs, found.references, lengths, score.judge, rows=ROWS)
    run.write_json("eval/lengths.json", {"unit": unit, "rows": by_length})
    run.write_json("eval/alignments.json", alignments(model, coder, decoding, found, lengths))
    run.write_json("eval/mistakes.json", {"items": mistakes(found, score)})
    rows = ["source\twritten\texpected\tlog_p\n"]
    for source, target, wanted in zip(found.sources, found.targets, found.references, strict=True):
        rows.append("\t".join([source, target.text, " | ".join(wanted), f"{target.log_p:.4f}"]) + "\n")
    write_atomic(run.path / "eval" / "predictions.tsv", "".join(rows).encode("utf-8", "surrogatepass"))
    say("")
    say(f"predictions {run.path / 'eval' / 'predictions.tsv'}")
    return {"predictions": str(run.path / "eval" / "predictions.tsv")}


def alignments(
    model: Any, coder: PairCoder, decoding: Decoding, found: Scored, lengths: Sequence[int]
) -> dict[str, Any]:
    """What a few sources of middling length were attended to for; why not, where there is no attention."""
    if model.options.attention == "none":
        return {"absent": NO_ATTENTION}
    order = sorted(range(len(found.sources)), key=lambda place: lengths[place])
    fitting = [place for place in order if lengths[place] <= MOST_ALIGNED]
    middle = fitting[len(fitting) // 2 :] or order
    chosen = middle[:: max(1, len(middle) // ALIGNED)][:ALIGNED]
    sources = [found.sources[place] for place in chosen]
    again = write(model, coder, sources, decoding, attention=True)
    return {"items": [alignment(coder, source, best) for source, (best, *_) in zip(sources, again, strict=True)]}


def mistakes(found: Scored, score: Score) -> list[dict[str, Any]]:
    """What eval/mistakes.json lists: the sources whose targets need most edits, as a share of what was expected."""
    if score.kind == "diversity":
        return []
    edits, lengths = error_rate.nearest(
        [score.split(target.text) for target in found.targets],
        [[score.split(one) for one in wanted] for wanted in found.references],
    )
    badness = edits / np.maximum(lengths, 1)
    worst = np.argsort(-badness, kind="stable")
    return [
        {
            "text": found.sources[place],
            "expected": found.references[place],
            "predicted": found.targets[place].text,
            "probability": float(np.exp(found.targets[place].log_p)),
            "file": found.places[place],
        }
        for place in worst[:MISTAKES].tolist()
        if badness[place] > 0
    ]


def _line(name: str, figures: Sequence[Figure]) -> str:
    """One row of the table of figures, each with its interval."""
    return f"  {name:<28}" + "".join(f"{_shown(figure):>24}" for figure in figures)


def _shown(figure: Figure) -> str:
    value, low, high = (np.nan if end is None else end for end in (figure.value, figure.low, figure.high))
    if not np.isfinite(value):
        return "-"
    times, unit = (100, " %") if figure.unit == "share" else (1, "")
    interval = f" ({times * low:.1f}..{times * high:.1f})" if np.isfinite(low) else ""
    return f"{times * value:.2f}{unit}{interval}"
