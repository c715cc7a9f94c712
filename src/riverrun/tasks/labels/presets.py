"""The presets of classification."""

from __future__ import annotations

from riverrun.tasks.task import Preset

PRESETS = (
    Preset(
        name="default",
        task="classify",
        summary="a bidirectional LSTM of 128 with attention, n-grams beside it: 8 passes, at most 15 minutes",
        values={
            # Small sets are learnt by heart in two passes: on sentence polarity the validation loss was 0.50 with
            # dropout on the text's vector alone, 0.47 with the input dropped too, 0.44 with n-grams and averaging.
            "model": {"dropout": 0.5, "variational": 0.3, "input_dropout": 0.3, "token_dropout": 0.3, "ngrams": 2},
            "training": {"epochs": 8.0, "minutes": 15.0, "batch": 32, "average": 0.998},
        },
        expected="sentence polarity, 73 seconds on one core: accuracy 77.4 % (naive Bayes: 80.6 %)",
    ),
    Preset(
        name="names",
        task="classify",
        summary="short strings by their letters: names to languages, as in the lecture",
        values={
            "data": {"tokens": "chars", "split": "hash"},
            "model": {
                "convolution": 128,
                "pooling": "last",
                "embedding": 64,
                "ngrams": 4,
                "dropout": 0.5,
                "variational": 0.4,
                "class_weights": 0.4,
            },
            "training": {"epochs": 12.0, "batch": 128, "lr": 0.005, "average": 0.995, "precision": "float32"},
        },
        expected="18 languages, 37 seconds on one core: accuracy 82.6 %, macro-F1 0.63",
    ),
    Preset(
        name="polarity",
        task="classify",
        summary="thousands of sentences, words from scratch: small vectors, few passes, much dropout",
        values={
            "data": {"tokens": "words", "lower": True, "min_count": 2},
            "model": {
                "hidden": 64,
                "embedding": 64,
                "dropout": 0.5,
                "input_dropout": 0.5,
                "token_dropout": 0.4,
                "variational": 0.3,
            },
            "training": {"epochs": 8.0, "batch": 50, "lr": 0.002, "average": 0.995, "precision": "float32"},
        },
        expected="sentence polarity, ten folds of 15 seconds on one core: accuracy 76.4 % (naive Bayes: 78.3 %)",
    ),
)
