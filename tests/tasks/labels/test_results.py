"""What a run keeps of a classifier's results: places on a scale, labels with commas, how many mistakes there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from riverrun.data.label_coder import LabelCoder
from riverrun.data.labelled import Example, given
from riverrun.data.labelled_options import LabelledOptions
from riverrun.models.classifier import Classifier
from riverrun.models.classifier_options import ClassifierOptions
from riverrun.run import RunFolder
from riverrun.tasks.labels.prepare import prepare
from riverrun.tasks.labels.results import conclude, judged, scores
from riverrun.tasks.measures.classification import figures


def test_a_grade_that_training_lacks_has_its_place_on_the_scale():
    learnt = [Example("a", ("1",)), Example("b", ("2",)), Example("c", ("10",))]
    coder = LabelCoder.of(learnt, LabelledOptions(labels="ordered", tokens="chars"))
    found = judged(np.array([0, 1, 2]), [Example("d", ("3",)), Example("e", ("2",)), Example("f", ("10",))], coder)
    assert found.names == ("1", "2", "3", "10")
    assert [found.names[number] for number in found.predicted] == ["1", "2", "10"]
    distance = next(figure for figure in figures(found) if figure.name == "mean_distance")
    assert distance.value == pytest.approx(2 / 3)


def test_of_several_labels_those_that_were_said_are_listed_and_how_probable_they_are_together(tmp_path: Path):
    texts = [f"{word} {n}" for n in range(30) for word in ("red", "blue", "grey")]
    labels = [["warm, bright"], ["cold"], []] * 30
    options = LabelledOptions(labels="several", tokens="words")
    prepared = prepare(given(texts, labels, options), options, select=True)
    torch.manual_seed(0)
    model = Classifier(ClassifierOptions(hidden=4), prepared.coder.tokenizer.size, prepared.coder.labels, unknown=0)
    with torch.no_grad():
        model.head.linear.bias.copy_(torch.tensor([-1.0, -1.0]))
    model.train()
    run = RunFolder(tmp_path)
    (tmp_path / "eval").mkdir()
    conclude(run, model, prepared, {}, say=lambda line: None)
    assert model.training, "its mode is given back"
    wrong = run.read_json("eval/mistakes.json")
    assert wrong["count"] == len(wrong["items"]) == sum(bool(e.labels) for e in prepared.test.examples)
    assert all(item["predicted"] == [] for item in wrong["items"])
    assert ["warm, bright"] in [item["expected"] for item in wrong["items"]]
    rows = (tmp_path / "eval" / "predictions.tsv").read_text().splitlines()[1:]
    chances = (1 - scores(model, prepared.test).probabilities).prod(1)
    assert [float(row.split("\t")[3]) for row in rows] == pytest.approx(chances, abs=1e-6)
