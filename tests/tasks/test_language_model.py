"""The language-model task, end to end on a tiny text, through nothing but its declaration."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from riverrun.data.splits import split
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import UsageError
from riverrun.tasks import find
from riverrun.training.loop import fit

TASK = find("lm")
TEXT = "the cat sat on the mat. the dog sat on the log. a cat and a dog met on a mat. " * 30


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """File -> corpus -> tokens -> parts -> batches -> model -> trained model."""
    path = tmp_path_factory.mktemp("data") / "cats.txt"
    path.write_text(TEXT)
    data = TASK.sections["data"]()
    corpus = TASK.read([str(path)], data)
    tokenizer = Tokenizer.train((piece.text for piece in corpus.pieces()), data.tokens)
    splits = split(TASK.encode(corpus, tokenizer), data, select=False)
    torch.manual_seed(0)
    model = TASK.model(TASK.sections["model"](hidden=24, layers=1, dropout=0.0), tokenizer.size)
    training = TASK.sections["training"](steps=60, lanes=8, window=20, lr=0.02, precision="float32")
    untrained = TASK.evaluate(model, splits.test, tokenizer)
    fit(model, TASK.batch(splits.train, training), training)
    return model, splits, tokenizer, untrained


def test_training_lowers_what_is_measured(journey):
    model, splits, tokenizer, untrained = journey
    trained = TASK.evaluate(model, splits.test, tokenizer, window=20)
    assert untrained.carried.nats == pytest.approx(math.log(tokenizer.size), abs=0.3)
    assert trained.carried.nats < 0.5 * untrained.carried.nats
    values = trained.as_dict()
    for metric in TASK.metrics:
        assert values["carried"][metric.name] > 0


def test_a_trained_model_goes_on_from_a_prompt(journey):
    model, _, tokenizer, _ = journey
    ids = [int(row[0]) for row in TASK.decode(model, None, tokenizer.encode("the cat sat on"), 40)]
    text = tokenizer.decode(ids)
    assert len(text) == 40
    assert sum(word in TEXT for word in text.split()) >= 3


def test_baselines_stand_beside_it(journey):
    _, splits, tokenizer, _ = journey
    rows = list(TASK.baselines(splits, tokenizer, seconds=0))
    assert [row.name.split(",")[0] for row in rows] == ["unigram", "Kneser-Ney", "unsmoothed", "xz"]
    assert rows[1].nats_per_character < rows[0].nats_per_character


def test_lanes_are_shared_by_processes(journey):
    _, splits, _, _ = journey
    training = TASK.sections["training"](steps=1, lanes=4, window=5)
    whole = TASK.batch(splits.train, training).next()
    parts = [TASK.batch(splits.train, training, rank=rank, world=2).next() for rank in range(2)]
    assert np.array_equal(torch.cat([part.inputs for part in parts], 1), whole.inputs)
    with pytest.raises(UsageError, match="lanes: 4 cannot be shared by 3 processes"):
        TASK.batch(splits.train, replace(training), world=3)
