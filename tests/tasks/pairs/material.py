"""Pairs to spell, and a model that was taught them."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch

from riverrun.configuration import resolve
from riverrun.data.pairs import given
from riverrun.tasks.pairs.prepare import Prepared
from riverrun.tasks.sequence_to_sequence import TASK
from riverrun.training.loop import fit

SOURCES = ["".join(letters) for length in range(1, 5) for letters in product("abcd", repeat=length)]
TARGETS = [" ".join(source.upper()) for source in SOURCES]


class Taught(NamedTuple):
    """A model and what it was made of."""

    model: Any
    prepared: Prepared
    sections: dict[str, Any]


def sections(**options: Any) -> dict[str, Any]:
    """Small sections with these options, wherever they belong."""
    values: dict[str, dict[str, Any]] = {
        "data": {"source_tokens": "chars", "target_tokens": "spaces"},
        "model": {"hidden": 16, "dropout": 0.0, "embedding": 8},
        "training": {"steps": 120, "batch": 32, "lr": 0.02, "precision": "float32", "threads": 1},
        "decoding": {"max_length": 12},
    }
    for name, value in options.items():
        home = next(home for home, made in TASK.sections.items() if name in made.__dataclass_fields__)
        values[home][name] = value
    return resolve(TASK.sections, values)


def taught(pairs: tuple[list[str], list[str]] = (SOURCES, TARGETS), **options: Any) -> Taught:
    """A model after a few steps. Every fifth pair is the training part's, too, so that it learns soon."""
    chosen = sections(**options)
    prepared = TASK.prepare(given(*pairs, chosen["data"]), chosen)
    torch.manual_seed(0)
    model = TASK.model(chosen["model"], prepared.coder)
    fit(model, TASK.batches(prepared, chosen["training"]), chosen["training"], evaluate=lambda: 0.0)
    return Taught(model.eval(), prepared, chosen)


def edits(left: list[str], right: list[str]) -> int:
    """The edit distance, cell by cell."""
    row = list(range(len(right) + 1))
    for i, one in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def log_p(taught: Taught, source: str, target: list[int]) -> float:
    """ln p(target, END | source), step by step, of a pair alone."""
    from riverrun.data.pair_batch import BEGIN, END
    from riverrun.sequences import Sequences

    ids = torch.from_numpy(taught.prepared.coder.source.encode([source]).ids)[:, None]
    memory = taught.model.encode(Sequences(ids, torch.tensor([len(ids)])))
    state, total, before = taught.model.start(memory), 0.0, BEGIN
    for token in [*target, END]:
        row, state, _ = taught.model.step(memory, state, torch.tensor([before]))
        total, before = total + float(row[0, token]), token
    return total


def ids_of(taught: Taught, target: str) -> list[int]:
    """The ids of a target, without END."""
    return [int(id) for id in np.asarray(taught.prepared.coder.target.encode([target]).ids)]
