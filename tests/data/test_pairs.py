"""Pairs are read whole or the file and line are told; skipped rows are counted and recorded."""

import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pytest

from riverrun.data.pair_options import PairOptions
from riverrun.data.pairs import PairCorpus, Pairs, beside, given, read
from riverrun.errors import DataError, OptionError


def corpus(folder: Path, text: str | bytes, name: str = "a.tsv", **options: object) -> PairCorpus:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read([path], PairOptions(**options))  # type: ignore[arg-type]


def test_sides_keep_their_text_and_lose_only_outer_white_space(tmp_path: Path) -> None:
    found = corpus(tmp_path, ' a  b \tVa\u202f!\r\n"x\ty\n').pairs
    assert found.sources == ["a  b", '"x']
    assert found.targets == ["Va\u202f!", "y"]


def test_breaks_inside_a_side_become_a_space(tmp_path: Path) -> None:
    found = corpus(tmp_path, '{"source": "a\\n\\tb", "target": "c\\u2028d"}\n', "a.jsonl").pairs
    assert (found.sources, found.targets) == (["a b"], ["c d"])


def test_reverse_swaps_the_sides_and_not_the_key(tmp_path: Path) -> None:
    found = corpus(tmp_path, "go\tva\n", reverse=True).pairs
    assert found == (["va"], ["go"], [""], ["go"], [f"{tmp_path}/a.tsv:1"])
    assert corpus(tmp_path, "go\tva\n", reverse=True, split_by="source").pairs.keys == ["va"]
    assert corpus(tmp_path, "go\tva\n", split_by="target").pairs.keys == ["va"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "a\tb\n\tc\n",
            r"a.tsv:2: expected text on both sides, got an empty source. Mend it, or drop such rows \(--skip",
        ),
        ("a\tb\nc\t \n", "a.tsv:2: expected text on both sides, got an empty target"),
        ("a\tb\nc\td\te\n", "a.tsv:2: expected 2 columns as in the first line, got 3"),
        (b"a\tb\n\nc\t\xe9t\xe9\n", r"a.tsv:3: byte 0xE9 cannot be decoded. Name the encoding \(--encoding latin-1\)"),
        (b"a\tb\nc\td\x00\n", "a.tsv:2: it has a NUL"),
    ],
)
def test_a_row_that_is_no_pair_stops_with_file_and_line_or_is_dropped(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    with pytest.raises(DataError, match=told) as stopped:
        corpus(tmp_path, text).load()
    assert stopped.value.exit_code == 3
    kept = corpus(tmp_path, text, skip_bad_rows=True)
    assert kept.pairs.sources == ["a"]
    [file] = kept.files
    assert (file.rows, file.dropped) == (1, 1)
    assert str(stopped.value).startswith(file.reasons[0])


def test_another_encoding_is_read(tmp_path: Path) -> None:
    assert corpus(tmp_path, "été\tsummer\n".encode("latin-1"), encoding="latin-1").pairs.sources == ["été"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"a.tsv: empty \(0 bytes\)"),
        ("\n\n", "there is no pair in it"),
        ("\tb\n", "all 1 rows were dropped"),
    ],
)
def test_a_file_without_pairs_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        corpus(tmp_path, text, skip_bad_rows=True).load()


def test_no_file_at_all_is_told() -> None:
    with pytest.raises(DataError, match="sequence to sequence learns from pairs"):
        read([], PairOptions())


def test_options_that_a_format_has_no_use_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="source_field: files of format scan"):
        corpus(tmp_path, "IN: a OUT: b\n", source_field="x").load()


def test_stress_is_left_to_files_that_have_it(tmp_path: Path) -> None:
    assert corpus(tmp_path, "a\tA0 b\n", stress=False).pairs.targets == ["A0 b"]


def test_fields_are_named_by_option(tmp_path: Path) -> None:
    found = corpus(tmp_path, "fr,en\nva,go\n", "a.csv", source_field="en", target_field="fr").pairs
    assert (found.sources, found.targets) == (["go"], ["va"])


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\tb\n")))
    assert read(["-"], PairOptions()).pairs.targets == ["b"]


def test_several_files_are_one_corpus_and_progress_is_told(tmp_path: Path) -> None:
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).write_text(f"{name}\tx\n")
    told: list[tuple[int, int]] = []
    found = read([tmp_path], PairOptions()).load(lambda *place: told.append(place))
    assert found.pairs.sources == ["a.tsv", "b.tsv"]
    assert found.name == f"{tmp_path}/a.tsv and 1 more"
    assert told[-1] == (told[-1][1], 16)


# Paired files ---------------------------------------------------------------------------------------------------------


def paired(folder: Path, german: str, english: str, **options: object) -> PairCorpus:
    (folder / "train.de").write_text(german)
    (folder / "train.en").write_text(english)
    return read([folder / "train.de", folder / "train.en"], PairOptions(**options))  # type: ignore[arg-type]


def test_lines_of_paired_files_belong_together(tmp_path: Path) -> None:
    found = paired(tmp_path, "Hallo\nWelt\n", "hello\nworld")
    assert found.pairs.sources == ["Hallo", "Welt"]
    assert found.pairs.targets == ["hello", "world"]
    assert [file.rows for file in found.files] == [2, 2]


