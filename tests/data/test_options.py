"""Every data option is checked where it is made, and the message names it."""

import dataclasses

import pytest

from riverrun.data import DataOptions
from riverrun.errors import UsageError


def test_every_option_has_a_sentence_of_help() -> None:
    assert all(len(option.metadata["help"]) > 20 for option in dataclasses.fields(DataOptions))


def test_options_cannot_be_changed_or_given_by_position() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DataOptions().tokens = "bytes"  # type: ignore[misc]
    with pytest.raises(TypeError):
        DataOptions("chars")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"tokens": "char"}, "tokens: .*'char'.*Did you mean 'chars'"),
        ({"vocabulary": -1}, "vocabulary: .*got -1"),
        ({"vocabulary": 1}, "vocabulary: .*got 1"),
        ({"min_count": 0}, "min_count: .*got 0"),
        ({"tokens": "bytes", "vocabulary": 100}, "vocabulary.*256"),
        ({"tokens": "bytes", "min_count": 2}, "min_count.*256"),
        ({"tokens": "bpe", "vocabulary": 256}, "vocabulary: bpe needs at least 257"),
        ({"test_share": 0.0}, "test_share: .*got 0"),
        ({"valid_share": 1.5}, "valid_share: .*got 1.5"),
        ({"test_share": 0.6, "valid_share": 0.5}, "leaves nothing to train on"),
        ({"encoding": "utf-9"}, "encoding: 'utf-9'"),
    ],
)
def test_a_wrong_option_is_told_by_name(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        DataOptions(**wrong)  # type: ignore[arg-type]
