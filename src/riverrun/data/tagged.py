"""TagCorpus: tagged sentences from CoNLL files, or from Python; and the parts that they are split into.

    u = the first 8 bytes of the SHA-256 of the sentence's words, with a space between two, as a big-endian number, over
    2^64; u < 1 - valid - test is training, the next `valid` validation, the rest test

Files called train, dev or test are those parts (named_parts.py). A part that gets none has the sentence nearest to it.
No seed: the same sentences give the same parts in any order, and equal ones lie on one side.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from riverrun.data.conll import BLANKS, DOCSTART, PROMISED, Broken, Sentence, layout, sentences
from riverrun.data.encoding import decoded, fault, lines
from riverrun.data.labelled_split import fraction
from riverrun.data.named_parts import member_parts
from riverrun.data.readers import FileRecord
from riverrun.data.sources import Member, Source, documents, find, reading
from riverrun.data.tag_options import TagOptions
from riverrun.errors import DataError, OptionError
from riverrun.files import sha256

Progress = Callable[[int, int], None]
_REASONS = 20  # of the sentences dropped, so many are told one by one


class TagCorpus:
    """Sentences that are read when they are first asked for, and kept. sources: files. options: how to read them."""

    def __init__(self, sources: Sequence[Source], options: TagOptions) -> None:
        self.sources, self.options = list(sources), options
        self._read: tuple[list[Sentence], list[FileRecord]] | None = None
        self._parts: list[str] = []

    @property
    def name(self) -> str:
        """The first file, and how many more there are, for messages."""
        more = f" and {len(self.sources) - 1:,} more" if len(self.sources) > 1 else ""
        return self.sources[0].name + more

    @property
    def sentences(self) -> list[Sentence]:
        """All sentences with words, in order. Raises DataError naming file and line of a broken one."""
        return self.load()._loaded()[0]

    @property
    def parts(self) -> list[str]:
        """Of each sentence train, valid or test, as its file's name says; "" where it says nothing."""
        self.load()
        return self._parts

    @property
    def files(self) -> list[FileRecord]:
        """The record of every file, for data.json: rows are its sentences."""
        return self.load()._loaded()[1]

    def load(self, progress: Progress | None = None) -> TagCorpus:
        """Read everything now. progress(bytes read, bytes in all) is called after each file."""
        if self._read is None:
            found: list[Sentence] = []
            records = []
            before, total = 0, sum(source.size for source in self.sources)
            parts = member_parts(self.sources)
            for source in self.sources:
                kept, reasons, dropped = [], [], 0
                for member in documents(source):
                    with reading(member.name):
                        for sentence in _sentences(member, self.options):
                            if isinstance(sentence, str):
                                dropped += 1
                                reasons.append(sentence)
                            elif sentence.words:
                                kept.append(sentence)
                                self._parts.append(parts.get(member.name, ""))
                found += kept
                records.append(
                    FileRecord(source.name, source.sha256, source.size, len(kept), dropped, tuple(reasons[:_REASONS]))
                )
                before += source.size
                if progress is not None:
                    progress(before, total)
            if not found:
                why = next((f", as {record.reasons[0]}" for record in records if record.reasons), "")
                raise DataError(f"{self.name}: no sentence in it{why}. Give a CoNLL file: one word a line.")
            self._read = found, records
        return self

    def _loaded(self) -> tuple[list[Sentence], list[FileRecord]]:
        assert self._read is not None
        return self._read


class TagSplits(NamedTuple):
    """The sentences of each part, and the rule in words."""

    train: list[Sentence]
    valid: list[Sentence]
    test: list[Sentence]
    rule: str


def read(paths: Sequence[str | Path], options: TagOptions) -> TagCorpus:
    """The sentences in `paths`: files, folders, archives, `-` for standard input.

    Raises DataError where a path is missing, unreadable or of zero bytes; what lies inside is looked at later.
    """
    if not paths:
        raise DataError(
            "no data given: a tagger learns from tagged sentences. Name a CoNLL file, or - for standard input."
        )
    sources = find(paths, beside=False)
    if not any(source.size for source in sources):
        raise DataError(f"{sources[0].name}: empty (0 bytes). Give a CoNLL file: one word a line.")
    return TagCorpus(sources, options)


