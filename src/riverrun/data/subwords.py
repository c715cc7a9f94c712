"""Subwords: byte-pair encoding (Sennrich et al. 2016) over bytes (Radford et al. 2019), by the `tokenizers` library.

The text is first cut into words as `words` cuts it, so merges never reach across one; every text can be encoded, since
all 256 bytes are tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from riverrun.data.characters import as_text, byte_letters
from riverrun.data.encoding import fault
from riverrun.data.tokenizer import Encoded, Tokenizer, Unseen
from riverrun.data.words import PATTERN
from riverrun.errors import DataError, UsageError

DEFAULT_SIZE = 4096


class Subwords(Tokenizer):
    """One token a frequent sequence of bytes within a word. There is no unknown token."""

    kind, unit, unknown = "bpe", "token", None

    def __init__(self, engine: tokenizers.Tokenizer) -> None:
        self._engine = engine
        values = {letter: value for value, letter in enumerate(byte_letters())}
        ids = sorted(engine.get_vocab().items(), key=lambda item: item[1])
        if [id for _, id in ids] != list(range(len(ids))):
            raise ValueError("ids are not 0, 1, 2, ...")
        self._symbols = [bytes(values[letter] for letter in token) for token, _ in ids]

    @classmethod
    def learn(cls, pieces: Iterable[str | bytes], vocabulary: int, min_count: int) -> Subwords:
        vocabulary = vocabulary or DEFAULT_SIZE
        if vocabulary < 257:
            raise UsageError(f"vocabulary: bpe needs at least 257 (256 bytes and one merge), got {vocabulary}.")
        engine = tokenizers.Tokenizer(models.BPE())
        engine.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PATTERN), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        engine.decoder = decoders.ByteLevel()
        # A pair seen once is no sub-word: at least twice, unless more is asked for.
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=max(min_count, 2),
            initial_alphabet=byte_letters(),
            show_progress=False,
        )
        seen: set[str] = set()
        engine.train_from_iterator(_watched(pieces, seen), trainer)
        if len(seen) < 2:
            what = "one character repeated: there is nothing to predict in it" if seen else "empty"
            raise DataError(f"the text is {what}. Give real text.")
        return cls(engine)

    @classmethod
    def restore(cls, content: dict[str, Any]) -> Subwords:
        try:
            engine = tokenizers.Tokenizer.from_str(json.dumps(content))
        except Exception as error:  # the library raises plain Exception
            raise ValueError(str(error)) from None
        return cls(engine)

    @property
    def symbols(self) -> Sequence[bytes]:
        return self._symbols

    def encode(self, text: str | bytes, unseen: Unseen = "error") -> NDArray[np.int64]:
        return np.asarray(self._engine.encode(_checked(text)).ids, np.int64)

    def encode_each(self, texts: Sequence[str | bytes], unseen: Unseen = "error") -> Encoded:
        arrays = [encoding.ids for encoding in self._engine.encode_batch([_checked(text) for text in texts])]
        joined = [np.asarray(ids, np.int64) for ids in arrays]
        return np.concatenate(joined) if joined else np.zeros(0, np.int64), [len(ids) for ids in arrays]

    def to_json(self) -> bytes:
        return self._engine.to_str(pretty=True).encode("utf-8")


def _checked(text: str | bytes) -> str:
    text = as_text(text)
    if "\x00" not in text and (why := fault(text)):
        raise UsageError(f"the text cannot be encoded: {why}.")
    return text


def _watched(pieces: Iterable[str | bytes], seen: set[str]) -> Iterable[str]:
    for piece in pieces:
        text = as_text(piece)
        if len(seen) < 2:
            seen.update(text[:1], text.replace(text[:1], "")[:1])
        yield text
