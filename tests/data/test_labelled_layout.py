"""Labelled texts are known by their looks, and what may as well be plain text is left alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from riverrun.data.labelled_layout import columns, recognise
from riverrun.errors import DataError


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("files", "given", "words"),
    [
        ({"t.csv": "id,Review,Stars\n1,good,5\n"}, "t.csv", "columns 'Review' and 'Stars'"),
        ({"t.tsv": "label\tsentence\nx\ty\n"}, "t.tsv", "columns 'sentence' and 'label'"),
        ({"t.jsonl": '{"text": "a", "intent": "b"}\n'}, "t.jsonl", "columns 'text' and 'intent'"),
        ({"t.txt": "__label__a text\n__label__b other\n"}, "t.txt", "__label__"),
        ({"n/Greek.txt": "Ares\nZeus\n", "n/Norse.txt": "Odin\nThor\n"}, "n", "each file is a label (Greek, Norse)"),
        ({f"n/{label}/{k}.txt": "long text" for label in "ab" for k in "12"}, "n", "each is a label"),
        ({f"n/train/{label}/{k}.txt": "long text" for label in "ab" for k in "12"}, "n", "each is a label"),
        ({"n/rt.pos": "good\n", "n/rt.neg": "bad\n"}, "n", "suffixes neg, pos are labels"),
    ],
)
def test_labelled_texts_are_known_with_the_reason(files, given, words, tmp_path):
    for name, content in files.items():
        write(tmp_path / name, content)
    reason = recognise([str(tmp_path / given)])
    assert reason is not None
    assert words in reason


def test_an_archive_of_suffixes_is_known(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("p/rt.pos", "good\n")
        archive.writestr("p/rt.neg", "bad\n")
        archive.writestr("p/README.txt", "what")
    assert "neg, pos" in (recognise([str(tmp_path / "p.zip")]) or "")


@pytest.mark.parametrize(
    ("files", "given"),
    [
        ({"t.csv": "id,text\n1,good\n"}, "t.csv"),
        ({"t.jsonl": '{"text": "a"}\n'}, "t.jsonl"),
        ({"t.jsonl": "not json\n"}, "t.jsonl"),
        ({"t.txt": "plain text\n"}, "t.txt"),
        ({"n/one.txt": "A sentence that goes on and on, as prose does, for more than forty.\n" * 3,
          "n/two.txt": "Short\nlines\n"}, "n"),
        ({"n/one.txt": "only\none\n"}, "n"),
        ({"n/a/one.txt": "one folder\n", "n/a/two.txt": "alone\n"}, "n"),
        ({"n/.hidden": "x"}, "n"),
        ({}, "missing.csv"),
    ],
)  # fmt: skip
def test_plain_text_is_left_to_others(files, given, tmp_path):
    (tmp_path / "n").mkdir()
    for name, content in files.items():
        write(tmp_path / name, content)
    assert recognise([str(tmp_path / given)]) is None


def test_columns_are_found_by_usual_names_or_by_being_the_only_other_one():
    assert columns(["stars", "id", "REVIEW"], "", "") == ("REVIEW", "stars")
    assert columns(["split", "x", "label"], "", "") == ("x", "label")
    assert columns(["a", "b", "c"], "c", "a") == ("c", "a")
    with pytest.raises(DataError, match="cannot be both"):
        columns(["text", "label"], "label", "")
