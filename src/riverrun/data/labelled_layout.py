"""Layout: how files hold labelled texts, told from their names, their places and their first lines.

    table      reviews.csv, .tsv, .jsonl       a text and a label in each row's columns
    marked     cooking.txt                     fastText's: `__label__food __label__meat how long does a steak rest`
    documents  pos/1.txt, neg/1.txt            a folder a label, a text a file
    items      French.txt, Greek.txt           a file a label, a text a line; rt-polarity.pos and rt-polarity.neg, too,
                                               where the suffix is what differs

A folder called train, valid or test names the part, and so does such a word in a file's name (named_parts.py). Members
of archives are files like any other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from riverrun.data.encoding import lines
from riverrun.data.named_parts import parts_by_name
from riverrun.data.sides import are_sides
from riverrun.data.sources import files_below, head, is_beside, without_compression
from riverrun.data.tables import PARTS, table_of
from riverrun.errors import DataError, nearest

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
MARK = "__label__"
_PACKED = (".gz", ".bz2", ".xz")
_PLAIN = ("", ".txt", ".text")
HEAD = 1 << 16  # bytes that are looked at
PIPED = "standard input"

TEXT_NAMES = (
    "text", "sentence", "review", "comment", "content", "message", "tweet", "body", "document", "phrase", "utterance",
    "question", "headline", "title", "name", "description",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "class", "category", "sentiment", "stars", "star", "rating", "target", "tag", "tags", "language",
    "intent", "topic", "polarity", "genre", "score", "y",
)  # fmt: skip


class Entry(NamedTuple):
    """A file, or a member of an archive. place: its folders and its name below what was given; head: its beginning."""

    name: str
    place: tuple[str, ...]
    head: bytes

    @property
    def stem(self) -> str:
        """Its name without the suffixes of format and compression."""
        return PurePosixPath(self._plain).stem

    @property
    def suffix(self) -> str:
        """The suffix of its format, in lower case, that of compression taken away."""
        return PurePosixPath(self._plain).suffix.lower()

    @property
    def _plain(self) -> str:
        last = self.place[-1]
        return last[: -len(PurePath(last).suffix)] if PurePath(last).suffix.lower() in _PACKED else last


class How(NamedTuple):
    """How one file is to be read. kind: table, marked, documents or items; label, part: "" where the rows say so."""

    kind: str
    label: str = ""
    part: str = ""


def layout(entries: Sequence[Entry]) -> tuple[dict[str, How], str]:
    """How each entry is to be read, by its name (without those that are no data), and the sentence of what was found.

    Raises DataError where that cannot be told.
    """
    kept = [entry for entry in entries if not is_beside(entry.place[-1])] or list(entries)
    kept = _below_common(kept)
    parts = parts_by_name(["/".join(entry.place) for entry in kept])
    part_of = {entry.name: parts.get("/".join(entry.place), "") for entry in kept}
    if all(entry.suffix in TABLES for entry in kept):
        kinds = ", ".join(sorted({entry.suffix for entry in kept}))
        return {e.name: How("table", part=part_of[e.name]) for e in kept}, f"a table ({kinds})"
    if all(_is_marked(entry.head) for entry in kept):
        return {e.name: How("marked", part=part_of[e.name]) for e in kept}, f"lines that begin with {MARK}"
    mixed = next((e for e in kept if e.suffix in TABLES or _is_marked(e.head)), None)
    if mixed is not None:
        other = next(e for e in kept if e.suffix not in TABLES and not _is_marked(e.head))
        raise DataError(f"{other.name}: expected the same kind of file as {mixed.name}. Give one kind at a time.")
    if all(len(entry.place) > 1 and entry.place[-2].lower() not in PARTS for entry in kept):
        return {e.name: How("documents", e.place[-2], _part(*e.place[:-2])) for e in kept}, "a folder a label"
    labels = _file_labels(kept)
    found = {e.name: How("items", labels[e.name], _part(*e.place[:-1])) for e in kept}
    if len({how.label for how in found.values()}) < 2:
        raise DataError(
            f"{kept[0].name}: expected labelled texts: a table (.csv, .tsv, .jsonl) with a text and a label, lines "
            f"that begin with {MARK}, a folder a label, or a file a label; this is one file of plain text."
        )
    return found, "a file a label, an item a line"


def columns(header: Sequence[str], text: str, label: str) -> tuple[str, str]:
    """The names of the columns with text and label: those that were asked for, or that have a usual name.

    Of two columns (besides `split`) one with a usual name is enough. Raises DataError where they cannot be told.

    >>> columns(["id", "Review", "stars"], "", "")
    ('Review', 'stars')
    """
    rest = [name for name in header if name.strip().lower() != "split"]
    found = {"text": text or usual(rest, TEXT_NAMES), "label": label or usual(rest, LABEL_NAMES)}
    for one, other in (("text", "label"), ("label", "text")):
        if not found[one] and found[other] in rest and len(rest) == 2:
            found[one] = next(name for name in rest if name != found[other])
    for role, name in found.items():
        there = ", ".join(map(repr, header)) or "none"
        if not name:
            raise DataError(f"no column is known to hold the {role}; there is {there}. Name it with --{role}.")
        if name not in header:
            raise DataError(f"no column {name!r}; there is {there}. Name one with --{role}.{nearest(name, header)}")
    if found["text"] == found["label"]:
        raise DataError(f"{found['text']!r} cannot be both text and label. Name them with --text and --label.")
    return found["text"], found["label"]


def recognise(paths: Sequence[str], encoding: str = "utf-8") -> str | None:
    """Why these paths are labelled texts, or None where they are not, or may as well be something else."""
    if len(paths) == 1 and Path(paths[0]).is_dir():
        return _recognise_folder(Path(paths[0]), encoding)
    files = [Path(path) for path in paths if Path(path).is_file()]
    if not files or len(files) < len(paths):
        return None
    name, suffix = paths[0], without_compression(paths[0])[1]
    if suffix in TABLES:
        return _recognise_table(name, encoding)
    if suffix == ".zip":
        return _recognise_archive(name, files[0])
    if all(_is_marked(head(file, HEAD)) for file in files):
        return f"{name}: its lines begin with {MARK}"
    suffixes = _differing_suffixes([Entry(str(file), (file.name,), b"") for file in files])
    if len(suffixes) < 2 or are_sides(suffixes):
        return None
    return f"{name} and its like: the suffixes {_listed(suffixes)} are labels"


def _recognise_folder(folder: Path, encoding: str) -> str | None:
    files = files_below(folder, beside=False)
    entries = [Entry(str(p), p.relative_to(folder).parts, b"") for p in files]
    if not entries:
        return None
    if all(
        len(e.place) > 1 and e.place[-2].lower() not in PARTS and e.suffix in _PLAIN for e in _below_common(entries)
    ):
        counts = Counter(entry.place[-2] for entry in entries)
        if len(counts) > 1 and min(counts.values()) > 1:
            return f"{folder} is a folder of folders ({_listed(counts)}): each is a label"
        return None
    if all(entry.suffix in TABLES for entry in entries):
        return _recognise_table(entries[0].name, encoding)
    suffixes = _differing_suffixes(entries)
    if len(suffixes) > 1 and not are_sides(suffixes):
        return f"{folder}: the suffixes {_listed(suffixes)} are labels"
    alike = len(entries) > 1 and all(len(e.place) == 1 and e.suffix in _PLAIN for e in entries)
    if alike and all(_is_list(head(file, HEAD)) for file in files):
        return (
            f"{folder} is a folder of lists of short items: each file is a label ({_listed(e.stem for e in entries)})"
        )
    return None


def header(path: str, encoding: str) -> list[str]:
    """The columns of a table, or the fields of its first row; none of what is no table, or cannot be read."""
    suffix = without_compression(path)[1]
    text = head(Path(path), HEAD).decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    try:
        return table_of(lines(iter([text])), path, suffix).header or [] if suffix in TABLES else []
    except DataError:
        return []


def _recognise_table(name: str, encoding: str) -> str | None:
    there = header(name, encoding)
    text, label = usual(there, TEXT_NAMES), usual(there, LABEL_NAMES)
    return f"{name} has columns {text!r} and {label!r}: a text and its label" if text and label else None


def _recognise_archive(name: str, path: Path) -> str | None:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile):
        return None
    entries = [Entry(m, PurePosixPath(m).parts, b"") for m in members if not any(_hidden(PurePosixPath(m).parts))]
    suffixes = _differing_suffixes([e for e in entries if not is_beside(e.place[-1])])
    return f"{name}: the suffixes {_listed(suffixes)} of its members are labels" if len(suffixes) > 1 else None


def _file_labels(entries: Sequence[Entry]) -> dict[str, str]:
    """Of each entry its stem, or its suffix where that is what differs."""
    if _differing_suffixes(entries):
        return {entry.name: entry.suffix[1:] for entry in entries}
    return {entry.name: entry.stem for entry in entries}


def _differing_suffixes(entries: Iterable[Entry]) -> list[str]:
    """The suffixes (without their dots) where they are all that tells the files of each folder apart; else nothing."""
    stems: Mapping[tuple[str, ...], set[str]] = defaultdict(set)
    for entry in entries:
        stems[(*entry.place[:-1], entry.stem)].add(entry.suffix)
    sets = list(stems.values())
    if not sets or any(len(suffixes) < 2 or suffixes & {*TABLES, *_PLAIN, ".md", ".zip"} for suffixes in sets):
        return []
    return sorted({suffix[1:] for suffixes in sets for suffix in suffixes})


def _part(*names: str) -> str:
    """The part that one of the names is: of a file's stem and its folders."""
    return next((PARTS[name.lower()] for name in names if name.lower() in PARTS), "")


