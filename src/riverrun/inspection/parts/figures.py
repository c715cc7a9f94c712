"""What came out of a language model: held-out text, perplexity, the distance to the baselines, and the findings."""

from __future__ import annotations

from statistics import median

from riverrun.inspection import page
from riverrun.inspection.findings import Result, baselines, findings, own_result
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord, number, pairs


def figures(run: RunRecord) -> str:
    """The section's HTML; a sentence where there are no results yet."""
    entries: list[tuple[str, str, str, str]] = []
    own, others = own_result(run.metrics), baselines(run.metrics)
    if own is not None:
        entries.append(("Held-out text", f"{own.nats:.3f}", "nats/char", _interval(own)))
    carried = run.metrics.get("carried")
    perplexity = number(carried.get("perplexity")) if isinstance(carried, dict) else None
    if perplexity is not None:
        among = f"as unsure as among {perplexity:,.3g} equally likely {run.unit}s"
        entries.append(("Perplexity", f"{perplexity:,.3g}", f"per {run.unit}", among))
    if own is not None and others:
        gain = others[0].nats - own.nats
        what = "Ahead of the baselines" if gain > 0 else "Behind the baselines"
        entries.append((what, f"{abs(gain):.3f}", "nats/char", f"the best, {others[0].name}, has {others[0].nats:.3f}"))
    entries += training(run)
    if not entries:
        return page.absent("There are no results yet: the run has neither been trained to its end nor evaluated.")
    return page.figures(entries) + page.sentences(findings(run))


def _interval(result: Result) -> str:
    if result.low is None or result.high is None:
        return f"{result.bits:.3f} bits per character"
    return f"95 % interval {result.low:.3f} to {result.high:.3f}; {result.bits:.3f} bits"


def training(run: RunRecord) -> list[tuple[str, str, str, str]]:
    """The figure of the training itself, as `page.figures` takes it: how long, how many steps, how fast."""
    if run.seconds is None:
        return []
    steps = f"{run.last_step:,} steps" if run.last_step is not None else ""
    rates = [rate for _, rate in pairs(run.steps, "step", "tokens_per_second")]
    rate = f", {page.count(median(rates))} {run.unit}s a second" if rates else ""
    return [("Training", page.duration(run.seconds), "", steps + rate)]


PART = Part("result", "What came out", figures)
