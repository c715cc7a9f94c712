"""finish: what a trained model is worth: held-out figures beside baselines, a sample and how new it is, the report."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from riverrun import tasks
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.decoding.sampling import Sampling
from riverrun.decoding.scoring import annotation, score
from riverrun.files import write_atomic
from riverrun.inspection import report
from riverrun.pipeline.prepare import Prepared
from riverrun.pipeline.train import Trained
from riverrun.pipeline.writing import novelty, sample
from riverrun.run import RunFolder
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
Say = Callable[[str], None]


def finish(trained: Trained, *, say: Say, baselines: bool) -> dict[str, Any]:
    """Evaluate on the test part, set baselines beside it, sample, and write the report; returns what --json shows."""
    assert trained.run is not None
    training = trained.configuration.sections["training"]
    name, prepared = trained.configuration.task, trained.prepared
    metrics = measure(name, trained.model, prepared, say=say, window=training.window, baselines=baselines)
    return conclude(trained.run, trained.model, prepared, metrics, say=say, seed=training.seed)


def measure(
    task_name: str, model: Any, prepared: Prepared, *, say: Say, window: int, baselines: bool
) -> dict[str, Any]:
    """What eval/metrics.json holds: the test part's figures, and the baselines that were trained on the same parts."""
    task, tokenizer = tasks.find(task_name), prepared.tokenizer
    metrics = measure_tokens(task_name, model, tokenizer, prepared.splits.test, say, window)
    if metrics["unknown_share"] and untaught(prepared):
        metrics["unknown"] += f" {UNTAUGHT[tokenizer.kind]}"
        say(UNTAUGHT[tokenizer.kind])
    if baselines:
        say("baselines, trained on the same part (nats and bits per character):")
        carried = metrics["carried"]
        say(baseline_line("this model", carried["nats_per_character"], carried["bits_per_character"], ""))
        for baseline in task.baselines(prepared.splits, tokenizer):
            found = baseline.as_dict()
            metrics["baselines"].append(found)
            say(baseline_line(found["name"], found["nats_per_character"], found["bits_per_character"], found["note"]))
    return metrics


def measure_tokens(
    task_name: str, model: Any, tokenizer: Tokenizer, tokens: Tokens, say: Say, window: int
) -> dict[str, Any]:
    """The same of any text, without baselines."""
    say("")
    say(f"evaluating {len(tokens.ids):,} {tokenizer.unit}s ...")
    metrics = dict(tasks.find(task_name).evaluate(model, tokens, tokenizer, window=window).as_dict())
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
    """Write eval/, samples/ and report.html; show the sample."""
    tokenizer = prepared.tokenizer
    run.write_json("eval/metrics.json", metrics)
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
    page = report.build(run.path)
    if run.model.is_dir():  # not where a run is measured that was killed
        say(f"model      {run.model}")
    say(f"report     {page}")
    return {"metrics": metrics, "sample": text, "novelty": facts, "novelty_note": sentence, "report": str(page)}


def surprises(model: Any, tokenizer: Tokenizer, test: Tokens) -> dict[str, Any]:
    """What eval/surprise.json holds: the beginning of the test part, its surprise, and what was likelier."""
    ids = test.ids[:SURPRISED]
    return annotation(score(model, ids, top=TOP), lambda id: tokenizer.decode([id]))
