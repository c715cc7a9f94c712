"""TagCoder: what a tagger knows of words, letters and tags, and how sentences become numbers by it.

A word is looked up as it is written, then in lower case; what is neither is unknown, and known by its letters alone
(and by its pretrained vector, where there is one). The vocabulary is that of the training part.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.data.conll import PLAIN, Layout
from riverrun.data.schemes import scheme
from riverrun.data.vectors import Vectors
from riverrun.errors import DataError, ModelError

UNKNOWN = 0  # the id of a word, letter or vector that is not known
BEGIN, END = 1, 2  # the letters before and after a word
FIRST = 3  # the id of the first true letter
LETTERS = 32  # of a longer word the first and the last half of these are read
RARE = 2  # letters of fewer distinct words than this are the unknown letter, so that it is trained
IGNORED = -1  # the id of a tag that is not given, or that the training part lacks
FORMAT = 1

Integers = NDArray[np.int64]


class Lexicon(NamedTuple):
    """N distinct words by number. words: [N] ids. vectors: [N] rows of the pretrained vectors, 0 where there is none.

    letters: [N, LETTERS + 2] ids, with their begin and end. lengths: [N], how many those are.
    """

    words: Integers
    vectors: Integers
    letters: Integers
    lengths: Integers


class Coded(NamedTuple):
    """Sentences in numbers, one after the other. words: [M] rows of the lexicon. tags: [M] ids, -1 where not counted.

    starts: [S + 1], where each begins and the last one ends.
    """

    lexicon: Lexicon
    words: Integers
    tags: Integers
    starts: Integers

    @property
    def lengths(self) -> Integers:
        """[S], words of each sentence."""
        return np.diff(self.starts)


@dataclass(frozen=True, kw_only=True)
class TagCoder:
    """Words of the training part and how often it has each, the most frequent first; letters; tags.

    known: so many of the words, the first ones, have an id of their own; the others are unknown. form: how the first
    file is laid out. scheme: how tags mark spans (schemes.py), or "".
    vectors: pretrained ones, for words known and unknown; their matrix is empty where the model holds them. shown: a
    few held-out sentences, whose tags are shown while a model trains.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    known: int
    letters: str
    tags: tuple[str, ...]
    form: Layout
    scheme: str = ""
    vectors: Vectors | None = field(default=None, compare=False)
    shown: tuple[tuple[str, ...], ...] = ()

    @staticmethod
    def of(
        words: Iterable[Sequence[str]],
        tags: Sequence[Sequence[str]],
        *,
        min_count: int = 1,
        form: Layout = PLAIN,
        vectors: Vectors | None = None,
        shown: Sequence[Sequence[str]] = (),
    ) -> TagCoder:
        """The vocabularies of a training part. min_count: rarer words are unknown.

        >>> coder = TagCoder.of([["the", "cat", "sat"]], [["D", "N", "V"]])
        >>> coder.words, coder.tags
        (('the', 'cat', 'sat'), ('D', 'N', 'V'))
        """
        seen = Counter(word for sentence in words for word in sentence)
        letters = Counter(letter for word in seen for letter in set(word))
        given = Counter(tag for sentence in tags for tag in sentence if tag)
        frequent = seen.most_common()
        return TagCoder(
            words=tuple(word for word, _ in frequent),
            counts=tuple(count for _, count in frequent),
            known=sum(count >= min_count for _, count in frequent),
            letters="".join(letter for letter, count in letters.most_common() if count >= RARE),
            tags=tuple(tag for tag, _ in given.most_common()),
            form=form,
            scheme=scheme(tags),
            vectors=vectors,
            shown=tuple(tuple(sentence) for sentence in shown),
        )

    @cached_property
    def _word_ids(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words[: self.known], 1)}

    @cached_property
    def _seen(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def _letter_ids(self) -> dict[str, int]:
        return {letter: place for place, letter in enumerate(self.letters, FIRST)}

    @cached_property
    def _tag_ids(self) -> dict[str, int]:
        return {tag: place for place, tag in enumerate(self.tags)}

    def saw(self, word: str) -> bool:
        """Whether the training part has the word, as it is written."""
        return word in self._seen

    def knows(self, tag: str) -> bool:
        """Whether the training part has the tag."""
        return tag in self._tag_ids

    def word(self, word: str) -> int:
        """Its id: of the word as it is written, else in lower case, else UNKNOWN."""
        ids = self._word_ids
        return ids.get(word) or ids.get(word.lower(), UNKNOWN)

    def spelt(self, word: str) -> list[int]:
        """The ids of its letters between BEGIN and END; of a long word both ends."""
        if len(word) > LETTERS:
            word = word[: LETTERS // 2] + word[-(LETTERS // 2) :]
        return [BEGIN, *(self._letter_ids.get(letter, UNKNOWN) for letter in word), END]

    def encode(self, words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]] | None = None) -> Coded:
        """Sentences as numbers. tags: "" is not given; one that training lacks is not counted either (IGNORED)."""
        rows: dict[str, int] = {}
        flat = np.fromiter((rows.setdefault(word, len(rows)) for sentence in words for word in sentence), np.int64)
        ids = np.full(len(flat), IGNORED, np.int64)
        if tags is not None:
            ids = np.fromiter((self._tag_ids.get(tag, IGNORED) for sentence in tags for tag in sentence), np.int64)
        letters = np.zeros((len(rows), LETTERS + 2), np.int64)
        lengths = np.zeros(len(rows), np.int64)
        for place, word in enumerate(rows):
            spelt = self.spelt(word)
            letters[place, : len(spelt)] = spelt
            lengths[place] = len(spelt)
        found = [self.vectors.find(word) for word in rows] if self.vectors is not None else [0] * len(rows)
        lexicon = Lexicon(
            np.fromiter(map(self.word, rows), np.int64, len(rows)), np.array(found, np.int64), letters, lengths
        )
        starts = np.concatenate([[0], np.cumsum([len(sentence) for sentence in words], dtype=np.int64)])
        return Coded(lexicon, flat, ids, starts.astype(np.int64))

    # Files ------------------------------------------------------------------------------------------------------------

    def files(self) -> dict[str, bytes]:
        """tokenizer.json and labels.json of a model folder; the vectors' matrix is with the model's weights."""
        tokenizer = {
            "format": FORMAT,
            "words": self.words,
            "counts": self.counts,
            "known": self.known,
            "letters": self.letters,
            "shown": self.shown,
            "vectors": None if self.vectors is None else {"width": self.vectors.width, "words": self.vectors.words},
        }
        labels = {"format": FORMAT, "layout": self.form._asdict(), "scheme": self.scheme, "labels": self.tags}
        return {
            name: (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
            for name, value in (("tokenizer.json", tokenizer), ("labels.json", labels))
        }

    @staticmethod
    def from_files(files: Mapping[str, bytes]) -> TagCoder:
        """What `files` wrote. Raises ModelError where it is something else."""
        try:
            tokenizer, labels = (json.loads(files[name]) for name in ("tokenizer.json", "labels.json"))
            vectors = tokenizer["vectors"]
            return TagCoder(
                words=tuple(tokenizer["words"]),
                counts=tuple(tokenizer["counts"]),
                known=tokenizer["known"],
                letters=tokenizer["letters"],
                tags=tuple(labels["labels"]),
                form=Layout(**{**labels["layout"], "names": tuple(labels["layout"]["names"])}),
                scheme=labels["scheme"],
                shown=tuple(tuple(sentence) for sentence in tokenizer["shown"]),
                vectors=None if vectors is None else Vectors.named(tuple(vectors["words"]), vectors["width"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"tokenizer.json, labels.json: not the vocabularies of a tagger ({type(error).__name__}: {error}). "
                "Restore the folder from a copy."
            ) from None


def check(coder: TagCoder, name: str) -> None:
    """DataError where there is nothing to learn from: no tags, or only one."""
    if len(coder.tags) < 2:
        came = f"only {coder.tags[0]!r}" if coder.tags else "none"
        raise DataError(
            f"{name}: expected words with two different tags or more in the training part, got {came}. "
            "Name the column that holds them (--column)."
        )
