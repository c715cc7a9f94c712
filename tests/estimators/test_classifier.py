"""riverrun.Classifier: scikit-learn's rules, from files and from memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score

import riverrun as rr
from riverrun.cells import Cell, tanh
from riverrun.errors import DataError, UsageError

TEXTS = [f"{word} {n}" for n in range(20) for word in ("warm", "cold")]
LABELS = ["summer", "winter"] * 20
SMALL = {"hidden": 8, "epochs": 12, "lr": 0.03, "batch": 8, "dropout": 0.0, "variational": 0.0, "precision": "float32",
         "verbose": False, "threads": 1, "tokens": "words"}  # fmt: skip


@pytest.fixture(scope="module")
def fitted() -> rr.Classifier:
    return rr.Classifier(**SMALL).fit(TEXTS, LABELS)


def test_it_learns_and_predicts_labels_and_probabilities(fitted):
    assert fitted.classes_.tolist() == ["summer", "winter"]
    assert fitted.predict(["warm 3", "cold 99"]).tolist() == ["summer", "winter"]
    p = fitted.predict_proba(["warm 3", "cold 99", "never seen", ""])
    assert p.shape == (4, 2)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    assert fitted.score(TEXTS, LABELS) == 1
    assert fitted.score() == 1
    assert fitted.score(["warm 1", "cold 1"], ["winter", "unheard of"]) == 0


def test_a_text_is_predicted_alike_alone_and_in_company(fitted):
    together = fitted.predict_proba([*TEXTS, "a longer text of many words " * 9])
    for index in (0, 7, 39):
        np.testing.assert_allclose(fitted.predict_proba([TEXTS[index]])[0], together[index], rtol=1e-5)


def test_it_can_be_cloned_saved_and_loaded(fitted, tmp_path: Path):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    fitted.save(tmp_path / "model")
    again = rr.load(tmp_path / "model")
    assert isinstance(again, rr.Classifier)
    np.testing.assert_array_equal(again.predict_proba(TEXTS[:5]), fitted.predict_proba(TEXTS[:5]))


def test_a_table_is_read_by_its_columns(tmp_path: Path):
    path = tmp_path / "reviews.csv"
    path.write_text("a,b\n" + "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS, strict=True)))
    learnt = rr.Classifier(**SMALL).fit(str(path), text="a", label="b")
    assert learnt.predict(["warm 3"]).tolist() == ["summer"]
    with pytest.raises(DataError, match="no column is known to hold the text"):
        rr.Classifier(**SMALL).fit(path)


def test_a_file_is_scored_as_its_texts_and_labels_are(fitted, tmp_path: Path):
    path = tmp_path / "wrong.csv"
    other = {"summer": "winter", "winter": "summer"}
    rows = [(text, other[label]) for text, label in zip(TEXTS, LABELS, strict=True)]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    assert fitted.score(path) == fitted.score(str(path)) == 0
    assert fitted.score() == 1
    with pytest.raises(UsageError, match="score: expected texts and labels, or a path"):
        fitted.score(["warm 1"])
    with pytest.raises(DataError, match="no such file"):
        fitted.score("nowhere.csv")


@pytest.mark.parametrize("labels", [[10, 9], [True, False], [1.0, 2.0]])
def test_labels_that_are_numbers_come_back_as_numbers(labels, tmp_path: Path):
    y = np.array(labels * 20)
    learnt = rr.Classifier(**SMALL).fit(TEXTS, y)
    assert learnt.classes_.tolist() == sorted(labels)
    assert (learnt.predict(TEXTS) == y).all()
    assert accuracy_score(y, learnt.predict(TEXTS)) == learnt.score(TEXTS, y) == 1
    learnt.save(tmp_path / "model")
    assert (rr.load(tmp_path / "model").predict(TEXTS) == y).all()
    assert rr.Classifier(**{**SMALL, "epochs": 1}).fit(TEXTS, [1, "x"] * 20).classes_.tolist() == ["1", "x"]


def test_scikit_learn_cross_validates_it_and_searches_its_options():
    small = {**SMALL, "valid_share": 0.2, "test_share": 0.1}
    assert is_classifier(rr.Classifier(**small))
    X, y = np.array(TEXTS, dtype=object), np.array(LABELS)
    scores = cross_val_score(rr.Classifier(**small), X, y, cv=StratifiedKFold(2))
    assert scores.tolist() == [1, 1]
    assert cross_val_score(rr.Classifier(**small), TEXTS, LABELS, cv=2, scoring="neg_log_loss").min() > -0.5
    search = GridSearchCV(rr.Classifier(**small), {"hidden": [4, 8]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_params_["hidden"] in (4, 8)


def test_several_labels_are_lists(tmp_path: Path):
    labels = [["summer", "dry"], ["winter"]] * 20
    learnt = rr.Classifier(**SMALL, labels="several").fit(TEXTS, labels)
    assert learnt.predict(["warm 3", "cold 4"]) == [["dry", "summer"], ["winter"]]
    assert learnt.score(TEXTS[:2], labels[:2]) == 1


def test_a_cell_of_ones_own_goes_both_ways():
    class Plain(Cell):
        states = ("h",)

        def step(x, U, h):
            return tanh(x.n + U.n @ h)

    learnt = rr.Classifier(**{**SMALL, "cell": Plain, "epochs": 1}).fit(TEXTS, LABELS)
    assert learnt.predict(["warm"]).shape == (1,)


def test_a_run_from_memory_is_kept_and_can_be_judged_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from riverrun.cli.main import main

    rr.Classifier(**SMALL).fit(TEXTS, LABELS, run=tmp_path / "run")
    assert main(["eval", str(tmp_path / "run"), "--no-baselines"]) == 0
    said = capsys.readouterr()
    assert "accuracy" in said.out + said.err


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (["a", "b"], None, UsageError, "expected texts and labels"),
        (["a"], ["x", "y"], DataError, "as many labels as texts"),
        ("nowhere.csv", None, DataError, "no such file"),
        (["a", 3], ["x", "y"], DataError, "example 1: expected text"),
        (["a", "b", "c", "d"], ["x"] * 4, DataError, "too few examples|only label"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(X, y, error, message):
    with pytest.raises(error, match=message):
        rr.Classifier(**SMALL).fit(X, y)


def test_what_cannot_be_predicted_is_told(fitted):
    with pytest.raises(UsageError, match="pass \\[text\\]"):
        fitted.predict("one text")
    with pytest.raises(UsageError, match="has learnt nothing yet"):
        rr.Classifier(**SMALL).predict(["a"])
    with pytest.raises(UsageError, match=r"hiden: no such option\. Did you mean 'hidden'"):
        rr.Classifier(hiden=3)
