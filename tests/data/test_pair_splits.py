"""Parts of pairs: files, then rows that say so, then a hash that any program can repeat; sources on one side."""

import hashlib
from itertools import combinations
from pathlib import Path

import pytest

from riverrun.data.pair_options import PairOptions
from riverrun.data.pair_splits import PairSplits, split
from riverrun.data.pairs import PairCorpus, given, read
from riverrun.errors import DataError

MANY = [f"w{i}" for i in range(2000)]


def place(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) / 16**16


def cut(sources: list[str], targets: list[str], **options: object) -> PairSplits:
    chosen = PairOptions(**options)  # type: ignore[arg-type]
    return split(given(sources, targets, chosen), chosen)


def table(folder: Path, name: str, text: str, options: PairOptions) -> PairCorpus:
    (folder / name).write_text(text)
    return read([folder / name], options)


def test_the_source_decides_by_its_hash() -> None:
    parts = cut(MANY, MANY, valid_share=0.1, test_share=0.2)
    assert parts.train.sources == [word for word in MANY if place(word) < 0.7]
    assert parts.valid.sources == [word for word in MANY if 0.7 <= place(word) < 0.8]
    assert parts.test.sources == [word for word in MANY if place(word) >= 0.8]
    assert parts.rule == "0.1 for valid and 0.2 for test by the SHA-256 of the source, equal ones on one side"


def test_equal_sources_lie_on_one_side() -> None:
    parts = cut(MANY * 2, [*MANY, *reversed(MANY)])
    sides = [set(part.sources) for part in (parts.train, parts.valid, parts.test)]
    assert all(left.isdisjoint(right) for left, right in combinations(sides, 2))
    assert (parts.left_out, parts.seen) == (0, 0)


def test_both_directions_have_the_same_test_and_its_sources_are_not_learnt() -> None:
    sources, targets = MANY, [f"t{i % 900}" for i in range(2000)]
    there = cut(sources, targets)
    back = cut(sources, targets, reverse=True)
    assert sorted(zip(back.test.targets, back.test.sources, strict=True)) == sorted(
        zip(there.test.sources, there.test.targets, strict=True)
    )
    held_out = set(back.test.sources) | set(back.valid.sources)
    assert not held_out & set(back.train.sources)
    assert not set(back.test.sources) & set(back.valid.sources)
    kept = sum(len(part.sources) for part in (back.train, back.valid, back.test))
    assert back.left_out == 2000 - kept > 0
    assert f"{back.left_out:,} pairs left out" in back.rule


def test_a_side_may_be_named() -> None:
    targets = [f"t{i % 50}" for i in range(2000)]
    parts = cut(MANY, targets, split_by="target", test_share=0.2)
    assert set(parts.test.targets) == {target for target in targets if place(target) >= 0.8}


def test_dialogues_lie_in_one_part_whatever_they_share(tmp_path: Path) -> None:
    lines = "".join(f'{{"turns": ["hi", "reply {i}", "bye"]}}\n' for i in range(300))
    options = PairOptions()
    parts = split(table(tmp_path, "a.jsonl", lines, options), options)
    for part in (parts.train, parts.valid, parts.test):
        assert part.sources.count("hi") == len(part.sources) / 2 > 0
    assert parts.left_out == 0
    assert parts.seen == 1
    assert "the whole dialogue" in parts.rule


def test_rows_that_say_their_part_keep_it(tmp_path: Path) -> None:
    options = PairOptions()
    text = "source\ttarget\tsplit\n" + "".join(f"s{i}\tt\t{'test' if i % 9 == 0 else 'train'}\n" for i in range(90))
    parts = split(table(tmp_path, "a.tsv", text, options), options)
    assert parts.test.sources == [f"s{i}" for i in range(0, 90, 9)]
    assert len(parts.valid.sources) + len(parts.train.sources) == 80
    assert parts.rule.startswith("test as the data say (10); 0.05 for valid by")


def test_files_given_are_the_parts_and_what_they_share_is_counted(tmp_path: Path) -> None:
    options = PairOptions()
    train = table(tmp_path, "train.tsv", "a\tx\nb\ty\n", options)
    valid = table(tmp_path, "valid.tsv", "c\tx\n", options)
    test = table(tmp_path, "test.tsv", "a\tz\nd\tx\n", options)
    parts = split(train, options, valid=valid, test=test)
    assert parts.train.sources == ["a", "b"]
    assert parts.test.sources == ["a", "d"]
    assert (parts.seen, parts.left_out) == (1, 0)
    assert "test from" in parts.rule


def test_of_few_pairs_each_part_gets_one_and_of_too_few_it_is_told() -> None:
    parts = cut(["a", "b", "c"], ["x", "y", "z"])
    assert sorted(part.sources[0] for part in (parts.train, parts.valid, parts.test)) == ["a", "b", "c"]
    assert parts.test.sources == [max("abc", key=place)]
    with pytest.raises(DataError, match="too few pairs to split: of 2 none is left for the"):
        cut(["a", "b"], ["x", "y"])
