"""What decoding and predictions can be told: checked by name, and a prediction over what the run was told."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from riverrun.errors import OptionError
from riverrun.tasks.pairs.options import INHERITED, Decoding, Prediction


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"score": "blue"}, "score: expected one of .*'blue'"),
        ({"normalise": "gmnt"}, "normalise: .*Did you mean 'gnmt'"),
        ({"beam": 0}, "beam: .*at least 1, got 0"),
        ({"max_length": 0}, "max_length: .*at least 1"),
        ({"generic_tokens": 0}, "generic_tokens: .*at least 1"),
        ({"length_penalty": -0.5}, "length_penalty: .*at least 0"),
        ({"coverage_penalty": float("inf")}, "coverage_penalty: .*at least 0"),
        ({"no_repeat": -1}, "no_repeat: .*at least 0"),
        ({"min_length": 9, "max_length": 8}, "min_length: expected at most max_length, 8"),
    ],
)
def test_a_wrong_option_of_decoding_is_told_by_name(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        Decoding(**wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"n_best": 0}, "n_best: .*at least 1"),
        ({"beam": 1.5}, "beam: expected a whole number, got 1.5"),
        ({"beam": "3"}, "beam: expected a whole number, got '3'"),
        ({"beam": True}, "beam: expected a whole number, got True"),
        ({"temperature": "hot"}, "temperature: expected a number"),
        ({"sample": 1}, "sample: expected true or false"),
        ({"attention": "x.png"}, r"attention: expected a name that ends in .svg or .html, got 'x.png'"),
        ({"temperature": 0.5}, "temperature: belongs to drawing of targets. Add sample."),
        ({"top_k": 3}, "top_k: belongs to drawing"),
        ({"top_p": 0.5}, "top_p: belongs to drawing"),
        ({"seed": 2}, "seed: belongs to drawing"),
        ({"sample": True, "beam": 5}, "beam: belongs to a search of targets. Leave out one of it and sample."),
        ({"sample": True, "length_penalty": 0.0}, "length_penalty: belongs to a search"),
    ],
)
def test_a_wrong_option_of_a_prediction_is_told_by_name(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        Prediction(**wrong)


def test_a_prediction_is_as_the_run_was_told_where_it_says_nothing() -> None:
    run = Decoding(beam=7, normalise="mean", length_penalty=0.2, coverage_penalty=0.1, min_length=2, no_repeat=4)
    assert Prediction().over(run) == run


def test_every_inherited_option_can_be_said_otherwise() -> None:
    said = {
        "beam": 3,
        "normalise": "mean",
        "length_penalty": 0.0,
        "coverage_penalty": 0.25,
        "generic_penalty": 0.5,
        "generic_tokens": 2,
        "min_length": 0,
        "max_length": 9,
        "no_repeat": 2,
    }
    assert set(said) == set(INHERITED) == {field.name for field in fields(Decoding)} - {"score", "scored"}
    for name, value in said.items():
        assert getattr(Prediction(**{name: value}).over(Decoding()), name) == value  # type: ignore[arg-type]


def test_more_targets_than_the_beam_is_wide_are_refused_and_drawn_ones_are_not() -> None:
    with pytest.raises(OptionError, match="n_best: expected 1 to 5, the width of the beam, got 6"):
        Prediction(n_best=6).over(Decoding())
    Prediction(n_best=6, sample=True).over(Decoding())


def test_what_does_nothing_in_greedy_decoding_is_refused() -> None:
    with pytest.raises(OptionError, match="length_penalty: does nothing with a beam of 1"):
        Prediction(length_penalty=0.5, beam=1).over(Decoding())
    with pytest.raises(OptionError, match="n_best: expected 1 to 1"):
        Prediction(n_best=2).over(Decoding(beam=1))
