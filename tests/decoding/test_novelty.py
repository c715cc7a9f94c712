"""Novelty is exact: it agrees with Python's own substring search on every text, chunking and collision."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.decoding import novelty as module
from riverrun.decoding.novelty import Copy, comparison, longest_copy, novelty, seen
from riverrun.errors import UsageError

few_letters = st.text(alphabet="ab", max_size=40)
letters = st.text(alphabet="abcé𝄞\ud800", max_size=40)
texts = st.one_of(few_letters, letters)


def longest_by_search(sample: str, training: str) -> int:
    lengths = range(len(sample), 0, -1)
    return next((n for n in lengths if any(sample[i : i + n] in training for i in range(len(sample) - n + 1))), 0)


@given(texts, texts, st.integers(1, 9))
def test_a_window_is_seen_where_the_training_text_contains_it(sample, training, n):
    expected = [sample[i : i + n] in training for i in range(len(sample) - n + 1)]
    assert seen(sample, training, n).tolist() == expected


@given(texts, texts)
def test_the_longest_copy_is_as_long_as_search_finds_and_lies_where_it_says(sample, training):
    found = longest_copy(sample, training)
    assert found.length == longest_by_search(sample, training)
    span = sample[found.in_sample : found.in_sample + found.length]
    assert training[found.in_training : found.in_training + found.length] == span
    assert not span or training.index(span) <= found.in_training


@settings(max_examples=60)
@given(few_letters, st.text(alphabet="ab", max_size=300), st.integers(1, 9))
def test_it_does_not_matter_where_the_training_text_is_cut_into_chunks(sample, training, n):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", 7)
        assert longest_copy(sample, training).length == longest_by_search(sample, training)
        expected = [sample[i : i + n] in training for i in range(len(sample) - n + 1)]
        assert seen(sample, training, n).tolist() == expected


@settings(max_examples=60)
@given(texts, st.text(alphabet="abc", max_size=80), st.integers(1, 6))
def test_hashes_that_collide_all_the_time_change_nothing(sample, training, n):
    class Colliding(module._Prefix):
        def windows(self, n):
            return super().windows(n) % np.uint64(3) << np.uint64(61)  # three hashes for all windows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_Prefix", Colliding)
        expected = [sample[i : i + n] in training for i in range(len(sample) - n + 1)]
        assert seen(sample, training, n).tolist() == expected
        assert longest_copy(sample, training).length == longest_by_search(sample, training)


def thue_morse(length: int) -> str:
    return "".join("ab"[i.bit_count() % 2] for i in range(length))


def test_the_text_that_makes_hashes_modulo_a_power_of_two_collide_is_told_apart():
    word = thue_morse(2048)
    other = word.translate({97: "b", 98: "a"})  # the two have one hash, whatever the multiplier
    assert not seen(word, other, 2048).any()
    assert longest_copy(word, other).length == longest_by_search_fast(word, other)


def longest_by_search_fast(sample: str, training: str) -> int:
    low, high = 0, len(sample) + 1
    while high - low > 1:
        n = (low + high) // 2
        windows = {training[i : i + n] for i in range(len(training) - n + 1)}
        low, high = (n, high) if any(sample[i : i + n] in windows for i in range(len(sample) - n + 1)) else (low, n)
    return low


def test_ids_are_compared_as_ids_whatever_their_dtypes():
    training = np.arange(1000, dtype=np.uint16)
    assert longest_copy([5, 6, 7, 9], training) == Copy(length=3, in_sample=0, in_training=5)
    assert seen(np.array([5, 6, 8], dtype=np.int64), training, 2).tolist() == [True, False]


def test_a_memory_mapped_training_text_is_read_in_pieces(tmp_path):
    path = tmp_path / "ids"
    np.arange(5000, dtype=np.uint16).tofile(path)
    mapped = np.memmap(path, dtype=np.uint16, mode="r")
    assert longest_copy([4000, 4001, 3], mapped) == Copy(length=2, in_sample=0, in_training=4000)


def test_shares_count_every_occurrence_and_long_orders_are_left_out():
    found = novelty("abcabcx", "xxabcxx", orders=(3, 8))
    assert found.new == {3: pytest.approx(2 / 5)}  # abc, bca, cab, abc, bcx: bca and cab are new
    assert found.longest == Copy(length=4, in_sample=3, in_training=2)


@pytest.mark.parametrize(("sample", "training"), [("", "abc"), ("abc", ""), ("", "")])
def test_empty_texts_copy_nothing(sample, training):
    assert novelty(sample, training).longest.length == 0
    assert seen("ab", "", 1).tolist() == [False, False]


def test_a_comparison_cuts_the_held_out_text_to_the_length_of_the_sample():
    record = comparison("abcd", "abxcd", "abxcdabxcd", orders=(2,))
    assert record["held_out"]["elements"] == 4
    assert record["held_out"]["longest"]["length"] == 4
    assert record["sample"] == {
        "elements": 4,
        "longest": {"length": 2, "in_sample": 0, "in_training": 0},
        "new": {"2": pytest.approx(1 / 3)},
    }
    assert comparison("abcd", "abxcd")["held_out"] is None


def test_what_is_neither_text_nor_ids_is_refused():
    with pytest.raises(UsageError, match="sample and training"):
        longest_copy(np.zeros(3), np.zeros(3))
    with pytest.raises(UsageError, match="n must"):
        seen("ab", "ab", 0)


@pytest.mark.slow
def test_ten_thousand_characters_against_ten_megabytes_take_seconds():
    draw = np.random.default_rng(0)
    words = ["".join(chr(97 + c) for c in draw.integers(0, 26, draw.integers(2, 9))) for _ in range(5000)]
    training = " ".join(words[i] for i in draw.zipf(1.3, 2_200_000) % 5000)[:10_000_000]
    sample = " ".join(words[i] for i in draw.zipf(1.3, 2000) % 5000)[:10_000]
    for text in (sample, training[7_000_000:7_010_000], "ab" * 5000):
        start = time.perf_counter()
        novelty(text, training)
        assert time.perf_counter() - start < 10
