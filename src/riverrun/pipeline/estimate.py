"""estimate: what a run would do, how large its model is and how long it takes, from a few steps that are not kept."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from riverrun import tasks
from riverrun.configuration import Configuration, flatten
from riverrun.pipeline.train import Assembled, assemble, describe, kernels
from riverrun.tasks.task import Corpus
from riverrun.training.update import moved

WARM, TIMED = 1, 2  # steps; the first one of a process is slow


def estimate(configuration: Configuration, corpus: Corpus, reason: str) -> tuple[dict[str, Any], list[str]]:
    """The facts, and the lines that tell them: schema, size, and time by the budget. Nothing is kept."""
    with tempfile.TemporaryDirectory(prefix="riverrun-") as folder:  # for a corpus too large for memory
        return _facts(assemble(configuration, corpus, cache=Path(folder)), reason)


def _facts(assembled: Assembled, reason: str) -> tuple[dict[str, Any], list[str]]:
    configuration = assembled.configuration
    training = configuration.sections["training"]
    seconds, tokens, share = per_step(assembled)
    epoch = max(1 / share, 1.0)  # steps
    counts = [training.steps] if training.steps else []
    counts += [training.epochs * epoch] if training.epochs else []
    counts += [training.minutes * 60 / seconds] if training.minutes else []
    steps = min(counts)
    unit = tasks.find(configuration.task).unit
    epochs, minutes = steps / epoch, steps * seconds / 60
    memory = sum(p.numel() * p.element_size() for p in assembled.model.parameters())
    facts = {
        "task": configuration.task,
        "reason": reason,
        "data": assembled.prepared.record(),
        "options": flatten(configuration.sections.values()),
        "parameters": assembled.parameters,
        "weights_bytes": memory,
        "kernels": kernels(assembled),
        "device": str(assembled.device),
        "precision": assembled.precision.name,
        "seconds_per_step": seconds,
        "steps": round(steps),
        "epochs": epochs,
        "minutes": minutes,
    }
    lines = [
        *describe(assembled, reason),
        f"size       {memory / 2**20:.1f} MiB of weights; with gradients and AdamW four times as much",
        f"estimate   {seconds:.3g} s a step, {tokens / seconds:,.0f} {unit}/s: {steps:,.0f} steps, "
        f"{_short(epochs)} epochs, {_short(minutes)} minutes (evaluation and baselines not counted)",
        "dry run: nothing was written.",
    ]
    return facts, lines


def _short(number: float) -> str:
    """Two digits, or all that stand before the point.

    >>> _short(0.123), _short(139.6)
    ('0.12', '140')
    """
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def per_step(assembled: Assembled) -> tuple[float, float, float]:
    """Of one update: its seconds (forward and backward pass), its tokens and its share of an epoch, measured on the
    run's own first batches."""
    training = assembled.configuration.sections["training"]
    model = assembled.model.to(device=assembled.device, dtype=assembled.precision.weights)
    model.train()
    batches = assembled.batches
    cursor = batches.state_dict()
    began, tokens, epoch = 0.0, 0, 0.0
    for number in range(WARM + TIMED):
        if number == WARM:
            began, epoch = time.perf_counter(), batches.epoch
        batch = moved(batches.next(), assembled.device)
        with assembled.precision.autocast(assembled.device):
            loss = model.loss(batch, None)
        (loss.total / max(batch.tokens, 1)).backward()
        model.zero_grad(set_to_none=True)
        if assembled.device.type == "cuda":
            torch.cuda.synchronize(assembled.device)
        tokens += batch.tokens if number >= WARM else 0
    seconds, share = time.perf_counter() - began, batches.epoch - epoch
    batches.load_state_dict(cursor)
    accumulate = int(training.accumulate) / TIMED
    return seconds * accumulate, tokens * accumulate, max(share, 1e-9) * accumulate
