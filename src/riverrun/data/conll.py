"""CoNLL files: one word a line, its annotations in columns beside it, a blank line after each sentence.

    CoNLL-U         ten columns with names (ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC), tabs between them;
                    `# comments`; a token of several words (1-2) and an empty node (1.1) have lines of their own, which
                    are kept and not tagged (universaldependencies.org/format.html)
    CoNLL-U Plus    the same with the columns that its first line names (`# global.columns = ID FORM UPOS`)
    columns         2 or more, between tabs or else spaces, the word first and, unless told, the tag last, as in
                    CoNLL-2000 and CoNLL-2003; lines of `-DOCSTART-` are kept and not tagged

A sentence keeps the lines that it was read from: `filled` gives back the file with nothing but the tags changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from riverrun.errors import OptionError, nearest

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
UNTAGGED = ("id", "form", "head", "deps")  # columns that are no tags: numbers of other words, and the word itself
EMPTY = "_"  # in CoNLL-U: nothing is annotated; of features and of what is in misc: there are none
DOCSTART = "-DOCSTART-"
LOOKED_AT = 100  # words that tell the columns of a file: the first one may be broken
PROMISED = (".conllu", ".conllup")  # suffixes that promise CoNLL-U
CONLL = {  # suffixes, and what a file is by them
    ".conllu": "CoNLL-U",
    ".conllup": "CoNLL-U Plus",
    **dict.fromkeys((".conll", ".iob", ".bio", ".iob2", ".bioes"), "CoNLL"),
}
_NUMBER = re.compile(r"([1-9][0-9]*)")
_RANGE = re.compile(r"([1-9][0-9]*)-([1-9][0-9]*)")
_NODE = re.compile(r"([0-9]+)\.([1-9][0-9]*)")
BLANKS = " \t"  # no others: a word may be a wide space
_SPACES = re.compile(f"([{BLANKS}]+)")
_ENDS = BLANKS + "\r\n"


class Layout(NamedTuple):
    """How the lines of a file are cut. names: of the columns, none in plain columns. width: how many there are.

    separator: "\\t", or "" for any number of spaces. word, tag: which column holds them, from 0; tag is None where the
    file has no column but the word, and `width` where they are to become one more column.
    """

    names: tuple[str, ...]
    width: int
    separator: str
    word: int
    tag: int | None

    @property
    def numbered(self) -> bool:
        """Whether the first column numbers the words, as in CoNLL-U."""
        return self.names[:1] == ("id",)

    @property
    def described(self) -> str:
        """`CoNLL-U, column upos`, `3 columns, the tag in column 3`."""
        if self.names:
            plus = "" if self.names == CONLLU else " Plus"
            return f"CoNLL-U{plus}" + (f", column {self.names[self.tag]}" if self.tag is not None else "")
        return f"{self.width} columns" + (f", the tag in column {self.tag + 1}" if self.tag is not None else "")


PLAIN = Layout((), 2, "\t", 0, 1)
"""Of what is no file yet: a word and its tag."""


class Sentence(NamedTuple):
    """A sentence as it stands in its file.

    words, tags: of each word; a tag is "" where none is annotated. lines: all lines from the end of the sentence before
    to the blank line after it, as they are. places: which of them is each word's. line: the first one's number, in the
    file of that name and layout.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: tuple[str, ...]
    places: tuple[int, ...]
    line: int
    name: str
    form: Layout

    def place(self, word: int) -> str:
        """Where a word stands: `name:line`."""
        return f"{self.name}:{self.line + self.places[word]}"


class Broken(NamedTuple):
    """A sentence that cannot be read: the line at fault, by its number, and what was expected there and what came.

    lines: of the whole sentence, as they are.
    """

    line: int
    wrong: str
    lines: tuple[str, ...] = ()


