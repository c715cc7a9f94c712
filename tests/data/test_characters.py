"""Characters have the rank of their code point as id, bytes their value; what was never seen is told by name."""

import json
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.data.characters import Bytes, Characters
from riverrun.errors import DataError, UsageError

ANY = st.characters(exclude_categories=["Cs"])


@given(st.text(ANY, min_size=2).filter(lambda text: len(set(text)) > 1))
def test_ids_are_ranks_of_code_points(text: str) -> None:
    tokenizer = Characters.learn([text], 0, 1)
    ranks = {c: rank for rank, c in enumerate(sorted(set(text)))}
    assert tokenizer.encode(text).tolist() == [ranks[c] for c in text]
    assert tokenizer.unknown is None


@given(st.text("abcdef", min_size=2), st.integers(1, 4), st.integers(2, 5))
def test_rare_characters_become_unknown(text: str, min_count: int, vocabulary: int) -> None:
    counts = Counter(text)
    enough = [c for c, count in counts.items() if count >= min_count]
    if len(counts) == 1 or not enough:
        with pytest.raises((DataError, UsageError)):
            Characters.learn([text], vocabulary, min_count)
        return
    cut = len(enough) + (len(enough) < len(counts)) > vocabulary
    kept = sorted(enough, key=lambda c: (-counts[c], c))[: vocabulary - 1] if cut else enough
    tokenizer = Characters.learn([text], vocabulary, min_count)
    assert tokenizer.characters == sorted(kept)
    assert tokenizer.size <= vocabulary
    assert tokenizer.unknown == (0 if len(kept) < len(counts) else None)
    expected = [sorted(kept).index(c) + (tokenizer.unknown is not None) if c in kept else 0 for c in text]
    assert tokenizer.encode(text, unseen="unknown").tolist() == expected


def test_characters_never_seen_are_told() -> None:
    tokenizer = Characters.learn(["hello"], 0, 1)
    with pytest.raises(UsageError, match=r"'é' \(U\+00E9\), '☃' \(U\+2603\).*Known are 'ehlo'"):
        tokenizer.encode("hé☃")
    with pytest.raises(UsageError, match=r"'a' \(U\+0061\)"):
        tokenizer.encode("a")  # lower than all that are known
    with pytest.raises(UsageError, match=r"U\+D800"):
        tokenizer.encode("\ud800")
    with pytest.raises(DataError, match="--min-count 2"):
        tokenizer.encode("hex", unseen="unknown")


def test_a_file_of_one_repeated_character_is_told() -> None:
    with pytest.raises(DataError, match=r"one character repeated, 'a' \(U\+0061\): there is nothing to predict"):
        Characters.learn(["a" * 1000, "aaa"], 0, 1)


def test_counts_add_up_over_pieces_however_small_or_large() -> None:
    text = "abc" * 700_000
    assert Characters.learn([text, text, "d"], 0, 700_001).characters == ["a", "b", "c"]
    assert Characters.learn(iter("abcd"), 0, 1).characters == ["a", "b", "c", "d"]


def test_bytes_are_their_values() -> None:
    data = bytes(range(256))
    assert Bytes().encode(data).tolist() == list(range(256))
    assert Bytes().decode_bytes(range(256)) == data
    assert Bytes().encode("é").tolist() == [0xC3, 0xA9]
    assert Bytes().token(0xC3) == "\\xc3"
    with pytest.raises(UsageError, match="256"):
        Bytes.learn([b"ab"], 100, 1)


def test_a_megabyte_of_characters_is_encoded_in_well_under_a_second() -> None:
    text = "".join(map(chr, np.random.default_rng(0).integers(32, 1000, 1_000_000)))
    tokenizer = Characters.learn([text], 0, 1)
    began = time.process_time()
    tokenizer.encode(text)
    assert time.process_time() - began < 0.3


def test_a_vocabulary_that_lacks_a_character_gets_an_unknown_one_and_learns_nothing() -> None:
    known = Characters.learn(["hello"], 0, 1)
    assert known.covering("heh") is known
    assert known.spelling == 0
    wider = known.covering("hexe")
    assert (wider.unknown, wider.size) == (0, 5)
    assert wider.decode(wider.encode("hexe", unseen="unknown")) == "he<unk>e"
    assert wider.covering("☃") is wider
    assert Characters.restore(json.loads(wider.to_json())).spelling == wider.spelling > 13
    assert Bytes().covering("☃").unknown is None
