"""Byte pairs: every text can be encoded, frequent words become one token, merges stay within words."""

import pytest

from riverrun.data.subwords import Subwords
from riverrun.errors import UsageError

TEXT = "the cat sat on the mat\nthe end of the cat\n" * 20


def test_frequent_words_become_one_token() -> None:
    bpe = Subwords.learn([TEXT], 300, 1)
    assert [bpe.token(id) for id in bpe.encode("the cat")] == ["the", " cat"]


def test_the_vocabulary_is_no_larger_than_asked_for_and_holds_all_bytes() -> None:
    bpe = Subwords.learn([TEXT], 270, 1)
    assert bpe.size == 270
    assert {bytes([value]) for value in range(256)} <= set(bpe.symbols)
    assert bpe.decode(bpe.encode("☃ never seen: ñ\x00")) == "☃ never seen: ñ\x00"


def test_min_count_acts() -> None:
    assert Subwords.learn([TEXT], 400, 10_000).size == 256
    assert Subwords.learn([TEXT], 400, 1).size > 256


def test_merges_never_reach_across_words() -> None:
    symbols = [symbol.decode("latin-1") for symbol in Subwords.learn([TEXT], 400, 1).symbols]
    assert not any(" " in symbol[1:] or ("\n" in symbol and len(symbol) > 1) for symbol in symbols)


def test_pieces_are_counted_together() -> None:
    whole = Subwords.learn([TEXT], 300, 1)
    apart = Subwords.learn(TEXT.splitlines(keepends=True), 300, 1)
    assert whole.to_json() == apart.to_json()


def test_half_a_surrogate_pair_is_told() -> None:
    with pytest.raises(UsageError, match=r"U\+D800"):
        Subwords.learn([TEXT], 300, 1).encode("a\ud800")


def test_a_vocabulary_smaller_than_the_bytes_is_told() -> None:
    with pytest.raises(UsageError, match="at least 257"):
        Subwords.learn([TEXT], 100, 1)
