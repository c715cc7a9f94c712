"""A corpus becomes one array, the same in memory and mapped from disk, written whole or not at all."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from riverrun.data import DataOptions, Tokenizer, Tokens, encoding, read, tokenise, tokens
from riverrun.data.unfinished import LOCK, unfinished
from riverrun.errors import DataError

LINES = [f"line {n} of Ünïcode text, {n * n} \n" for n in range(400)]


@pytest.fixture
def corpus_files(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_text("".join(LINES[number * 100 : number * 150 + 100]))
    return paths


def same(one: Tokens, two: Tokens) -> bool:
    return (
        one.ids.tolist() == two.ids.tolist() and one.starts.tolist() == two.starts.tolist() and one.parts == two.parts
    )


@pytest.mark.parametrize("kind", ["chars", "bytes", "words", "bpe"])
@pytest.mark.parametrize("block", [37, 1 << 20])
def test_the_array_is_that_of_the_whole_texts_however_they_are_read(
    kind: str, block: int, corpus_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "BLOCK", block)
    monkeypatch.setattr(tokens, "_TOGETHER", block * 3)
    options = DataOptions(tokens=kind)
    corpus = read(corpus_files, options)
    tokenizer = Tokenizer.train((piece.text for piece in corpus.pieces()), kind)
    found = tokenise(corpus, tokenizer)
    each = [tokenizer.encode(path.read_bytes().decode()).tolist() for path in corpus_files]
    assert found.ids.tolist() == [id for ids in each for id in ids]
    assert found.starts.tolist() == [0, len(each[0]), len(each[0]) + len(each[1])]
    assert found.ids.dtype == tokenizer.dtype
    assert found.parts is None


@pytest.mark.parametrize("in_memory", [0, 1000, 100_000])
def test_an_array_that_is_too_large_is_mapped_and_mapped_again(
    in_memory: int, corpus_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_TOGETHER", 100)
    monkeypatch.setattr(encoding, "BLOCK", 64)
    corpus = read(corpus_files, DataOptions())
    tokenizer = Tokenizer.train((piece.text for piece in corpus.pieces()), "chars")
    plain, cache = tokenise(corpus, tokenizer), tmp_path / "cache"
    large = len(plain.ids) > in_memory
    first = tokenise(corpus, tokenizer, cache, in_memory=in_memory)
    assert same(first, plain)
    assert isinstance(first.ids, np.memmap) == large
    steps: list[int] = []
    again = tokenise(corpus, tokenizer, cache, lambda done, _: steps.append(done), in_memory=in_memory)
    assert same(again, plain)
    assert (not steps) == large, "what is stored is not read again"
    assert not list(tmp_path.rglob(".tmp-*"))


def stored(corpus_files: list[Path], cache: Path, **options: str) -> tuple[Tokens, list[Path]]:
    corpus = read(corpus_files, DataOptions(tokens="bytes", **options))  # type: ignore[arg-type]
    found = tokenise(corpus, Tokenizer.train([], "bytes"), cache, in_memory=0)
    return found, sorted(cache.iterdir())


def test_another_text_or_option_is_stored_beside(corpus_files: list[Path], tmp_path: Path) -> None:
    _, [home] = stored(corpus_files, tmp_path / "cache")
    assert stored(corpus_files, tmp_path / "cache")[1] == [home]
    assert len(stored(corpus_files, tmp_path / "cache", encoding="latin-1")[1]) == 2
    corpus_files[0].write_text("changed")
    found, homes = stored(corpus_files, tmp_path / "cache")
    assert len(homes) == 3
    assert found.ids[:7].tolist() == list(b"changed")


def test_processes_that_store_the_same_at_once_do_not_disturb_each_other(
    corpus_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another process (a rank of the same run) stores the array between our look for it and our own rename.
    cache = tmp_path / "cache"
    rename = os.replace

    def late(old: Path, new: Path) -> None:
        if Path(new).parent == cache:
            monkeypatch.undo()
            stored(corpus_files, cache)
        rename(old, new)

    monkeypatch.setattr(os, "replace", late)
    found, homes = stored(corpus_files, cache)
    assert len(homes) == 1
    assert found.ids.tobytes() == b"".join(path.read_bytes() for path in corpus_files)


@pytest.mark.parametrize("name", ["ids.bin", "starts.bin", "tokens.json"])
def test_a_stored_array_with_a_flipped_bit_is_made_anew(name: str, corpus_files: list[Path], tmp_path: Path) -> None:
    plain, [home] = stored(corpus_files, tmp_path / "cache")
    expected = plain.ids.tolist()
    del plain
    damaged = bytearray((home / name).read_bytes())
    damaged[0] ^= 1
    (home / name).write_bytes(damaged)
    assert stored(corpus_files, tmp_path / "cache")[0].ids.tolist() == expected


def test_a_failed_write_leaves_nothing_and_is_told(
    corpus_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"cannot be written .No space left on device"):
        stored(corpus_files, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_process_left_is_removed_at_the_next_start(corpus_files: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    left, home = cache / ".tmp-tokens-0123-7-0123", stored(corpus_files, cache)[1][0]
    left.mkdir()
    (left / LOCK).touch()
    (left / "train.part").write_bytes(b"half")
    with unfinished(cache, "tokens-another") as living:
        found, homes = stored(corpus_files, cache)
        assert homes == sorted([home, living])
    assert isinstance(found.ids, np.memmap)


@pytest.mark.parametrize("kept", [True, False])
def test_a_mapped_corpus_tells_of_its_rows_without_reading_them(
    kept: bool, corpus_files: list[Path], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    _, [home] = stored(corpus_files, cache)
    if not kept:  # written by an earlier version
        about = json.loads((home / "tokens.json").read_text())
        del about["rows"]
        (home / "tokens.json").write_text(json.dumps(about))
    corpus = read(corpus_files, DataOptions(tokens="bytes"))
    tokenise(corpus, Tokenizer.train([], "bytes"), cache, in_memory=0)
    read_again: list[int] = []
    real = corpus.pieces
    corpus.pieces = lambda *_: (read_again.append(1), real())[1]  # type: ignore[method-assign]
    assert corpus.files == read(corpus_files, DataOptions(tokens="bytes")).files
    assert bool(read_again) != kept


def test_what_another_process_has_checked_is_mapped_as_it_is(
    corpus_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    stored(corpus_files, cache)
    monkeypatch.setattr(tokens, "sha256_file", None)
    corpus = read(corpus_files, DataOptions(tokens="bytes"))
    found = tokenise(corpus, Tokenizer.train([], "bytes"), cache, in_memory=0, checked=True)
    assert isinstance(found.ids, np.memmap)


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
def test_rows_with_a_split_column_are_put_in_the_order_of_the_parts(in_memory: int, tmp_path: Path) -> None:
    rows = [("te", "test"), ("tra", "train"), ("v", "valid"), ("in", ""), ("st", "test")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text, "split": part}) + "\n" for text, part in rows))
    found = tokenise(
        read([path], DataOptions(tokens="bytes")), Tokenizer.train([], "bytes"), tmp_path / "cache", in_memory=in_memory
    )
    assert found.ids.tobytes() == b"trainvtest"
    assert found.starts.tolist() == [0, 3, 5, 6, 8]
    assert found.parts == (5, 6)


def test_a_part_is_a_view_that_begins_a_document() -> None:
    whole = Tokens(np.arange(20, dtype=np.uint8), np.array([0, 4, 9, 15]))
    part = whole.part(4, 15)
    assert part.ids.base is not None
    assert part.ids.tolist() == list(range(4, 15))
    assert part.starts.tolist() == [0, 5]
    assert whole.part(5, 9).starts.tolist() == [0]


def test_unknown_words_do_not_stop_the_tokenising(corpus_files: list[Path]) -> None:
    corpus = read(corpus_files, DataOptions(tokens="words"))
    tokenizer = Tokenizer.train((piece.text for piece in corpus.pieces()), "words", vocabulary=10)
    found = tokenise(corpus, tokenizer)
    assert 0.2 < (found.ids == 0).mean() < 0.8
