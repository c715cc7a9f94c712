"""A file's format is found by its first lines, and said; what is no pair is left to other tasks."""

import gzip
import os
import zipfile
from pathlib import Path

import pytest

from riverrun.data.pair_formats import documents, pairs_in, recognise
from riverrun.data.pair_options import PairOptions
from riverrun.data.sources import find
from riverrun.errors import DataError

FILES = {
    "a.tsv": ("tsv", "Go.\tVa !\n"),
    "a.txt": ("tsv", "\nGo.\tVa !\n"),
    "a.csv": ("csv", "source,target\na,b\n"),
    "a.jsonl": ("jsonl", '{"source": "a", "target": "b"}\n'),
    "b.txt": ("jsonl", '{"source": "a", "target": "b"}\n'),
    "b.jsonl": ("dialogues", '{"turns": ["a", "b"]}\n'),
    "cmudict.dict": ("cmudict", "a AH0\na(2) EY1\n"),
    "cmudict.tsv": ("cmudict", "cat\tK AE1 T\n"),
    "scan.txt": ("scan", "IN: walk OUT: I_WALK\n"),
}


def write(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [str(folder / name) for name in files]


@pytest.mark.parametrize("name", FILES)
def test_the_first_lines_tell_the_format(tmp_path: Path, name: str) -> None:
    format, text = FILES[name]
    [path] = write(tmp_path, **{name: text})
    found = recognise(find([path]), PairOptions())
    assert found.format == format
    assert path in found.reason
    assert pairs_in([path]) is not None


def test_a_header_is_said(tmp_path: Path) -> None:
    [path, plain] = write(tmp_path, **{"a.tsv": "fr\ten\nva\tgo\n", "b.tsv": "va!\tgo!\n"})
    assert recognise(find([path]), PairOptions()).reason.endswith("between their columns, which the first one names")
    assert recognise(find([plain]), PairOptions()).reason.endswith("between their columns")


def test_compression_and_a_byte_order_mark_are_looked_through(tmp_path: Path) -> None:
    path = tmp_path / "scan.txt.gz"
    path.write_bytes(gzip.compress("\ufeffIN: walk OUT: I_WALK\n".encode()))
    assert recognise(find([path]), PairOptions()).format == "scan"


def test_an_archives_notes_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "fra.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_about.txt", "no pairs here")
        archive.writestr("README.md", "nor here")
        archive.writestr("fra.txt", "Go.\tVa !\n")
    [source] = find([path])
    assert [member.name for member in documents(source)] == [f"{path}:fra.txt"]
    assert recognise([source], PairOptions()).format == "tsv"


def test_two_files_without_tabs_are_paired(tmp_path: Path) -> None:
    paths = write(tmp_path, **{"train.de": "Hallo\n", "train.en": "hello\n"})
    assert recognise(find(paths), PairOptions()).format == "paired"
    assert "train.de and" in str(pairs_in(paths))


@pytest.mark.parametrize("names", [("src-train.txt", "tgt-train.txt"), ("fr_train.txt.gz", "en_train.txt.gz")])
def test_two_files_called_by_their_sides_within_their_names_are_paired(tmp_path: Path, names: tuple[str, str]) -> None:
    paths = [str(tmp_path / name) for name in names]
    for path in paths:
        opened = gzip.open if path.endswith(".gz") else open
        with opened(path, "wb") as file:
            file.write(b"Hallo\n")
    assert f"{names[0]} and" in str(pairs_in(paths))
    assert recognise(find(paths), PairOptions()).format == "paired"


@pytest.mark.parametrize(
    "names", [("no.txt", "so.txt"), ("reviews-pos.txt", "reviews-neg.txt"), ("a-fr.txt", "b-en.txt")]
)
def test_two_texts_that_only_look_like_sides_are_not_paired(tmp_path: Path, names: tuple[str, str]) -> None:
    assert pairs_in(write(tmp_path, **dict.fromkeys(names, "Hallo\n"))) is None


def test_a_format_may_be_asked_for(tmp_path: Path) -> None:
    paths = write(tmp_path, **{"a.dic": "ein b c\n"})
    found = recognise(find(paths), PairOptions(format="cmudict"))
    assert found == ("cmudict", f"{paths[0]} is read as cmudict (asked for)")


def test_a_file_that_holds_no_pairs_is_told_with_the_formats(tmp_path: Path) -> None:
    paths = write(tmp_path, **{"a.txt": "plain text\n"})
    with pytest.raises(DataError, match=r"a.txt:1: expected pairs: .* got a line without a tab"):
        recognise(find(paths), PairOptions())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.txt", "to be or not\n"),
        ("labels.tsv", "text\tlabel\ngood\tpos\n"),
        ("labels.tsv", "good\tpos\nbad\tneg\nfine\tpos\nawful\tneg\nnice\tpos\ndull\tneg\n"),
        ("wide.tsv", "a\tb\tc\n"),
        ("labels.csv", "text,label\ngood,pos\n"),
        ("text.jsonl", '{"text": "a"}\n'),
        ("tags.conllu", "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n"),
        ("bytes.bin", "\x00\x01\x02"),
        ("empty.txt", ""),
    ],
)
def test_other_tasks_data_are_left_to_them(tmp_path: Path, name: str, text: str) -> None:
    assert pairs_in(write(tmp_path, **{name: text})) is None


def test_what_cannot_be_looked_at_is_no_pair(tmp_path: Path) -> None:
    assert pairs_in([]) is None
    assert pairs_in(["-"]) is None
    assert pairs_in([str(tmp_path)]) is None
    assert pairs_in([str(tmp_path / "missing.tsv")]) is None
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8bnot gzip")
    assert pairs_in([str(tmp_path / "broken.gz")]) is None


@pytest.mark.skipif("RIVERRUN_DATA" not in os.environ, reason="RIVERRUN_DATA names no folder with the data sets")
@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("cmudict/cmudict.dict.gz", "cmudict"),
        ("scan/tasks_train_simple.txt.gz", "scan"),
        ("tatoeba-fra-eng/fra-eng.zip", "tsv"),
        ("self-dialogue/self_dialogues.jsonl.gz", "dialogues"),
    ],
)
def test_the_public_sets_are_known(path: str, format: str) -> None:
    file = Path(os.environ["RIVERRUN_DATA"]) / "seq2seq" / path
    assert recognise(find([file]), PairOptions()).format == format
    assert pairs_in([str(file)]) is not None