def test_different_counts_name_both_files_whatever_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.de has 2 lines and .*train.en 1: expected as many"):
        paired(tmp_path, "Hallo\nWelt\n", "hello\n", skip_bad_rows=True).load()


def test_an_empty_line_of_one_file_is_told_and_of_both_passed_over(tmp_path: Path) -> None:
    assert paired(tmp_path, "a\n\nb\n", "c\n\nd\n").pairs.sources == ["a", "b"]
    with pytest.raises(DataError, match=r"train.de and .*train.en:2: expected text on both sides, got an empty target"):
        paired(tmp_path, "a\nb\n", "c\n\n").load()
    assert paired(tmp_path, "a\nb\n", "c\n\n", skip_bad_rows=True).pairs.sources == ["a"]


def test_paired_files_come_in_twos(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\n")
    with pytest.raises(DataError, match=r"paired files come in twos, .* got 1"):
        read([tmp_path / "a"], PairOptions(format="paired")).load()


@pytest.mark.parametrize("name", ["test", "test.de", "test.en"])
def test_held_out_paired_files_are_named_by_either_or_by_their_stem(tmp_path: Path, name: str) -> None:
    (tmp_path / "test.de").write_text("Hund\n")
    (tmp_path / "test.en").write_text("dog\n")
    found = beside(str(tmp_path / name), PairOptions(), paired(tmp_path, "a\n", "b\n").load())
    assert (found.pairs.sources, found.pairs.targets) == (["Hund"], ["dog"])


@pytest.mark.parametrize(
    ("trained", "name", "wanted"),
    [
        ("src-train.txt tgt-train.txt", "src-test.txt", "src-test.txt tgt-test.txt"),
        ("src-train.txt tgt-train.txt", "tgt-test.2016.txt", "src-test.2016.txt tgt-test.2016.txt"),
        ("train.de.gz train.en.gz", "test.en.gz", "test.de.gz test.en.gz"),
        ("train.de.gz train.en.gz", "test", "test.de.gz test.en.gz"),
        ("train.de train.en", "de-en/test", "de-en/test.de de-en/test.en"),
        ("de/train.txt en/train.txt", "en/test.txt", "de/test.txt en/test.txt"),
        ("de/train.de en/train.en", "de/test.de", "de/test.de en/test.en"),
        ("source.txt target.txt", "target-test.txt", "source-test.txt target-test.txt"),
    ],
)
def test_the_other_held_out_file_is_named_as_the_training_files_are(
    tmp_path: Path, trained: str, name: str, wanted: str
) -> None:
    for file in f"{trained} {wanted}".split():
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        data = f"{file}\n".encode()
        path.write_bytes(gzip.compress(data) if file.endswith(".gz") else data)
    corpus = read([tmp_path / file for file in trained.split()], PairOptions(format="paired")).load()
    found = beside(str(tmp_path / name), PairOptions(format="paired"), corpus)
    assert [*found.pairs.sources, *found.pairs.targets] == wanted.split()


@pytest.mark.parametrize(
    ("trained", "name"),
    [
        ("src-train.txt tgt-train.txt", "test.txt"),
        ("train.txt train.tags.txt", "test.txt"),
        ("de/train.txt en/train.txt", "test.txt"),
    ],
)
def test_a_held_out_file_that_does_not_tell_the_other_one_is_refused(tmp_path: Path, trained: str, name: str) -> None:
    for file in f"{trained} {name}".split():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("a b\n")
    corpus = read([tmp_path / file for file in trained.split()], PairOptions()).load()
    with pytest.raises(
        DataError, match=r"test.txt: expected a name like those of .*with the part in which these differ"
    ):
        beside(str(tmp_path / name), PairOptions(), corpus)


# Python's lists -------------------------------------------------------------------------------------------------------


def test_lists_are_pairs_with_one_target_or_several() -> None:
    found = given(["a", "b"], ["x", ["y", "z"]], PairOptions(format="csv", source_field="q", encoding="utf-16"))
    assert found.pairs.sources == ["a", "b", "b"]
    assert found.pairs.targets == ["x", "y", "z"]
    assert [len(file.sha256) for file in found.files] == [64]
    assert given(np.array(["a", "b"]), np.array(["x", "y"]), PairOptions()).pairs.targets == ["x", "y"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("X", "y", "told"),
    [
        (["a", "b"], ["x"], "as many targets as sources, got 2 sources and 1 targets"),
        (["a", ""], ["x", "y"], "the pairs given:2: expected text on both sides, got an empty source"),
        (["a"], [[]], "the pairs given:1: .*or a list of texts"),
        ([1], ["x"], "the pairs given:1: field 'source': expected text, got '1'"),
        ([object()], ["x"], "expected texts, .*got object"),
        ([], [], "the pairs given: there is no pair in it"),
    ],
)
def test_lists_that_are_no_pairs_are_told(X: list[str], y: list[str], told: str) -> None:
    with pytest.raises(DataError, match=told):
        given(X, y, PairOptions()).load()


def test_references_gather_the_different_targets_of_a_source() -> None:
    pairs = Pairs(["a", "b", "a", "a"], ["x", "y", "z", "x"], [""] * 4, [""] * 4, list("1234"))
    assert pairs.references() == {"a": ["x", "z"], "b": ["y"]}
    assert pairs.pick([1, 3]).targets == ["y", "x"]
    assert pairs.pick([1, 3]).places == ["2", "4"]
