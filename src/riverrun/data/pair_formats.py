"""Formats of pairs: which of them a file has, found by its first lines, and said.

tsv         source<TAB>target, with a header or without one; also from manythings.org, with who wrote the pair
csv jsonl   columns or fields, named by --source-field and --target-field
paired      two files of as many lines, train.de and train.en
cmudict     WORD  P1 P2, with WORD(2) for one more pronunciation
scan        IN: ... OUT: ...
dialogues   JSON lines with `turns`
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from riverrun.data import cmudict, commands, dialogues
from riverrun.data.conll import CONLL
from riverrun.data.pair_names import PARTS
from riverrun.data.pair_options import PairOptions
from riverrun.data.pair_tables import ATTRIBUTION, tab_columns
from riverrun.data.sides import NAMED, are_sides
from riverrun.data.sources import Member, Source, documents, files_below, without_compression
from riverrun.errors import DataError

LOOKED_AT = 1 << 16  # bytes of a file that are looked at
SHOWN = 200  # lines of them
STEM_AND_SUFFIX = 3  # parts of a plain name, the dot counted
WHOLE = 0.9  # share of the lines that have to be pairs: the reader then names the ones that are none
REASONS = {
    "tsv": "its lines have tabs between their columns",
    "csv": "its name says .csv",
    "jsonl": "its lines are JSON, with two fields to be named",
    "paired": "two files of which each line of one belongs to a line of the other",
    "cmudict": "its lines are words and phonemes of ARPAbet, as CMUdict's",
    "scan": "its lines are `IN: ... OUT: ...`, as SCAN's",
    "dialogues": "its lines are dialogues: JSON with `turns`, of which each is answered by the next",
}


class Recognised(NamedTuple):
    """A format, and the sentence why."""

    format: str
    reason: str


def recognise(sources: Sequence[Source], options: PairOptions) -> Recognised:
    """The format of all `sources`, by the first lines of the first one. Raises DataError where it is none."""
    if options.format != "auto":
        return Recognised(options.format, f"{sources[0].name} is read as {options.format} (asked for)")
    member, lines = _first(sources[0], options)
    found = _by_lines(member.suffix, lines)
    if found is None and len(sources) == 2:
        found = "paired"
    if found is None:
        raise DataError(
            f"{sources[0].name}:1: expected pairs: a source, a tab and a target, or one of the other formats "
            f"(--format {', '.join(name for name in REASONS)}); got a line without a tab. Of two files, one a side, "
            "give both."
        )
    if found == "paired":
        return Recognised(found, f"{sources[0].name} and {sources[1].name}: {REASONS[found]}")
    what = REASONS[found]
    if found == "tsv" and lines:
        columns = tab_columns(lines[0].split("\t"), member.name, options.source_field, options.target_field)
        what += ", which the first one names" if columns.header else ""
    return Recognised(found, f"{sources[0].name}: {what}")


def pairs_in(paths: Sequence[str], encoding: str = "utf-8") -> str | None:
    """Why the files at `paths` hold pairs, or None where they hold something else, or cannot be looked at.

    A table is one of pairs where its columns have the usual names, or where it has two columns without a header, of
    which the second is not one of a few labels. A folder is one of pairs where its files have one suffix, and the first
    of them holds pairs.
    """
    files = _files([Path(path) for path in paths])
    if not files or not all(path.is_file() for path in files) or files[0].suffixes[-1:] == [".tgz"]:
        return None
    if ".tar" in files[0].suffixes:
        return None  # it would have to be unpacked to be looked at
    # Without their SHA-256: a large file is not read through to see what it is.
    sources = [Source(str(path), 0, "", partial(_bytes, path)) for path in files]
    try:
        member, lines = _first(sources[0], PairOptions(encoding=encoding))
        found = _by_lines(member.suffix, lines)
        if found is None:
            return _siblings([source.name for source in sources]) if lines else None
    except (DataError, OSError):
        return None
    if found == "jsonl" and not _named(lines, '"source"', '"target"'):
        return None
    if found == "csv" and not _named(lines, "source", "target"):
        return None
    if found == "tsv" and not (_named(lines, "source", "target") or _two_texts(lines)):
        return None
    if found == "cmudict" and member.suffix in CONLL:
        return None  # words whose tags are all among the letters of ARPAbet
    return f"{sources[0].name}: {REASONS[found]}"


def _files(given: list[Path]) -> list[Path]:
    """The files that are given, those of a folder where they are all of one kind, or two."""
    if len(given) != 1 or not given[0].is_dir():
        return given
    files = files_below(given[0], beside=False)
    kinds = {without_compression(path.name)[1] for path in files}
    return files if len(kinds) == 1 or len(files) == 2 else []


def _bytes(path: Path) -> IO[bytes]:
    return path.open("rb")


def _named(lines: list[str], *names: str) -> bool:
    return bool(lines) and all(name in lines[0] for name in names)


def _two_texts(lines: list[str]) -> bool:
    rows = [line.split("\t") for line in lines]
    pairs = [row for row in rows if len(row) == 2 or (len(row) == 3 and row[2].startswith(ATTRIBUTION))]
    if len(pairs) < WHOLE * len(rows):
        return False
    if set(rows[0]) & {"text", "label", "labels", "split"}:
        return False
    # A label is one of a few, and is seen again and again.
    return len({row[1] for row in pairs}) > min(len(pairs) - 1, max(2, len(pairs) // 4))


def _siblings(names: Sequence[str]) -> str | None:
    """Two files called by the two sides, without the tabs of a table: train.de and train.en, source.txt and target.txt,
    src-train.txt and tgt-train.txt.

    Their stems may differ: the reader then says whether they have as many lines.
    """
    if len(names) != 2:
        return None
    plain = [Path(without_compression(name)[0]) for name in names]
    differing = _differing(*(path.name for path in plain))
    if not are_sides({path.suffix[1:] for path in plain}) and not are_sides(differing):
        return None
    return f"{names[0]} and {names[1]}: {REASONS['paired']}"


def _differing(first: str, second: str) -> set[str]:
    """The one part that two names differ in, as either has it: {"src", "tgt"}.

    A whole stem counts where it is the name of a side: two texts may well be called `no.txt` and `so.txt`.
    """
    one, other = (PARTS.split(name) for name in (first, second))
    pairs = [set(pair) for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
    if len(one) != len(other) or len(pairs) != 1:
        return set()
    return pairs[0] if len(one) > STEM_AND_SUFFIX or pairs[0] <= NAMED else set()


def _first(source: Source, options: PairOptions) -> tuple[Member, list[str]]:
    """The first member, and its first whole lines that are not blank."""
    for member in documents(source):
        block = member.stream.read(LOOKED_AT)
        text = block.decode(options.encoding, "replace").removeprefix("\ufeff")
        lines = text.split("\n")
        if len(block) == LOOKED_AT:
            lines = lines[:-1]
        return member, [line.rstrip("\r") for line in lines if line.strip()][:SHOWN]
    raise DataError(f"{source.name}: empty, there is no file in it. Give a file with pairs.")


def _by_lines(suffix: str, lines: list[str]) -> str | None:
    if suffix == ".csv":
        return "csv"
    if dialogues.likely(lines):
        return "dialogues"
    if suffix in (".jsonl", ".ndjson") or (lines and lines[0].lstrip().startswith("{")):
        return "jsonl"
    if commands.likely(lines):
        return "scan"
    if cmudict.likely(lines):
        return "cmudict"
    return "tsv" if suffix == ".tsv" or (lines and "\t" in lines[0]) else None
