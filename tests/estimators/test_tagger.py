"""riverrun.estimators.tagger.Tagger: scikit-learn's rules, and the same abilities as the command line."""

from __future__ import annotations

import math

import pytest

import riverrun
from riverrun.errors import DataError, UsageError
from riverrun.estimators.tagger import Tagger

NOUNS, VERBS = ("cat", "dog", "hen", "cow", "pig"), ("sleeps", "runs", "sits")
X = [[the, noun, verb, *end] for the in ("the", "a") for noun in NOUNS for verb in VERBS for end in ([], ["."])]
Y = [["D", "N", "V", "P"][: len(words)] for words in X]
SMALL = {
    "preset": "tiny",
    "steps": 40,
    "valid_share": 0.2,
    "test_share": 0.2,
    "hidden": 8,
    "letters": "none",
    "verbose": False,
}


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger(**SMALL).fit(X, Y)


def test_it_learns_from_lists_and_tags_words_in_order(tagger):
    assert tagger.predict([["a", "dog", "sleeps"], [], ["the", "cat"]]) == [["D", "N", "V"], [], ["D", "N"]]
    assert set(tagger.classes_) <= {"D", "N", "V", "P"}
    assert tagger.metrics_["steps"] == 40
    assert tagger.score(X, Y) > 0.9
    assert 0 <= tagger.score() <= 1


def test_the_n_best_are_probable_in_order(tagger):
    (best,) = tagger.predict_best([["a", "dog", "sleeps"]], n=4)
    assert best[0].tags == ["D", "N", "V"]
    assert [one.probability for one in best] == sorted((one.probability for one in best), reverse=True)
    assert len(tagger.predict_best([["a"]], n=99)[0]) == len(tagger.classes_), "there are no more"
    with pytest.raises(UsageError, match="n: expected at least 1"):
        tagger.predict_best([["a"]], n=0)


def test_files_with_their_parts_are_learnt_from(tmp_path):
    for name in ("train", "dev", "test"):
        rows = [f"{word}\t{tag}\n" for word, tag in zip(X[0] + X[1], Y[0] + Y[1], strict=True)]
        (tmp_path / f"{name}.conll").write_text(("".join(rows[:3]) + "\n" + "".join(rows[3:]) + "\n") * 5)
    paths = {part: tmp_path / f"{name}.conll" for part, name in (("valid", "dev"), ("test", "test"))}
    fitted = Tagger(**{name: value for name, value in SMALL.items() if not name.endswith("share")}).fit(
        tmp_path / "train.conll", **paths
    )
    assert fitted.score(tmp_path / "test.conll") > 0.9
    assert len(fitted._trained.prepared.splits.test) == 10


def test_a_saved_one_says_the_same(tagger, tmp_path):
    tagger.save(tmp_path / "model")
    again = riverrun.load(tmp_path / "model")
    assert isinstance(again, Tagger)
    assert again.predict(X[:4]) == tagger.predict(X[:4])
    assert again.predict_best(X[:1], 3) == tagger.predict_best(X[:1], 3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Tagger(**SMALL).fit("missing.conllu"), "missing.conllu: no such file"),
        (lambda: Tagger(**SMALL).fit(X), "expected CoNLL files that exist, or sentences and their tags"),
        (lambda: Tagger(**SMALL).fit(X, Y[:3]), "expected tags for every sentence, got 60 sentences and 3 lists"),
        (lambda: Tagger(**SMALL).predict(X), "has learnt nothing yet"),
        (lambda: Tagger(colum="upos"), "Did you mean 'column'"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(call, said):
    with pytest.raises((DataError, UsageError), match=said):
        call()


def test_the_score_of_spans_where_there_are_none_to_find_is_no_number():
    words = [[the, "cat"] for the in "abcdefgh"] + [["Ann", noun] for noun in NOUNS]
    tagger = Tagger(**SMALL).fit(words, [["O", "O"]] * 8 + [["B-PER", "O"]] * 5)
    assert tagger.predict([["cat", "cat"]]) == [["O", "O"]]
    assert math.isnan(tagger.score([["cat", "cat"]], [["O", "O"]]))


def test_text_where_words_were_expected_is_refused(tagger, tmp_path):
    with pytest.raises(DataError, match="expected sentences as lists of words, got text"):
        tagger.predict(["the cat sat"])
    with pytest.raises(DataError, match="expected a CoNLL file that exists"):
        tagger.score("nowhere.conllu")
    (tmp_path / "a.conllu").write_text("")
    with pytest.raises(UsageError, match="the files hold the tags"):
        Tagger(**SMALL).fit(tmp_path / "a.conllu", Y)
