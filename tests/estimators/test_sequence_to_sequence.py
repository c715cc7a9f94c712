"""riverrun.Seq2Seq: scikit-learn's rules, and the same abilities as the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.pairs.material import SOURCES, TARGETS

import riverrun as rr
from riverrun.errors import DataError, UsageError

SMALL: dict[str, Any] = {
    "hidden": 8,
    "steps": 6,
    "batch": 32,
    "source_tokens": "chars",
    "target_tokens": "spaces",
    "max_length": 8,
    "precision": "float32",
    "verbose": False,
}


@pytest.fixture(scope="module")
def model() -> rr.Seq2Seq:
    return rr.Seq2Seq(**SMALL).fit(SOURCES, TARGETS)


def test_fit_returns_self_and_the_model_is_fitted(model: rr.Seq2Seq) -> None:
    fresh = rr.Seq2Seq(**SMALL)
    assert fresh.fit(SOURCES, TARGETS) is fresh
    assert fresh.metrics_["steps"] == 6
    assert fresh.model_.training is False
    assert fresh.predict(SOURCES[:9]) == model.predict(SOURCES[:9])
    assert fresh.get_params()["beam"] == 5


def test_files_are_learnt_as_lists_are(model: rr.Seq2Seq, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in zip(SOURCES, TARGETS, strict=True)))
    (tmp_path / "train.in").write_text("\n".join(SOURCES))
    (tmp_path / "train.out").write_text("\n".join(TARGETS))
    (tmp_path / "pairs.csv").write_text("q,a\n" + "".join(f"{s},{t}\n" for s, t in zip(SOURCES, TARGETS, strict=True)))
    for X, y, named in (
        (str(tmp_path / "pairs.tsv"), None, {}),
        ([tmp_path / "train.in", tmp_path / "train.out"], None, {}),
        (tmp_path / "train.in", str(tmp_path / "train.out"), {}),
        (tmp_path / "pairs.csv", None, {"source": "q", "target": "a"}),
    ):
        learnt = rr.Seq2Seq(**SMALL).fit(X, y, **named)
        assert learnt.predict(SOURCES[-5:]) == model.predict(SOURCES[-5:])


def test_predictions_heed_their_options_and_no_others(model: rr.Seq2Seq) -> None:
    assert all(isinstance(target, str) for target in model.predict(["ab", "c"]))
    several = model.predict(["ab", "c"], n_best=3)
    assert [len(targets) for targets in several] == [3, 3]
    assert [targets[0] for targets in several] == model.predict(["ab", "c"])
    assert all(target.startswith("D D") for target in model.predict(["ab", "c"], prefix="D D"))
    assert model.predict(["ab"], sample=True, seed=3) == model.predict(["ab"], sample=True, seed=3)
    assert max(len(target.split()) for target in model.predict(SOURCES, max_length=2)) <= 2
    with pytest.raises(UsageError, match=r"predict: bean: no such option. Did you mean 'beam'"):
        model.predict(["ab"], bean=3)
    with pytest.raises(UsageError, match="n_best: expected 1 to 5"):
        model.predict(["ab"], n_best=6)
    with pytest.raises(UsageError, match="expected a list of sources, got one"):
        model.predict("ab")
    with pytest.raises(DataError, match="texts and not empty"):
        model.predict(["ab", " "])


def test_attention_can_be_looked_at(model: rr.Seq2Seq) -> None:
    [first, second] = model.align(["abc", "d"])
    assert first["source"] == ["a", "b", "c"]
    assert first["weights"].shape == (len(first["target"]), 3)
    assert second["weights"].sum(1) == pytest.approx(np.ones(len(second["target"])), abs=1e-2)
    blind = rr.Seq2Seq(**{**SMALL, "attention": "none", "steps": 1}).fit(SOURCES, TARGETS)
    with pytest.raises(UsageError, match="align: this model has no attention"):
        blind.align(["abc"])


def test_the_score_is_the_share_of_right_targets(model: rr.Seq2Seq) -> None:
    asked, wanted = SOURCES[:20], TARGETS[:20]
    right = [said == target for said, target in zip(model.predict(asked), wanted, strict=True)]
    assert model.score(asked, wanted) == pytest.approx(np.mean(right))
    assert 0 <= model.score() <= 1
    assert model.score(asked, [[said] for said in model.predict(asked)]) == 1.0


def test_a_saved_model_is_the_same(model: rr.Seq2Seq, tmp_path: Path) -> None:
    model.save(tmp_path / "spelling")
    again = rr.load(tmp_path / "spelling")
    assert isinstance(again, rr.Seq2Seq)
    assert again.predict(SOURCES[:20]) == model.predict(SOURCES[:20])
    with pytest.raises(UsageError, match="a loaded model does not hold its test data"):
        again.score()


@pytest.mark.parametrize(
    ("X", "y", "kind", "told"),
    [
        (["a", "b"], None, UsageError, "got sources without targets"),
        (["a", "b"], ["A"], DataError, "as many targets as sources, got 2 sources and 1 targets"),
        (["a", ""], ["A", "B"], DataError, "the pairs given:2: expected text on both sides, got an empty source"),
        ("pairs.tsv", None, DataError, "pairs.tsv: no such file"),
        (["a"], "targets.txt", DataError, "targets.txt: no such file"),
    ],
)
def test_what_cannot_be_learnt_is_told(X: Any, y: Any, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        rr.Seq2Seq(**SMALL).fit(X, y)


def test_a_wrong_option_is_told_by_the_constructor() -> None:
    with pytest.raises(UsageError, match=r"Seq2Seq: attentoin: no such option. Did you mean 'attention'"):
        rr.Seq2Seq(attentoin="dot")
    with pytest.raises(UsageError, match="beam: expected a whole number of at least 1"):
        rr.Seq2Seq(beam=0)