def layout(table: Iterator[str], column: str = "", *, plus: bool = False) -> tuple[Layout, Iterator[str]]:
    """How the file is laid out, told from most of its first words, and its lines from the first one on.

    column: the column of the tags: a name, a number from 1, "last"; "" is upos in CoNLL-U and the last one elsewhere.
    plus: CoNLL-U by the file's name. Raises OptionError where there is no such column, or it holds no tags.
    """
    seen: list[str] = []
    names: tuple[str, ...] = CONLLU if plus else ()
    words: list[str] = []
    for line in table:
        seen.append(line)
        bare = line.strip(_ENDS)
        if bare.startswith("# global.columns"):
            names = tuple(bare.partition("=")[2].lower().split())
        elif bare and not bare.startswith(("# ", DOCSTART)):
            words.append(line.rstrip("\r\n"))
        if len(words) == LOOKED_AT:
            break
    rows = [word.split("\t") for word in words]
    if not names and sum(len(row) == len(CONLLU) and _is_id(row[0]) for row in rows) > len(rows) / 2:
        names = CONLLU
    lines = chain(seen, table)
    if names:
        word = names.index("form") if "form" in names else int(names[0] == "id")
        found = Layout(names, len(names), "\t", word, None)
        return found._replace(tag=_named(column or "upos", found)), lines
    separator = "\t" if sum("\t" in word for word in words) > len(words) / 2 else ""
    width = Counter(len(cells(word, separator)) for word in words).most_common(1)[0][0] if words else 0
    found = Layout((), width, separator, 0, None)
    return (found if width < 2 else found._replace(tag=_numbered(column or "last", found))), lines


def sentences(
    table: Iterable[str], form: Layout, name: str = "", *, tagged: bool = True
) -> Iterator[Sentence | Broken]:
    """The sentences of a file. The last one may have no words: it holds what stands after the last blank line.

    tagged: the tags are read, and expected; else they may be anything, or missing.
    """
    block: list[str] = []
    begin, full = 1, False
    for number, line in enumerate(table, 1):
        bare = line.strip(_ENDS)
        if full and bare and not block[-1].strip(_ENDS):  # what follows the blank lines
            yield _sentence(block, begin, form, name, tagged)
            block, begin, full = [], number, False
        block.append(line)
        full = full or bool(bare and not bare.startswith(DOCSTART) and not _is_comment(line, form))
    if block:
        yield _sentence(block, begin, form, name, tagged)


def filled(sentence: Sentence, tags: Sequence[str]) -> str:
    """The sentence's lines with these tags in the place of its own, all else as it was.

    Where the layout has the tags behind its last column, they become one more.
    """
    form = sentence.form
    lines = list(sentence.lines)
    assert form.tag is not None
    for place, tag in zip(sentence.places, tags, strict=True):
        line = lines[place]
        bare = line.rstrip("\r\n")
        end = line[len(bare) :]
        row = bare.split(form.separator) if form.separator else _SPACES.split(bare.strip(BLANKS))[::2]
        between = [form.separator] * len(row) if form.separator else _SPACES.split(bare.strip(BLANKS))[1::2]
        if form.tag == len(row):
            between.append(between[-1] if between else form.separator or " ")
            row.append(tag)
        else:
            row[form.tag] = tag
        lines[place] = row[0] + "".join(map(str.__add__, between, row[1:])) + end
    return "".join(lines)


def _sentence(block: list[str], begin: int, form: Layout, name: str, tagged: bool) -> Sentence | Broken:
    words: list[str] = []
    tags: list[str] = []
    places: list[int] = []
    numbers = _Numbers()
    for place, line in enumerate(block):
        bare = line.rstrip("\r\n")
        if not bare.strip(_ENDS) or bare.startswith(DOCSTART) or _is_comment(line, form, started=bool(words)):
            continue
        row = cells(bare, form.separator)
        wrong = _wrong_cells(row, form, tagged)
        if not wrong and form.numbered:
            wrong = numbers.wrong(row[0])
        if wrong:
            return Broken(begin + place, wrong, tuple(block))
        if form.numbered and not row[0].isdigit():
            continue  # a token of several words, or an empty node
        words.append(row[form.word])
        tags.append(_tag(row, form) if tagged else "")
        places.append(place)
    return Sentence(tuple(words), tuple(tags), tuple(block), tuple(places), begin, name, form)


