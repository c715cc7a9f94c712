"""Tokenizer: text <-> ids, whatever the unit.

The contract, and the lookup from the names that the command line knows (chars, bytes, words, bpe) to the file that
implements each. `to_json` writes the format of Hugging Face's `tokenizers`, so that any program that reads it gets the
same ids; no pickle, no code.
"""

from __future__ import annotations

import codecs
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from riverrun.errors import ModelError, UsageError, nearest

Unseen = Literal["error", "unknown"]
Encoded = tuple[NDArray[np.int64], list[int]]  # the ids of many texts, and how many each has
UNKNOWN = "<unk>"
# Imported when asked for: each file needs the contract below, and bpe a library that takes its time.
_HOMES = {
    "chars": ("riverrun.data.characters", "Characters"),
    "bytes": ("riverrun.data.characters", "Bytes"),
    "words": ("riverrun.data.words", "Words"),
    "spaces": ("riverrun.data.spaced", "Spaced"),
    "bpe": ("riverrun.data.subwords", "Subwords"),
}


class Tokenizer(ABC):
    """Text to ids and back: `decode(encode(text)) == text` wherever nothing is unknown.

    kind: chars, bytes, words or bpe. unit: the noun of one token (character, byte, word, token).
    unknown: the id that stands for what was not seen, None where there is none. spelling: the nats that it takes to say
    what an unknown token was, beyond that it is unknown: a code for the text has to spend them; 0 where that is not
    counted (how an unknown word is spelt is not known here).

    >>> tokenizer = Tokenizer.train(["hello"], "chars")
    >>> tokenizer.encode("hole").tolist(), tokenizer.decode([1, 0, 2, 2, 3])
    ([1, 3, 2, 0], 'hello')
    """

    kind: str
    unit: str
    unknown: int | None
    spelling: float = 0.0

    @staticmethod
    def train(pieces: Iterable[str | bytes], kind: str, vocabulary: int = 0, min_count: int = 1) -> Tokenizer:
        """A vocabulary made of the text in `pieces` (`piece.text for piece in corpus.pieces()`).

        vocabulary: most tokens (0: the kind's default). min_count: rarer characters and words become unknown.
        Raises DataError for text that is empty, or of one symbol only (there is nothing to predict in it).
        """
        return _kind(kind).learn(pieces, vocabulary, min_count)

    @staticmethod
    def from_json(data: bytes) -> Tokenizer:
        """The tokenizer that `to_json` wrote. Raises ModelError where the bytes are not one."""
        try:
            content = json.loads(data)
            return _kind(_kind_of(content)).restore(content)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ModelError(f"tokenizer.json: not a tokenizer that riverrun wrote ({error}).") from None

    @classmethod
    @abstractmethod
    def learn(cls, pieces: Iterable[str | bytes], vocabulary: int, min_count: int) -> Tokenizer:
        """What `train` does, for one kind."""

    @classmethod
    @abstractmethod
    def restore(cls, content: dict[str, Any]) -> Tokenizer:
        """What `from_json` does, for one kind."""

    @property
    @abstractmethod
    def symbols(self) -> Sequence[bytes]:
        """The UTF-8 bytes that each id stands for (parts of a character for bytes and bpe)."""

    @abstractmethod
    def encode(self, text: str | bytes, unseen: Unseen = "error") -> NDArray[np.int64]:
        """The ids of `text`.

        unseen: "error" raises UsageError naming characters or words that the vocabulary lacks; "unknown" gives them the
        id `unknown` (and raises DataError if the vocabulary has none).
        """

    @abstractmethod
    def to_json(self) -> bytes:
        """The content of tokenizer.json."""

    def covering(self, characters: Collection[str]) -> Tokenizer:
        """This tokenizer where it can encode all `characters` (perhaps as unknown); else one that can, by an unknown
        token, and that knows no more than this one."""
        return self

    def encode_each(self, texts: Sequence[str | bytes], unseen: Unseen = "error") -> Encoded:
        """The ids of many texts, one after the other, and how many each has."""
        arrays = [self.encode(text, unseen) for text in texts]
        return np.concatenate(arrays) if arrays else np.zeros(0, np.int64), [len(array) for array in arrays]

    @property
    def size(self) -> int:
        """How many tokens there are; ids are 0 ... size - 1."""
        return len(self.symbols)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned dtype that holds every id."""
        return np.min_scalar_type(self.size - 1)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[size]: how many characters begin in each token, so that their sum over ids counts the characters of a text.

        The unknown token counts 1, which is exact for characters and an underestimate for words.
        """
        symbols = self.symbols
        counts = [sum(byte & 0xC0 != 0x80 for byte in symbol) for symbol in symbols]
        if self.unknown is not None:
            counts[self.unknown] = 1
        return np.asarray(counts, np.int64)

    def token(self, id: int) -> str:
        """One token to show to a reader: control characters and broken bytes are written out.

        >>> Tokenizer.train(["a\\nb"], "chars").token(0)
        '\\\\n'
        """
        try:
            text = self.symbols[id].decode()
        except UnicodeDecodeError:
            return "".join(f"\\x{byte:02x}" for byte in self.symbols[id])
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that `ids` stand for."""
        symbols = self.symbols
        return b"".join([symbols[int(id)] for id in ids])

    def decode(self, ids: Iterable[int]) -> str:
        """The text that `ids` stand for; bytes that are not UTF-8 come out as U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def stream(self) -> Callable[[int], str]:
        """A function that takes id after id and gives the text that each completes (perhaps none)."""
        decoder, symbols = codecs.getincrementaldecoder("utf-8")(errors="replace"), self.symbols
        return lambda id: decoder.decode(symbols[int(id)])


def _kind(kind: str) -> type[Tokenizer]:
    if kind not in _HOMES:
        raise UsageError(f"tokens: expected one of {', '.join(_HOMES)}, got {kind!r}.{nearest(kind, _HOMES)}")
    home, name = _HOMES[kind]
    found: type[Tokenizer] = getattr(import_module(home), name)
    return found


def _kind_of(content: dict[str, Any]) -> str:
    """The kind, from the parts of a tokenizer.json that tell them apart."""
    model, before = content["model"], content["pre_tokenizer"]
    if model["type"] == "WordLevel":
        return _by_pattern(before["pattern"]["Regex"])
    if before["type"] == "ByteLevel" and not model["merges"]:
        return "bytes"
    if before["type"] == "Sequence":
        return "bpe"
    raise ValueError(f"unexpected model {model['type']!r} after {before['type']!r}")


def _by_pattern(pattern: str) -> str:
    from riverrun.data.spaced import PATTERN

    return {r"[\s\S]": "chars", PATTERN: "spaces"}.get(pattern, "words")
