"""Figures are read as far as they are well formed, compared in their own direction, and written with few digits."""

from __future__ import annotations

import pytest
from inspection import made_up

from riverrun.inspection.scored import Figure, baselines, best, figures_of, own, written


def test_figures_come_in_order_with_their_intervals_units_and_directions():
    accuracy, f1 = own(made_up.classify_metrics())
    assert (accuracy.name, accuracy.value, accuracy.unit, accuracy.higher) == ("accuracy", 0.84, "share", True)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.83, 0.85))
    assert (f1.shown, accuracy.shown, accuracy.interval) == ("0.585", "84.0 %", "83.0 – 85.0")
    assert not own(made_up.seq2seq_metrics())[0].higher


def test_a_name_with_underscores_is_written_with_spaces():
    assert [figure.name for figure in figures_of([made_up.figure("macro_f1", 0.5)])] == ["macro f1"]


@pytest.mark.parametrize(
    "content",
    [None, 3, {}, ["x"], [{"name": 3, "value": 1.0}], [{"name": "a", "value": float("nan")}], [{"name": "a"}]],
)
def test_figures_that_are_none_are_passed_over(content):
    assert figures_of(content) == []
    assert own({"figures": content}) == []


def test_an_interval_has_the_digits_of_its_value_and_none_where_an_end_is_unknown():
    assert Figure("BLEU", 17.0, 8.0, 22.46).interval == "8.0 – 22.5"
    assert Figure("accuracy", 0.996, 0.9, 0.999, "share").interval == "90.00 – 99.90"
    assert Figure("BLEU", 17.0, None, 22.5).interval == ""


def test_baselines_come_best_first_in_the_direction_of_the_first_figure_and_unrated_ones_last():
    metrics = made_up.classify_metrics()
    assert [scored.name for scored in baselines(metrics)] == ["logistic regression", "naive Bayes", "majority"]
    for entry in (*metrics["figures"], *(figure for scored in metrics["baselines"] for figure in scored["figures"])):
        entry["better"] = "lower"
    metrics["baselines"].insert(0, made_up.baseline("silent", made_up.figure("accuracy", None)))
    assert [scored.name for scored in baselines(metrics)] == [
        "majority",
        "naive Bayes",
        "logistic regression",
        "silent",
    ]


@pytest.mark.parametrize("odd", [{}, {"baselines": 3}, {"baselines": [3, None]}, {"baselines": None}])
def test_metrics_without_baselines_have_none(odd):
    assert baselines({"figures": [made_up.figure("accuracy", 0.5)], **odd}) == []


def test_the_best_of_a_figure_is_the_best_of_those_that_have_it():
    others = baselines(made_up.classify_metrics())
    name, figure = best(others, "macro-F1")
    assert (name, figure.value) == ("logistic regression", 0.6)
    assert best(others, "chrF") is None
    errors = [made_up.baseline(name, made_up.figure("e", e, better="lower")) for name, e in (("a", 0.3), ("b", 0.2))]
    others = baselines({"figures": [made_up.figure("e", 0.1, better="lower")], "baselines": errors})
    assert best(others, "e")[0] == "b"


def test_intervals_are_apart_only_where_they_do_not_meet():
    mine = Figure("a", 0.8, 0.7, 0.9)
    assert not mine.apart(Figure("a", 0.6, 0.5, 0.7))
    assert mine.apart(Figure("a", 0.6, 0.5, 0.69))
    assert mine.apart(Figure("a", 0.95, 0.91, 1.0))
    assert not mine.apart(Figure("a", 0.75))
    assert mine.apart(Figure("a", 0.65))


def test_small_and_nearly_whole_shares_keep_two_digits():
    assert [written(x, "share") for x in (0.0, 0.0042, 0.5, 0.9942, 1.0)] == ["0.0", "0.42", "50.0", "99.42", "100.0"]
