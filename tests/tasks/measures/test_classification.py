"""Figures of classification against scikit-learn's, and intervals against drawing examples one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from riverrun.tasks.measures.classification import Judged, as_json, confusion, f1_by_label, figures, yes_no

RANDOM = np.random.default_rng(0)
NAMES = ("a", "b", "c", "d")
TRUTH = RANDOM.choice(3, 120, p=[0.6, 0.3, 0.1])  # no d
SAID = np.where(RANDOM.random(120) < 0.6, TRUTH, RANDOM.choice(3, 120))
ONE = Judged("one", NAMES, TRUTH, SAID)
MANY = Judged(
    "several", NAMES, RANDOM.random((80, 4)) < [0.5, 0.3, 0.1, 0], RANDOM.random((80, 4)) < [0.6, 0.2, 0.1, 0]
)


def value(judged: Judged, name: str) -> float:
    return next(figure.value for figure in figures(judged) if figure.name == name)


def test_accuracy_and_macro_f1_are_scikit_learns():
    assert value(ONE, "accuracy") == pytest.approx(metrics.accuracy_score(TRUTH, SAID))
    assert value(ONE, "macro_f1") == pytest.approx(metrics.f1_score(TRUTH, SAID, average="macro"))
    expected = metrics.f1_score(TRUTH, SAID, average=None)
    assert f1_by_label(ONE) == {**dict(zip("abc", map(pytest.approx, expected), strict=True)), "d": None}


def test_a_label_that_is_only_predicted_counts_as_zero():
    judged = Judged("one", ("a", "b"), np.array([0, 0]), np.array([0, 1]))
    assert value(judged, "macro_f1") == pytest.approx(metrics.f1_score([0, 0], [0, 1], average="macro"))


def test_the_confusion_matrix_is_scikit_learns():
    assert confusion(ONE).tolist() == metrics.confusion_matrix(TRUTH, SAID, labels=range(4)).tolist()


def test_several_labels_are_scored_as_scikit_learn_does():
    seen = Judged("several", NAMES[:3], MANY.truth[:, :3], MANY.predicted[:, :3])
    for average, name in (("micro", "micro_f1"), ("macro", "macro_f1")):
        expected = metrics.f1_score(seen.truth, seen.predicted, average=average)
        assert value(MANY, name) == pytest.approx(expected)  # d is neither true nor predicted
    assert value(MANY, "exact") == pytest.approx(metrics.accuracy_score(MANY.truth, MANY.predicted))
    tables = metrics.multilabel_confusion_matrix(MANY.truth, MANY.predicted)
    assert yes_no(MANY) == [[t[1, 1], t[0, 1], t[1, 0], t[0, 0]] for t in tables]


def test_the_distance_on_a_scale_is_counted_in_labels():
    ordered = Judged("ordered", NAMES, TRUTH, SAID)
    found = next(figure for figure in figures(ordered) if figure.name == "mean_distance")
    assert found.value == pytest.approx(np.abs(TRUTH - SAID).mean())
    assert found.better == "lower"


@pytest.mark.parametrize("kind", ["one", "several"])
def test_intervals_are_those_of_drawing_examples_with_replacement(kind):
    judged = {"one": ONE, "several": MANY}[kind]
    first, macro = figures(judged)[:2]
    drawn = []
    for _ in range(1000):
        rows = RANDOM.integers(0, len(judged.truth), len(judged.truth))
        truth, said = judged.truth[rows], judged.predicted[rows]
        if kind == "one":
            sides = [(truth == label, said == label) for label in range(3)]
        else:
            sides = [(truth[:, label], said[:, label]) for label in range(4)]
        each = [2 * (t & s).sum() / (t.sum() + s.sum()) for t, s in sides if t.any() or s.any()]
        micro = 2 * sum((t & s).sum() for t, s in sides) / sum(t.sum() + s.sum() for t, s in sides)
        drawn.append((micro, np.mean(each)))  # of one label the micro-F1 is the accuracy
    expected = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)  # [2, 2]
    for place, figure in enumerate((first, macro)):
        assert (figure.low, figure.high) == pytest.approx(expected[:, place], abs=0.02)
        assert figure.low < figure.value < figure.high


def test_macro_f1_of_many_rare_labels_lies_within_its_interval():
    truth = np.repeat(np.arange(100), 2)
    said = np.where(RANDOM.random(200) < 0.6, truth, RANDOM.choice(100, 200))
    for judged in (
        Judged("one", tuple(map(str, range(100))), truth, said),
        Judged("several", tuple(map(str, range(100))), np.eye(100, dtype=bool)[truth], np.eye(100, dtype=bool)[said]),
    ):
        for figure in figures(judged):
            assert 0 <= figure.low < figure.value < figure.high <= 1


def test_shares_stay_shares_and_without_draws_there_is_no_interval():
    right = Judged("one", NAMES, TRUTH, TRUTH)
    assert [figure[1:4] for figure in figures(right)] == [(1, 1, 1)] * 2
    (first, *_), (alone, *_) = figures(ONE), figures(ONE, draws=0)
    assert alone.value == first.value
    assert np.isnan([alone.low, alone.high]).all()


def test_figures_as_json_have_null_for_what_is_not_finite():
    nothing = as_json(figures(Judged("one", NAMES, np.zeros(0, np.int64), np.zeros(0, np.int64))))
    assert [(row["name"], row["value"], row["low"]) for row in nothing] == [
        ("accuracy", None, None),
        ("macro_f1", None, None),
    ]
