"""Training options refuse what makes no sense, naming the option and the nearest value."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from riverrun.errors import UsageError
from riverrun.training.options import OPTIMISERS, PRECISIONS, SCHEDULES, StreamTraining


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("minutes", -1.0),
        ("minutes", float("nan")),
        ("steps", -5),
        ("epochs", float("inf")),
        ("lanes", 0),
        ("window", 0),
        ("accumulate", 0),
        ("lr", -0.1),
        ("lr", 0.0),
        ("momentum", 1.0),
        ("beta2", 1.0),
        ("average", 1.5),
        ("warmup", 2.0),
        ("final_lr", -0.5),
        ("clip_norm", -1.0),
        ("clip_value", float("nan")),
        ("patience", -1),
        ("threads", -1),
        ("seed", -1),
        ("weight_decay", -0.1),
        ("checkpoint_every", -1),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_the_option_and_the_value(name, value):
    with pytest.raises(UsageError, match=rf"^{name}: expected .*; got {value}"):
        StreamTraining(**{name: value})


@pytest.mark.parametrize(
    ("name", "wrong", "near"),
    [("optimiser", "adamax", "adam"), ("schedule", "cosin", "cosine"), ("precision", "bfloat", "bfloat16")],
)
def test_a_name_that_is_not_known_is_an_error_with_the_nearest(name, wrong, near):
    with pytest.raises(UsageError, match=f"^{name}: .*Did you mean '{near}"):
        StreamTraining(**{name: wrong})


def test_two_ways_of_averaging_at_once_are_refused():
    with pytest.raises(UsageError, match="average: optimiser asgd averages the weights, too"):
        StreamTraining(optimiser="asgd", average=0.9)


def test_every_option_has_a_help_text_and_names_come_with_their_choices():
    for field in dataclasses.fields(StreamTraining):
        assert field.metadata["help"], field.name
    choices = {f.name: f.metadata["choices"] for f in dataclasses.fields(StreamTraining) if "choices" in f.metadata}
    assert choices == {"optimiser": OPTIMISERS, "schedule": SCHEDULES, "precision": PRECISIONS}


def test_the_budget_is_said_in_words():
    assert StreamTraining().budget() == ""
    assert StreamTraining(minutes=15).budget() == "15 minutes"
    assert StreamTraining(steps=2000, epochs=1.5).budget() == "2000 steps or 1.5 epochs"


def test_what_looks_at_a_validation_part_says_so():
    assert not StreamTraining().selects
    for changed in ({"patience": 2}, {"evaluate_every": 9}, {"schedule": "plateau"}, {"optimiser": "asgd"}):
        assert StreamTraining(**changed).selects


def test_the_options_import_no_torch():
    code = "import sys, riverrun.training.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
