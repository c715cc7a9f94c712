"""Labelled: files to separate examples, each a text with its labels, its part and the place that it was read from.

Tables, fastText's lines, a folder a label, a file a label (labelled_layout.py tells which). What is no example stops
the reading with its file and line, or is dropped, counted and recorded.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from riverrun.data.encoding import decoded, fault, lines
from riverrun.data.labelled_layout import HEAD, MARK, PIPED, Entry, How, columns, layout, suffix_of
from riverrun.data.labelled_options import LabelledOptions
from riverrun.data.readers import FileRecord
from riverrun.data.sources import Member, Source, find, members, reading
from riverrun.data.tables import part_of, short, table_of
from riverrun.errors import DataError

IN_MEMORY = "examples in memory"
_REASONS = 20  # of the rows dropped, so many are told one by one


class Example(NamedTuple):
    """One text. labels: one, or any number where several are allowed. part: "train", "valid", "test", or "" where the
    data do not say. place: `file:line`, for messages."""

    text: str
    labels: tuple[str, ...]
    part: str = ""
    place: str = ""


class Row(NamedTuple):
    """What a reader gives of a row: the example, or why it is none. line: its first one. lines: lost if it is wrong."""

    line: int
    text: str = ""
    label: Any = ""  # text; a list of labels where the row has them apart
    part: str = ""
    wrong: str | None = None
    lines: int = 1


@dataclass
class _Tally:
    rows: int = 0
    dropped: int = 0
    reasons: list[str] = field(default_factory=list)
    columns: tuple[str, str] | None = None

    def drop(self, reason: str, rows: int = 1) -> None:
        self.dropped += rows
        if len(self.reasons) < _REASONS:
            self.reasons.append(reason)


@dataclass(frozen=True)
class Labelled:
    """The examples of some files, or of Python objects.

    found: how the files hold them, in words. options: how they were read. column: of a table, where the text is.
    values: what the labels were in Python (labels.VALUES); of files always text.
    """

    sources: list[Source]
    examples: list[Example]
    files: list[FileRecord]
    found: str
    options: LabelledOptions
    column: str = ""
    values: str = "str"

    @property
    def name(self) -> str:
        """The first file, and how many more there are, for messages."""
        if self.found == IN_MEMORY:
            return "the examples"  # no file that the user has
        more = f" and {len(self.sources) - 1:,} more" if len(self.sources) > 1 else ""
        return (self.sources[0].name if self.sources else "the examples") + more


def read(paths: Sequence[str | Path], options: LabelledOptions) -> Labelled:
    """All examples behind `paths`: files, folders, archives, `-` for standard input.

    Raises DataError naming file and line of the first row that is no example (or drops it, where `skip_bad_rows` is
    set), and where there is no example at all.
    """
    if not paths:
        raise DataError("no data: expected labelled texts. Give a table, a folder a label, or a file a label.")
    sources, entries, owner = _entries(paths)
    hows, found = layout(entries)
    tallies = [_Tally() for _ in sources]
    examples: list[Example] = []
    for number, source in enumerate(sources):
        if not any(owner[name] == number for name in hows):
            continue
        for member in members(source):
            if member.name in hows:
                with reading(member.name):
                    examples += _examples(member, hows[member.name], options, tallies[number])
    files = [
        FileRecord(source.name, source.sha256, source.size, tally.rows, tally.dropped, tuple(tally.reasons))
        for source, tally in zip(sources, tallies, strict=True)
    ]
    if not examples:
        dropped = sum(tally.dropped for tally in tallies)
        first = next((tally.reasons[0] for tally in tallies if tally.reasons), "")
        why = f": all {dropped:,} rows were dropped, the first because {first}" if dropped else ""
        raise DataError(f"{sources[0].name}: there is no example in it{why}. Give texts with labels.")
    named = dict.fromkeys(tally.columns for tally in tallies if tally.columns)
    found += "".join(f", text in {text!r}, label in {label!r}" for text, label in named)
    return Labelled(sources, examples, files, found, options, next(iter(named), ("", ""))[0])


def given(texts: Sequence[str], labels: Sequence[Any], options: LabelledOptions) -> Labelled:
    """The same from Python objects: a text and its label (a list of labels, where there are several) for each example.

    Raises DataError naming the first that is none, by its index.
    """
    if len(texts) != len(labels):
        raise DataError(f"expected as many labels as texts, got {len(labels):,} labels and {len(texts):,} texts.")
    tally, examples = _Tally(), []
    labels = [label.tolist() if hasattr(label, "tolist") else label for label in labels]
    for index, (text, value) in enumerate(zip(texts, labels, strict=True)):
        row = Row(index, text, value) if isinstance(text, str) else Row(index, wrong=f"expected text, got {text!r}")
        found = _checked(row, f"example {index}", options, tally, mend="Mend it")
        if found is not None:
            examples.append(found)
    if not examples:
        raise DataError("there is no example. Give texts with labels.")
    rows = [{"text": example.text, "label": example.labels} for example in examples]
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    source = Source("examples.jsonl", len(data), hashlib.sha256(data).hexdigest(), partial(io.BytesIO, data))
    record = FileRecord(*source[:1], source.sha256, source.size, tally.rows, tally.dropped, tuple(tally.reasons))
    told = replace(options, text="text", label="label", encoding="utf-8")  # of the source, which can be read again
    return Labelled([source], examples, [record], IN_MEMORY, told, values=_kind_of(labels))


def _kind_of(labels: Sequence[Any]) -> str:
    """bool, int or float where all labels are that, else str.

    >>> _kind_of([1, 2]), _kind_of([[True], []]), _kind_of([1, "a"])
    ('int', 'bool', 'str')
    """
    values = [one for label in labels for one in (label if isinstance(label, list | tuple | set) else [label])]
    found = {type(value).__name__ for value in values}
    return found.pop() if len(found) == 1 and found <= {"bool", "int", "float"} else "str"


def _entries(paths: Sequence[str | Path]) -> tuple[list[Source], list[Entry], dict[str, int]]:
    """The files behind `paths`, every document in them with its first bytes, and of which source each document is."""
    sources: list[Source] = []
    entries: list[Entry] = []
    owner: dict[str, int] = {}
    for path in paths:
        below = Path(path) if str(path) != "-" and Path(path).is_dir() else None
        for source in map(_named, find([path])):
            for member in members(source):
                inside = member.name.removeprefix(source.name).removeprefix(":")
                if below is not None:
                    place = Path(source.name).relative_to(below).parts
                else:
                    place = (Path(source.name).name,)
                place += PurePosixPath(inside).parts
                owner[member.name] = len(sources)
                with reading(member.name):
                    entries.append(Entry(member.name, place, member.stream.read(HEAD)))
            sources.append(source)
    if not entries:
        raise DataError(f"{paths[0]}: there is no file in it. Give texts with labels.")
    if not any(entry.head for entry in entries):
        raise DataError(f"{entries[0].name}: empty (0 bytes). Give texts with labels.")
    return sources, entries, owner


def _named(source: Source) -> Source:
    """Standard input with the suffix of the table that it begins like, so that it is read, and kept, as one."""
    if source.name != PIPED:
        return source
    with source.open() as stream:
        return source._replace(name=PIPED + suffix_of(stream.read(HEAD)))


def _examples(member: Member, how: How, options: LabelledOptions, tally: _Tally) -> Iterator[Example]:
    for row in _rows(member, how, options, tally):
        place = member.name if how.kind == "documents" else f"{member.name}:{row.line}"
        example = _checked(row, place, options, tally)
        if example is not None:
            yield example._replace(part=example.part or how.part)


def _rows(member: Member, how: How, options: LabelledOptions, tally: _Tally) -> Iterator[Row]:
    keep_bad = options.skip_bad_rows
    text = decoded(member.stream, member.name, options.encoding, keep_bad=keep_bad)
    if how.kind == "documents":
        yield Row(1, "".join(text), [how.label])
    elif how.kind == "items":
        for number, line in enumerate(lines(text), 1):
            if line.strip():
                yield Row(number, line, [how.label])
    elif how.kind == "marked":
        for number, line in enumerate(lines(text), 1):
            if line.strip():
                yield _marked(number, line)
    else:
        yield from _table(lines(text), member, options, tally)


def _marked(number: int, line: str) -> Row:
    """A line of fastText: labels, then text.

    >>> _marked(1, "__label__a __label__b how long?")[1:3]
    ('how long?', ['a', 'b'])
    """
    words = line.split()
    count = next((place for place, word in enumerate(words) if not word.startswith(MARK)), len(words))
    if not count:
        return Row(number, wrong=f"expected a line that begins with {MARK}, got {short(line)}")
    return Row(number, " ".join(words[count:]), [word.removeprefix(MARK) for word in words[:count]])


def _table(text: Iterator[str], member: Member, options: LabelledOptions, tally: _Tally) -> Iterator[Row]:
    table = table_of(text, member.name, member.suffix)
    if table.header is not None:
        try:
            tally.columns = columns(table.header, options.text, options.label)
        except DataError as error:
            raise DataError(f"{member.name}:{table.line}: {error}") from None
    text_name, label_name = tally.columns or ("", "")
    split = next((name for name in table.header or () if name.strip().lower() == "split"), "split")
    for line, values, wrong, lost in table.records:
        missing = next((name for name in (text_name, label_name) if name not in values), None)
        if wrong is None and missing is not None:
            wrong = f"no field {missing!r}; it has {', '.join(map(repr, values)) or 'none'}"
        elif wrong is None and not isinstance(values[text_name], str):
            wrong = f"field {text_name!r}: expected text, got {short(json.dumps(values[text_name]))}"
        if wrong is not None:
            yield Row(line, wrong=wrong, lines=lost)
            continue
        part, wrong = part_of(values.get(split))
        yield Row(line, values[text_name], values[label_name], part, wrong)


def _checked(
    row: Row, place: str, options: LabelledOptions, tally: _Tally, mend: str = "Mend the row"
) -> Example | None:
    """The example of a row. Raises DataError where it is none, or drops it."""
    text = row.text.strip()
    labels, wrong = ((), row.wrong) if row.wrong else _labels(row.label, options)
    wrong = wrong or (fault(text) if text else "the text is empty")
    wrong = wrong or next((why for label in labels if (why := fault(label))), None)
    if wrong is None:
        tally.rows += 1
        return Example(text, labels, row.part, place)
    if not options.skip_bad_rows:
        raise DataError(f"{place}: {wrong}. {mend}, or drop such rows (--skip-bad-rows).")
    tally.drop(f"{place}: {wrong}", row.lines)
    return None


def _labels(value: Any, options: LabelledOptions) -> tuple[tuple[str, ...], str | None]:
    """The labels that a row's value stands for, or why they are none."""
    several = options.labels == "several"
    if isinstance(value, str) and several:
        values: list[Any] = value.split(options.separator)
    else:
        values = list(value) if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str | int | float | bool) for one in values):
        return (), f"label: expected text, got {short(json.dumps(value, default=str))}"
    names = tuple(dict.fromkeys(name for one in values if (name := _name(one))))
    if several:
        return names, None
    if len(names) != 1:
        what = f"{len(names)} labels, {', '.join(names)} (allow that with --labels several)" if names else "none"
        return (), f"expected one label, got {what}"
    if options.labels != "ordered":
        return names, None
    number = _number(names[0])
    if number is None:
        return (), f"expected a number as label, got {names[0]!r} (--labels ordered)"
    return (_name(number),), None  # "4" and "4.0" are one place on the scale


def _name(value: object) -> str:
    """A label as text: 4.0 is '4', True is 'true'."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def scale(labels: Sequence[str]) -> list[str]:
    """Ordered labels from the lowest to the highest number.

    >>> scale(["10", "2", "1.5"])
    ['1.5', '2', '10']
    """
    return sorted(labels, key=lambda label: (_number(label) or 0.0, label))
