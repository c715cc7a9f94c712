"""The language-model task, end to end on a tiny text, through nothing but its declaration."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from riverrun.cells.elman import Elman
from riverrun.errors import UsageError
from riverrun.models.fixed_window import FixedWindow
from riverrun.models.language_model import LanguageModel
from riverrun.tasks import find
from riverrun.training.loop import fit

TASK = find("lm")
TEXT = "the cat sat on the mat. the dog sat on the log. a cat and a dog met on a mat. " * 30


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """File -> corpus -> tokens -> parts -> batches -> model -> trained model."""
    path = tmp_path_factory.mktemp("data") / "cats.txt"
    path.write_text(TEXT)
    sections = {
        "data": TASK.sections["data"](),
        "model": TASK.sections["model"](hidden=24, layers=1, dropout=0.0),
        "training": TASK.sections["training"](steps=60, lanes=8, window=20, lr=0.02, precision="float32"),
    }
    prepared = TASK.prepare(TASK.read([str(path)], sections["data"]), sections, select=False)
    torch.manual_seed(0)
    model = TASK.model(sections["model"], prepared.coder)
    untrained = measured(model, prepared, sections)
    fit(model, TASK.batches(prepared, sections["training"]), sections["training"])
    return model, prepared, sections, untrained


def measured(model, prepared, sections, baselines=False):
    lines: list[str] = []
    return TASK.measure(model, prepared, training=sections["training"], say=lines.append, baselines=baselines)


def test_training_lowers_what_is_measured(journey):
    model, prepared, sections, untrained = journey
    trained = measured(model, prepared, sections)
    assert untrained["carried"]["nats"] == pytest.approx(math.log(prepared.coder.size), abs=0.3)
    assert trained["carried"]["nats"] < 0.5 * untrained["carried"]["nats"]
    for metric in TASK.metrics:
        assert trained["carried"][metric.name] > 0


def test_another_text_is_measured_with_the_same_vocabulary(journey, tmp_path):
    model, prepared, sections, _ = journey
    path = tmp_path / "other.txt"
    path.write_text("the dog sat on the mat. " * 9)
    said: list[str] = []
    corpus = TASK.read([str(path)], sections["data"])
    alone = TASK.measure_other(model, prepared.coder, sections, corpus, say=said.append)
    beside = TASK.measure_other(model, prepared.coder, sections, corpus, say=said.append, beside=prepared)
    assert alone["carried"] == beside["carried"]
    assert alone["tokens"] == 24 * 9 - 1
    assert (alone["baselines"], len(beside["baselines"])) == ([], 5)


def test_a_trained_model_goes_on_from_a_prompt(journey):
    model, prepared, _, _ = journey
    text = TASK.sample(model, prepared.coder, 0)
    assert len(text) == 300
    assert sum(word in TEXT for word in text.split()) >= 10


def test_baselines_stand_beside_it(journey):
    model, prepared, sections, _ = journey
    rows = measured(model, prepared, sections, baselines=True)["baselines"]
    names = ["unigram", "Kneser-Ney", "unsmoothed", "fixed-window network", "xz"]
    assert [row["name"].split(",")[0] for row in rows] == names
    assert rows[1]["nats_per_character"] < rows[0]["nats_per_character"]


def test_lanes_are_shared_by_processes(journey):
    _, prepared, _, _ = journey
    training = TASK.sections["training"](steps=1, lanes=4, window=5)
    whole = TASK.batches(prepared, training).next()
    parts = [TASK.batches(prepared, training, rank=rank, world=2).next() for rank in range(2)]
    assert np.array_equal(torch.cat([part.inputs for part in parts], 1), whole.inputs)
    with pytest.raises(UsageError, match="lanes: 4 cannot be shared by 3 processes"):
        TASK.batches(prepared, replace(training), world=3)


def test_the_options_say_which_network_it_is(journey):
    _, prepared, sections, _ = journey
    assert isinstance(TASK.model(sections["model"], prepared.coder), LanguageModel)
    window = replace(sections["model"], model="window")
    assert isinstance(TASK.model(window, prepared.coder), FixedWindow)
    with pytest.raises(UsageError, match="fixed-window network has none"):
        TASK.model(window, prepared.coder, cell=Elman)
