"""What every tokenizer promises, whatever its unit; its file means the same to Hugging Face's `tokenizers`."""

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.data import Tokenizer
from riverrun.errors import DataError, ModelError, UsageError

KINDS = ("chars", "bytes", "words", "bpe")
TEXT = (
    "It's the 1st: don't  panic!\n\tÀ propos — naïve façade… “quoted” 日本語です。 "
    "नमस्ते दुनिया। 😀 x_y a-b\r\n\x0b\x85\u2028end "
) * 3
LETTERS = st.sampled_from(sorted(set(TEXT)))


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    # Trained on every symbol also alone, so that any text over them is known to the characters.
    return Tokenizer.train([TEXT, *sorted(set(TEXT))], request.param)


def test_decoding_gives_the_text_back(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(TEXT)
    assert tokenizer.decode(ids) == TEXT
    assert tokenizer.decode_bytes(ids) == TEXT.encode()
    assert ids.dtype == np.int64
    assert 0 <= ids.min() <= ids.max() < tokenizer.size


@settings(max_examples=200, deadline=None)
@given(st.text(LETTERS))
def test_the_file_means_the_same_to_hugging_face(tokenizer: Tokenizer, text: str) -> None:
    theirs = tokenizers.Tokenizer.from_str(tokenizer.to_json().decode())
    ids = tokenizer.encode(text, unseen="unknown")
    assert theirs.encode(text).ids == ids.tolist()
    if tokenizer.unknown is None or tokenizer.unknown not in ids:
        assert tokenizer.decode(ids) == text == theirs.decode(ids.tolist())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(LETTERS), max_size=5))
def test_encoding_many_texts_is_encoding_each(tokenizer: Tokenizer, texts: list[str]) -> None:
    ids, counts = tokenizer.encode_each(texts, unseen="unknown")
    each = [tokenizer.encode(text, unseen="unknown").tolist() for text in texts]
    assert ids.tolist() == [id for one in each for id in one]
    assert counts == [len(one) for one in each]


@settings(max_examples=100, deadline=None)
@given(st.text(LETTERS, max_size=30), st.text(LETTERS, max_size=30), st.sampled_from([("", " "), ("\n", "")]))
def test_no_token_lies_across_a_newline_s_end_or_a_space_s_beginning(
    tokenizer: Tokenizer, left: str, right: str, cut: tuple[str, str]
) -> None:
    left, right = left + cut[0], cut[1] + right
    apart = [*tokenizer.encode(left, "unknown"), *tokenizer.encode(right, "unknown")]
    assert tokenizer.encode(left + right, "unknown").tolist() == apart


def test_what_is_saved_comes_back(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_json(tokenizer.to_json())
    assert (again.kind, again.unit, again.size, again.unknown) == (
        tokenizer.kind,
        tokenizer.unit,
        tokenizer.size,
        tokenizer.unknown,
    )
    assert list(again.symbols) == list(tokenizer.symbols)
    assert again.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()
    assert again.to_json() == tokenizer.to_json()


def test_training_twice_gives_the_same_file(tokenizer: Tokenizer) -> None:
    assert Tokenizer.train([TEXT, *sorted(set(TEXT))], tokenizer.kind).to_json() == tokenizer.to_json()


def test_lengths_count_the_characters(tokenizer: Tokenizer) -> None:
    assert tokenizer.lengths[tokenizer.encode(TEXT)].sum() == len(TEXT)


def test_a_stream_gives_whole_characters_as_they_are_completed(tokenizer: Tokenizer) -> None:
    feed = tokenizer.stream()
    parts = [feed(id) for id in tokenizer.encode(TEXT)]
    assert "".join(parts) == TEXT
    assert "\ufffd" not in "".join(parts)


def test_ids_fit_the_smallest_dtype(tokenizer: Tokenizer) -> None:
    assert tokenizer.dtype == (np.uint8 if tokenizer.size <= 256 else np.uint16)
    assert tokenizer.size - 1 <= np.iinfo(tokenizer.dtype).max


def test_tokens_are_shown_printable(tokenizer: Tokenizer) -> None:
    assert all(tokenizer.token(id).isprintable() for id in range(tokenizer.size))


@pytest.mark.parametrize("kind", ["chars", "words", "bpe"])
@pytest.mark.parametrize(("text", "told"), [("", "empty"), ("aaaa", "nothing to predict")])
def test_text_without_anything_to_predict_is_told(kind: str, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        Tokenizer.train([text], kind)


def test_an_unknown_kind_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'words'"):
        Tokenizer.train(["ab"], "word")


@pytest.mark.parametrize(
    "damage", [b"{", b"[]", b"{}", b'{"model": {"type": "Unigram"}, "pre_tokenizer": {"type": "X"}}']
)
def test_a_file_that_is_no_tokenizer_is_told(damage: bytes) -> None:
    with pytest.raises(ModelError, match=r"tokenizer.json: not a tokenizer"):
        Tokenizer.from_json(damage)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_ids_missing_is_told(kind: str) -> None:
    content = json.loads(Tokenizer.train([TEXT], kind).to_json())
    del content["model"]["vocab"][next(key for key, id in content["model"]["vocab"].items() if id == 5)]
    with pytest.raises(ModelError, match=r"tokenizer.json"):
        Tokenizer.from_json(json.dumps(content).encode())


def test_the_docstrings_examples_run() -> None:
    import doctest

    from riverrun.data import tokenizer as module
    from riverrun.data import words

    for one in (module, words):
        failed, tried = doctest.testmod(one)
        assert tried
        assert not failed


def test_nothing_is_pickled(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert json.loads(tokenizer.to_json())["version"] == "1.0"


def test_the_unknown_token_counts_one_character() -> None:
    chars = Tokenizer.train(["aab"], "chars", min_count=2)
    assert chars.lengths.tolist() == [1, 1]
    assert chars.decode(chars.encode("ab", unseen="unknown")) == "a<unk>"


def test_bytes_that_are_not_text_come_out_as_replacement_characters() -> None:
    tokenizer = Tokenizer.train([], "bytes")
    assert tokenizer.decode(b"a\xffb") == "a\ufffdb"
    feed = tokenizer.stream()
    assert [feed(byte) for byte in b"\xc3\xa9\xffb"] == ["", "é", "\ufffd", "b"]
