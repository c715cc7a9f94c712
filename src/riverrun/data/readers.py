"""Readers: files to documents, in pieces of bounded size, as often as asked for.

Plain text is one document a file; with `lines`, one a line. `.jsonl` has one in each row's field, `.csv` and `.tsv` one
in each row's column; a field or column `split` (train, valid, test) decides the part that a row belongs to, and so do
the names of files where some are called train, and others valid or test (named_parts.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from riverrun.data import builtin
from riverrun.data.encoding import BLOCK, decoded, fault, lines
from riverrun.data.named_parts import member_parts
from riverrun.data.options import DataOptions
from riverrun.data.sources import Member, Source, find, members, reading
from riverrun.data.tables import rows_of
from riverrun.errors import DataError
from riverrun.files import sha256

_REASONS = 20  # of the rows dropped, so many are told one by one


class Piece(NamedTuple):
    """Some text (bytes where tokens are bytes).

    Text is cut after a newline, else before a space, wherever it has one: no token of any tokenizer lies across a cut.
    part: "train", "valid" or "test" where the row said so, else "".
    """

    text: str | bytes
    starts_document: bool
    part: str = ""


class FileRecord(NamedTuple):
    """What data.json says of a file: rows are the lines or table rows that were read, dropped those that were not."""

    path: str
    sha256: str
    bytes: int
    rows: int
    dropped: int
    reasons: tuple[str, ...] = ()


@dataclass
class _Tally:
    rows: int = 0
    dropped: int = 0
    reasons: list[str] = field(default_factory=list)

    def drop(self, reason: str, rows: int = 1) -> None:
        self.dropped += rows
        if len(self.reasons) < _REASONS:
            self.reasons.append(reason)


class Corpus:
    """Files that can be read again and again, never held in memory as a whole."""

    def __init__(self, sources: Sequence[Source], options: DataOptions) -> None:
        self.sources = list(sources)
        self.options = options
        self._tallies: list[_Tally] | None = None

    @property
    def name(self) -> str:
        """The first file, and how many more there are, for messages."""
        more = f" and {len(self.sources) - 1:,} more" if len(self.sources) > 1 else ""
        return self.sources[0].name + more

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(source.size for source in self.sources)

    @property
    def files(self) -> list[FileRecord]:
        """The record of every file; reads them through if that has not been done yet."""
        return [
            FileRecord(source.name, source.sha256, source.size, tally.rows, tally.dropped, tuple(tally.reasons))
            for source, tally in zip(self.sources, self._tallied(), strict=True)
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Of each file, what reading it has counted, as plain values for `recall`."""
        return [asdict(tally) for tally in self._tallied()]

    def recall(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take over what `rows` told of the same files, so that `files` need not read them again."""
        tallies = [_Tally(tally["rows"], tally["dropped"], list(tally["reasons"])) for tally in rows]
        if len(tallies) == len(self.sources):
            self._tallies = tallies

    @cached_property
    def _parts(self) -> dict[str, str]:
        """Of each document the part that its name says, where some are named for training, and others for a test."""
        found = member_parts(self.sources)
        return found if "train" in found.values() else {}

    def _tallied(self) -> list[_Tally]:
        if self._tallies is None:
            for _ in self.pieces():
                pass
        assert self._tallies is not None
        return self._tallies

    def pieces(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Piece]:
        """All text, in order. progress(bytes read, bytes in all) is called after each piece.

        Raises DataError naming file, line and byte of what cannot be read, and for a corpus without any text.
        """
        tallies, parts = [_Tally() for _ in self.sources], self._parts
        before, total, empty = 0, self.size, True
        for source, tally in zip(self.sources, tallies, strict=True):
            for member in members(source):
                with reading(member.name):
                    for piece in _documents(member, self.options, tally):
                        empty = False
                        yield piece if piece.part else piece._replace(part=parts.get(member.name, ""))
                        if progress is not None:
                            progress(min(before + member.position(), total), total)
            before += source.size
        if empty:
            dropped = sum(tally.dropped for tally in tallies)
            why = f": all {dropped:,} rows were dropped, the first because {tallies[0].reasons[:1]}" if dropped else ""
            raise DataError(f"{self.name}: empty, there is no text in it{why}. Give a file with text.")
        self._tallies = tallies


def read(paths: Sequence[str | Path], options: DataOptions) -> Corpus:
    """The corpus behind `paths`: files, folders, archives, `-` for standard input; none at all: the built-in text.

    Raises DataError where a path is missing, unreadable or of zero bytes; what lies inside is looked at by `pieces`.
    """
    sources = find(paths) if paths else [_builtin()]
    if not any(source.size for source in sources):
        raise DataError(f"{sources[0].name}: empty (0 bytes). Give a file with text.")
    return Corpus(sources, options)


def of_texts(texts: Sequence[str], options: DataOptions) -> Corpus:
    """The corpus of texts in memory, one document each. Raises DataError where all are empty."""
    sources = []
    for number, text in enumerate(texts, 1):
        data = text.encode("utf-8", "surrogatepass")
        name = "text" if len(texts) == 1 else f"text {number}"
        sources.append(Source(name, len(data), sha256(data), partial(io.BytesIO, data)))
    if not any(source.size for source in sources):
        raise DataError("the text is empty: there is nothing to learn from.")
    return Corpus(sources, replace(options, encoding="utf-8"))


class Named(Protocol):
    """What has a name and sources: a corpus of any kind."""

    @property
    def name(self) -> str: ...
    @property
    def sources(self) -> list[Source]: ...


@contextmanager
def named(corpus: Named) -> Iterator[None]:
    """Put the file's name before a DataError that does not say where it comes from."""
    try:
        yield
    except DataError as error:
        if any(source.name in str(error) for source in corpus.sources):
            raise
        raise type(error)(f"{corpus.name}: {error}") from None


def _builtin() -> Source:
    data = builtin.text().encode()
    return Source(builtin.name(), len(data), sha256(data), lambda: io.BytesIO(data))


def _documents(member: Member, options: DataOptions, tally: _Tally) -> Iterator[Piece]:
    raw = options.tokens == "bytes"
    if member.suffix in (".jsonl", ".ndjson", ".csv", ".tsv"):
        for text, part in _rows(member, options, tally):
            text = f"\n{text}\n" if options.lines else text
            yield Piece(text.encode() if raw else text, True, part)
    elif raw:
        yield from _raw(member, options.lines, tally)
    elif options.lines:
        for line in _lines(member, options, tally):
            item = line.removesuffix("\n").removesuffix("\r")
            if item:
                yield Piece(f"\n{item}\n", True)
    else:
        yield from _text(member, options, tally)


def _raw(member: Member, by_line: bool, tally: _Tally) -> Iterator[Piece]:
    if by_line:
        for line in member.stream:
            tally.rows += 1
            item = line.removesuffix(b"\n").removesuffix(b"\r")
            if item:
                yield Piece(b"\n" + item + b"\n", True)
        return
    first = True
    while block := member.stream.read(BLOCK):
        tally.rows += block.count(b"\n")
        yield Piece(block, first)
        first = False


def _text(member: Member, options: DataOptions, tally: _Tally) -> Iterator[Piece]:
    """One document: the decoded blocks, cut anew where no token can lie across the cut."""
    if options.skip_bad_rows:
        blocks = _joined(_lines(member, options, tally))
    else:
        blocks = _counted(decoded(member.stream, member.name, options.encoding), tally)
    rest, first = "", True
    for block in blocks:
        rest += block
        end = rest.rfind("\n") + 1 or max(rest.rfind(" "), 0) or len(rest)
        yield Piece(rest[:end], first)
        rest, first = rest[end:], False
    if rest:
        yield Piece(rest, first)


def _counted(blocks: Iterator[str], tally: _Tally) -> Iterator[str]:
    last = "\n"
    for block in blocks:
        tally.rows += block.count("\n")
        last = block[-1]
        yield block
    tally.rows += last != "\n"


def _lines(member: Member, options: DataOptions, tally: _Tally) -> Iterator[str]:
    """The lines of a file, without those that cannot be read where bad rows are dropped."""
    skip = options.skip_bad_rows
    for number, line in enumerate(lines(decoded(member.stream, member.name, options.encoding, keep_bad=skip)), 1):
        why = fault(line) if skip else None
        if why is None:
            tally.rows += 1
            yield line
        else:
            tally.drop(f"{member.name}:{number}: {why}")


def _joined(pieces: Iterator[str]) -> Iterator[str]:
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= BLOCK:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)


def _rows(member: Member, options: DataOptions, tally: _Tally) -> Iterator[tuple[str, str]]:
    skip = options.skip_bad_rows
    table = lines(decoded(member.stream, member.name, options.encoding, keep_bad=skip))
    for row in rows_of(table, member.name, member.suffix, options.field):
        why = row.wrong or fault(row.text)
        if why is None:
            tally.rows += 1
            if row.text:
                yield row.text, row.part
        elif skip:
            tally.drop(f"{member.name}:{row.line}: {why}", row.lines)
        else:
            raise DataError(f"{member.name}:{row.line}: {why}. Mend it, or drop such rows (--skip-bad-rows).")
