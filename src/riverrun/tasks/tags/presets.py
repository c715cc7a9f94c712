"""The presets of tagging."""

from __future__ import annotations

from riverrun.tasks.task import Preset

PRESETS = (
    Preset(
        name="default",
        task="tag",
        summary="words and letters into one bidirectional LSTM layer, a softmax a word, a dozen passes",
        values={
            "training": {
                "epochs": 12.0,
                "batch": 32,
                "lr": 0.006,
                "weight_decay": 0.0,
                "precision": "float32",
            }
        },
        expected="no figure measured yet",
    ),
    Preset(
        name="tiny",
        task="tag",
        summary="a few seconds, to see that everything works",
        values={
            "model": {
                "hidden": 16,
                "word_width": 16,
                "letter_width": 8,
                "letter_hidden": 8,
                "dropout": 0.0,
                "input_dropout": 0.0,
            },
            "training": {"steps": 60, "batch": 16, "lr": 0.02, "weight_decay": 0.0, "precision": "float32"},
        },
        expected="learns the frequent words' tags, in about five seconds",
    ),
)
