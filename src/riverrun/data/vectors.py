"""Pretrained word vectors: word2vec's text and binary files, GloVe's text, and .npz with `words` and `vectors`.

    text        a line `count width`, which GloVe leaves out, then one word a line and its numbers, between spaces
    binary      the same first line, then each word, a space, and its numbers as little-endian float32
    .npz        numpy's: `words` [N] (text, no objects) and `vectors` [N, width]

Which of the first two it is, the file itself tells. All of them may be compressed (.gz, .bz2, .xz).
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from riverrun.data.sources import find, members, reading
from riverrun.errors import DataError

Floats = NDArray[np.float32]
_HEADER = re.compile(rb"\s*([0-9]+)[ \t]+([0-9]+)\s*")
_LONGEST = 1 << 12  # bytes of a word; a binary file without a space in so many is something else


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """words: N distinct ones. matrix: [N, width] float32, or [0, width] where somebody else holds the numbers."""

    words: tuple[str, ...]
    matrix: Floats

    @staticmethod
    def named(words: tuple[str, ...], width: int) -> Vectors:
        """The words alone, of vectors that are held elsewhere."""
        return Vectors(words=words, matrix=np.zeros((0, width), np.float32))

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return int(self.matrix.shape[1])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words, 1)}

    def find(self, word: str) -> int:
        """1 + the row of the word as it is written, else in lower case; 0 where there is none."""
        return self._places.get(word) or self._places.get(word.lower(), 0)


def read_vectors(path: str | Path, *, limit: int = 0) -> Vectors:
    """The vectors of a file. limit: only the first so many (files begin with the most frequent words); 0: all.

    Of a word that comes twice the first vector counts. Raises DataError naming file and line, or word, of what is no
    vector.
    """
    name = str(path)
    if not Path(path).exists():
        raise DataError(f"{name}: no such file. Give a file of word vectors (--vectors).")
    (source,) = found if len(found := find([path])) == 1 else (None,)
    if source is None:
        raise DataError(f"{name}: expected one file of vectors, got a folder of {len(found)}. Name the file.")
    for member in members(source):
        with reading(member.name):
            if member.suffix == ".npz" or name.lower().endswith(".npz"):
                return _first(_npz(member.stream, member.name), limit, member.name)
            return _first(_stream(member.stream, member.name), limit, member.name)
    raise DataError(f"{name}: empty. Give a file of word vectors.")


def _first(pairs: Iterable[tuple[str, Floats]], limit: int, name: str) -> Vectors:
    rows: dict[str, Floats] = {}
    for word, vector in islice(pairs, limit or None):
        rows.setdefault(word, vector)
    if not rows:
        raise DataError(f"{name}: no vectors in it. Give a file of word vectors.")
    return Vectors(words=tuple(rows), matrix=np.stack(list(rows.values())))


def _npz(stream: IO[bytes], name: str) -> Iterator[tuple[str, Floats]]:
    try:
        with np.load(io.BytesIO(stream.read()), allow_pickle=False) as archive:
            words, vectors = archive["words"], archive["vectors"]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{name}: expected .npz with the arrays `words` (text) and `vectors` ({error}).") from None
    if words.dtype.kind != "U" or words.ndim != 1 or vectors.ndim != 2 or len(words) != len(vectors):
        raise DataError(
            f"{name}: expected words [N] as text and vectors [N, width], got {words.dtype} {list(words.shape)} and "
            f"{vectors.dtype} {list(vectors.shape)}."
        )
    if vectors.dtype.kind not in "fiu" or not np.isfinite(vectors).all():
        raise DataError(f"{name}: vectors: expected finite numbers, got {vectors.dtype}, or NaN or infinity in them.")
    yield from zip(words.tolist(), vectors.astype(np.float32), strict=True)


def _stream(stream: IO[bytes], name: str) -> Iterator[tuple[str, Floats]]:
    buffered = io.BufferedReader(_Raw(stream), 1 << 16)
    first = buffered.readline(1 << 20)
    header = _HEADER.fullmatch(first)
    if header is None:
        yield from _text(_with(first, buffered), name, 1, None)
        return
    count, width = int(header[1]), int(header[2])
    if not width:
        raise DataError(f"{name}:1: expected the vectors' count and width, got {first.decode().strip()!r}.")
    if _looks_textual(buffered.peek(1 << 16)[: 1 << 16], width):
        found = 0
        for pair in islice(_text(buffered, name, 2, width), count):
            yield pair
            found += 1
        if found < count:
            raise DataError(f"{name}: cut off after word {found:,} of {count:,}. Fetch the file again.")
    else:
        yield from _binary(buffered, name, count, width)


def _looks_textual(start: bytes, width: int) -> bool:
    """Whether a word and numbers that can be read follow; the beginning may end in the middle of them."""
    line, _, more = start.partition(b"\n")
    numbers = line.split()[-width:] if more else line.split()[1:-1][-width:]
    try:
        return bool(numbers) and all(np.isfinite(float(number)) for number in numbers)
    except ValueError:
        return False


def _text(lines: Iterable[bytes], name: str, begin: int, width: int | None) -> Iterator[tuple[str, Floats]]:
    for number, line in enumerate(lines, begin):
        bare = line.rstrip(b" \t\r\n")
        if not bare:
            continue
        if width is None:
            width = len(bare.split(b" ")) - 1
        cells = bare.rsplit(None, width)  # a word may have spaces in it
        try:
            if not width or len(cells) != width + 1:
                raise ValueError(f"got {max(len(bare.split()) - 1, 0)}")
            vector = np.array([float(cell) for cell in cells[1:]], np.float32)
            if not np.isfinite(vector).all():
                raise ValueError("got one that is not finite")
            word = cells[0].decode()
        except ValueError as error:
            raise DataError(
                f"{name}:{number}: expected a word and {width or 'some'} numbers between spaces, {_why(error)}. Give "
                "word2vec's or GloVe's format, or .npz."
            ) from None
        yield word, vector


def _binary(stream: IO[bytes], name: str, count: int, width: int) -> Iterator[tuple[str, Floats]]:
    for number in range(1, count + 1):
        word = _until_space(stream)
        data = stream.read(4 * width) if word is not None else b""
        if word is None or len(data) < 4 * width:
            raise DataError(f"{name}: cut off at word {number:,} of {count:,}. Fetch the file again.")
        vector = np.frombuffer(data, "<f4").astype(np.float32)
        if not np.isfinite(vector).all():
            raise DataError(
                f"{name}: word {number:,} of {count:,}: expected {width} finite numbers as word2vec writes them."
            )
        yield word.decode(errors="replace"), vector


def _until_space(stream: IO[bytes]) -> bytes | None:
    """A word, without the newline that some programs write before it; None where the file ends in it."""
    found = bytearray()
    while len(found) < _LONGEST:
        letter = stream.read(1)
        if not letter:
            return None
        if letter == b" ":
            return bytes(found.lstrip(b"\n"))
        found += letter
    return None


def _why(error: ValueError) -> str:
    """What came: our own clause, or that of Python's `float`."""
    return str(error) if str(error).startswith("got") else f"got something else ({error})"


def _with(first: bytes, rest: IO[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


class _Raw(io.RawIOBase):
    """A stream that can only be read, as one that can be buffered and peeked into."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)
