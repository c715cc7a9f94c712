"""Pretrained vectors: every format gives the same words and numbers; what is no vector is named by file and line."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from riverrun.data.vectors import Vectors, read_vectors
from riverrun.errors import DataError

WORDS = ("the", "Cat", "naïve", "New York")
MATRIX = np.array([[1, -2.5, 3e-3], [0, 7, 1], [0.25, 0.5, -1], [9, 8, 7]], np.float32)


def text(header: bool = True, words=WORDS) -> bytes:
    lines = [f"{len(words)} 3\n"] if header else []
    lines += [f"{word} {' '.join(str(x) for x in row)}\n" for word, row in zip(words, MATRIX.tolist(), strict=False)]
    return "".join(lines).encode()


def binary(newline: bytes = b"\n") -> bytes:
    rows = [
        w.replace(" ", "_").encode() + b" " + struct.pack("<3f", *row) for w, row in zip(WORDS, MATRIX, strict=True)
    ]
    return b"4 3\n" + b"".join(row + newline for row in rows)


def written(tmp_path: Path, name: str, data: bytes) -> Path:
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("v.txt", text()),
        ("glove.txt", text(header=False)),
        ("v.vec.gz", gzip.compress(text())),
        ("v.bin", binary()),
        ("plain.bin", binary(b"")),
        ("v.bin.gz", gzip.compress(binary())),
    ],
)
def test_every_format_gives_the_same_vectors(tmp_path, name, data):
    found = read_vectors(written(tmp_path, name, data))
    assert tuple(word.replace("_", " ") for word in found.words) == WORDS
    np.testing.assert_array_equal(found.matrix, MATRIX)
    assert found.matrix.dtype == np.float32


def test_npz_holds_words_and_vectors(tmp_path):
    np.savez(tmp_path / "v.npz", words=np.array(WORDS), vectors=MATRIX.astype(np.float64))
    found = read_vectors(tmp_path / "v.npz")
    assert found.words == WORDS
    np.testing.assert_array_equal(found.matrix, MATRIX)


def test_a_limit_keeps_the_first_and_of_a_word_that_comes_twice_the_first_vector_counts(tmp_path):
    assert read_vectors(written(tmp_path, "v.txt", text()), limit=2).words == WORDS[:2]
    twice = read_vectors(written(tmp_path, "w.txt", b"a 1 2\nb 3 4\na 5 6\n"))
    assert twice.words == ("a", "b")
    assert twice.matrix.tolist() == [[1, 2], [3, 4]]


def test_a_file_has_so_many_as_its_first_line_says_and_what_follows_is_left(tmp_path):
    assert read_vectors(written(tmp_path, "v.txt", text() + b"more 1 2 3\n")).words == WORDS
    assert read_vectors(written(tmp_path, "w.txt", b"9 3\n" + text(header=False)), limit=2).words == WORDS[:2]


def test_a_missing_file_is_told_as_one_of_vectors(tmp_path):
    with pytest.raises(DataError, match=r"nosuch: no such file\. Give a file of word vectors"):
        read_vectors(tmp_path / "nosuch")


def test_a_word_is_found_as_it_is_written_or_in_lower_case():
    vectors = Vectors(words=WORDS, matrix=MATRIX)
    assert [vectors.find(word) for word in ("the", "The", "Cat", "cat", "dog")] == [1, 1, 2, 0, 0]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("v.txt", b"2 3\na 1 2 3\nb 1 2\n", r"v\.txt:3: expected a word and 3 numbers between spaces, got 2"),
        ("v.txt", b"a 1 2\nb 1 x\n", r"v\.txt:2: expected a word and 2 numbers .*could not convert"),
        ("v.txt", b"a 1 2\nb 1 nan\n", r"v\.txt:2: .* not finite"),
        ("v.txt", b"just one line of words\n", r"v\.txt:1: expected a word and 4 numbers"),
        ("v.txt", b"word\n", r"v\.txt:1: expected a word and some numbers"),
        ("v.txt", b"", r"v\.txt: no vectors in it"),
        ("v.txt", b"3 0\n", r"v\.txt:1: expected the vectors' count and width"),
        ("v.txt", b"9 3\n" + text(header=False), r"v\.txt: cut off after word 4 of 9"),
        ("v.bin", binary()[:30], r"v\.bin: cut off at word 2 of 4"),
        ("v.bin", b"2 3\na " + struct.pack("<3f", 1, float("nan"), 2), r"v\.bin: word 1 of 2: expected 3 finite"),
        ("v.npz", b"nothing", r"v\.npz: expected \.npz with the arrays"),
    ],
)
def test_what_is_no_vector_is_named(tmp_path, name, data, said):
    with pytest.raises(DataError, match=said):
        read_vectors(written(tmp_path, name, data))


def test_an_archive_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "v.npz", words=np.array(WORDS), vectors=MATRIX[:3])
    with pytest.raises(DataError, match=r"expected words \[N\] as text and vectors \[N, width\]"):
        read_vectors(tmp_path / "v.npz")
    np.savez(tmp_path / "w.npz", words=np.array(WORDS, dtype=object), vectors=MATRIX)
    with pytest.raises(DataError, match="`words`"):
        read_vectors(tmp_path / "w.npz")
    with pytest.raises(DataError, match="no such file"):
        read_vectors(tmp_path / "missing.vec")
