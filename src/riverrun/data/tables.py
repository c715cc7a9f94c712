"""Tables: the rows of .jsonl, .csv and .tsv files, each with its text or what is wrong with it.

CSV is as Python's csv module reads it (RFC 4180: quotes, a text may have newlines), with a header. TSV has no quoting,
as its media type has it (text/tab-separated-values), so that a sentence may begin with a quotation mark.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import NamedTuple

from riverrun.errors import DataError, nearest

_PARTS = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test",
}  # fmt: skip


class Row(NamedTuple):
    """One row: the number of its (last) line, its text and part, or what is wrong."""

    line: int
    text: str = ""
    part: str = ""
    wrong: str | None = None


def json_rows(table: Iterator[str], name: str, field: str) -> Iterator[Row]:
    """The rows of JSON lines; blank lines are none."""
    for number, line in enumerate(table, 1):
        if line.strip():
            yield _json_row(number, line, field)


def _json_row(number: int, line: str, field: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Row(number, wrong=f"expected a JSON object, got {_short(line)} ({error})")
    if not isinstance(row, dict):
        return Row(number, wrong=f"expected a JSON object, got {_short(line)}")
    if field not in row:
        there = ", ".join(map(repr, row)) or "none"
        return Row(number, wrong=f"no field {field!r}; it has {there} (name it with --field){_or(nearest(field, row))}")
    if not isinstance(row[field], str):
        return Row(number, wrong=f"field {field!r}: expected text, got {_short(json.dumps(row[field]))}")
    part, wrong = part_of(row.get("split", ""))
    return Row(number, row[field], part, wrong)


def csv_rows(table: Iterator[str], name: str, field: str, *, tabs: bool) -> Iterator[Row]:
    """The rows of a table with a header. Raises DataError where the header has no column `field`."""
    if csv.field_size_limit() < 1 << 30:  # 131,072 is too few for a document; csv has one limit for all
        csv.field_size_limit(1 << 30)
    if tabs:
        reader = csv.reader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(table, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DataError(f"{name}:1: expected a header with the names of the columns ({error}).") from None
    if field not in header:
        there = ", ".join(map(repr, header)) or "none"
        raise DataError(
            f"{name}:1: no column {field!r} in the header; it has {there}. Name it with --field."
            + nearest(field, header)
        )
    text, split = header.index(field), header.index("split") if "split" in header else None
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Row(reader.line_num, wrong=f"not a row of a table ({error})")
            continue
        if row is None:
            return
        if not row:
            continue  # a blank line
        if len(row) != len(header):
            yield Row(reader.line_num, wrong=f"expected {len(header)} columns as in the header, got {len(row)}")
            continue
        part, wrong = part_of(row[split] if split is not None else "")
        yield Row(reader.line_num, row[text], part, wrong)


def part_of(value: object) -> tuple[str, str | None]:
    """The part that a `split` field or column names ("" for none), and what is wrong with it.

    >>> part_of("Dev")
    ('valid', None)
    """
    if value == "":
        return "", None
    part = _PARTS.get(value.strip().lower()) if isinstance(value, str) else None
    if part is None:
        return "", f"split: expected train, valid or test, got {value!r} (rename the column if it means something else)"
    return part, None


def _or(hint: str) -> str:
    """The nearest name, within a sentence that goes on."""
    return hint.replace(" Did you mean", ". Did you mean") if hint else ""


def _short(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:40] + "...")
