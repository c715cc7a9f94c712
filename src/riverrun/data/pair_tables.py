"""Tables of pairs: .tsv with a header or without one, .csv with one, and JSON lines with two fields.

CSV is as tables.py reads it. TSV has no quoting, as its media type has it, so that a sentence may
begin with a quotation mark. A column is named by its header, or by its number, from 1 on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from riverrun.data.pair_rows import PairRow, Rows, short
from riverrun.data.sides import are_sides
from riverrun.data.tables import part_of, table_of
from riverrun.errors import DataError, nearest

# What the third column of a file of sentence pairs from manythings.org begins with.
ATTRIBUTION = "CC-BY"


class Columns(NamedTuple):
    """Where the sides of a pair lie in a row of `width` columns: places from 0 on. split: of the part, or None."""

    width: int
    source: int
    target: int
    split: int | None
    header: bool


def json_rows(lines: Iterator[str], source: str, target: str) -> Rows:
    """The pairs of JSON lines. A list of texts as target is several references; blank lines are none.

    >>> [row[1:3] for row in json_rows(iter(['{"source": "a", "target": ["b", "c"]}']), "source", "target")]
    [('a', 'b'), ('a', 'c')]
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield from _json_row(number, line, source, target)


def _json_row(number: int, line: str, source: str, target: str) -> Rows:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        yield PairRow(number, wrong=f"expected a JSON object, got {short(line)} ({error})")
        return
    if not isinstance(row, dict):
        yield PairRow(number, wrong=f"expected a JSON object, got {short(line)}")
        return
    for name, flag in ((source, "--source-field"), (target, "--target-field")):
        if name not in row:
            there = ", ".join(map(repr, row)) or "none"
            yield PairRow(number, wrong=f"no field {name!r}; it has {there} (name it: {flag}){nearest(name, row)}")
            return
    targets = row[target] if isinstance(row[target], list) else [row[target]]
    part, wrong = part_of(row.get("split", ""))
    if wrong is None and not isinstance(row[source], str):
        wrong = f"field {source!r}: expected text, got {short(json.dumps(row[source]))}"
    if wrong is None and not (targets and all(isinstance(text, str) for text in targets)):
        wrong = f"field {target!r}: expected text, or a list of texts, got {short(json.dumps(row[target]))}"
    if wrong is not None:
        yield PairRow(number, wrong=wrong)
        return
    for text in targets:
        yield PairRow(number, row[source], text, part)


def tab_rows(lines: Iterator[str], name: str, source: str, target: str) -> Rows:
    """The pairs of a table with tabs; `source` and `target` name columns, empty for the usual ones.

    A first line is a header where it has the names of both columns, or calls the two by what sides are called: fr, en.
    Without one, a row has two columns, and a third only where it says who wrote the pair, as in the files of
    manythings.org, or where columns are named by number.
    """
    columns: Columns | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip("\r\n"):
            continue
        cells = _cells(line)
        if columns is None:
            columns = tab_columns(cells, name, source, target)
            if columns.header:
                continue
        yield _row(number, cells, columns)


def tab_columns(cells: Sequence[str], name: str, source: str, target: str) -> Columns:
    """Where the sides lie in a table with tabs, by its first row. Raises DataError where they lie nowhere."""
    named = (source or "source", target or "target")
    is_named = any(column and not column.isdecimal() for column in (source, target))
    if is_named or all(column in cells for column in named):
        return _named(cells, name, named)
    places = (int(source or 1) - 1, int(target or 2) - 1)
    for flag, place in (("--source-field", places[0]), ("--target-field", places[1])):
        if not 0 <= place < len(cells):
            raise DataError(
                f"{name}:1: expected a source, a tab and a target, got {len(cells)} "
                f"{'column' if len(cells) == 1 else 'columns'}, and no column {place + 1} ({flag})."
            )
    attributed = len(cells) == 3 and cells[2].startswith(ATTRIBUTION)
    if not (source or target or attributed) and len(cells) > 2:
        raise DataError(
            f"{name}:1: expected a source, a tab and a target, got {len(cells)} columns. Name the two that count, by "
            "their names in a header or by number: --source-field 1 --target-field 2."
        )
    header = are_sides({cells[place].strip() for place in places})
    return Columns(len(cells), *places, _split(cells) if header else None, header)


def csv_rows(lines: Iterator[str], name: str, source: str, target: str) -> Rows:
    """The pairs of a .csv file with a header. Raises DataError where the header lacks a column."""
    table = table_of(lines, name, ".csv")
    header = table.header or []
    columns = _named(header, name, (source or "source", target or "target"))
    for record in table.records:
        if record.wrong is not None:
            yield PairRow(record.line, wrong=record.wrong)
        else:
            yield _row(record.line, [record.values[column] for column in header], columns)


def _cells(line: str) -> list[str]:
    return line.rstrip("\r\n").split("\t")


def _named(header: Sequence[str], name: str, named: tuple[str, str]) -> Columns:
    """Where the columns lie that a header names, or that are named by number. Raises DataError where one is not."""
    places = []
    for column, flag in zip(named, ("--source-field", "--target-field"), strict=True):
        if column in header:
            places.append(header.index(column))
        elif column.isdecimal() and 1 <= int(column) <= len(header):
            places.append(int(column) - 1)
        else:
            there = ", ".join(map(repr, header)) or "none"
            raise DataError(
                f"{name}:1: no column {column!r} in the header; it has {short(there, 200)[1:-1]}. Name it with {flag}."
                + nearest(column, header)
            )
    return Columns(len(header), places[0], places[1], _split(header), True)


def _split(header: Sequence[str]) -> int | None:
    return header.index("split") if "split" in header else None


def _row(number: int, cells: Sequence[str], columns: Columns) -> PairRow:
    if len(cells) != columns.width:
        where = "as in the header" if columns.header else "as in the first line"
        quoted = any(cell.startswith('"') for cell in cells)
        hint = "; a .tsv has no quotes, so put them into a .csv" if quoted else ""
        return PairRow(number, wrong=f"expected {columns.width} columns {where}, got {len(cells)}{hint}")
    part, wrong = part_of(cells[columns.split] if columns.split is not None else "")
    return PairRow(number, cells[columns.source], cells[columns.target], part, wrong=wrong)
