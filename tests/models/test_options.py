"""The options of a language model are checked when they are made, and say what is wrong."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields

import pytest

from riverrun.cells import names
from riverrun.errors import UsageError
from riverrun.layers.options import RECURRENT
from riverrun.layers.stack import SKIPS
from riverrun.models import recurrent_options as module
from riverrun.models.options import LanguageModelOptions


def test_every_option_has_a_help_text_and_an_accepted_default():
    for option in fields(LanguageModelOptions()):
        assert option.metadata["help"], option.name
    assert LanguageModelOptions().cell in names()


def test_choices_are_those_of_the_layers():
    assert module.RECURRENT_INITS == RECURRENT
    assert module.SKIPS == SKIPS


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("hidden", 0, "hidden: expected a whole number of at least 1, got 0"),
        ("hidden", 2.5, "hidden: expected a whole number"),
        ("hidden", True, "hidden: expected a whole number"),
        ("dropout", 1.0, "dropout: expected a number of at least 0.0 and less than 1.0, got 1.0"),
        ("dropout", math.nan, "dropout: expected a number"),
        ("forget_bias", math.inf, "forget_bias: expected a number, got inf"),
        ("bias", 1, "bias: expected true or false, got 1"),
        ("cell", 3, "cell: expected a name, got 3"),
        ("model", "recurent", "model: expected one of recurrent, window, got 'recurent'. Did you mean 'recurrent'?"),
        ("skip", "residal", "Did you mean 'residual'"),
        ("recurrent_init", "ortogonal", "Did you mean 'orthogonal'"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(option, value, words):
    with pytest.raises(UsageError) as raised:
        LanguageModelOptions(**{option: value})
    assert words in str(raised.value)


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(UsageError, match="tied: one-hot input has no embedding"):
        LanguageModelOptions(tied=True, one_hot=True)
    with pytest.raises(UsageError, match="embedding: one-hot input"):
        LanguageModelOptions(embedding=3, one_hot=True)
    with pytest.raises(UsageError, match=r"embedding: tied weights need an embedding as wide .* 512, got 100"):
        LanguageModelOptions(tied=True, embedding=100)


def test_the_embedding_is_as_wide_as_what_reads_or_ties_it():
    assert LanguageModelOptions(hidden=7).embedding_size == 7
    assert LanguageModelOptions(hidden=700).embedding_size == 128
    assert LanguageModelOptions(hidden=7, embedding=3).embedding_size == 3
    assert LanguageModelOptions(hidden=7, tied=True, projection=4).embedding_size == 4
    assert LanguageModelOptions(model="window", hidden=300).embedding_size == 64
    assert LanguageModelOptions(model="window", hidden=300, tied=True).embedding_size == 300


def test_options_are_frozen():
    with pytest.raises(FrozenInstanceError):
        LanguageModelOptions().hidden = 3  # type: ignore[misc]


def test_reading_the_options_needs_no_torch():
    code = "import riverrun.models.options, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
