"""The vocabulary comes from the training part alone, whatever says which part that is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from riverrun.data import DataOptions, Tokenizer, read
from riverrun.data.tokenizer import UNKNOWN
from riverrun.errors import DataError
from riverrun.tasks.text.prepare import Prepared, prepare, recorded_unit

TRAIN = "".join(f"the {n % 7} cats sat on the {n % 5} mats, and {n % 3} dogs looked on.\n" for n in range(90))
HELD_OUT = "".join(f"a {n} fox jumps over two çats: lazily!\n" for n in range(30))
STRANGE = HELD_OUT.upper().replace("Ç", "ß")  # as many characters and bytes, other words


def made(folder: Path, held_out: str, kind: str, shape: str, select: bool) -> Prepared:
    """TRAIN and a held-out text, put together in one of several ways."""
    share = len(HELD_OUT) / len(TRAIN + HELD_OUT)
    folder.mkdir(exist_ok=True)
    names = {"tokens": kind, "vocabulary": 300 if kind == "bpe" else 0}
    paths = [folder / "train.txt"]
    if shape == "one text":
        paths[0].write_text(TRAIN + held_out)
        options = DataOptions(**names, test_share=share, valid_share=0.01)
    elif shape == "column":
        paths = [folder / "rows.jsonl"]
        rows = [{"text": TRAIN}, {"text": held_out, "split": "test"}, {"text": "the mats", "split": "valid"}]
        paths[0].write_text("".join(json.dumps(row) + "\n" for row in rows))
        options = DataOptions(**names)
    else:
        paths[0].write_text(TRAIN)
        (folder / "test.txt").write_text(held_out)
        valid = shape == "two files"
        options = DataOptions(
            **names, test=str(folder / "test.txt"), valid=str(folder / "test.txt") if valid else "", valid_share=0.01
        )
    return prepare(read(paths, options), options, select=select)


@pytest.mark.parametrize("select", [False, True])
@pytest.mark.parametrize("shape", ["one text", "column", "one file", "two files"])
@pytest.mark.parametrize("kind", ["chars", "words", "bpe"])
def test_what_is_held_out_does_not_shape_the_vocabulary(kind: str, shape: str, select: bool, tmp_path: Path) -> None:
    prepared = made(tmp_path / "one", HELD_OUT, kind, shape, select)
    other = made(tmp_path / "other", STRANGE, kind, shape, select)
    assert prepared.tokenizer.to_json() == other.tokenizer.to_json()
    assert prepared.splits.train.ids.tolist() == other.splits.train.ids.tolist()
    if kind != "bpe":  # a byte pair may lie across the cut
        alone = Tokenizer.train([prepared.tokenizer.decode(prepared.splits.train.ids)], kind)
        assert (alone.unknown, prepared.tokenizer.unknown) == {"chars": (None, 0), "words": (0, 0)}.get(
            kind, (None,) * 2
        )
        assert prepared.tokenizer.to_json() == alone.covering("ç").to_json()


@pytest.mark.parametrize("kind", ["chars", "words"])
def test_what_only_the_held_out_part_has_is_unknown_there(kind: str, tmp_path: Path) -> None:
    prepared = made(tmp_path, HELD_OUT, kind, "one text", False)
    written = prepared.tokenizer.decode(prepared.splits.test.ids)
    held_out = (TRAIN + HELD_OUT)[-len(HELD_OUT) :]
    if kind == "chars":
        assert written == re.sub(f"[{''.join(set(HELD_OUT) - set(TRAIN))}]", UNKNOWN, held_out)
    else:
        assert written.count(UNKNOWN) > 6 * 30
        assert " fox" not in prepared.tokenizer.symbols
    assert not (prepared.splits.train.ids == prepared.tokenizer.unknown).any()
    assert "training part alone" in prepared.record()["vocabulary_rule"]


def test_characters_that_the_training_part_has_need_no_unknown_one(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TRAIN)
    options = DataOptions()
    prepared = prepare(read([tmp_path / "text.txt"], options), options, select=False)
    assert prepared.tokenizer.unknown is None
    assert prepared.tokenizer.to_json() == Tokenizer.train([TRAIN], "chars").to_json()


def test_the_shares_of_byte_pairs_are_of_the_characters(tmp_path: Path) -> None:
    prepared = made(tmp_path, HELD_OUT, "bpe", "one text", True)
    size, test = len(TRAIN + HELD_OUT), len(HELD_OUT)
    record = prepared.record()
    assert record["split_unit"] == "character"
    assert f"of {size:,} characters for the test (from character {size - test:,})" in record["split_rule"]
    end = int(record["split_rule"].split("validation (from character ")[1].split(")")[0].replace(",", ""))
    alone = Tokenizer.train([(TRAIN + HELD_OUT)[:end]], "bpe", 300)
    assert prepared.tokenizer.to_json() == alone.to_json()
    lengths = [
        int(prepared.tokenizer.lengths[part.ids].sum())
        for part in (prepared.splits.train, prepared.splits.valid, prepared.splits.test)
        if part is not None
    ]
    assert sum(lengths) == size
    assert abs(lengths[2] - test) < 10
    assert abs(lengths[1] - size // 100) < 10


@pytest.mark.parametrize("kind", ["chars", "words", "bpe"])
def test_a_run_of_an_earlier_version_gets_the_parts_that_it_had(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TRAIN + HELD_OUT)
    options = DataOptions(tokens=kind, vocabulary=300 if kind == "bpe" else 0)
    old = Tokenizer.train([TRAIN + HELD_OUT], kind, options.vocabulary)
    count = len(old.encode(TRAIN + HELD_OUT))
    record = {"files": [{"sha256": read([path], options).sources[0].sha256}], "parts": {"train": {}, "test": {}}}
    assert recorded_unit(record) == "token"
    again = prepare(read([path], options), options, select=False, tokenizer=old, unit=recorded_unit(record))
    assert len(again.splits.test.ids) == round(count / 10)
    new = prepare(read([path], options), options, select=False)
    record |= new.record()
    again = prepare(read([path], options), options, select=False, tokenizer=new.tokenizer, unit=recorded_unit(record))
    for one, two in zip(again.splits[:3], new.splits[:3], strict=True):
        assert (one is None) == (two is None)
        if one is not None and two is not None:
            np.testing.assert_array_equal(one.ids, two.ids)


def test_a_text_too_short_is_told_before_a_vocabulary_is_made_of_it(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("abcdefg")
    for kind, unit in (("chars", "7 tokens"), ("bpe", "7 characters"), ("words", "1 tokens")):
        options = DataOptions(tokens=kind)
        with pytest.raises(DataError, match=f"text.txt: too short to split: {unit} leave"):
            prepare(read([path], options), options, select=False)
