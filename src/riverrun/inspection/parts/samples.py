"""What the model wrote while it learnt: the first, the last, and a few between."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from riverrun.inspection.part import Part
from riverrun.inspection.parts.curves import training_nats_near
from riverrun.inspection.record import RunRecord, Sample

STAGES = 5  # samples shown over training


def samples(run: RunRecord) -> str:
    """The section's HTML; empty where there are not two of them."""
    stages = _stages([sample for sample in run.samples if sample.step is not None])
    if len(stages) < 2:
        return ""
    items = "".join(_stage(run, sample) for sample in stages)
    return f'<h3>The same model while it learnt</h3><ol class="timeline">{items}</ol>'


def _stages(samples: Sequence[Sample]) -> list[Sample]:
    """At most STAGES of them: the first, the last, and early ones rather than late, since most changes early."""
    if len(samples) <= STAGES:
        return list(samples)
    last = len(samples) - 1
    return [samples[i] for i in sorted({round(last * (k / (STAGES - 1)) ** 1.6) for k in range(STAGES)})]


def _stage(run: RunRecord, sample: Sample) -> str:
    assert sample.step is not None
    near = training_nats_near(run, sample.step)
    loss = f"{near:.2f} nats per {escape(run.unit)}" if near is not None else ""
    text = sample.text if len(sample.text) <= 320 else sample.text[:320].rstrip() + " …"
    return f'<li><div class="when"><b>step {sample.step:,}</b>{loss}</div><pre class="prose">{escape(text)}</pre></li>'


PART = Part("writing", "What it writes", samples)
