"""riverrun.LanguageModel: scikit-learn's rules, and the same abilities as the command line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import riverrun as rr
from riverrun.cells import Cell, tanh
from riverrun.errors import DataError, ModelError, UsageError

TEXT = "".join(f"the {n % 7} cats sat on the {n % 5} mats, and {n % 3} dogs looked on.\n" for n in range(60))
SMALL = {"hidden": 8, "layers": 1, "lanes": 4, "window": 8, "steps": 4, "precision": "float32", "verbose": False}


@pytest.fixture(scope="module")
def model() -> rr.LanguageModel:
    return rr.LanguageModel(**SMALL).fit(TEXT)


def test_fit_returns_self_and_the_model_is_fitted() -> None:
    fresh = rr.LanguageModel(**SMALL)
    assert fresh.fit(TEXT) is fresh
    assert fresh.metrics_["steps"] == 4
    assert fresh.model_.training is False
    assert "cats" in fresh.tokenizer_.decode(fresh.tokenizer_.encode("cats"))


def test_the_same_seed_learns_the_same_and_another_learns_something_else(model: rr.LanguageModel) -> None:
    again = rr.LanguageModel(**SMALL).fit(TEXT)
    other = rr.LanguageModel(**{**SMALL, "seed": 1}).fit(TEXT)
    assert again.predict(TEXT[:50]) == model.predict(TEXT[:50])
    assert other.predict(TEXT[:50]) != model.predict(TEXT[:50])


def test_a_file_a_path_a_text_and_a_list_of_one_text_are_learnt_alike(model: rr.LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    for data in (str(path), path, [TEXT], [path]):
        learnt = rr.LanguageModel(**SMALL).fit(data)
        assert learnt.predict(TEXT[:30]) == model.predict(TEXT[:30])


def test_several_texts_are_documents_of_their_own() -> None:
    learnt = rr.LanguageModel(**SMALL).fit([TEXT, TEXT[::-1], TEXT])
    assert learnt._trained is not None
    assert len(learnt._trained.prepared.splits.train.starts) >= 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("shakespere.txt", "shakespere.txt: no such file"),
        (Path("nowhere.txt"), "nowhere.txt: no such file"),
        ([], "an empty list"),
        ([1, 2], "expected texts or existing paths"),
        ("", "empty"),
        ("ab", "too short to split"),
        ("a" * 900, "one character repeated"),
    ],
)
def test_data_that_cannot_be_learnt_from_are_refused(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rr.LanguageModel(**SMALL).fit(data)  # type: ignore[arg-type]


def test_options_are_checked_when_the_model_is_made() -> None:
    with pytest.raises(UsageError, match=r"hiden: no such option\. Did you mean 'hidden'"):
        rr.LanguageModel(hiden=8)
    with pytest.raises(UsageError, match="hidden: expected a whole number"):
        rr.LanguageModel(hidden="many")
    with pytest.raises(UsageError, match="Did you mean 'lstm'"):
        rr.LanguageModel(cell="lstn")
    with pytest.raises(UsageError, match="Did you mean 'tiny'"):
        rr.LanguageModel(preset="tinny")
    with pytest.raises(TypeError):
        rr.LanguageModel("lstm")  # type: ignore[misc]


def test_get_params_make_an_equal_model_and_set_params_changes_it() -> None:
    made = rr.LanguageModel(preset="tiny", hidden=8)
    params = made.get_params()
    assert params["hidden"] == 8
    assert params["steps"] == 60  # the preset's
    assert rr.LanguageModel(**params).get_params() == params
    assert made.set_params(dropout=0.25, minutes=1) is made
    assert made.get_params()["dropout"] == 0.25
    assert (made.get_params()["minutes"], made.get_params()["steps"]) == (1.0, 0)
    with pytest.raises(UsageError, match="droput"):
        made.set_params(droput=0.5)
    assert made.get_params()["dropout"] == 0.25


def test_scikit_learn_clones_it_where_it_is_installed() -> None:
    base = pytest.importorskip("sklearn.base")
    made = rr.LanguageModel(preset="tiny", hidden=8, minutes=2)
    assert base.clone(made).get_params() == made.get_params()


def test_every_option_is_in_the_signature() -> None:
    import inspect

    shown = inspect.signature(rr.LanguageModel).parameters
    assert set(shown) == set(rr.LanguageModel().get_params())
    assert shown["hidden"].default == 512


def test_sample_goes_on_from_the_prompt_and_depends_on_seed_and_prompt(model: rr.LanguageModel) -> None:
    text = model.sample("the 3 cats", length=30, seed=3)
    assert text.startswith("the 3 cats")
    assert len(text) == len("the 3 cats") + 30
    assert model.sample("the 3 cats", length=30, seed=3) == text
    assert model.sample("the 3 cats", length=30, seed=4) != text
    assert model.sample(length=30, seed=3)[:10] != "the 3 cats"
    assert model.samples("the", count=2, length=20, seed=3)[0] == model.sample("the", length=20, seed=3)
    assert len(set(model.samples("the", count=3, length=20))) == 3
    with pytest.raises(UsageError, match=r"U\+03A9"):
        model.sample("\u03a9")


def test_score_and_perplexity_are_the_mean_log_likelihood_of_a_token(model: rr.LanguageModel) -> None:
    nats = model.predict(TEXT[:200])["nats"]
    mean = sum(nats[1:]) / 199
    assert model.score(TEXT[:200]) == pytest.approx(-mean, abs=1e-5)
    assert model.perplexity(TEXT[:200]) == pytest.approx(math.exp(mean), rel=1e-5)
    assert model.perplexity() == pytest.approx(math.exp(-model.score()), rel=1e-9)
    assert math.log(model.tokenizer_.size) * 1.2 > -model.score() > 0


def test_training_makes_the_score_better(model: rr.LanguageModel) -> None:
    longer = rr.LanguageModel(**{**SMALL, "steps": 60, "lr": 0.02, "dropout": 0.0}).fit(TEXT)
    assert longer.score() > model.score() + 0.3


def test_what_is_saved_and_loaded_writes_and_scores_the_same(model: rr.LanguageModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    loaded = rr.load(tmp_path / "model")
    assert loaded.sample("the", length=30) == model.sample("the", length=30)
    assert loaded.predict("the cats") == model.predict("the cats")
    assert {**loaded.get_params(), "verbose": False} == model.get_params()
    with pytest.raises(UsageError, match="not written over"):
        model.save(tmp_path / "model")
    with pytest.raises(UsageError, match="does not hold its test data"):
        loaded.score()
    with pytest.raises(ModelError, match="not found"):
        rr.load(tmp_path / "none")


def test_a_model_that_has_learnt_nothing_says_so() -> None:
    for use in (lambda m: m.sample(), lambda m: m.predict("a"), lambda m: m.save("x"), lambda m: m.model_):
        with pytest.raises(UsageError, match="learnt nothing yet"):
            use(rr.LanguageModel())


class Leaky(Cell):
    """A cell of one's own: h' = h / 2 + tanh(W x + U h) / 2."""

    states = ("h",)

    def step(x, U, h):  # type: ignore[no-untyped-def]
        n = tanh(x.n + U.n @ h)
        return 0.5 * h + 0.5 * n


def test_a_cell_of_one_s_own_trains_is_saved_and_comes_back(tmp_path: Path) -> None:
    own = rr.LanguageModel(**{**SMALL, "steps": 40, "lr": 0.02}, cell=Leaky).fit(TEXT)
    assert own.get_params()["cell"] is Leaky
    assert own.score() > -math.log(own.tokenizer_.size) + 0.3
    own.save(tmp_path / "own")
    assert rr.load(tmp_path / "own", cell=Leaky).sample("the", length=20) == own.sample("the", length=20)
    with pytest.raises(ModelError, match="cell of one's own, Leaky"):
        rr.load(tmp_path / "own")


def test_fit_in_a_run_folder_leaves_what_the_command_line_can_go_on_with(tmp_path: Path) -> None:
    from riverrun.cli.main import main

    rr.LanguageModel(**SMALL).fit([TEXT, TEXT], run=tmp_path / "run")
    for name in ("run.toml", "data.json", "log.jsonl", "model/config.json"):
        assert (tmp_path / "run" / name).is_file()
    assert len(list((tmp_path / "run" / "input").iterdir())) == 2
    assert main(["eval", str(tmp_path / "run"), "--no-baselines"]) == 0


def test_a_run_with_a_cell_of_one_s_own_is_not_taken_for_another(tmp_path: Path) -> None:
    from riverrun.cli.main import main

    rr.LanguageModel(**SMALL, cell=Leaky).fit(TEXT, run=tmp_path / "run")
    assert main(["sample", str(tmp_path / "run")]) == 3
    assert main(["resume", str(tmp_path / "run")]) == 2


def test_progress_is_shown_only_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    rr.LanguageModel(**SMALL).fit(TEXT)
    assert capsys.readouterr() == ("", "")
    rr.LanguageModel(**{**SMALL, "verbose": True}).fit(TEXT)
    assert "step 4" in capsys.readouterr().err


def test_tensorboard_acts_from_python_too_and_needs_a_run_folder(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    model = rr.LanguageModel(preset="tiny", steps=2, tensorboard=True, verbose=False)
    with pytest.raises(rr.RiverrunError, match="tensorboard: its files lie in the run folder"):
        model.fit("abcdefgh " * 60)
    model.fit("abcdefgh " * 60, run=tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").iterdir())
