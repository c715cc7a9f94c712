"""Symbols between spaces keep whatever they are made of."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.data.spaced import Spaced
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import DataError, UsageError


def shown(spaced: Spaced, text: str) -> list[str]:
    return [spaced.token(id) for id in spaced.encode(text, "unknown")]


def test_punctuation_stays_with_its_symbol_and_the_space_before_it_too() -> None:
    spaced = Spaced.learn(['t_S i: "z turn-left  I_RUN\n'], 0, 1)
    assert shown(spaced, 't_S i: "z turn-left  I_RUN\n') == ["t_S", " i:", ' "z', " turn-left", " ", " I_RUN", "\\n"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_every_text_that_was_learnt_comes_back(texts: list[str]) -> None:
    if not any(texts):
        return
    spaced = Spaced.learn(texts, 0, 1)
    assert [spaced.decode(spaced.encode(text)) for text in texts] == texts


def test_the_vocabulary_is_by_count_then_text_and_may_be_cut() -> None:
    texts = [" b b a", " c a b"]
    assert Spaced.learn(texts, 0, 1).known == [" b", " a", " c"]
    assert Spaced.learn(texts, 3, 1).known == [" b", " a"]
    assert Spaced.learn(texts, 0, 3).known == [" b"]


def test_what_was_never_seen_is_unknown_or_told() -> None:
    spaced = Spaced.learn([" a b"], 0, 1)
    assert spaced.encode(" a q", "unknown").tolist() == [1, 0]
    with pytest.raises(UsageError, match="symbols that are not in the vocabulary: ' q'"):
        spaced.encode(" a q")
    with pytest.raises(DataError, match="empty"):
        Spaced.learn([""], 0, 1)
    with pytest.raises(UsageError, match="min_count: no symbol occurs 2 times"):
        Spaced.learn([" a"], 0, 2)


def test_a_saved_vocabulary_is_read_back_and_by_the_tokenizers_library() -> None:
    spaced = Spaced.learn([" t_S i: z", " i: z-z"], 0, 1)
    again = Tokenizer.from_json(spaced.to_json())
    assert isinstance(again, Spaced)
    assert again.known == spaced.known
    engine = tokenizers.Tokenizer.from_str(spaced.to_json().decode())
    assert engine.encode(" z-z t_S  q").ids == spaced.encode(" z-z t_S  q", "unknown").tolist()
    assert json.loads(spaced.to_json())["model"]["unk_token"] == "<unk>"
