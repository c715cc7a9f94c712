"""Formats of pairs: which of them a file has, found by its first lines, and said.

tsv         source<TAB>target, with a header or without one; also from manythings.org, with who wrote the pair
csv jsonl   columns or fields, named by --source-field and --target-field
paired      two files of as many lines, train.de and train.en
cmudict     WORD  P1 P2, with WORD(2) for one more pronunciation
scan        IN: ... OUT: ...
dialogues   JSON lines with `turns`
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from riverrun.data import cmudict, commands, dialogues
from riverrun.data.pair_options import PairOptions
from riverrun.data.sources import Member, Source, members
from riverrun.errors import DataError

LOOKED_AT = 1 << 16  # bytes of a file that are looked at
SHOWN = 200  # lines of them
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
    return Recognised(found, f"{sources[0].name}: {REASONS[found]}")


def documents(source: Source) -> Iterator[Member]:
    """The members of a source without those that tell about the others: `_about.txt`, README, LICENSE."""
    for member in members(source):
        inside = member.name.removeprefix(source.name + ":")
        name = PurePosixPath(inside).name.lower()
        if inside == member.name or not name.startswith(("_", "readme", "license", "licence")):
            yield member


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
