"""The coder of a tagger: ids of words, letters and tags, what is unknown, and files that give it back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from riverrun.data.conll import CONLLU, Layout
from riverrun.data.vectors import Vectors
from riverrun.data.vocabularies import BEGIN, END, FIRST, IGNORED, LETTERS, UNKNOWN, TagCoder, check
from riverrun.errors import DataError, ModelError

WORDS = [["the", "cat", "sat"], ["the", "Dog", "sat", "there"], ["the", "xq"]]
TAGS = [["D", "N", "V"], ["D", "N", "V", ""], ["D", "N"]]


def test_words_come_by_frequency_and_rare_ones_are_unknown_but_seen():
    coder = TagCoder.of(WORDS, TAGS, min_count=2)
    assert coder.words[:2] == ("the", "sat")
    assert coder.counts[:2] == (3, 2)
    assert coder.known == 2
    assert [coder.word(word) for word in ("the", "sat", "cat", "dog")] == [1, 2, UNKNOWN, UNKNOWN]
    assert coder.saw("cat")
    assert not coder.saw("dog")
    assert coder.tags == ("D", "N", "V"), "no tag is no tag"


def test_a_word_is_looked_up_as_written_and_then_in_lower_case():
    coder = TagCoder.of([["the", "Dog", "dog"]], [["D", "N", "N"]])
    assert coder.word("The") == coder.word("THE") == coder.word("the") == 1
    assert coder.word("Dog") != coder.word("dog")
    assert coder.word("DOG") == coder.word("dog")
    assert not coder.saw("The"), "seen is as it is written"


def test_letters_of_a_single_word_are_unknown_and_of_a_long_word_both_ends_are_read():
    coder = TagCoder.of(WORDS, TAGS)
    assert "t" in coder.letters
    assert "x" not in coder.letters
    spelt = coder.spelt("txt")
    t = coder.letters.index("t") + FIRST
    assert spelt == [BEGIN, t, UNKNOWN, t, END]
    long = coder.spelt("t" * 16 + "a" * 100 + "e" * 16)
    assert len(long) == LETTERS + 2
    assert long == [BEGIN, *[t] * 16, *[coder.letters.index("e") + FIRST] * 16, END]


def test_sentences_become_rows_of_a_lexicon_of_their_distinct_words():
    vectors = Vectors(words=("cat", "dog"), matrix=np.ones((2, 3), np.float32))
    coder = TagCoder.of(WORDS, TAGS, vectors=vectors)
    coded = coder.encode([["The", "dog", "the", "the"], [], ["Dog"]], [["D", "N", "new", ""], [], ["N"]])
    assert coded.words.tolist() == [0, 1, 2, 2, 3]
    assert coded.tags.tolist() == [
        coder.tags.index("D"),
        coder.tags.index("N"),
        IGNORED,
        IGNORED,
        coder.tags.index("N"),
    ]
    assert coded.starts.tolist() == [0, 4, 4, 5]
    assert coded.lengths.tolist() == [4, 0, 1]
    lexicon = coded.lexicon
    assert lexicon.words.tolist() == [coder.word(word) for word in ("The", "dog", "the", "Dog")]
    assert lexicon.vectors.tolist() == [0, 2, 0, 2]
    assert lexicon.lengths.tolist() == [5, 5, 5, 5]
    assert lexicon.letters[0, :5].tolist() == coder.spelt("The")
    assert coder.encode([["a"]]).tags.tolist() == [IGNORED]
    assert coder.encode([]).lengths.tolist() == []


def test_the_scheme_of_spans_is_found():
    assert TagCoder.of([["a", "b"]], [["B-X", "I-X"]]).scheme == "BIO"
    assert TagCoder.of(WORDS, TAGS).scheme == ""


@pytest.mark.parametrize("vectors", [None, Vectors(words=("cat", "d\u00f6g"), matrix=np.ones((2, 3), np.float32))])
def test_its_files_give_it_back(vectors):
    coder = TagCoder.of(
        [*WORDS, ["na\u00efve \U0001f642"]],
        [*TAGS, ["\u00e9"]],
        min_count=2,
        vectors=vectors,
        form=Layout(CONLLU, 10, "\t", 1, 3),
        shown=[["a", "b"]],
    )
    again = TagCoder.from_files(coder.files())
    assert again == coder
    assert again.form.described == "CoNLL-U, column upos"
    sentence = [["the", "cat", "d\u00f6g"]]
    for one, two in zip(coder.encode(sentence).lexicon, again.encode(sentence).lexicon, strict=True):
        assert (one == two).all()
    if vectors is not None:
        assert again.vectors is not None
        assert (again.vectors.width, again.vectors.matrix.size) == (3, 0), "the model holds the numbers"


@pytest.mark.parametrize("spoilt", [b"{}", b"nothing", b"[1]", b"null"])
def test_files_of_something_else_are_a_model_error(spoilt):
    files = TagCoder.of(WORDS, TAGS).files()
    for name in files:
        with pytest.raises(ModelError, match="not the vocabularies of a tagger"):
            TagCoder.from_files({**files, name: spoilt})
    without = json.loads(files["labels.json"])
    del without["labels"]
    with pytest.raises(ModelError, match="labels"):
        TagCoder.from_files({**files, "labels.json": json.dumps(without).encode()})


def test_nothing_to_learn_is_a_data_error():
    coder = TagCoder.of(WORDS, TAGS)
    check(coder, "f")
    with pytest.raises(DataError, match=r"f: expected words with two different tags .* got none. .*--column"):
        check(replace(coder, tags=()), "f")
    with pytest.raises(DataError, match="only 'X'"):
        check(replace(coder, tags=("X",)), "f")
