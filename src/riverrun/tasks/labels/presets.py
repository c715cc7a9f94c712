"""The presets of classification."""

from __future__ import annotations

from riverrun.tasks.task import Preset

PRESETS = (
    Preset(
        name="default",
        task="classify",
        summary="a bidirectional LSTM of 128 with attention over its steps, twelve passes, the best kept",
        values={"model": {"dropout": 0.5, "variational": 0.3}, "training": {"epochs": 12.0}},
        expected="no figure measured yet",
    ),
    Preset(
        name="names",
        task="classify",
        summary="short strings by their letters: names to languages, as in the lecture",
        values={
            "data": {"tokens": "chars", "split": "hash"},
            "model": {"pooling": "last", "embedding": 64, "dropout": 0.5, "variational": 0.4, "class_weights": 0.3},
            "training": {"epochs": 15.0, "average": 0.998},
        },
        expected="no figure measured yet",
    ),
)
