"""Documents come out whole and in order, bad input is a sentence, and dropped rows are counted with their reasons."""

import gzip
import io
import itertools
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riverrun.data import Corpus, DataOptions, encoding, read, readers
from riverrun.errors import DataError


def documents(corpus: Corpus) -> list[str | bytes]:
    found: list[str | bytes] = []
    for piece in corpus.pieces():
        if piece.starts_document:
            found.append(piece.text)
        else:
            found[-1] += piece.text  # type: ignore[operator]
    return found


def wrote(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def test_each_file_is_a_document_kept_to_the_byte(tmp_path: Path) -> None:
    one, two = wrote(tmp_path, "one.txt", "a\r\nb\r"), wrote(tmp_path, "two.tex", "\n\nc ")
    corpus = read([two, one], DataOptions())
    assert documents(corpus) == ["\n\nc ", "a\r\nb\r"] == documents(corpus)
    assert [(file.rows, file.bytes) for file in corpus.files] == [(3, 4), (2, 5)]


@settings(deadline=None, max_examples=50)
@given(st.text("ab \n\u3042", min_size=1), st.integers(1, 9))
def test_pieces_end_after_a_newline_or_before_a_space_where_they_can(text: str, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BLOCK", block)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        pieces = [str(piece.text) for piece in read(["-"], DataOptions()).pieces()]
    assert "".join(pieces) == text
    for piece, following in itertools.pairwise(pieces):
        assert piece.endswith("\n") or following.startswith(" ") or not set(piece[1:]) & {" ", "\n"}


def test_lines_are_items_framed_by_newlines(tmp_path: Path) -> None:
    path = wrote(tmp_path, "names.txt", "Ann\nBob\r\n\nCy")
    assert documents(read([path], DataOptions(lines=True))) == ["\nAnn\n", "\nBob\n", "\nCy\n"]
    assert documents(read([path], DataOptions(lines=True, tokens="bytes"))) == [b"\nAnn\n", b"\nBob\n", b"\nCy\n"]


def test_bytes_take_any_file_and_text_refuses_a_binary_one(tmp_path: Path) -> None:
    data = bytes(range(256)) * 3
    path = wrote(tmp_path, "program", data)
    assert documents(read([path], DataOptions(tokens="bytes"))) == [data]
    with pytest.raises(DataError, match="--tokens bytes"):
        documents(read([path], DataOptions()))


@pytest.mark.parametrize("tokens", ["chars", "bytes"])
def test_an_empty_file_is_told_at_once(tokens: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"e.txt: empty \(0 bytes\)"):
        read([wrote(tmp_path, "e.txt", "")], DataOptions(tokens=tokens))


@pytest.mark.parametrize(
    ("name", "content"),
    [("e.txt.gz", gzip.compress(b"")), ("e.csv", b"text\n"), ("e.jsonl", b"\n\n"), ("e.txt", b"\xef\xbb\xbf")],
)
def test_a_file_without_text_is_told_when_it_is_read(name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{name}: empty, there is no text in it"):
        documents(read([wrote(tmp_path, name, content)], DataOptions()))


def test_an_empty_file_among_others_is_passed_over(tmp_path: Path) -> None:
    corpus = read([wrote(tmp_path, "a.txt", ""), wrote(tmp_path, "b.txt", "b")], DataOptions())
    assert documents(corpus) == ["b"]
    assert [file.rows for file in corpus.files] == [0, 1]


def test_no_path_means_the_built_in_text() -> None:
    corpus = read([], DataOptions())
    [text] = documents(corpus)
    assert len(text) > 400_000
    assert corpus.files[0].bytes == len(str(text).encode())


def test_rows_that_cannot_be_read_are_dropped_counted_and_told(tmp_path: Path) -> None:
    path = wrote(tmp_path, "a.txt", b"one\ntw\xe9o\nthree\nfo\x00ur\nfive")
    corpus = read([path], DataOptions(skip_bad_rows=True))
    assert documents(corpus) == ["one\nthree\nfive"]
    [file] = corpus.files
    assert (file.rows, file.dropped) == (3, 2)
    assert file.reasons == (
        f"{path}:2: byte 0xE9 cannot be decoded",
        f"{path}:4: it has a NUL, which no text has",
    )
    with pytest.raises(DataError, match=r"a.txt: byte 6 \(0xE9, line 2\)"):
        documents(read([path], DataOptions()))


def test_only_the_first_reasons_are_kept_but_all_are_counted(tmp_path: Path) -> None:
    path = wrote(tmp_path, "a.txt", b"\xe9\n" * 50 + b"good\n")
    [file] = read([path], DataOptions(skip_bad_rows=True)).files
    assert (file.dropped, len(file.reasons)) == (50, readers._REASONS)


def test_a_corpus_of_bad_rows_only_says_so(tmp_path: Path) -> None:
    path = wrote(tmp_path, "a.jsonl", '{"txt": "x"}\n')
    with pytest.raises(DataError, match=r"all 1 rows were dropped, the first because .*no field 'text'"):
        documents(read([path], DataOptions(skip_bad_rows=True)))


@pytest.mark.parametrize(("lines", "expected"), [(False, ["a b", "c\nd"]), (True, ["\na b\n", "\nc\nd\n"])])
def test_tables_give_one_document_a_row(lines: bool, expected: list[str], tmp_path: Path) -> None:
    rows = [{"text": "a b", "n": 1}, {"text": "c\nd", "n": 2}]
    jsonl = wrote(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))
    table = wrote(tmp_path, "t.csv.gz", gzip.compress(b'n,text\n1,a b\n2,"c\nd"\n'))
    for path in (jsonl, table):
        assert documents(read([path], DataOptions(lines=lines))) == expected
        as_bytes = documents(read([path], DataOptions(lines=lines, tokens="bytes")))
        assert as_bytes == [text.encode() for text in expected]


def test_progress_goes_up_to_the_size_of_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BLOCK", 10)
    paths = [wrote(tmp_path, f"{name}.txt", "line\n" * 10) for name in "ab"]
    seen: list[tuple[int, int]] = []
    for _ in read(paths, DataOptions()).pieces(lambda done, total: seen.append((done, total))):
        pass
    assert [total for _, total in seen] == [100] * len(seen)
    assert seen == sorted(seen)
    assert seen[-1][0] == 100


def test_the_encoding_option_acts(tmp_path: Path) -> None:
    path = wrote(tmp_path, "a.txt", "naïve".encode("latin-1"))
    assert documents(read([path], DataOptions(encoding="latin-1"))) == ["naïve"]