def _wrong_cells(row: list[str], form: Layout, tagged: bool) -> str:
    if len(row) != form.width:
        return f"expected {form.width} {'tab-separated columns' if form.separator else 'columns'}, got {len(row)}"
    if not row[form.word].strip(BLANKS):
        return f"expected a word in column {form.word + 1}, got nothing"
    if tagged and form.tag is not None and not row[form.tag].strip(BLANKS):
        return f"expected a tag in column {form.tag + 1}, got nothing"
    return ""


class _Numbers:
    """The numbers of a CoNLL-U sentence, in their order: 1, 2-3, 2, 3, 3.1, 4."""

    def __init__(self) -> None:
        self.last, self.end, self.node = 0, 0, 0

    def wrong(self, cell: str) -> str:
        """What is wrong with the next line's number, "" where nothing is."""
        if found := _NUMBER.fullmatch(cell):
            if int(found[1]) != self.last + 1:
                return f"expected word {self.last + 1}, got {cell}"
            self.last, self.node = self.last + 1, 0
        elif found := _RANGE.fullmatch(cell):
            low, high = int(found[1]), int(found[2])
            if not self.last + 1 == low < high or low <= self.end:
                return f"expected the words of a token from {self.last + 1} on, got {cell}"
            self.end = high
        elif found := _NODE.fullmatch(cell):
            if (int(found[1]), int(found[2])) != (self.last, self.node + 1):
                return f"expected word {self.last + 1} or the empty node {self.last}.{self.node + 1}, got {cell}"
            self.node += 1
        else:
            return f"expected a word's number (1, 2-3 or 4.1), got {cell[:20]!r}"
        return ""


def _tag(row: list[str], form: Layout) -> str:
    assert form.tag is not None
    tag = row[form.tag]
    # In these two columns `_` says that there are no features; in the others, that nobody has annotated the word.
    empty = form.names and tag == EMPTY and form.names[form.tag] not in ("feats", "misc")
    return "" if empty and row[form.word] != EMPTY else tag


def cells(line: str, separator: str) -> list[str]:
    """The columns of a line, without its end."""
    return line.split(separator) if separator else [cell for cell in _SPACES.split(line)[::2] if cell]


def _is_id(cell: str) -> bool:
    return any(shape.fullmatch(cell) for shape in (_NUMBER, _RANGE, _NODE))


def _is_comment(line: str, form: Layout, *, started: bool = False) -> bool:
    """In plain columns `#` may be a word; a comment stands before a sentence, and has not the columns of a word."""
    if not line.startswith("#"):
        return False
    return form.numbered or (not started and len(cells(line.rstrip("\r\n"), form.separator)) != form.width)


def _named(column: str, form: Layout) -> int:
    """The place of a column of CoNLL-U, given by name or number."""
    tags = [name for name in form.names if name not in UNTAGGED]
    name = column.lower()
    if name == "last":
        name = form.names[-1]
    elif name.isdigit() and 1 <= int(name) <= form.width:
        name = form.names[int(name) - 1]
    if name not in tags:
        came = f"got {column!r}" + (", which holds no tags" if name in form.names else "")
        raise OptionError("column", f"expected one of {', '.join(tags)} in CoNLL-U, {came}.{nearest(name, tags)}")
    return form.names.index(name)


def _numbered(column: str, form: Layout) -> int:
    """The place of one of plain columns."""
    if column.lower() == "last":
        return form.width - 1
    if column.isdigit() and 2 <= int(column) <= form.width:
        return int(column) - 1
    raise OptionError(
        "column",
        f"expected a number from 2 to {form.width} or last, as the columns have no names, got {column!r}.",
    )
