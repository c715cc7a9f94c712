"""Labelled texts: every format gives the same examples, and what is no example is told with its file and line."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from riverrun.data.labelled import given, read, scale
from riverrun.data.labelled_layout import recognise
from riverrun.data.labelled_options import LabelledOptions
from riverrun.data.labelled_split import divide
from riverrun.errors import DataError

ROWS = [("a fine film", "pos"), ('"dull", he said', "neg"), ("so so", "neg"), ("loved it", "pos")]
PLAIN = LabelledOptions()


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def csv(rows) -> str:
    import csv as library
    import io

    out = io.StringIO()
    library.writer(out, lineterminator="\n").writerows([("id", "Review", "stars"), *((1, *row) for row in rows)])
    return out.getvalue()


def as_csv(folder: Path) -> Path:
    return write(folder / "reviews.csv", csv(ROWS))


def as_tsv(folder: Path) -> Path:
    return write(folder / "reviews.tsv", "label\tsentence\n" + "".join(f"{label}\t{text}\n" for text, label in ROWS))


def as_jsonl(folder: Path) -> Path:
    rows = [json.dumps({"text": text, "class": label}) for text, label in ROWS]
    return write(folder / "reviews.jsonl", "\n\n".join(rows))


def as_packed(folder: Path) -> Path:
    return write(folder / "reviews.csv.gz", gzip.compress(csv(ROWS).encode()))


def as_folders(folder: Path) -> Path:
    for number, (text, label) in enumerate(ROWS):
        write(folder / "root" / label / f"{number}.txt", text + "\n")
    return folder / "root"


def as_files(folder: Path) -> Path:
    for label in ("pos", "neg"):
        write(folder / "lists" / f"{label}.txt", "".join(f"{text}\n" for text, other in ROWS if other == label))
    write(folder / "lists" / "README.md", "what this is")
    return folder / "lists"


def as_archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "polarity.zip", "w") as archive:
        archive.writestr("top/README.txt", "what this is")
        for label in ("pos", "neg"):
            lines = "".join(f"{text} \n" for text, other in ROWS if other == label)
            archive.writestr(f"top/rt-polarity.{label}", lines)
    return folder / "polarity.zip"


def as_marked(folder: Path) -> Path:
    return write(folder / "reviews.txt", "".join(f"__label__{label} {text}\n" for text, label in ROWS))


FORMATS = [as_csv, as_tsv, as_jsonl, as_packed, as_folders, as_files, as_archive, as_marked]


@pytest.mark.parametrize("made", FORMATS)
def test_every_format_gives_the_same_examples(made, tmp_path):
    corpus = read([made(tmp_path)], PLAIN)
    assert sorted((example.text, example.labels) for example in corpus.examples) == sorted(
        (text, (label,)) for text, label in ROWS
    )
    assert sum(file.rows for file in corpus.files) == 4
    assert len({example.place for example in corpus.examples}) == 4


def test_the_columns_are_said_and_may_be_named(tmp_path):
    assert "text in 'Review', label in 'stars'" in read([as_csv(tmp_path)], PLAIN).found
    table = write(tmp_path / "odd.csv", "a,b\nx,1\ny,2\n")
    corpus = read([table], LabelledOptions(text="a", label="b"))
    assert [(example.text, example.labels) for example in corpus.examples] == [("x", ("1",)), ("y", ("2",))]
    assert read([write(tmp_path / "two.csv", "text,b\nx,1\ny,2\n")], PLAIN).examples[0].labels == ("1",)


def test_a_split_column_and_the_names_of_files_and_folders_say_the_part(tmp_path):
    table = write(tmp_path / "t.tsv", "text\tlabel\tsplit\na\tx\ttrain\nb\ty\tdev\nc\tx\ttest\nd\ty\t\n")
    assert [example.part for example in read([table], PLAIN).examples] == ["train", "valid", "test", ""]
    for part in ("train", "test"):
        write(tmp_path / "tables" / f"{part}.csv", "text,label\na,x\nb,y\n")
        for label in ("x", "y"):
            write(tmp_path / "texts" / part / label / "1.txt", f"{part} {label}")
            write(tmp_path / "items" / part / f"{label}.txt", f"{part} {label}\n")
    for folder in ("tables", "texts", "items"):
        examples = read([tmp_path / folder], PLAIN).examples
        assert sorted((example.part, example.labels[0]) for example in examples) == [
            ("test", "x"), ("test", "y"), ("train", "x"), ("train", "y"),
        ]  # fmt: skip


def test_several_labels_a_row_come_from_a_separator_a_list_or_marks(tmp_path):
    options = LabelledOptions(labels="several", separator="|")
    table = write(tmp_path / "t.csv", "text,labels\na,x | y\nb,\nc,y\n")
    lines = write(tmp_path / "t.jsonl", '{"text": "a", "labels": ["x", "y"]}\n{"text": "b", "labels": []}\n'
                  '{"text": "c", "labels": "y"}')  # fmt: skip
    for path in (table, lines):
        assert [example.labels for example in read([path], options).examples] == [("x", "y"), (), ("y",)]
    marked = write(tmp_path / "t.txt", "__label__x __label__y a b\n__label__y c\n")
    assert [(e.text, e.labels) for e in read([marked], options).examples] == [("a b", ("x", "y")), ("c", ("y",))]


def test_labels_may_be_numbers_and_scales_are_ordered_by_them(tmp_path):
    path = write(tmp_path / "t.jsonl", '{"text": "a", "stars": 10}\n{"text": "b", "stars": 2.0}\n'
                 '{"text": "c", "stars": true}')  # fmt: skip
    assert [example.labels for example in read([path], PLAIN).examples] == [("10",), ("2",), ("true",)]
    path = write(tmp_path / "stars.csv", "text,stars\na,4\nb,4.0\nc,04\nd,1.50\n")
    graded = read([path], LabelledOptions(labels="ordered"))
    assert [example.labels for example in graded.examples] == [("4",), ("4",), ("4",), ("1.5",)]
    assert scale(["10", "2", "-1", "2.5"]) == ["-1", "2", "2.5", "10"]


BAD = {
    "an empty text": ("t.csv", "text,label\na,x\n ,y\nb,y\n", {}, r"t.csv:3: the text is empty"),
    "no label": ("t.csv", "text,label\na,x\nc,\nb,y\n", {}, r"t.csv:3: expected one label, got none"),
    "too few columns": ("t.csv", "text,label\na,x\nc\nb,y\n", {}, r"t.csv:3: expected 2 columns .*, got 1"),
    "an open quote": ("t.csv", 'text,label\na,x\n"c" d,y\nb,y\n', {}, r"t.csv:3: not a row of a table"),
    "no number": ("t.csv", "text,stars\na,1\nc,good\nb,2\n", {"labels": "ordered"}, r"t.csv:3: expected a number"),
    "an odd part": ("t.csv", "text,label,split\na,x,\nc,x,half\nb,y,\n", {}, r"t.csv:3: split: expected train"),
    "no JSON": ("t.jsonl", '{"text": "a", "label": "x"}\n{"text"\n{"text": "b", "label": "y"}', {},
                r"t.jsonl:2: expected a JSON object"),
    "a missing field": ("t.jsonl", '{"text": "a", "label": "x"}\n{"text": "c"}\n{"text": "b", "label": "y"}', {},
                        r"t.jsonl:2: no field 'label'"),
    "text that is none": ("t.jsonl", '{"text": "a", "label": "x"}\n{"text": 3, "label": "x"}\n'
                          '{"text": "b", "label": "y"}', {}, r"t.jsonl:2: field 'text': expected text, got '3'"),
    "two labels": ("t.txt", "__label__x a\n__label__x __label__y c\n__label__y b\n", {},
                   r"t.txt:2: expected one label, got 2 labels, x, y \(allow that with --labels several\)"),
    "no mark": ("t.txt", "__label__x a\nc\n__label__y b\n", {}, r"t.txt:2: expected a line that begins with __label__"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_told_with_its_line_or_dropped_counted_and_recorded(kind, tmp_path):
    name, content, more, message = BAD[kind]
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as raised:
        read([path], LabelledOptions(**more))
    assert raised.value.exit_code == 3
    assert "--skip-bad-rows" in str(raised.value)
    corpus = read([path], LabelledOptions(**more, skip_bad_rows=True))
    assert [example.text for example in corpus.examples] == ["a", "b"]
    (file,) = corpus.files
    assert (file.rows, file.dropped) == (2, 1)
    assert str(path) in file.reasons[0]


def test_what_an_open_quote_swallows_is_counted_and_told_where_it_opens(tmp_path):
    rows = [f"row {n},{'xy'[n % 2]}\n" for n in range(1, 201)]
    rows[149] = '"row 150,x\n'
    path = write(tmp_path / "t.csv", "text,label\n" + "".join(rows))
    with pytest.raises(DataError, match=r"t.csv:151: not a row of a table .*from a quote in it on, 51 lines are none"):
        read([path], PLAIN)
    (file,) = read([path], LabelledOptions(skip_bad_rows=True)).files
    assert (file.rows, file.dropped) == (149, 51)


def test_a_field_may_be_longer_than_csv_allows_by_default(tmp_path):
    import csv as library

    library.field_size_limit(131_072)
    path = write(tmp_path / "t.csv", f"text,label\n{'a' * 200_000},x\nb,y\n")
    assert [len(example.text) for example in read([path], PLAIN).examples] == [200_000, 1]


def test_a_table_may_have_semicolons_and_says_where_the_text_was(tmp_path):
    path = write(tmp_path / "t.csv", "raw;label\na, b;x\nc;y\n")
    corpus = read([path], PLAIN)
    assert [example[:2] for example in corpus.examples] == [("a, b", ("x",)), ("c", ("y",))]
    assert corpus.column == "raw"
    assert recognise([str(write(tmp_path / "u.csv", "text;label\na;x\n"))]) is not None


def test_bytes_that_are_no_text_are_told_with_their_line_or_dropped(tmp_path):
    path = write(tmp_path / "t.tsv", b"text\tlabel\na\tx\nb\xff\ty\nc\ty\n")
    with pytest.raises(DataError, match=r"t.tsv: byte 16 .*line 3\) is not utf-8"):
        read([path], PLAIN)
    corpus = read([path], LabelledOptions(skip_bad_rows=True))
    assert [example.text for example in corpus.examples] == ["a", "c"]
    assert read([path], LabelledOptions(encoding="latin-1")).examples[1].text == "bÿ"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        (
            "t.csv",
            "a,b,c\n1,2,3\n",
            {},
            r"t.csv:1: no column is known to hold the text; there is 'a', 'b', 'c'. .*--text",
        ),
        ("t.csv", "text,b,c\n1,2,3\n", {}, r"t.csv:1: no column is known to hold the label"),
        ("t.csv", "text,label\nx,y\n", {"label": "labels"}, r"t.csv:1: no column 'labels'.*Did you mean 'label'"),
        ("t.csv", "", {}, r"t.csv: empty"),
        ("t.csv", "text,label\n", {}, r"t.csv: there is no example in it"),
        ("t.txt", "just\ntext\n", {}, r"expected labelled texts: a table"),
        ("t.jsonl", '{"a": 1, "b": 2, "c": 3}\n', {}, r"t.jsonl:1: no column is known to hold the text"),
    ],
)
def test_a_file_that_holds_no_labelled_texts_is_told(name, content, options, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read([write(tmp_path / name, content)], LabelledOptions(**options))


def test_all_rows_dropped_and_mixed_kinds_and_missing_files_are_told(tmp_path):
    path = write(tmp_path / "t.csv", "text,label\n,x\n,y\n")
    with pytest.raises(DataError, match=r"all 2 rows were dropped, the first because .*t.csv:2: the text is empty"):
        read([path], LabelledOptions(skip_bad_rows=True))
    write(tmp_path / "mixed" / "t.csv", "text,label\na,x\n")
    write(tmp_path / "mixed" / "t.txt", "plain\n")
    with pytest.raises(DataError, match="expected the same kind of file"):
        read([tmp_path / "mixed"], PLAIN)
    with pytest.raises(DataError, match="no such file"):
        read([tmp_path / "nowhere.csv"], PLAIN)
    with pytest.raises(DataError, match="no data"):
        read([], PLAIN)


def test_examples_in_memory_are_read_again_as_they_were(tmp_path):
    corpus = given(["a b", "c"], np.array([1, 2]), PLAIN)
    assert [(example.text, example.labels) for example in corpus.examples] == [("a b", ("1",)), ("c", ("2",))]
    assert (corpus.name, corpus.values) == ("the examples", "int")
    assert given(["a", "b"], [[1], ["x"]], PLAIN).values == "str"
    (source,) = corpus.sources
    path = write(tmp_path / source.name, source.open().read())
    assert [example[:2] for example in read([path], corpus.options).examples] == [e[:2] for e in corpus.examples]


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a"], ["x", "y"], "as many labels as texts, got 2 labels and 1 texts"),
        (["a", 3], ["x", "y"], "example 1: expected text, got 3"),
        (["a", ""], ["x", "y"], "example 1: the text is empty"),
        (["a", "b"], ["x", ["y", "z"]], "example 1: expected one label, got 2 labels"),
        (["a", "b"], ["x", None], "example 1: label: expected text"),
        ([], [], "there is no example"),
    ],
)
def test_examples_in_memory_that_are_none_are_told_by_their_index(texts, labels, message):
    with pytest.raises(DataError, match=message):
        given(texts, labels, PLAIN)


@pytest.mark.skipif("RIVERRUN_DATA" not in os.environ, reason="RIVERRUN_DATA names no folder of data")
def test_the_real_data_are_read_whole_and_divided_as_anyone_would():
    folder = Path(os.environ["RIVERRUN_DATA"]) / "classify"
    names = read([folder / "names-18-languages"], PLAIN)
    assert (len(names.examples), len({example.labels for example in names.examples})) == (20_050, 18)
    parts = divide(names.examples, LabelledOptions(split="hash"))
    found = [len(part) for part in parts[:3]]
    assert found == [15_871, 2_149, 2_030]
    polarity = read([folder / "sentence-polarity" / "sentence_polarity.zip"], PLAIN)
    assert Counter(example.labels[0] for example in polarity.examples) == {"pos": 5_331, "neg": 5_331}
