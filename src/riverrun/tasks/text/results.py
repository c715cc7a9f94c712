"""Results: what a language model is worth: held-out figures beside baselines, surprises, a sample and how new it is."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from riverrun.data.readers import Corpus
from riverrun.data.splits import Splits
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens, tokenise
from riverrun.decoding.sampling import Sampling
from riverrun.decoding.scoring import annotation, score
from riverrun.files import write_atomic
from riverrun.run import RunFolder
from riverrun.tasks.measures.baselines import baselines as all_baselines
from riverrun.tasks.measures.evaluation import evaluate
from riverrun.tasks.task import Say
from riverrun.tasks.text.prepare import Prepared
from riverrun.tasks.text.writing import novelty, sample
from riverrun.training.options import StreamTraining
from riverrun.training.progress import printable

SURPRISED = 2000  # held-out tokens that the report colours by surprise
SAMPLED = 1000  # tokens of the last sample
TOP = 5  # alternatives shown under a token
# What to do where the training text has no unknown token and the test part has.
UNTAUGHT = {
    "chars": "The training text has none, so the model never learnt to expect one.",
    "words": "The training text has none, so the model never learnt to expect one: --min-count 2 makes those words "
    "unknown that it has once.",
}


def measure(model: Any, prepared: Prepared, *, training: StreamTraining, say: Say, baselines: bool) -> dict[str, Any]:
    """What eval/metrics.json holds: the test part's figures, and the baselines that were trained on the same parts."""
    tokenizer = prepared.tokenizer
    metrics = measure_tokens(model, tokenizer, prepared.splits.test, say, training.window)
    if metrics["unknown_share"] and untaught(prepared):
        metrics["unknown"] += f" {UNTAUGHT[tokenizer.kind]}"
        say(UNTAUGHT[tokenizer.kind])
    if baselines:
        say("baselines, trained on the same part (nats and bits per character):")
        carried = metrics["carried"]
        say(baseline_line("this model", carried["nats_per_character"], carried["bits_per_character"], ""))
        for baseline in all_baselines(prepared.splits, tokenizer):
            found = baseline.as_dict()
            metrics["baselines"].append(found)
            say(baseline_line(found["name"], found["nats_per_character"], found["bits_per_character"], found["note"]))
    return metrics


def measure_other(
    model: Any,
    tokenizer: Tokenizer,
    sections: Mapping[str, Any],
    corpus: Corpus,
    *,
    say: Say,
    beside: Prepared | None = None,
) -> dict[str, Any]:
    """The same of any text; baselines where the data are there that they learn from (`beside`)."""
    training = sections["training"]
    with tempfile.TemporaryDirectory(prefix="riverrun-") as folder:  # for a text too large for memory
        tokens = tokenise(corpus, tokenizer, Path(folder))
        if beside is None:
            return measure_tokens(model, tokenizer, tokens, say, training.window)
        given = Splits(beside.splits.train, beside.splits.valid, tokens, "the files given")
        return measure(model, beside._replace(splits=given), training=training, say=say, baselines=True)


def measure_tokens(model: Any, tokenizer: Tokenizer, tokens: Tokens, say: Say, window: int) -> dict[str, Any]:
    """The same of tokens, without baselines."""
    say("")
    say(f"evaluating {len(tokens.ids):,} {tokenizer.unit}s ...")
    metrics = dict(evaluate(model, tokens, tokenizer, window=window).as_dict())
    for line in figures(metrics):
        say(line)
    return {**metrics, "baselines": []}


def figures(metrics: dict[str, Any]) -> list[str]:
    """The lines of an evaluation: state carried and reset side by side."""
    unit = metrics["unit"]
    lines = [f"{'state':<9}{'nats/' + unit:>16}  {'95 % interval':<18}{'bits/char':>10}{'perplexity':>12}"]
    for name, shown in (("carried", "carried"), ("reset", f"every {metrics['window']}")):
        f = metrics[name]
        interval = f"{f['low']:.4f} .. {f['high']:.4f}"
        lines.append(
            f"{shown:<9}{f['nats']:>16.4f}  {interval:<18}{f['bits_per_character']:>10.4f}{f['perplexity']:>12.3f}"
        )
    if metrics.get("warning"):
        lines.append(f"warning: {metrics['warning']}")
    if metrics.get("unknown"):
        lines.append(metrics["unknown"])
    return lines


def untaught(prepared: Prepared) -> bool:
    """Whether the training text (its first million tokens) has no unknown token, so that none is ever expected."""
    return not bool((prepared.splits.train.ids[:1_000_000] == prepared.tokenizer.unknown).any())


def baseline_line(name: str, nats: float | None, bits: float | None, note: str) -> str:
    """One row of the table of baselines."""
    figure = (
        "  infinite        "
        if nats is None or bits is None or not math.isfinite(nats)
        else f"{nats:>10.4f}{bits:>8.4f}"
    )
    return f"  {name:<24}{figure}  {note}".rstrip()


def conclude(
    run: RunFolder, model: Any, prepared: Prepared, metrics: dict[str, Any], *, say: Say, seed: int
) -> dict[str, Any]:
    """Write samples/ and what eval/ has beside the metrics; show the sample."""
    tokenizer = prepared.tokenizer
    run.write_json("eval/surprise.json", surprises(model, tokenizer, prepared.splits.test))
    text = sample(model, tokenizer, "", SAMPLED, sampling=Sampling(seed=seed))
    run.samples.mkdir(exist_ok=True)
    write_atomic(run.samples / "final.txt", text.encode("utf-8", "surrogatepass"))
    facts, sentence = novelty(tokenizer, [text], prepared.splits.train, prepared.splits.test)
    if facts is not None:
        run.write_json("eval/novelty.json", facts)
    say("")
    say(f"sample (temperature {Sampling().temperature:g}):")
    say(printable(text))
    say("")
    say(sentence)
    return {"sample": text, "novelty": facts, "novelty_note": sentence}


def surprises(model: Any, tokenizer: Tokenizer, test: Tokens) -> dict[str, Any]:
    """What eval/surprise.json holds: the beginning of the test part, its surprise, and what was likelier."""
    ids = test.ids[:SURPRISED]
    return annotation(score(model, ids, top=TOP), lambda id: tokenizer.decode([id]))