def given(X: Sequence[Sequence[str]], y: Sequence[Sequence[str]], options: TagOptions) -> TagCorpus:
    """The same of Python's lists: sentences as lists of words, and for each a list of as many tags.

    Raises DataError naming by its place, from 1 on, what has no such form.
    """
    if len(X) != len(y):
        raise DataError(f"expected tags for every sentence, got {len(X):,} sentences and {len(y):,} lists of tags.")
    rows = []
    for number, (words, tags) in enumerate(zip(X, y, strict=True), 1):
        if isinstance(words, str) or isinstance(tags, str):
            raise DataError(f"sentence {number}: expected a list of words and one of tags, got text. Split it first.")
        if len(words) != len(tags):
            raise DataError(f"sentence {number}: expected a tag for each of {len(words)} words, got {len(tags)}.")
        for word, tag in zip(words, tags, strict=True):
            for what, cell in (("word", word), ("tag", tag)):
                if not isinstance(cell, str) or not cell.strip(BLANKS) or any(c in cell for c in "\t\r\n"):
                    raise DataError(
                        f"sentence {number}: expected a {what}, text without tabs and line ends, got {cell!r}."
                    )
            if word.startswith(DOCSTART):
                raise DataError(
                    f"sentence {number}: {word} marks where a document begins, and is no word. Leave the sentence out."
                )
            rows.append(f"{word}\t{tag}\n")
        rows.append("\n")
    data = "".join(rows).encode("utf-8", "surrogatepass")
    source = Source("the sentences given", len(data), sha256(data), partial(io.BytesIO, data))
    return TagCorpus([source], replace(options, column="last", encoding="utf-8"))


def split(corpus: TagCorpus, options: TagOptions, *, valid: TagCorpus | None, test: TagCorpus | None) -> TagSplits:
    """The parts of a corpus. valid, test: the files that the options name.

    Raises DataError where a part would be empty.
    """
    told = {part: corpus.parts.count(part) for part in ("valid", "test")}
    shares = {
        "valid": options.valid_share * (valid is None and not told["valid"]),
        "test": options.test_share * (test is None and not told["test"]),
    }
    parts: dict[str, list[Sentence]] = {"train": [], "valid": [], "test": []}
    for part, sentence in zip(corpus.parts, corpus.sentences, strict=True):
        parts[part or "train"].append(sentence)
    words = [f"{part} as the files' names say ({count:,})" for part, count in told.items() if count]
    if any(shares.values()):
        sentences, parts["train"] = parts["train"], []
        keys = [" ".join(sentence.words) for sentence in sentences]
        part_of = _by_hash(keys, shares)
        for key, sentence in zip(keys, sentences, strict=True):
            parts[part_of[key]].append(sentence)
        said = " and ".join(f"{share:g} for {part}" for part, share in shares.items() if share)
        words.append(f"{said} by the SHA-256 of the sentence's words, equal ones on one side")
    for part, other in (("valid", valid), ("test", test)):
        if other is not None:
            parts[part] = other.sentences
            words.append(f"{part} from {other.name}")
    for part, found in parts.items():
        if not found:
            raise DataError(
                f"{corpus.name}: too few sentences to split: of {len(corpus.sentences):,} none is left for the {part} "
                "part. Give more, or separate files (--valid, --test)."
            )
    return TagSplits(parts["train"], parts["valid"], parts["test"], "; ".join(words))


def _by_hash(keys: Sequence[str], shares: Mapping[str, float]) -> dict[str, str]:
    """The part of every key. A part that the shares leave empty gets the key that lies nearest to it."""
    places = {key: fraction(key) for key in keys}
    test, valid = 1 - shares["test"], 1 - shares["test"] - shares["valid"]
    found = {key: "test" if u >= test else "valid" if u >= valid else "train" for key, u in places.items()}
    for part in ("test", "valid"):
        trained = [key for key, of in found.items() if of == "train"]
        if shares[part] and part not in found.values() and len(trained) > 1:
            found[max(trained, key=places.__getitem__)] = part
    return found


def _sentences(member: Member, options: TagOptions) -> Iterator[Sentence | str]:
    """The sentences of a file; where bad ones are dropped, the reason in the place of each of those."""
    skip = options.skip_bad_rows
    text = lines(decoded(member.stream, member.name, options.encoding, keep_bad=skip))
    try:
        form, table = layout(text, options.column, plus=member.suffix in PROMISED)
    except OptionError as error:
        raise DataError(f"{member.name}: column: {error.problem} Name another (--column).") from None
    if form.tag is None and form.width:
        raise DataError(f"{member.name}: expected words and their tags in columns, got one column.")
    for sentence in sentences(table, form, member.name):
        wrong = sentence if isinstance(sentence, Broken) else _unreadable(sentence) if skip else None
        if wrong is None:
            assert isinstance(sentence, Sentence)
            yield sentence
        elif skip:
            yield f"{member.name}:{wrong.line}: {wrong.wrong}"
        else:
            raise DataError(
                f"{member.name}:{wrong.line}: {wrong.wrong}. Mend it, or drop such sentences (--skip-bad-rows)."
            )


def _unreadable(sentence: Sentence) -> Broken | None:
    """Where a sentence has bytes that are no text."""
    why = fault("".join(sentence.lines))
    if why is None:
        return None
    place = next(place for place, line in enumerate(sentence.lines) if fault(line))
    return Broken(sentence.line + place, why)
