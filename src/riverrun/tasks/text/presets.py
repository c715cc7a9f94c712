"""The presets of the language model."""

from __future__ import annotations

from riverrun.tasks.task import Preset

PRESETS = (
    Preset(
        name="default",
        task="lm",
        summary="two LSTM layers of 512 over characters, annealed over a quarter of an hour",
        values={"training": {"minutes": 15.0, "lanes": 32}},
        expected="tinyshakespeare, 15 minutes on two cores with AMX: 1.45 nats per character (Kneser-Ney: 1.52)",
    ),
    Preset(
        name="long",
        task="lm",
        summary="half an hour: the default with stronger dropout and weight decay, since time alone would overfit",
        values={
            "model": {"dropout": 0.5},
            "training": {"minutes": 30.0, "lanes": 32, "weight_decay": 0.3},
        },
        expected="tinyshakespeare, 30 minutes on two cores with AMX: 1.41 nats per character (Kneser-Ney: 1.52)",
    ),
    Preset(
        name="demo",
        task="lm",
        summary="two minutes on the text that every Python carries: the default with less dropout and smaller batches",
        values={
            "model": {"dropout": 0.1},
            "training": {"minutes": 2.0, "lanes": 24, "lr": 0.006, "weight_decay": 0.3},
        },
        expected="built-in text, 2 minutes on two cores with AMX: 1.066 nats per character (Kneser-Ney: 1.082)",
    ),
    Preset(
        name="tiny",
        task="lm",
        summary="a few seconds, to see that everything works",
        values={
            "model": {"hidden": 32, "layers": 1, "dropout": 0.0},
            "training": {"steps": 60, "lanes": 8, "window": 32, "lr": 0.01, "sample_every": 30},
        },
        expected="learns little more than which characters are frequent, in about five seconds",
    ),
    Preset(
        name="min-char-rnn",
        task="lm",
        summary="Karpathy's, as in the lecture: 100 tanh units, one-hot characters, 25 steps, one stream, Adagrad",
        values={
            "model": {"cell": "elman", "hidden": 100, "layers": 1, "dropout": 0.0, "one_hot": True},
            "training": {
                "steps": 100_000,
                "lanes": 1,
                "window": 25,
                "fresh": 0.0,
                "optimiser": "adagrad",
                "lr": 0.1,
                "weight_decay": 0.0,
                "schedule": "constant",
                "warmup": 0.0,
                "clip_norm": 0.0,
                "clip_value": 0.2,  # the lecture's 5 on the sum over 25 steps; a loss here is a mean
                "precision": "float32",
            },
        },
        expected="the lecture's loss curve, at 2.3 times the speed of its NumPy program (one core)",
    ),
    Preset(
        name="word",
        task="lm",
        summary="a word model: tied embeddings, strong dropout, early stopping",
        values={
            "data": {"tokens": "words", "vocabulary": 10_000},
            "model": {"hidden": 512, "layers": 2, "tied": True, "dropout": 0.5},
            "training": {"minutes": 15.0, "lanes": 32, "window": 50, "weight_decay": 0.05, "patience": 4},
        },
        expected="no figure measured yet",
    ),
    Preset(
        name="awd",
        task="lm",
        summary="AWD-LSTM over words (Merity et al. 2018): DropConnect, variational dropout, averaged SGD",
        values={
            "data": {"tokens": "words"},
            "model": {
                "hidden": 1150,
                "layers": 3,
                "embedding": 400,
                "projection": 400,
                "tied": True,
                "dropout": 0.4,
                "embedding_dropout": 0.1,
                "variational": 0.3,
                "weight_dropout": 0.5,
                "activity": 2.0,
                "temporal_activity": 1.0,
            },
            "training": {
                "epochs": 30.0,
                "lanes": 20,
                "window": 70,
                "random_window": True,
                "optimiser": "asgd",
                "lr": 30.0,
                "weight_decay": 1.2e-6,
                "schedule": "constant",
                "warmup": 0.0,
                "clip_norm": 0.25,
            },
        },
        expected="no figure measured yet; meant for a GPU",
    ),
)
