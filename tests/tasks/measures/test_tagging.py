"""Tagging measured: shares counted by hand and by scikit-learn, intervals that cover, and honest baselines."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from riverrun.data.conll import Sentence
from riverrun.data.tag_options import TagOptions
from riverrun.data.tagged import given
from riverrun.tasks.measures import tagging, tagging_baselines
from riverrun.tasks.measures.tagging_baselines import baselines, features, most_frequent, regression, shape


def corpus(X, y) -> list[Sentence]:
    return given(X, y, TagOptions()).sentences


def values(found: list[dict]) -> dict[str, float]:
    return {figure["name"]: figure["value"] for figure in found}


def test_accuracy_is_counted_over_words_and_over_those_that_training_lacks():
    sentences = corpus([["a", "b", "c"], ["d", "a"]], [["X", "Y", "X"], ["Z", "X"]])
    predicted = [["X", "Y", "Y"], ["Z", "Z"]]
    result = tagging.judged(sentences, predicted, {"a", "b"}.__contains__, spans=False)
    found = values(tagging.figures(result))
    flat = [[tag for tags in part for tag in tags] for part in ([one.tags for one in sentences], predicted)]
    assert found == {"accuracy": accuracy_score(*flat), "unknown-word accuracy": 0.5}
    assert tagging.by_type(result) == []


def test_words_without_a_tag_are_not_counted_and_where_nothing_is_there_is_no_figure():
    (sentence,) = corpus([["a", "b"]], [["X", "Y"]])
    sentence = sentence._replace(tags=("X", ""))
    result = tagging.judged([sentence], [["X", "X"]], lambda word: True, spans=False)
    found = tagging.figures(result)
    assert values(found) == {"accuracy": 1.0, "unknown-word accuracy": None}
    assert found[1]["low"] is found[1]["high"] is None
    assert result.words.tolist() == [1]


def test_where_tags_mark_spans_f1_comes_first_and_rises_with_them():
    sentences = corpus([["a", "b", "c"], ["d"]], [["B-P", "I-P", "O"], ["B-Q"]])
    result = tagging.judged(sentences, [["B-P", "I-P", "B-P"], ["O"]], lambda word: True, spans=True)
    found = tagging.figures(result)
    assert [figure["name"] for figure in found][:3] == ["F1", "precision", "recall"]
    assert values(found)["precision"] == values(found)["recall"] == values(found)["F1"] == 0.5
    assert [row["type"] for row in tagging.by_type(result)] == ["P", "Q"]


def test_the_interval_is_that_of_drawing_sentences():
    random = np.random.default_rng(0)
    sentences = corpus([["w"] * 10] * 200, [["X"] * 10] * 200)
    predicted = [["X" if hit else "Y" for hit in random.random(10) < 0.8] for _ in range(200)]
    (figure, _) = tagging.figures(tagging.judged(sentences, predicted, lambda word: True, spans=False))
    deviation = np.std([tags.count("X") / 10 for tags in predicted]) / 200**0.5
    assert figure["low"] < figure["value"] < figure["high"]
    assert figure["high"] - figure["low"] == pytest.approx(2 * 1.96 * deviation, rel=0.15)


TRAIN = corpus(
    [["the", "cat", "runs"], ["the", "runs", "run"], ["a", "dog", "runs"], ["Paris", "Oslo", "sleeps"]] * 5
    + [["once"]],
    [["D", "N", "V"], ["D", "N", "V"], ["D", "N", "V"], ["P", "P", "V"]] * 5 + [["P"]],
)


def test_the_most_frequent_tag_is_that_of_a_loop_over_the_words():
    test = [["the", "runs", "The", "Paris", "unheard"]]
    (tags,), note, _ = most_frequent(TRAIN, test)
    counts = {}
    for sentence in TRAIN:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            counts.setdefault(word, Counter())[tag] += 1
    assert tags[:2] == [counts["the"].most_common(1)[0][0], counts["runs"].most_common(1)[0][0]] == ["D", "V"]
    assert tags[2] == "D", "in lower case"
    assert tags[3] == "P"
    assert tags[4] == "P", "as the one word that was seen once"
    assert "P" in note


def test_the_regression_learns_from_endings_and_neighbours():
    (tags,), note, limit = regression(TRAIN, [["the", "hen", "runs"]])
    assert tags == ["D", "N", "V"]
    assert limit == ""
    again = regression(TRAIN, [["the", "hen", "runs"]])
    assert again == ([tags], note, limit), "the same in every run"


def test_rare_tags_and_long_parts_are_left_out_and_it_says_so(monkeypatch):
    monkeypatch.setattr(tagging_baselines, "TAGS", 2)
    monkeypatch.setattr(tagging_baselines, "LEARNT", 30)
    tags, note, limit = regression(TRAIN, [["the", "cat", "Oslo"]])
    assert set(tags[0]) <= {"D", "N", "V"}
    assert "of 4 tags the 2 most frequent" in note
    assert limit == "30 words"
    monkeypatch.setattr(tagging_baselines, "TAGS", 1)
    assert len(set(regression(TRAIN, [["the", "cat"]])[0][0])) == 1


def test_of_a_long_part_sentences_from_everywhere_are_learnt(monkeypatch):
    monkeypatch.setattr(tagging_baselines, "LEARNT", 60)
    sorted_by_tag = corpus([["a"]] * 100 + [["cat"]] * 100, [["D"]] * 100 + [["N"]] * 100)
    assert regression(sorted_by_tag, [["a"], ["cat"]])[0] == [["D"], ["N"]]


def test_baselines_come_with_the_same_figures_as_the_model_and_their_seconds():
    found = list(baselines(TRAIN, TRAIN[:4], spans=False))
    assert [one["name"] for one in found] == ["most frequent tag", "logistic regression"]
    for one in found:
        assert [figure["name"] for figure in one["figures"]] == ["accuracy", "unknown-word accuracy"]
        assert one["figures"][0]["value"] > 0.8
        assert one["seconds"] > 0
        assert one["note"]


def test_what_is_looked_at_lies_in_the_sentence():
    first, second = features(["Go", "Home2"])
    assert "1=home2" in first
    assert "-1=" in first
    assert "s3=me2" in second
    assert "-1w=go home2" in second
    assert len(set(first)) == len(first)
    assert [shape(word) for word in ("McDonald's", "1,000", "USA", "", "\u00c9a")] == ["XxXx'x", "9,9", "X", "", "Xx"]
