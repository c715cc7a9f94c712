"""Characters and Bytes: the two vocabularies in which a token is one symbol of the text.

A character's id is its rank by code point (after the unknown token, where there is one); a byte's id is its value. Both
encode by one look-up in a table, about 10 ms for a million characters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from riverrun.data.tokenizer import UNKNOWN, Encoded, Tokenizer, Unseen
from riverrun.errors import DataError, UsageError

_ABSENT: Final = -1
_POSSIBLE = 0x110000 - 0x800  # Unicode's code points without the surrogates
_JOINED = 1 << 20  # characters counted at once, since counting costs one pass over all code points


def described(symbol: str) -> str:
    """A character for an error message: 'é' (U+00E9)."""
    return f"{symbol!r} (U+{ord(symbol):04X})" if len(symbol) == 1 else repr(symbol)


def listed(symbols: Sequence[str], most: int = 8) -> str:
    """At most `most` of the symbols, described, and how many more there are."""
    more = f" and {len(symbols) - most:,} more" if len(symbols) > most else ""
    return ", ".join(described(symbol) for symbol in symbols[:most]) + more


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def as_text(text: str | bytes) -> str:
    """Text as str: bytes are read as UTF-8."""
    return text if isinstance(text, str) else text.decode()


class Characters(Tokenizer):
    """One token a character (Unicode code point).

    An unknown one costs, beyond being unknown, the choice among all characters that the vocabulary lacks: the chances
    of all characters then sum to 1, so that nats per character compare with those of models that can write them all.
    """

    kind, unit = "chars", "character"

    def __init__(self, characters: Sequence[str], unknown: bool = False) -> None:
        """characters: in the order of their ids, without the unknown token, which is id 0 if there is one."""
        self.characters = list(characters)
        self.unknown = 0 if unknown else None
        self.spelling = math.log(_POSSIBLE - len(self.characters)) if unknown else 0.0
        first = 1 if unknown else 0
        codes = np.asarray([ord(c) for c in self.characters], np.int64)
        self._table = np.full(int(codes.max(initial=0)) + 2, _ABSENT, np.int64)  # by code point; the last is never one
        self._table[codes] = np.arange(first, first + len(codes))
        self._symbols = [UNKNOWN.encode()] * first + [c.encode() for c in self.characters]

    @classmethod
    def learn(cls, pieces: Iterable[str | bytes], vocabulary: int, min_count: int) -> Characters:
        counts = np.zeros(0x110000, np.int64)
        waiting: list[str] = []
        size = 0
        for piece in pieces:
            waiting.append(as_text(piece))
            size += len(waiting[-1])
            if size >= _JOINED:
                counts += np.bincount(_codes("".join(waiting)), minlength=len(counts))
                waiting, size = [], 0
        counts += np.bincount(_codes("".join(waiting)), minlength=len(counts))
        seen = np.flatnonzero(counts)
        if not len(seen):
            raise DataError("the text is empty: there is no character to learn from.")
        if len(seen) == 1:
            raise DataError(
                f"the text is one character repeated, {described(chr(seen[0]))}: there is nothing to predict in it. "
                "Give real text."
            )
        kept = seen[counts[seen] >= min_count]
        if vocabulary and len(kept) + (len(kept) < len(seen)) > vocabulary:
            common = np.argsort(-counts[kept], kind="stable")[: vocabulary - 1]  # one is left for the unknown token
            kept = np.sort(kept[common])
        if not len(kept):
            raise UsageError(f"min_count: no character occurs {min_count:,} times; use less.")
        return cls([chr(code) for code in kept], unknown=len(kept) < len(seen))

    @classmethod
    def restore(cls, content: dict[str, Any]) -> Characters:
        ids = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
        if [id for _, id in ids] != list(range(len(ids))):
            raise ValueError("ids are not 0, 1, 2, ...")
        unknown = ids[0][0] == UNKNOWN
        return cls([symbol for symbol, _ in ids[unknown:]], unknown)

    @property
    def symbols(self) -> Sequence[bytes]:
        return self._symbols

    def covering(self, characters: Collection[str]) -> Tokenizer:
        if self.unknown is not None or set(characters) <= set(self.characters):
            return self
        return Characters(self.characters, unknown=True)

    def encode(self, text: str | bytes, unseen: Unseen = "error") -> NDArray[np.int64]:
        codes = _codes(as_text(text))
        ids: NDArray[np.int64] = self._table[np.minimum(codes, len(self._table) - 1)]
        if bool((ids == _ABSENT).any()):
            if unseen == "error" or self.unknown is None:
                strange = [chr(code) for code in np.unique(codes[ids == _ABSENT])]
                sentence = f"the text has characters that are not in the vocabulary: {listed(strange)}."
                if unseen == "error":
                    known = "".join(self.characters[:200])
                    raise UsageError(f"{sentence} Leave them out. Known are {known!r}.")
                raise DataError(f"{sentence} Train with --min-count 2 for an unknown token, or with --tokens bytes.")
            ids = np.where(ids == _ABSENT, self.unknown, ids)
        return ids

    def encode_each(self, texts: Sequence[str | bytes], unseen: Unseen = "error") -> Encoded:
        strings = [as_text(text) for text in texts]
        return self.encode("".join(strings), unseen), [len(string) for string in strings]

    def to_json(self) -> bytes:
        tokens = ([UNKNOWN] if self.unknown is not None else []) + self.characters
        return word_level(tokens, r"[\s\S]")


class Bytes(Tokenizer):
    """One token a byte: 256 of them, for text in any encoding and for what is no text at all."""

    kind, unit, unknown = "bytes", "byte", None

    @classmethod
    def learn(cls, pieces: Iterable[str | bytes], vocabulary: int, min_count: int) -> Bytes:
        if vocabulary not in (0, 256) or min_count > 1:
            raise UsageError("vocabulary, min_count: bytes are always 256 tokens; leave both at their defaults.")
        return cls()

    @classmethod
    def restore(cls, content: dict[str, Any]) -> Bytes:
        if content["model"]["vocab"] != byte_ids():
            raise ValueError("the byte tokens are not in their order")
        return cls()

    @property
    def symbols(self) -> Sequence[bytes]:
        return [bytes([value]) for value in range(256)]

    def encode(self, text: str | bytes, unseen: Unseen = "error") -> NDArray[np.int64]:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        return np.frombuffer(data, np.uint8).astype(np.int64)

    def to_json(self) -> bytes:
        model: dict[str, Any] = {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": byte_ids(),
            "merges": [],
        }
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        return hugging_face(model, level, level)


def byte_letters() -> list[str]:
    """The 256 printable characters that stand for bytes in byte-level vocabularies (Radford et al. 2019, GPT-2)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(256, 512))
    return [chr(value) if value in plain else chr(next(spare)) for value in range(256)]


def byte_ids() -> dict[str, int]:
    """Each byte's letter and its value."""
    return {letter: value for value, letter in enumerate(byte_letters())}


def hugging_face(model: dict[str, Any], before: dict[str, Any], decoder: dict[str, Any]) -> bytes:
    """The JSON of a tokenizer in the `tokenizers` format."""
    content: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": before,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8")


def word_level(tokens: Sequence[str], pattern: str) -> bytes:
    """The JSON of a vocabulary whose tokens are the matches of a pattern."""
    model = {"type": "WordLevel", "vocab": {token: id for id, token in enumerate(tokens)}, "unk_token": UNKNOWN}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return hugging_face(model, split, {"type": "Fuse"})
