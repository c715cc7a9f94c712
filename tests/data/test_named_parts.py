"""Parts by files' names: words of names and whole folders count, and something is always left to train on."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from riverrun.data.named_parts import member_parts, parts_by_name
from riverrun.data.options import DataOptions
from riverrun.data.pair_options import PairOptions
from riverrun.data.pair_splits import split
from riverrun.data.pairs import read as read_pairs
from riverrun.data.readers import read
from riverrun.data.sources import find


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["train.tsv", "dev.tsv", "test.tsv"], ["train", "valid", "test"]),
        (["wiki.train.tokens", "wiki.valid.tokens"], ["train", "valid"]),
        (["a/train/1.txt", "a/Test/1.txt"], ["train", "test"]),
        (["a/data.csv", "a/test.csv"], ["", "test"]),
        (["test/a.csv", "test/b.csv"], ["", ""]),
        (["test.csv"], [""]),
        (["contest.csv", "latest.csv", "trainers.csv"], ["", "", ""]),
        (["train-dev.csv", "train.csv", "test2016.csv"], ["", "train", "test"]),
    ],
)
def test_names_say_parts(names: list[str], parts: list[str]) -> None:
    found = parts_by_name(names)
    assert [found.get(name, "") for name in names] == parts


def test_members_of_an_archive_are_files_like_any_other(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("x/train.tsv", "x/test.tsv"):
            archive.writestr(name, "a\tb\n")
    found = member_parts(find([tmp_path / "a.zip"]))
    assert {name.rpartition("/")[2]: part for name, part in found.items()} == {"train.tsv": "train", "test.tsv": "test"}


def test_pairs_of_files_called_by_parts_are_those_parts(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{name}{i}\tx{i}\n" for i in range(20)))
    parts = split(read_pairs([tmp_path], PairOptions()), PairOptions())
    assert parts.test.sources == [f"test{i}" for i in range(20)]
    assert not any(source.startswith("test") for source in parts.train.sources + parts.valid.sources)
    assert "test as the data say (20)" in parts.rule


def test_texts_are_parts_by_their_names_where_some_are_for_training(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"wiki.{name}.txt").write_text(f"{name}\n")
    pieces = list(read([tmp_path], DataOptions()).pieces())
    assert [(piece.text, piece.part) for piece in pieces] == [("test\n", "test"), ("train\n", "train")]
    (tmp_path / "wiki.train.txt").rename(tmp_path / "chapter.txt")
    assert [piece.part for piece in read([tmp_path], DataOptions()).pieces()] == ["", ""]
