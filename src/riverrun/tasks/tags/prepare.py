"""prepare: from the files that a user names to vocabularies and the parts of a split, with the record for data.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from riverrun.data.conll import Sentence
from riverrun.data.readers import FileRecord
from riverrun.data.sources import find
from riverrun.data.tag_options import TagOptions
from riverrun.data.tagged import TagCorpus, TagSplits, read, split
from riverrun.data.vectors import read_vectors
from riverrun.data.vocabularies import Coded, TagCoder, check

COMMON = 20  # tags and words that `data peek` shows
BEGINS = 3  # sentences
SHOWN, SAMPLES = range(4, 16), 3  # words and number of the sentences that are tagged while a model trains
NAMED = 5  # unseen tags that are told by name


class Prepared:
    """Sentences that are ready to be trained on: parts, vocabularies, and the arrays that batches are made of."""

    def __init__(self, files: list[FileRecord], splits: TagSplits, coder: TagCoder) -> None:
        self.files, self.splits, self.coder = files, splits, coder
        self.train, self.valid = coded(coder, splits.train), coded(coder, splits.valid)

    @property
    def characters(self) -> None:
        """Progress is told in words."""
        return None

    @property
    def parts(self) -> dict[str, list[Sentence]]:
        """The sentences by the name of their part."""
        return {"train": self.splits.train, "valid": self.splits.valid, "test": self.splits.test}

    def lines(self) -> list[str]:
        """What is said of the sentences before training."""
        coder = self.coder
        counts = ", ".join(f"{len(part):,} {name}" for name, part in self.parts.items())
        words = sum(len(sentence.words) for sentence in self.splits.train)
        tags = f"{len(coder.tags):,} tags" + (f", spans as {coder.scheme}" if coder.scheme else "")
        lines = [
            f"format     {coder.form.described}: {tags}",
            f"words      {words:,} in training, {len(coder.words):,} different, {coder.known:,} in the vocabulary",
            f"sentences  {counts}",
            f"split      {self.splits.rule}",
        ]
        if coder.vectors is not None:
            found = sum(coder.vectors.find(word) > 0 for word in coder.words)
            lines.append(
                f"vectors    {len(coder.vectors.words):,} of {coder.vectors.width} numbers; they have {found:,} of the "
                "training part's words"
            )
        if unseen := self.unseen():
            listed = ", ".join(list(unseen)[:NAMED]) + (" ..." if len(unseen) > NAMED else "")
            lines.append(f"note       {sum(unseen.values()):,} held-out words have a tag that training lacks: {listed}")
        return lines

    def unseen(self) -> dict[str, int]:
        """Tags that only held-out parts have, and how many words have them."""
        tags = Counter(
            tag for part in (self.splits.valid, self.splits.test) for sentence in part for tag in sentence.tags
        )
        return {tag: count for tag, count in tags.most_common() if tag and not self.coder.knows(tag)}

    def peek(self) -> tuple[dict[str, Any], list[str]]:
        """The commonest tags and words of the training part, and its first sentences."""
        tags = Counter(tag for sentence in self.splits.train for tag in sentence.tags).most_common(COMMON)
        words = list(zip(self.coder.words, self.coder.counts, strict=True))[:COMMON]
        first = [list(zip(sentence.words, sentence.tags, strict=True)) for sentence in self.splits.train[:BEGINS]]
        lines = [
            "tags       " + "  ".join(f"{tag or 'none given'} {count:,}" for tag, count in tags),
            "words      " + "  ".join(f"{word} {count:,}" for word, count in words),
            "begins",
            *("  | " + " ".join(f"{word}/{tag}" for word, tag in sentence) for sentence in first),
        ]
        return {"tags": tags, "words": words, "beginning": first}, lines

    def record(self) -> dict[str, Any]:
        """What data.json holds: schema, SHA-256 of every file, split rule, counts, rows dropped."""
        coder = self.coder
        return {
            "files": [file._asdict() for file in self.files],
            "format": coder.form.described,
            "column": None if coder.form.tag is None else coder.form.tag + 1,
            "scheme": coder.scheme or None,
            "unit": "word",
            "vocabulary": coder.known,
            "vocabulary_rule": "made from the training part alone; a word that it lacks is known by its letters",
            "tags": len(coder.tags),
            "unseen_tags": self.unseen(),
            "split_rule": self.splits.rule,
            "parts": {
                name: {"sentences": len(part), "words": sum(len(sentence.words) for sentence in part)}
                for name, part in self.parts.items()
            },
            "rows_dropped": sum(file.dropped for file in self.files),
        }


def prepare(
    corpus: TagCorpus,
    options: TagOptions,
    *,
    coder: TagCoder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Read, split, make the vocabularies of the training part (or take `coder`), and turn words into numbers.

    progress(bytes read, bytes in all): of the files. Raises DataError and OptionError as reader, split and coder do.
    """
    corpus.load(progress)
    valid, test = (read([path], options) if path else None for path in (options.valid, options.test))
    splits = split(corpus, options, valid=valid, test=test)
    files = [file for part in (corpus, valid, test) if part is not None for file in part.files]
    if coder is None:
        vectors = None
        if options.vectors:
            vectors = read_vectors(options.vectors, limit=options.vectors_limit)
            files += [FileRecord(s.name, s.sha256, s.size, len(vectors.words), 0) for s in find([options.vectors])]
        coder = TagCoder.of(
            [sentence.words for sentence in splits.train],
            [sentence.tags for sentence in splits.train],
            min_count=options.min_count,
            form=splits.train[0].form,
            vectors=vectors,
            shown=[sentence.words for sentence in splits.valid if len(sentence.words) in SHOWN][:SAMPLES],
        )
        check(coder, corpus.name)
    return Prepared(files, splits, coder)


def coded(coder: TagCoder, sentences: Sequence[Sentence]) -> Coded:
    """Sentences and their tags in numbers."""
    return coder.encode([sentence.words for sentence in sentences], [sentence.tags for sentence in sentences])
