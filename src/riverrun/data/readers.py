"""Readers: files to text, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from riverrun.data import builtin
from riverrun.data.options import DataOptions
from riverrun.errors import DataError
from riverrun.files import sha256


class Piece(NamedTuple):
    text: str | bytes
    starts_document: bool


class FileRecord(NamedTuple):
    path: str
    sha256: str
    bytes: int
    rows: int
    dropped: int


class Corpus:
    def __init__(self, texts: list[tuple[str, str]]) -> None:
        self._texts = texts
        self.files = [FileRecord(name, sha256(t.encode()), len(t.encode()), 0, 0) for name, t in texts]
        self.name = texts[0][0]

    def pieces(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Piece]:
        for _, text in self._texts:
            yield Piece(text, True)


def read(paths: Sequence[str | Path], options: DataOptions) -> Corpus:
    if not paths:
        return Corpus([(builtin.name(), builtin.text())])
    texts = []
    for path in paths:
        try:
            texts.append((str(path), Path(path).read_bytes().decode(options.encoding)))
        except FileNotFoundError:
            raise DataError(f"{path}: no such file.") from None
    return Corpus(texts)
