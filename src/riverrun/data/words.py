"""Words: a vocabulary of the most frequent words, spaces kept.

A token is a word or one punctuation mark, with the single space before it if there is one, or one character of white
space; so every text is cut without a loss, and decoding gives it back wherever no word is unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riverrun.data.characters import as_text, listed, word_level
from riverrun.data.tokenizer import UNKNOWN, Tokenizer, Unseen
from riverrun.errors import DataError, UsageError

DEFAULT_SIZE = 20_000
# Both classes are written out, since \w and \s differ between the regular expressions of Python and of `tokenizers`
# (Python's \w breaks words at the vowel signs of Indic scripts, for one), and both have to cut alike.
SPACE = "\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_MARK = (
    "!-/:-@\\[-\\^`{-~\xa1-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u0589\u05be\u060c\u061b\u061f\u06d4\u0964\u0965"
    "\u2010-\u2027\u2030-\u205e\u20a0-\u20c0\u2190-\u2bff\u3001-\u3003\u3008-\u301f\u30fb"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\U0001f000-\U0001faff"
)
_LETTERS = f"[^{SPACE}{_MARK}]+"
PATTERN = f" ?{_LETTERS}(?:['’]{_LETTERS})*| ?[{_MARK}]|[{SPACE}]"
_FIND = re.compile(PATTERN)


def words_of(text: str) -> list[str]:
    """The tokens of a text, whatever the vocabulary."""
    return _FIND.findall(text)


def count_words(text: str) -> int:
    """How many tokens a text has, whatever the vocabulary."""
    return len(words_of(text))


def first_words(text: str, count: int) -> str:
    """The beginning of a text that has `count` tokens, or all of it where it has fewer."""
    end = 0
    for word in islice(_FIND.finditer(text), count):
        end = word.end()
    return text[:end]


class Words(Tokenizer):
    """One token a word. Id 0 is the unknown token, the others are in the order of their counts.

    >>> words = Words.learn(["to be, or not to be"], 0, 1)
    >>> [words.token(id) for id in words.encode("to be, not")]
    ['to', ' be', ',', ' not']
    """

    kind, unit, unknown = "words", "word", 0

    def __init__(self, words: Sequence[str]) -> None:
        """words: in the order of their ids, without the unknown token."""
        self.words = list(words)
        self._ids = {word: id for id, word in enumerate(self.words, 1)}
        self._symbols = [UNKNOWN.encode(), *(word.encode() for word in self.words)]

    @classmethod
    def learn(cls, pieces: Iterable[str | bytes], vocabulary: int, min_count: int) -> Words:
        counts: Counter[str] = Counter()
        for piece in pieces:
            counts.update(_FIND.findall(as_text(piece)))
        if not counts:
            raise DataError("the text is empty: there is no word to learn from.")
        if len(counts) == 1:
            raise DataError(f"the text is one word, {next(iter(counts))!r}: there is nothing to predict in it.")
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [word for word, count in ordered if count >= min_count][: (vocabulary or DEFAULT_SIZE) - 1]
        if not kept:
            raise UsageError(f"min_count: no word occurs {min_count:,} times; use less.")
        return cls(kept)

    @classmethod
    def restore(cls, content: dict[str, Any]) -> Words:
        if content["pre_tokenizer"]["pattern"]["Regex"] != PATTERN:
            raise ValueError("words are cut by another rule")
        ids = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
        if [id for _, id in ids] != list(range(len(ids))) or ids[0][0] != UNKNOWN:
            raise ValueError("ids are not 0, 1, 2, ...")
        return cls([word for word, _ in ids[1:]])

    @property
    def symbols(self) -> Sequence[bytes]:
        return self._symbols

    def encode(self, text: str | bytes, unseen: Unseen = "error") -> NDArray[np.int64]:
        words, ids = words_of(as_text(text)), self._ids
        found = np.fromiter((ids.get(word, 0) for word in words), np.int64, len(words))
        if unseen == "error" and not found.all():
            strange = sorted({word for word, id in zip(words, found, strict=True) if id == 0})
            raise UsageError(
                f"the text has words that are not in the vocabulary: {listed(strange)}. Leave them out, or write them "
                "otherwise (a word counts with the space before it)."
            )
        return found

    def to_json(self) -> bytes:
        return word_level([UNKNOWN, *self.words], PATTERN)