def _below_common(entries: Sequence[Entry]) -> list[Entry]:
    """The entries without the folders that all of them lie in."""
    kept = list(entries)
    while kept and all(len(entry.place) > 1 and entry.place[0] == kept[0].place[0] for entry in kept):
        kept = [entry._replace(place=entry.place[1:]) for entry in kept]
    return kept


def usual(header: Sequence[str], names: Sequence[str]) -> str:
    """The column that has one of the usual names, the first of them that there is; "" where none has."""
    by_name = {name.strip().lower(): name for name in reversed(header)}
    return next((by_name[name] for name in names if name in by_name), "")


def suffix_of(head: bytes) -> str:
    """The suffix that a table would have which begins like this; "" where it begins like none.

    >>> suffix_of(b'{"text": 1}'), suffix_of(b"text,label"), suffix_of(b"Once upon a time")
    ('.jsonl', '.csv', '')
    """
    first = _text(head).lstrip().partition("\n")[0]
    if first.startswith("{"):
        return ".jsonl"
    return ".csv" if not _is_marked(head) and any(mark in first for mark in ",;\t") else ""


def _is_marked(head: bytes) -> bool:
    lines = [line for line in _text(head).splitlines()[:20] if line.strip()]
    return bool(lines) and sum(line.startswith(MARK) for line in lines) > len(lines) / 2


def _is_list(head: bytes) -> bool:
    """Whether every line is a short item: at most 40 characters, and there are at least two."""
    lines = [line for line in _text(head).splitlines() if line.strip()]
    return len(lines) > 1 and max(map(len, lines)) <= 40 and sum(map(len, lines)) <= 25 * len(lines)


def _text(head: bytes) -> str:
    return head.decode("utf-8-sig", "replace")


def _hidden(parts: Iterable[str]) -> Iterable[bool]:
    return (part.startswith(".") or part == "__MACOSX" for part in parts)


def _listed(names: Iterable[str], most: int = 4) -> str:
    found = list(dict.fromkeys(names))
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
