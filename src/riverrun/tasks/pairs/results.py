"""Results: what a model of pairs is worth: targets written, their scores beside baselines, what the report shows."""

from __future__ import annotations

from typing import Any

import torch

from riverrun.data.pair_arrays import PairArrays
from riverrun.data.pair_coder import PairCoder
from riverrun.data.pairs import PairCorpus
from riverrun.decoding.protocol import evaluating
from riverrun.tasks.pairs.options import Decoding
from riverrun.tasks.pairs.prepare import Prepared
from riverrun.tasks.pairs.writing import write
from riverrun.tasks.task import Say
from riverrun.training.update import moved

SHOWN = 120  # letters of a target that is shown while a model trains


def nats_per_token(model: Any, arrays: PairArrays) -> float:
    """The mean surprise of a target token (END is one), in nats, given the source and the tokens before it."""
    device = next(model.parameters()).device
    nats, tokens = 0.0, 0
    with evaluating(model), torch.no_grad():
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
    """What eval/metrics.json holds of the test part."""
    return {}


def measure_other(
    model: Any, coder: PairCoder, decoding: Decoding, corpus: PairCorpus, *, say: Say, beside: Prepared | None
) -> dict[str, Any]:
    """The same of other pairs."""
    return {}


def conclude(run: Any, model: Any, prepared: Prepared, metrics: dict[str, Any], *, say: Say) -> dict[str, Any]:
    """The rest of eval/."""
    return {}
