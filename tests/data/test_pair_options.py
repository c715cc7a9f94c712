"""Every option of pairs is checked where it is made, and the message names it."""

import dataclasses

import pytest

from riverrun.data.pair_options import PairOptions
from riverrun.errors import OptionError


def test_every_option_has_a_sentence_of_help() -> None:
    assert all(len(option.metadata["help"]) > 20 for option in dataclasses.fields(PairOptions))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"format": "tvs"}, "format: .*'tvs'.*Did you mean 'tsv'"),
        ({"source_tokens": "word"}, "source_tokens: .*Did you mean 'words'"),
        ({"target_tokens": "bytes"}, "target_tokens: expected one of auto"),
        ({"split_by": "turn"}, "split_by: "),
        ({"source_vocabulary": 1}, "source_vocabulary: .*got 1"),
        ({"target_vocabulary": -2}, "target_vocabulary: .*got -2"),
        ({"target_tokens": "bpe", "target_vocabulary": 200}, "target_vocabulary: bpe needs at least 257"),
        ({"min_count": 0}, "min_count: .*got 0"),
        ({"shared_vocabulary": True, "source_tokens": "bpe"}, "shared_vocabulary: both sides need the same tokens"),
        ({"valid_share": 0.0}, "valid_share: .*got 0"),
        ({"test_share": 0.6, "valid_share": 0.4}, "test_share: .*leaves nothing to train on"),
        ({"encoding": "utf-9"}, "encoding: 'utf-9'"),
    ],
)
def test_a_wrong_option_is_told_by_name(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        PairOptions(**wrong)  # type: ignore[arg-type]
