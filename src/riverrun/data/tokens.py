"""Tokens: a corpus as one array of ids, in memory or memory-mapped, and where its documents begin.

A corpus larger than memory is tokenised once: ids go to a file as they come, in a folder named by what they depend on
(the SHA-256 of every file, the vocabulary, the options that change what is read), which later runs map again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.data.readers import Corpus, Piece
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.unfinished import finish, sweep, unfinished
from riverrun.errors import DataError
from riverrun.files import sha256_file, write_atomic

Progress = Callable[[int, int], None]  # bytes read so far, bytes in all

IN_MEMORY = 1 << 28  # bytes of ids; more go to a file where a folder is given
_TOGETHER = 1 << 20  # characters encoded at once
PARTS = ("train", "valid", "test")
_STORED = "tokens-"  # and the key: the name of a stored array
_FORMAT = 1


class Tokens(NamedTuple):
    """ids [N] of the smallest unsigned dtype; starts [D] int64, ascending, where documents begin (starts[0] = 0).

    parts: where the training and the validation rows end, if a `split` column told them apart (test rows follow).
    """

    ids: NDArray[Any]
    starts: NDArray[np.int64]
    parts: tuple[int, int] | None = None

    def part(self, begin: int, end: int) -> Tokens:
        """Tokens begin..end-1 as Tokens of their own: a view, whose first token begins a document."""
        inside = self.starts[(self.starts > begin) & (self.starts < end)] - begin
        return Tokens(self.ids[begin:end], np.concatenate([np.zeros(1, np.int64), inside]))


def tokenise(
    corpus: Corpus,
    tokenizer: Tokenizer,
    folder: Path | None = None,
    progress: Progress | None = None,
    *,
    in_memory: int | None = None,
    checked: bool = False,
) -> Tokens:
    """All of `corpus` as Tokens; rows with a `split` column in the order train, valid, test.

    folder: where an array of more than `in_memory` bytes (None: `IN_MEMORY`) goes; without one it stays in memory,
    whatever its size. It is written whole or not at all, and mapped again when the same is asked for; processes that
    write the same at once do not disturb each other, and what a killed one left half written is removed.
    progress(bytes read, bytes in all). checked: the stored array has just been compared with its SHA-256 by another
    process of this machine, and is mapped as it is.
    Raises DataError for a corpus that cannot be read or has no text, or where the folder cannot be written.
    """
    in_memory = IN_MEMORY if in_memory is None else in_memory
    if folder is None:
        tokens = _gather(corpus, tokenizer, None, progress, in_memory)
        assert tokens is not None
        return tokens
    sweep(folder, _STORED)
    home = folder / f"{_STORED}{_key(corpus, tokenizer)[:16]}"
    stored = _load(home, corpus, checked)
    if stored is not None:
        return stored
    shutil.rmtree(home, ignore_errors=True)  # one that does not load
    try:
        with ExitStack() as stack:
            begun: list[Path] = []

            def begin() -> Path:
                begun.append(stack.enter_context(unfinished(folder, home.name)))
                return begun[0]

            tokens = _gather(corpus, tokenizer, begin, progress, in_memory)
            if tokens is not None:
                return tokens
            finish(begun[0], home)
    except OSError as error:
        raise DataError(
            f"{folder}: the token array cannot be written ({error.strerror or error}). Make room for it, or read less."
        ) from None
    stored = _load(home, corpus, False)
    if stored is None:
        raise DataError(f"{home}: the token array that was just written does not read back. Check the disk.")
    return stored


class _Lane:
    """The ids of one part as they come: in memory, from the moment of `spill` on in a file."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype, self.count, self.starts = dtype, 0, list[NDArray[np.int64]]()
        self.arrays: list[NDArray[Any]] = []
        self.file: IO[bytes] | None = None

    def add(self, ids: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
        self.starts.append(starts + self.count)
        self.count += len(ids)
        small = ids.astype(self.dtype)
        if self.file is None:
            self.arrays.append(small)
        else:
            self.file.write(small.data)

    def spill(self, path: Path) -> None:
        self.file = path.open("w+b")
        for array in self.arrays:
            self.file.write(array.data)
        self.arrays = []


def _gather(
    corpus: Corpus,
    tokenizer: Tokenizer,
    begin: Callable[[], Path] | None,
    progress: Progress | None,
    in_memory: int,
) -> Tokens | None:
    """The tokens; None where they were too many for memory and lie in the folder that `begin` made."""
    lanes = {part: _Lane(tokenizer.dtype) for part in PARTS}
    told, temp = False, None
    try:
        for part, pieces in batches(corpus.pieces(progress)):
            told = told or part != ""
            ids, counts = tokenizer.encode_each([piece.text for piece in pieces], unseen="unknown")
            lanes[part or "train"].add(ids, beginnings(pieces, counts))
            size = sum(lane.count for lane in lanes.values()) * tokenizer.dtype.itemsize
            if begin is not None and temp is None and size > in_memory:
                temp = begin()
                for name, lane in lanes.items():
                    lane.spill(temp / f"{name}.part")
        starts, parts = arranged({part: (lane.count, lane.starts) for part, lane in lanes.items()}, told)
        if temp is None:
            ids = np.concatenate([array for part in PARTS for array in lanes[part].arrays])
            return Tokens(ids, starts, parts)
        _store(temp, lanes, starts, parts, corpus)
        return None
    finally:
        for lane in lanes.values():
            if lane.file is not None:
                lane.file.close()


def arranged(
    lanes: Mapping[str, tuple[int, Sequence[NDArray[np.int64]]]], told: bool
) -> tuple[NDArray[np.int64], tuple[int, int] | None]:
    """Where documents begin once the parts lie one after the other, and where the first two parts end.

    lanes: of each part its size, and where in it documents begin. told: whether rows said what part they belong to.
    """
    ends = np.cumsum([lanes[part][0] for part in PARTS])
    shifts = zip(PARTS, [0, *ends[:-1]], strict=True)
    starts = [found + shift for part, shift in shifts for found in lanes[part][1]]
    return np.concatenate([*starts, np.zeros(0, np.int64)]), (int(ends[0]), int(ends[1])) if told else None


def beginnings(pieces: Sequence[Piece], sizes: Sequence[int]) -> NDArray[np.int64]:
    """Where in neighbouring pieces of these sizes documents begin."""
    return np.cumsum([0, *sizes[:-1]])[[piece.starts_document for piece in pieces]]


def batches(pieces: Iterator[Piece]) -> Iterator[tuple[str, list[Piece]]]:
    """Neighbouring pieces of one part, so many that encoding them together pays."""
    waiting: list[Piece] = []
    size = 0
    for piece in pieces:
        if waiting and (size >= _TOGETHER or piece.part != waiting[0].part):
            yield waiting[0].part, waiting
            waiting, size = [], 0
        waiting.append(piece)
        size += len(piece.text)
    if waiting:
        yield waiting[0].part, waiting


def _store(
    temp: Path, lanes: dict[str, _Lane], starts: NDArray[np.int64], parts: tuple[int, int] | None, corpus: Corpus
) -> None:
    """Append the parts' files into one, with the document starts and a description of both beside it."""
    whole = lanes["train"]
    assert whole.file is not None
    for part in PARTS[1:]:
        file = lanes[part].file
        assert file is not None
        file.seek(0)
        shutil.copyfileobj(file, whole.file, 1 << 20)
        file.close()
        (temp / f"{part}.part").unlink()
    whole.file.flush()
    os.fsync(whole.file.fileno())
    os.replace(temp / "train.part", temp / "ids.bin")
    write_atomic(temp / "starts.bin", starts.tobytes())
    about = {
        "format": _FORMAT,
        "dtype": whole.dtype.str,
        "count": sum(lane.count for lane in lanes.values()),
        "parts": parts,
        "rows": corpus.rows(),
        "sha256": {name: sha256_file(temp / name) for name in ("ids.bin", "starts.bin")},
    }
    write_atomic(temp / "tokens.json", json.dumps(about, indent=1).encode())


def _load(home: Path, corpus: Corpus, checked: bool) -> Tokens | None:
    """The stored tokens, mapped, or None where they are absent or not what was written."""
    try:
        about = json.loads((home / "tokens.json").read_bytes())
        if about["format"] != _FORMAT:
            return None
        if not checked and any(sha256_file(home / name) != sha for name, sha in about["sha256"].items()):
            return None
        ids = np.memmap(home / "ids.bin", np.dtype(about["dtype"]), "r", shape=(about["count"],))
        starts = np.fromfile(home / "starts.bin", np.int64)
        if about.get("rows"):  # arrays of earlier versions lack them: the files are then read for it
            corpus.recall(about["rows"])
        return Tokens(ids, starts, tuple(about["parts"]) if about["parts"] else None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(corpus: Corpus, tokenizer: Tokenizer) -> str:
    """What the ids depend on, as one SHA-256."""
    options = corpus.options
    parts = [
        _FORMAT,
        [(Path(source.name).name, source.sha256) for source in corpus.sources],
        [options.tokens, options.lines, options.field, options.encoding, options.skip_bad_rows],
        hashlib.sha256(tokenizer.to_json()).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
