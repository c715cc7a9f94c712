"""prepare: from the files that a user names to a vocabulary and the parts of a split, with the record for data.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from riverrun.data.characters import as_text
from riverrun.data.options import DataOptions
from riverrun.data.outline import UNITS, outline, parted
from riverrun.data.readers import Corpus, FileRecord, named, read
from riverrun.data.splits import Splits, places, split
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens, tokenise
from riverrun.models.ngram import frequencies

SHOWN = 300  # characters of the beginning
COMMON = 20  # tokens
# How each kind's vocabulary comes about, for data.json.
RULES = {
    "chars": "made from the training part alone; a character that only other parts have is the unknown token",
    "bytes": "the 256 bytes",
    "words": "made from the training part alone; a word that it lacks is the unknown token",
    "bpe": "made from the training part alone; it can write every text",
}


class Prepared(NamedTuple):
    """Data that is ready to be trained on: the files read, the vocabulary, the parts.

    unit: of what the parts are shares, "token" or "character".
    """

    files: list[FileRecord]
    tokenizer: Tokenizer
    splits: Splits
    unit: str

    @property
    def coder(self) -> Tokenizer:
        """The tokenizer."""
        return self.tokenizer

    @property
    def valid(self) -> Tokens | None:
        """The validation part."""
        return self.splits.valid

    @property
    def characters(self) -> float:
        """The mean number of characters in a token of the training text: 1 for a character model."""
        ids = self.splits.train.ids[:1_000_000]
        return max(float(self.tokenizer.lengths[ids].mean()), 1e-9)

    def lines(self) -> list[str]:
        """What is said of the data before training."""
        parts = self.splits
        counts = f"{len(parts.train.ids):,} train"
        counts += f", {len(parts.valid.ids):,} valid" if parts.valid is not None else ""
        counts += f", {len(parts.test.ids):,} test"
        if isinstance(parts.train.ids, np.memmap):
            counts += f", mapped from {Path(str(parts.train.ids.filename)).parent}"
        return [
            f"tokens     {self.tokenizer.unit}s, vocabulary {self.tokenizer.size:,}: {counts}",
            f"split      {parts.rule}",
        ]

    def peek(self) -> tuple[dict[str, Any], list[str]]:
        """The commonest tokens of the training part, and how it begins."""
        tokenizer, train = self.tokenizer, self.splits.train
        counts = frequencies(train.ids, tokenizer.size)
        beginning = tokenizer.decode(train.ids[:SHOWN])[:SHOWN]
        common = [(tokenizer.token(int(id)), int(counts[id])) for id in np.argsort(-counts, kind="stable")[:COMMON]]
        parts = self.record()["parts"].items()
        lines = [
            *(
                f"{name:<10} {part['tokens']:,} {tokenizer.unit}s in {part['documents']:,} documents"
                for name, part in parts
            ),
            "common     " + "  ".join(f"'{token}' {count:,}" for token, count in common),
            "begins",
            *("  | " + line for line in beginning.splitlines()),
        ]
        return {"common": common, "beginning": beginning}, lines

    def record(self) -> dict[str, Any]:
        """What data.json holds: schema, SHA-256 of every file, split rule, counts, rows dropped."""
        parts = {"train": self.splits.train, "valid": self.splits.valid, "test": self.splits.test}
        return {
            "files": [file._asdict() for file in self.files],
            "tokens": self.tokenizer.kind,
            "unit": self.tokenizer.unit,
            "vocabulary": self.tokenizer.size,
            "vocabulary_rule": RULES[self.tokenizer.kind],
            "split_rule": self.splits.rule,
            "split_unit": self.unit,
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
    unit: str | None = None,
    cache: Path | None = None,
    checked: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Make the vocabulary of the training part (or take `tokenizer`), tokenise and split.

    select: whether something will be selected on a validation part. cache: the folder where arrays too large for memory
    go (None: nowhere, they stay in it); checked: arrays that lie there are mapped without comparing their SHA-256.
    unit: of what the parts are shares; None: characters for byte pairs, tokens otherwise.
    progress(bytes read, bytes in all): of every time that a file is gone through.
    Raises DataError and UsageError as the readers, the tokenizer and the split do; where the vocabulary is made here,
    nothing is written before all data has been read to its end once.
    """
    valid = read([options.valid], options) if options.valid else None
    test = read([options.test], options) if options.test else None
    corpora = [part for part in (corpus, valid, test) if part is not None]
    if tokenizer is None:
        with named(corpus):
            tokenizer = _vocabulary(corpus, corpora[1:], options, select, progress)

    def tokens(part: Corpus | None) -> Tokens | None:
        return None if part is None else tokenise(part, tokenizer, cache, progress, checked=checked)

    whole = tokens(corpus)
    assert whole is not None
    unit = unit or split_unit(tokenizer.kind)
    lengths = tokenizer.lengths if unit == "character" else None
    with named(corpus):
        splits = split(whole, options, select, valid=tokens(valid), test=tokens(test), lengths=lengths)
    files = [file for part in corpora for file in part.files]
    return Prepared(files, tokenizer, splits, unit)


def split_unit(kind: str) -> str:
    """Of what the parts are shares: a place counted in byte pairs would depend on the vocabulary that it shapes."""
    return "character" if kind == "bpe" else "token"


def _vocabulary(
    corpus: Corpus,
    others: Sequence[Corpus],
    options: DataOptions,
    select: bool,
    progress: Callable[[int, int], None] | None,
) -> Tokenizer:
    """The vocabulary of the training part. others: the files that are not trained on.

    A character that lies only in what is held out has to have an id, so there is an unknown token if there is one.
    """
    kind = options.tokens
    if kind == "bytes":
        return Tokenizer.train((), kind, options.vocabulary, options.min_count)
    measure = UNITS[kind]
    found, end = None, 0
    if not options.test or (select and not options.valid):  # else a split column at most decides
        found = outline(corpus, measure, progress)
        end = places(found, options, select, split_unit(kind)).train
    held_out: set[str] = set()

    def training() -> Iterator[str]:
        for trained, text in parted(corpus, measure, found, end, progress):
            if trained:
                yield text
            elif kind == "chars":  # no other kind asks for them
                held_out.update(text)

    tokenizer = Tokenizer.train(training(), kind, options.vocabulary, options.min_count)
    for other in others:
        for piece in other.pieces(progress):
            if kind == "chars":
                held_out.update(as_text(piece.text))
    return tokenizer.covering(held_out)


def recorded_unit(record: Mapping[str, Any]) -> str:
    """Of what the parts of a run are shares, from its data.json; earlier versions always took tokens."""
    return str(record.get("split_unit", "token"))
