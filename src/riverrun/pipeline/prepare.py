"""prepare: from the files that a user names to a vocabulary and the parts of a split, with the record for data.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from riverrun.data.options import DataOptions
from riverrun.data.readers import Corpus, FileRecord, read
from riverrun.data.splits import Splits, split
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens, tokenise
from riverrun.errors import DataError


class Prepared(NamedTuple):
    """Data that is ready to be trained on: the files read, the vocabulary, the parts."""

    files: list[FileRecord]
    tokenizer: Tokenizer
    splits: Splits

    def record(self) -> dict[str, Any]:
        """What data.json holds: schema, SHA-256 of every file, split rule, counts, rows dropped."""
        parts = {"train": self.splits.train, "valid": self.splits.valid, "test": self.splits.test}
        return {
            "files": [file._asdict() for file in self.files],
            "tokens": self.tokenizer.kind,
            "unit": self.tokenizer.unit,
            "vocabulary": self.tokenizer.size,
            "vocabulary_rule": "made from all parts, so that every part can be written in it",
            "split_rule": self.splits.rule,
            "parts": {
                name: {"tokens": len(part.ids), "documents": len(part.starts)}
                for name, part in parts.items()
                if part is not None
            },
            "rows_dropped": sum(file.dropped for file in self.files),
        }


def prepare(
    corpus: Corpus,
    options: DataOptions,
    *,
    select: bool,
    tokenizer: Tokenizer | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Make the vocabulary (or take `tokenizer`), tokenise and split.

    select: whether something will be selected on a validation part. cache: the folder where arrays too large for memory
    go (None: nowhere, they stay in it). progress(bytes read, bytes in all): of every time that a file is gone through.
    Raises DataError and UsageError as the readers, the tokenizer and the split do; nothing is written before the data
    has been read to its end once.
    """
    valid = read([options.valid], options) if options.valid else None
    test = read([options.test], options) if options.test else None
    corpora = [part for part in (corpus, valid, test) if part is not None]
    if tokenizer is None:
        with named(corpus):
            tokenizer = Tokenizer.train(
                _texts(corpora, progress), options.tokens, options.vocabulary, options.min_count
            )

    def tokens(part: Corpus | None) -> Tokens | None:
        return None if part is None else tokenise(part, tokenizer, cache, progress)

    whole = tokens(corpus)
    assert whole is not None
    with named(corpus):
        splits = split(whole, options, select, valid=tokens(valid), test=tokens(test))
    files = [file for part in corpora for file in part.files]
    return Prepared(files, tokenizer, splits)


def _texts(corpora: Sequence[Corpus], progress: Callable[[int, int], None] | None = None) -> Iterator[str | bytes]:
    for corpus in corpora:
        for piece in corpus.pieces(progress):
            yield piece.text


@contextmanager
def named(corpus: Corpus) -> Iterator[None]:
    """Put the file's name before a DataError that does not say where it comes from."""
    try:
        yield
    except DataError as error:
        if any(source.name in str(error) for source in corpus.sources):
            raise
        raise type(error)(f"{corpus.name}: {error}") from None


def prepare_again(
    record: Mapping[str, Any],
    files: Sequence[str],
    options: DataOptions,
    tokenizer: Tokenizer,
    *,
    cache: Path | None = None,
) -> Prepared:
    """The parts of a run, from its data.json and the files that it read.

    Raises DataError where a file is gone, or its SHA-256 is not the recorded one.
    """
    if "-" in files:
        raise DataError("the data came from standard input and is not kept.")
    corpus, select = read(files, options), "valid" in record["parts"]
    prepared = prepare(corpus, options, select=select, tokenizer=tokenizer, cache=cache)
    before = {file["sha256"] for file in record["files"]}
    for file in prepared.files:
        if file.sha256 not in before:
            raise DataError(f"{file.path}: no longer the file that was trained on (its SHA-256 has changed).")
    return prepared
