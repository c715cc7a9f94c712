"""Tagged corpora: files and Python's lists, what is dropped and recorded, and the parts of the split."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from riverrun.data.tag_options import TagOptions
from riverrun.data.tagged import given, read, split
from riverrun.errors import DataError, OptionError

GOOD = "the D\ncat N\n\na D\ndog N\nbarks V\n\n"


def file(tmp_path: Path, text: str | bytes, name: str = "train.conll") -> str:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_files_are_read_with_a_record_of_each(tmp_path):
    one = file(tmp_path, GOOD)
    two = file(tmp_path, gzip.compress(b"1\tgo\tgo\tVERB\t_\t_\t0\troot\t_\t_\n"), "more.conllu.gz")
    corpus = read([one, two], TagOptions())
    assert [sentence.words for sentence in corpus.sentences] == [("the", "cat"), ("a", "dog", "barks"), ("go",)]
    assert corpus.sentences[2].tags == ("VERB",)
    assert corpus.sentences[1].place(2) == f"{one}:6"
    assert [(record.path, record.rows, record.dropped) for record in corpus.files] == [(one, 2, 0), (two, 1, 0)]
    assert corpus.files[0].sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert corpus.name == f"{one} and 1 more"


def test_a_broken_line_stops_with_file_and_line(tmp_path):
    path = file(tmp_path, GOOD + "go\n\nx Y\n")
    with pytest.raises(DataError, match=r"train\.conll:8: expected 2 columns, got 1. Mend it, .*--skip-bad-rows"):
        read([path], TagOptions()).load()


def test_broken_sentences_are_dropped_counted_and_recorded_where_asked_for(tmp_path):
    path = file(tmp_path, GOOD.encode() + b"go\n\nx Y\n\nbad\xff Z\nx Y\n\nend Y\n")
    corpus = read([path], TagOptions(skip_bad_rows=True))
    assert [sentence.words[0] for sentence in corpus.sentences] == ["the", "a", "x", "end"]
    (record,) = corpus.files
    assert (record.rows, record.dropped) == (4, 2)
    assert record.reasons == (
        f"{path}:8: expected 2 columns, got 1",
        f"{path}:12: byte 0xFF cannot be decoded",
    )


def test_a_byte_that_is_no_text_stops_with_its_place(tmp_path):
    path = file(tmp_path, GOOD.encode() + b"bad\xff Z\n")
    with pytest.raises(DataError, match=r"byte 35 \(0xFF, line 8\) is not utf-8"):
        read([path], TagOptions()).load()
    latin = read([path], TagOptions(encoding="latin-1"))
    assert latin.sentences[2].words == ("bad\u00ff",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb\n", "expected words and their tags in columns, got one column"),
        ("", "empty"),
        ("\n\n", "no sentence in it"),
        ("# only a comment\n", "no sentence in it"),
    ],
)
def test_a_file_without_sentences_is_refused(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read([file(tmp_path, text)], TagOptions()).load()


def test_a_column_that_is_not_there_is_a_fault_of_the_file(tmp_path):
    with pytest.raises(DataError, match=r"train\.conll: column: expected a number from 2 to 2 .* \(--column\)"):
        read([file(tmp_path, GOOD)], TagOptions(column="upos")).load()


def test_nothing_and_what_is_missing_are_refused(tmp_path):
    with pytest.raises(DataError, match="no data given"):
        read([], TagOptions())
    with pytest.raises(DataError, match="no such file"):
        read([tmp_path / "missing.conllu"], TagOptions())
    all_bad = file(tmp_path, "a b\nc\n")
    with pytest.raises(DataError, match=r"no sentence in it, as .*train\.conll:2: expected 2 columns, got 1"):
        read([all_bad], TagOptions(skip_bad_rows=True)).load()


def test_python_s_lists_are_the_same_corpus_and_can_be_kept_as_a_file(tmp_path):
    corpus = given([["New York", "#"], ["\u3000", "dog"]], [["B", "O"], ["O", "N"]], TagOptions(encoding="latin-1"))
    assert [(one.words, one.tags) for one in corpus.sentences] == [
        (("New York", "#"), ("B", "O")),
        (("\u3000", "dog"), ("O", "N")),
    ]
    kept = tmp_path / "000001.txt"
    kept.write_bytes(corpus.sources[0].open().read())
    again = read([kept], corpus.options)
    assert [one.words for one in again.sentences] == [one.words for one in corpus.sentences]


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ([["a"]], [], "got 1 sentences and 0 lists"),
        ([["a", "b"]], [["X"]], "sentence 1: expected a tag for each of 2 words, got 1"),
        (["a b"], [["X", "Y"]], "sentence 1: expected a list of words and one of tags, got text"),
        ([["a"], ["b\tc"]], [["X"], ["Y"]], r"sentence 2: expected a word, text without tabs .* got 'b\\tc'"),
        ([["a"]], [[""]], "sentence 1: expected a tag"),
        ([["a"]], [[None]], "sentence 1: expected a tag"),
        ([["a"], ["-DOCSTART-", "b"]], [["X"], ["X", "X"]], "sentence 2: -DOCSTART- marks where a document begins"),
        ([], [], "no sentence in it"),
    ],
)
def test_lists_of_another_form_are_refused(X, y, said):
    with pytest.raises(DataError, match=said):
        given(X, y, TagOptions()).load()


def many(count: int = 400):
    X = [[f"w{n % 300}", "x"] for n in range(count)]
    return given(X, [["A", "B"]] * count, TagOptions())


def test_the_rule_is_the_hash_of_the_words_and_equal_sentences_stay_together():
    parts = split(many(), TagOptions(), valid=None, test=None)
    assert len(parts.train) + len(parts.valid) + len(parts.test) == 400
    assert 20 < len(parts.valid) < 60
    assert 20 < len(parts.test) < 60
    for name, low, high in (("train", 0.0, 0.8), ("valid", 0.8, 0.9), ("test", 0.9, 1.0)):
        for sentence in getattr(parts, name):
            digest = hashlib.sha256(" ".join(sentence.words).encode()).digest()
            assert low <= int.from_bytes(digest[:8], "big") / 2**64 < high
    sides = [{sentence.words for sentence in part} for part in parts[:3]]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert "SHA-256 of the sentence's words" in parts.rule


def test_files_that_are_named_are_the_parts():
    other = given([["v"]], [["A"]], TagOptions())
    parts = split(many(), TagOptions(), valid=other, test=None)
    assert [sentence.words for sentence in parts.valid] == [("v",)]
    assert len(parts.train) + len(parts.test) == 400
    both = split(many(), TagOptions(), valid=other, test=other)
    assert len(both.train) == 400
    assert both.rule == "valid from the sentences given; test from the sentences given"


def test_too_few_sentences_are_refused():
    with pytest.raises(DataError, match="too few sentences to split: of 9 none is left for the"):
        split(given([["a"]] * 9, [["A"]] * 9, TagOptions()), TagOptions(), valid=None, test=None)
    three = split(given([["a"], ["b"], ["c"]], [["A"]] * 3, TagOptions()), TagOptions(), valid=None, test=None)
    assert [len(part) for part in three[:3]] == [1, 1, 1], "the nearest one, where the shares give none"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_count": 0}, "min_count: expected a whole number of at least 1, got 0"),
        ({"vectors_limit": -1}, "vectors_limit: expected a whole number of at least 0"),
        ({"valid_share": 0.0}, "valid_share: expected a share between 0 and 1"),
        ({"valid_share": 0.5, "test_share": 0.5}, "leaves nothing to train on"),
        ({"encoding": "utf-9"}, "'utf-9' is not known to Python"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(OptionError, match=said):
        TagOptions(**options)
