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
)
