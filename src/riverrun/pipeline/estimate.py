"""estimate: what a run would do, how large its model is and how long it takes, from a few steps that are not kept."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from riverrun.configuration import Configuration, flatten
from riverrun.data.readers import Corpus
from riverrun.pipeline.train import Assembled, assemble, describe, kernels

WARM, TIMED = 1, 2  # steps; the first one of a process is slow


def estimate(configuration: Configuration, corpus: Corpus, reason: str) -> tuple[dict[str, Any], list[str]]:
    """The facts, and the lines that tell them: schema, size, and time by the budget. Nothing is kept."""
    with tempfile.TemporaryDirectory(prefix="riverrun-") as folder:  # for a corpus too large for memory
        return _facts(assemble(configuration, corpus, cache=Path(folder)), reason)


def _facts(assembled: Assembled, reason: str) -> tuple[dict[str, Any], list[str]]:
    configuration = assembled.configuration
    training = configuration.sections["training"]
    seconds = seconds_per_step(assembled)
    tokens = training.lanes * training.window * training.accumulate
    epoch = max(len(assembled.prepared.splits.train.ids) / tokens, 1.0)  # steps
    counts = [training.steps] if training.steps else []
    counts += [training.epochs * epoch] if training.epochs else []
    counts += [training.minutes * 60 / seconds] if training.minutes else []
    steps = min(counts)
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
        "epochs": steps / epoch,
        "minutes": steps * seconds / 60,
    }
    lines = [
        *describe(assembled, reason),
        f"size       {memory / 2**20:.1f} MiB of weights; with gradients and AdamW four times as much",
        f"estimate   {seconds:.3g} s a step, {tokens / seconds:,.0f} tokens/s: {steps:,.0f} steps, "
        f"{steps / epoch:.2g} epochs, {steps * seconds / 60:.3g} minutes (evaluation and baselines not counted)",
        "dry run: nothing was written.",
    ]
    return facts, lines


def seconds_per_step(assembled: Assembled) -> float:
    """The time of one update's forward and backward pass, measured on the run's own first batches."""
    training = assembled.configuration.sections["training"]
    model = assembled.model.to(device=assembled.device, dtype=assembled.precision.weights)
    model.train()
    cursor = assembled.streams.state_dict()
    began = 0.0
    for number in range(WARM + TIMED):
        if number == WARM:
            began = time.perf_counter()
        batch = assembled.streams.next()
        moved = batch._replace(
            inputs=batch.inputs.to(assembled.device),
            targets=batch.targets.to(assembled.device),
            resets=None if batch.resets is None else batch.resets.to(assembled.device),
        )
        with assembled.precision.autocast(assembled.device):
            loss = model.loss(moved, None)
        (loss.total / max(batch.tokens, 1)).backward()
        model.zero_grad(set_to_none=True)
        if assembled.device.type == "cuda":
            torch.cuda.synchronize(assembled.device)
    assembled.streams.load_state_dict(cursor)
    return (time.perf_counter() - began) / TIMED * int(training.accumulate)
