"""Words keep their spaces; the vocabulary is by count, then by text."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.data.words import PATTERN, Words, count_words, first_words
from riverrun.errors import DataError, UsageError


def shown(text: str) -> list[str]:
    return re.findall(PATTERN, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("to be,  or\nnot", ["to", " be", ",", " ", " or", "\n", "not"]),
        ("don't 'quote' x_1", ["don't", " '", "quote", "'", " x_1"]),
        ("naïve Straße", ["naïve", " Straße"]),
        ("नमस्ते दुनिया।", ["नमस्ते", " दुनिया", "।"]),
        ("3.5% (yes)", ["3", ".", "5", "%", " (", "yes", ")"]),
        ("\n\n  x", ["\n", "\n", " ", " x"]),
        ("日本。語", ["日本", "。", "語"]),
    ],
)
def test_text_is_cut_into_words_marks_and_white_space(text: str, words: list[str]) -> None:
    assert shown(text) == words


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_no_character_is_lost(text: str) -> None:
    assert "".join(shown(text)) == text


def test_the_vocabulary_is_by_count_then_text_with_the_unknown_first() -> None:
    words = Words.learn(["b a b\n", "b c"], 0, 1)
    assert words.words == ["b", "\n", " a", " b", " c"]
    assert (words.unknown, words.token(0)) == (0, "<unk>")


def test_vocabulary_and_min_count_act() -> None:
    text = "a a a a b b b c c d"
    assert Words.learn([text], 3, 1).words == [" a", " b"]
    assert Words.learn([text], 0, 3).words == [" a", " b"]
    assert Words.learn([text], 3, 1).encode(text, unseen="unknown").tolist()[-2:] == [0, 0]
    with pytest.raises(UsageError, match="min_count: no word occurs 9 times"):
        Words.learn([text], 0, 9)


def test_words_never_seen_are_told() -> None:
    with pytest.raises(UsageError, match="' cat'"):
        Words.learn(["the dog"], 0, 1).encode("the cat")


def test_a_text_of_one_word_is_told() -> None:
    with pytest.raises(DataError, match="one word, '\\\\n'"):
        Words.learn(["\n\n\n"], 0, 1)


@given(st.text(), st.integers(0, 9))
def test_words_are_counted_and_cut_without_a_vocabulary(text: str, count: int) -> None:
    words = shown(text)
    assert count_words(text) == len(words)
    assert first_words(text, count) == "".join(words[:count])
