"""Pairs: what is read and what is to be written for it, from files of any format, or from Python.

A source may stand in several pairs: all its targets are references when a model is scored, and each is trained on.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from riverrun.data import cmudict, commands, dialogues, pair_tables
from riverrun.data.encoding import decoded, fault, lines
from riverrun.data.named_parts import member_parts
from riverrun.data.pair_formats import Recognised, recognise
from riverrun.data.pair_names import both
from riverrun.data.pair_options import PairOptions
from riverrun.data.pair_rows import PairRow, Rows
from riverrun.data.readers import FileRecord
from riverrun.data.sources import Source, documents, find, reading
from riverrun.errors import DataError, OptionError
from riverrun.files import sha256

_REASONS = 20  # of the rows dropped, so many are told one by one
_BREAKS = re.compile(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")

Progress = Callable[[int, int], None]


class Pairs(NamedTuple):
    """N pairs, a list each: source, target, part ("" where nothing says it), key: what is hashed for the split, and
    place: the file and line."""

    sources: list[str]
    targets: list[str]
    parts: list[str]
    keys: list[str]
    places: list[str]

    def pick(self, places: Sequence[int]) -> Pairs:
        """The pairs at those places."""
        return Pairs(*([column[place] for place in places] for column in self))

    def references(self) -> dict[str, list[str]]:
        """Each source once, in order, with all its different targets.

        >>> Pairs(["a", "b", "a"], ["x", "y", "z"], [""] * 3, [""] * 3, [""] * 3).references()
        {'a': ['x', 'z'], 'b': ['y']}
        """
        found: dict[str, dict[str, None]] = {}
        for source, target in zip(self.sources, self.targets, strict=True):
            found.setdefault(source, {})[target] = None
        return {source: list(targets) for source, targets in found.items()}


class PairCorpus:
    """Pairs that lie in files, or came from Python. They are read when they are first asked for, and kept.

    sources: the files. options: how they are to be read.
    """

    def __init__(self, sources: Sequence[Source], options: PairOptions) -> None:
        self.sources, self.options = list(sources), options
        self._read: tuple[Recognised, Pairs, list[FileRecord]] | None = None

    @property
    def name(self) -> str:
        """The first file, and how many more there are, for messages."""
        more = f" and {len(self.sources) - 1:,} more" if len(self.sources) > 1 else ""
        return self.sources[0].name + more

    @property
    def format(self) -> str:
        """One of pair_formats."""
        return self._loaded()[0].format

    @property
    def reason(self) -> str:
        """The sentence why it is that format."""
        return self._loaded()[0].reason

    @property
    def pairs(self) -> Pairs:
        """All pairs, in order. Raises DataError with file and line where a row is none (unless such are skipped)."""
        return self._loaded()[1]

    @property
    def files(self) -> list[FileRecord]:
        """The record of every file, for data.json."""
        return self._loaded()[2]

    def load(self, progress: Progress | None = None) -> PairCorpus:
        """Read everything now. progress(bytes read, bytes in all) is called now and then."""
        if self._read is None:
            found = recognise(self.sources, self.options)
            _check(self.options, found.format)
            self._read = found, *_read(self, found.format, progress)
        return self

    def _loaded(self) -> tuple[Recognised, Pairs, list[FileRecord]]:
        self.load()
        assert self._read is not None
        return self._read


def read(paths: Sequence[str | Path], options: PairOptions) -> PairCorpus:
    """The pairs in `paths`: files, folders, archives, `-` for standard input.

    Raises DataError where a path is missing, unreadable or of zero bytes; what lies inside is looked at later.
    """
    if not paths:
        raise DataError("no data given: sequence to sequence learns from pairs. Name a file, or - for standard input.")
    sources = find(paths, beside=False)
    if not any(source.size for source in sources):
        raise DataError(f"{sources[0].name}: empty (0 bytes). Give a file with pairs.")
    return PairCorpus(sources, options)


def given(X: Sequence[str], y: Sequence[str | Sequence[str]], options: PairOptions) -> PairCorpus:
    """The same of Python's lists: sources, and for each of them a target or several references.

    Raises DataError where there are not as many of both; what is no text or empty is named by its place, from 1 on.
    """
    if len(X) != len(y):
        raise DataError(f"expected as many targets as sources, got {len(X):,} sources and {len(y):,} targets.")
    try:
        rows = [
            json.dumps({"source": source, "target": targets}, default=_plain)
            for source, targets in zip(X, y, strict=True)
        ]
    except TypeError as error:
        raise DataError(f"expected texts, or lists of texts as references: {error}.") from None
    data = "".join(f"{row}\n" for row in rows).encode()
    source = Source("the pairs given", len(data), sha256(data), lambda: io.BytesIO(data))
    return PairCorpus([source], replace(options, format="jsonl", source_field="", target_field="", encoding="utf-8"))


def _plain(value: object) -> object:
    """What JSON does not know: NumPy's scalars and arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"got {type(value).__name__}")


