"""Parts are disjoint, in order, and the rule is told; what is too short or constant is refused with a sentence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.data import DataOptions, Tokens, split
from riverrun.errors import DataError, UsageError


def tokens(count: int, starts: list[int] | None = None, parts: tuple[int, int] | None = None) -> Tokens:
    return Tokens(np.arange(count, dtype=np.uint32), np.asarray(starts or [0], np.int64), parts)


def test_the_last_tenth_is_the_test_and_the_twentieth_before_it_validates_where_something_is_selected() -> None:
    parts = split(tokens(1000), DataOptions(), True)
    assert parts.valid is not None
    assert (parts.train.ids[-1], parts.valid.ids[0], parts.valid.ids[-1], parts.test.ids[0]) == (849, 850, 899, 900)
    assert parts.rule == (
        "the last 10 % of 1,000 tokens for the test (from token 900); the 5 % before it for validation (from token 850)"
    )


def test_without_selection_the_twentieth_is_trained_on() -> None:
    parts = split(tokens(1000), DataOptions(), False)
    assert parts.valid is None
    assert (parts.train.ids[-1], parts.test.ids[0]) == (899, 900)
    assert "no validation part" in parts.rule


@given(st.integers(0, 300), st.booleans(), st.sampled_from([0.1, 0.2, 0.33]), st.sampled_from([0.05, 0.3]))
def test_every_token_is_in_one_part_in_order_or_the_text_is_too_short(
    count: int, select: bool, test_share: float, valid_share: float
) -> None:
    options = DataOptions(test_share=test_share, valid_share=valid_share)
    least = min(count * test_share, count * valid_share if select else count)
    if least < 1.4:
        with pytest.raises(DataError, match="too short to split"):
            split(tokens(count), options, select)
        return
    if least < 2:
        return  # what is rounded up to 2 tokens will do
    parts = split(tokens(count), options, select)
    pieces = [parts.train, *([parts.valid] if parts.valid else []), parts.test]
    assert np.concatenate([part.ids for part in pieces]).tolist() == list(range(count))
    assert all(len(part.ids) >= 2 for part in pieces)
    assert all(part.starts.tolist() == [0] for part in pieces)
    assert (parts.valid is not None) == select


@pytest.mark.parametrize(("start", "cut"), [(893, 893), (908, 908), (880, 900), (911, 900)])
def test_a_cut_moves_to_a_document_that_begins_nearby(start: int, cut: int) -> None:
    assert split(tokens(1000, [0, start]), DataOptions(), False).test.ids[0] == cut
    assert split(tokens(1000, [0, 897, 901]), DataOptions(), False).test.ids[0] == 901


def test_documents_begin_where_they_did_in_each_part() -> None:
    parts = split(tokens(1000, [0, 500, 895, 950]), DataOptions(), False)
    assert parts.train.starts.tolist() == [0, 500]
    assert parts.test.starts.tolist() == [0, 55]


def test_files_given_are_taken_whole() -> None:
    options = DataOptions(valid="v.txt", test="t.txt")
    valid, test = tokens(7), tokens(9)
    parts = split(tokens(100), options, False, valid=valid, test=test)
    assert (len(parts.train.ids), parts.valid, parts.test) == (100, valid, test)
    assert "validation from v.txt; test from t.txt" in parts.rule
    half = split(tokens(100), DataOptions(test="t.txt"), True, test=test)
    assert half.valid is not None
    assert (len(half.train.ids), len(half.valid.ids)) == (95, 5)


def test_a_file_that_is_named_but_not_read_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="valid: expected tokens"):
        split(tokens(100), DataOptions(valid="v.txt"), True)
    with pytest.raises(UsageError, match="test: expected tokens"):
        split(tokens(100), DataOptions(), True, test=tokens(9))


def test_a_split_column_decides_and_what_it_leaves_out_is_cut_by_the_rule() -> None:
    parts = split(tokens(100, parts=(60, 80)), DataOptions(), False)
    assert parts.valid is not None
    assert (len(parts.train.ids), parts.valid.ids[0], parts.test.ids[0]) == (60, 60, 80)
    assert "split column" in parts.rule
    no_valid = split(tokens(100, parts=(80, 80)), DataOptions(), True)
    assert no_valid.valid is not None
    assert (len(no_valid.train.ids), len(no_valid.valid.ids), no_valid.test.ids[0]) == (76, 4, 80)
    no_test = split(tokens(100, parts=(90, 100)), DataOptions(), True)
    assert no_test.valid is not None
    assert (len(no_test.train.ids), no_test.test.ids[0], no_test.valid.ids[0]) == (81, 81, 90)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 14])
def test_a_text_too_short_is_told(count: int) -> None:
    with pytest.raises(DataError, match=f"too short to split: {count} tokens leave . for the .* part"):
        split(tokens(count), DataOptions(), True)


def test_a_training_part_of_one_repeated_token_is_told() -> None:
    ids = np.zeros(3_000_000, np.uint8)
    ids[-1] = 1
    with pytest.raises(DataError, match="one token repeated 2,700,000 times: there is nothing to predict"):
        split(Tokens(ids, np.zeros(1, np.int64)), DataOptions(), False)
    ids[2_500_000] = 1
    split(Tokens(ids, np.zeros(1, np.int64)), DataOptions(), False)
