"""Tables: the rows of .jsonl, .csv and .tsv files, by column, each with its line or what is wrong with it.

CSV is as Python's csv module reads it (RFC 4180: quotes, a text may have newlines), with a header; where that has no
comma, semicolons or tabs stand between the columns. TSV has no quoting, as its media type has it
(text/tab-separated-values), so that a sentence may begin with a quotation mark; only where the whole header is quoted,
quotes are as in CSV, and a cell in quotes that doubles those within it, as other programs write it, is freed of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from riverrun.errors import DataError, nearest

PARTS = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
DELIMITED = (".csv", ".tsv")


class Record(NamedTuple):
    """A row of a table: the number of its first line and its values by column, or what is wrong with it.

    lines: how many lines are lost with a wrong one: after a quote that is never closed, all that are left.
    """

    line: int
    values: dict[str, Any]
    wrong: str | None = None
    lines: int = 1


class Table(NamedTuple):
    """A table. header: its columns; of JSON lines the fields of the first object, None where there is no object.
    line: where the header is."""

    header: list[str] | None
    line: int
    records: Iterator[Record]


class Row(NamedTuple):
    """One row of texts: the number of its first line, its text and part, or what is wrong. lines: as of a Record."""

    line: int
    text: str = ""
    part: str = ""
    wrong: str | None = None
    lines: int = 1


def table_of(lines: Iterator[str], name: str, suffix: str) -> Table:
    """The table that a file's lines are, by its suffix (.csv, .tsv; else JSON lines). Blank lines are no rows.

    Raises DataError where the header of a .csv cannot be read.
    """
    return _delimited(lines, name, suffix == ".tsv") if suffix in DELIMITED else _objects(lines)


def rows_of(lines: Iterator[str], name: str, suffix: str, field: str) -> Iterator[Row]:
    """The texts of the column `field`. Raises DataError where the header of a .csv or .tsv lacks it."""
    table = table_of(lines, name, suffix)
    if suffix in DELIMITED and field not in (table.header or ()):
        there = _listed(table.header or ())
        hint = nearest(field, table.header or ())
        raise DataError(f"{name}:1: no column {field!r} in the header; it has {there}. Name it with --field.{hint}")
    for record in table.records:
        yield _text_row(record, field)


def _text_row(record: Record, field: str) -> Row:
    line, values, wrong, lines = record
    if wrong is None and field not in values:
        wrong = f"no field {field!r}; it has {_listed(values)} (name it with --field){_or(nearest(field, values))}"
    elif wrong is None and not isinstance(values[field], str):
        wrong = f"field {field!r}: expected text, got {short(json.dumps(values[field]))}"
    if wrong is not None:
        return Row(line, wrong=wrong, lines=lines)
    part, wrong = part_of(values.get("split", ""))
    return Row(line, values[field], part, wrong)


def part_of(value: object) -> tuple[str, str | None]:
    """The part that a `split` field or column names ("" for none), and what is wrong with it.

    >>> part_of("Dev")
    ('valid', None)
    """
    if value in ("", None):
        return "", None
    part = PARTS.get(value.strip().lower()) if isinstance(value, str) else None
    if part is None:
        return "", f"split: expected train, valid or test, got {value!r} (rename the column if it means something else)"
    return part, None


def short(text: str) -> str:
    """The beginning of a text, in quotes."""
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:40] + "...")


def delimiter(first: str, *, tabs: bool) -> str:
    """What stands between the columns of a table with that first line.

    >>> delimiter("text;label", tabs=False), delimiter("text,a;b", tabs=False)
    (';', ',')
    """
    return "\t" if tabs else next((mark for mark in ",;\t" if mark in first), ",")


def _objects(lines: Iterator[str]) -> Table:
    records = _json_records(lines)
    before: list[Record] = []
    for record in records:
        before.append(record)
        if record.wrong is None:
            return Table(list(record.values), record.line, chain(before, records))
    return Table(None, 1, iter(before))


def _json_records(lines: Iterator[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Record(number, {}, f"expected a JSON object, got {short(line)} ({error})")
            continue
        if isinstance(values, dict):
            yield Record(number, values)
        else:
            yield Record(number, {}, f"expected a JSON object, got {short(line)}")


def _delimited(lines: Iterator[str], name: str, tabs: bool) -> Table:
    if csv.field_size_limit() < 1 << 30:  # 131,072 is too few for a document; csv has one limit for all
        csv.field_size_limit(1 << 30)
    first = next(lines, "")
    plain = tabs and not all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in first.strip("\r\n").split("\t"))
    whole, mark = chain([first], lines), delimiter(first, tabs=tabs)
    if plain:
        reader = csv.reader(whole, delimiter=mark, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(whole, delimiter=mark, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DataError(f"{name}:1: expected a header with the names of the columns ({error}).") from None
    return Table(header, 1, _delimited_records(reader, header, plain))


def _delimited_records(reader: Any, header: list[str], plain: bool) -> Iterator[Record]:
    names = header[::-1]  # of columns with the same name the first one counts
    while True:
        begin = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            lost = reader.line_num - begin + 1
            open_quote = f"; from a quote in it on, {lost:,} lines are none" if lost > 1 else ""
            yield Record(begin, {}, f"not a row of a table ({error}{open_quote})", lost)
            continue
        if row is None:
            return
        if not row:
            continue  # a blank line
        if len(row) == len(header):
            if plain:
                row = [_freed(cell) for cell in row]
            yield Record(begin, dict(zip(names, row[::-1], strict=True)))
            continue
        quoted = plain and any(cell.startswith('"') for cell in row)
        hint = "; a .tsv has no quotes, so put them into a .csv" if quoted else ""
        yield Record(begin, {}, f"expected {len(header)} columns as in the header, got {len(row)}{hint}")


def _freed(cell: str) -> str:
    """A cell without the quotes around it, where those within it are doubled."""
    inner = cell[1:-1]
    doubled = cell[:1] == cell[-1:] == '"' and '""' in inner and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if doubled else cell


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"


def _or(hint: str) -> str:
    """The nearest name, within a sentence that goes on."""
    return hint.replace(" Did you mean", ". Did you mean") if hint else ""