def _read(corpus: PairCorpus, format: str, progress: Progress | None) -> tuple[Pairs, list[FileRecord]]:
    sources, options = corpus.sources, corpus.options
    tallies = [_Tally() for _ in sources]
    pairs, parts = Pairs([], [], [], [], []), member_parts(sources)
    if format == "paired":
        for row in _paired(sources, options, tallies):
            _add(pairs, row, sources[0].name, options)
    else:
        before, total = 0, sum(source.size for source in sources)
        for source, tally in zip(sources, tallies, strict=True):
            for member in documents(source):
                with reading(member.name):
                    table = lines(decoded(member.stream, member.name, options.encoding, keep_bad=True))
                    rows = _rows(format, table, member.name, options)
                    for count, row in enumerate(tally.good(rows, member.name, options.skip_bad_rows)):
                        row = row if row.part else row._replace(part=parts.get(member.name, ""))
                        _add(pairs, row, member.name, options)
                        if progress is not None and count % 4096 == 0:
                            progress(min(before + member.position(), total), total)
            before += source.size
    if not pairs.sources:
        dropped = sum(tally.dropped for tally in tallies)
        why = f": all {dropped:,} rows were dropped, the first because {tallies[0].reasons[:1]}" if dropped else ""
        raise DataError(f"{corpus.name}: there is no pair in it{why}. Give a file with pairs.")
    return pairs, [
        FileRecord(source.name, source.sha256, source.size, tally.rows, tally.dropped, tuple(tally.reasons))
        for source, tally in zip(sources, tallies, strict=True)
    ]


def beside(path: str, options: PairOptions, corpus: PairCorpus) -> PairCorpus:
    """The file that `--valid` or `--test` names, in the format of `corpus`.

    Of paired files it is either of the two, or what their names have in common (`test` for test.de and test.en). Raises
    DataError where it does not tell the other file.
    """
    if corpus.format != "paired":
        return read([path], options)
    names = [source.name for source in corpus.sources]
    sides = both(path, *names)
    if sides is None:
        raise DataError(
            f"{path}: expected a name like those of {names[0]} and {names[1]}, with the part in which these differ, so "
            "that the other file can be found beside it. Rename it."
        )
    return read(sides, options)


class _Tally:
    """Rows read and dropped of one file."""

    def __init__(self) -> None:
        self.rows, self.dropped = 0, 0
        self.reasons: list[str] = []

    def good(self, rows: Rows, name: str, skip: bool) -> Iterator[PairRow]:
        """The rows that are pairs. Raises DataError at one that is none; skip: drops and counts it."""
        for row in rows:
            why = row.wrong or fault(row.source) or fault(row.target) or _empty_side(row)
            if why is None:
                self.rows += 1
                yield row
            elif skip:
                self.dropped += 1
                if len(self.reasons) < _REASONS:
                    self.reasons.append(f"{name}:{row.line}: {why}")
            else:
                mend = "Name the encoding (--encoding latin-1)" if why.endswith("cannot be decoded") else "Mend it"
                raise DataError(f"{name}:{row.line}: {why}. {mend}, or drop such rows (--skip-bad-rows).")


def _empty_side(row: PairRow) -> str | None:
    for side in ("source", "target"):
        if not getattr(row, side).strip():
            return f"expected text on both sides, got an empty {side}"
    return None


def _add(pairs: Pairs, row: PairRow, name: str, options: PairOptions) -> None:
    first, second = one_line(row.source), one_line(row.target)
    pairs.sources.append(second if options.reverse else first)
    pairs.targets.append(first if options.reverse else second)
    pairs.parts.append(row.part)
    pairs.places.append(f"{name}:{row.line}")
    by = options.split_by
    if by == "auto":  # what the file has first, so that both directions have the same parts
        pairs.keys.append(row.key or first)
    else:
        pairs.keys.append((pairs.sources if by == "source" else pairs.targets)[-1])


def one_line(text: str) -> str:
    """A side is one line: breaks and tabs inside it become a space, those around it go.

    >>> one_line(" a\\n\\tb ")
    'a b'
    """
    return _BREAKS.sub(" ", text.strip())


def _rows(format: str, table: Iterator[str], name: str, options: PairOptions) -> Rows:
    source, target = options.source_field, options.target_field
    if format == "csv":
        return pair_tables.csv_rows(table, name, source, target)
    if format == "jsonl":
        return pair_tables.json_rows(table, source or "source", target or "target")
    if format == "dialogues":
        return dialogues.rows(table)
    if format == "cmudict":
        return cmudict.rows(table, stress=options.stress)
    if format == "scan":
        return commands.rows(table)
    return pair_tables.tab_rows(table, name, source, target)


def _paired(sources: Sequence[Source], options: PairOptions, tallies: Sequence[_Tally]) -> Iterator[PairRow]:
    """The pairs of two files. Raises DataError where one has more lines than the other."""
    if len(sources) != 2:
        raise DataError(
            f"{sources[0].name}: paired files come in twos, the source's and the target's, got {len(sources)}."
        )
    names = [source.name for source in sources]
    with reading(names[0]):
        walks = [documents(source) for source in sources]  # which close their files when they are let go
        sides = [next(walk) for walk in walks]
        tables = [lines(decoded(side.stream, side.name, options.encoding, keep_bad=True)) for side in sides]
        counts = [0, 0]

        def rows() -> Rows:
            for number, texts in enumerate(zip_longest(*tables), 1):
                for place, text in enumerate(texts):
                    counts[place] += text is not None
                if None not in texts and (texts[0].strip() or texts[1].strip()):
                    yield PairRow(number, texts[0], texts[1])

        found = list(tallies[0].good(rows(), " and ".join(names), options.skip_bad_rows))
        tallies[1].rows, tallies[1].dropped = tallies[0].rows, tallies[0].dropped
        if counts[0] != counts[1]:
            raise DataError(
                f"{names[0]} has {counts[0]:,} lines and {names[1]} {counts[1]:,}: expected as many, since a line of "
                "one belongs to the same line of the other. Find the line that is missing."
            )
        yield from found


def _check(options: PairOptions, format: str) -> None:
    """OptionError for an option that the format found has no use for."""
    for name in ("source_field", "target_field"):
        if getattr(options, name) and format not in ("tsv", "csv", "jsonl"):
            raise OptionError(name, f"files of format {format} have no fields to name. Leave it out.")
