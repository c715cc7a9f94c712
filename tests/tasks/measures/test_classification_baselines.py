"""Baselines: they are scikit-learn's on the same parts, by the same figures."""

from __future__ import annotations

import numpy as np
import pytest

from riverrun.data.labelled import Example
from riverrun.data.labels import Labels
from riverrun.tasks.measures import classification_baselines
from riverrun.tasks.measures.classification import Judged
from riverrun.tasks.measures.classification_baselines import baselines

WORDS = {"x": "red rose ruby", "y": "blue sky sea", "z": "green leaf grass"}


def examples(count: int, seed: int, kind: str) -> list[Example]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        labels = tuple(label for label in WORDS if random.random() < 0.4) if kind == "several" else ()
        labels = labels or (str(random.choice(list(WORDS), p=[0.6, 0.3, 0.1])),)
        words = [random.choice(WORDS[label].split()) for label in labels for _ in range(2)]
        found.append(Example(" ".join([*words, str(random.integers(3))]), labels))
    return found


@pytest.mark.parametrize("kind", ["one", "several", "ordered"])
def test_baselines_learn_the_training_part_and_are_judged_on_the_test_part(kind):
    train, valid, test = (examples(count, seed, kind) for seed, count in enumerate((120, 30, 40)))
    if kind == "ordered":
        number = {"x": "1", "y": "2", "z": "3"}
        train, valid, test = (
            [e._replace(labels=(number[e.labels[0]],)) for e in part] for part in (train, valid, test)
        )
    labels = Labels.of(train, kind)

    def judge(predicted, part) -> Judged:
        return Judged(kind, labels.names, labels.targets(part).astype(bool if kind == "several" else int), predicted)

    rows = list(baselines(train, valid, test, labels, judge))
    names = ["majority", "naive Bayes, words", "naive Bayes, characters", "logistic regression, n-grams"]
    assert [row["name"] for row in rows] == names
    first = [row["figures"][0]["value"] for row in rows]
    if kind != "several":
        common = labels.names[int(np.argmax(labels.counts))]
        assert first[0] == pytest.approx(np.mean([example.labels[0] == common for example in test]))
    assert min(first[1:]) > max(first[0], 0.85)  # each colour has words of its own
    assert all(row["seconds"] >= 0 and row["note"] for row in rows)


def test_without_a_validation_part_nothing_is_picked():
    train, test = examples(60, 0, "one"), examples(20, 1, "one")
    labels = Labels.of(train, "one")
    rows = list(
        baselines(train, (), test, labels, lambda p, part: Judged("one", labels.names, labels.targets(part), p))
    )
    assert not any("picked" in row["note"] for row in rows)


def test_one_label_that_texts_have_or_not_is_learnt_too():
    train, test = ([e._replace(labels=("x",) * ("red" in e.text)) for e in examples(n, n, "one")] for n in (90, 30))
    labels = Labels.of(train, "several")
    rows = list(
        baselines(
            train, train, test, labels, lambda p, part: Judged("several", labels.names, labels.targets(part) > 0, p)
        )
    )
    assert len(rows) == 4
    assert rows[-1]["figures"][0]["value"] > 0.9


def test_of_many_examples_those_from_everywhere_are_learnt(monkeypatch):
    monkeypatch.setattr(classification_baselines, "EXAMPLES", 30)
    train = sorted(examples(200, 0, "one"), key=lambda example: example.labels)  # as of a file a label
    test, labels = examples(60, 1, "one"), Labels.of(train, "one")
    rows = list(
        baselines(train, (), test, labels, lambda p, part: Judged("one", labels.names, labels.targets(part), p))
    )
    assert rows[-1]["figures"][0]["value"] > 0.85


@pytest.mark.parametrize("strengths", [(1.0, 2.0), (2.0, 1.0)])
def test_the_strength_that_does_best_on_validation_is_picked(strengths):
    part = examples(20, 0, "one")
    labels = Labels.of(part, "one")
    truth = labels.targets(part)

    class Made:
        def __init__(self, strength):
            self.strength = strength

        def fit(self, known, targets):
            return self

        def predict(self, features):
            return truth if self.strength == 2 else (truth + 1) % 3

    best, words = classification_baselines._fitted(
        Made, strengths, None, None, part, part, labels, lambda p, part: Judged("one", labels.names, truth, p)
    )
    assert best.strength == 2
    assert words.startswith("2, picked of")
