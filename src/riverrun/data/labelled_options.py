"""LabelledOptions: the [data] section of classification: where texts and labels are, what tokens are, what is held out.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults. A field's `acts`
says beside which other options it does anything (combinations.py reads it). This file imports no numpy.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riverrun.errors import OptionError, nearest

KINDS = ("auto", "chars", "bytes", "words", "bpe")
LABELS = ("one", "several", "ordered")
SPLITS = ("stratified", "hash")


def _option(default: Any, help: str, choices: tuple[str, ...] = (), acts: Mapping[Any, Any] | None = None) -> Any:
    known = {"help": help, "choices": choices, "acts": acts}
    return field(default=default, metadata={key: value for key, value in known.items() if value})


def _divides(valid: str, test: str) -> bool:
    return not (valid and test)


@dataclass(frozen=True, kw_only=True)
class LabelledOptions:
    """How files become examples, labels, tokens and parts.

    Raises OptionError where a value is out of range.
    """

    text: str = _option("", "column or field with the text; empty: a usual name (text, sentence, review, ...)")
    label: str = _option("", "column or field with the label; empty: a usual name (label, class, stars, ...)")
    labels: str = _option(
        "one", "labels of a text: one; several, or none; or ordered: one number on a scale, as stars are", LABELS
    )
    separator: str = _option(",", "what stands between the labels of a column", acts={"labels": ("several",)})
    tokens: str = _option(
        "auto",
        "unit of text: chars, bytes, words, or bpe (sub-words); auto: words, and chars where most texts are one word",
        KINDS,
    )
    lower: bool = _option(False, "read capital letters as small ones")
    longest: int = _option(0, "read a text's first so many tokens alone (0: all of it)")
    vocabulary: int = _option(
        0,
        "most tokens in the vocabulary; 0: no limit for chars, 20000 words, 4096 bpe units",
        acts={"tokens": ("auto", "chars", "words", "bpe")},
    )
    min_count: int = _option(
        1,
        "tokens seen fewer times than this in the training part become unknown",
        acts={"tokens": ("auto", "chars", "words", "bpe")},
    )
    encoding: str = _option("utf-8", "character encoding of the files")
    skip_bad_rows: bool = _option(False, "drop, count and record rows that are no example, instead of stopping")
    valid: str = _option("", "a file for validation, instead of a share of the data")
    test: str = _option("", "a file for the test, instead of a share of the data")
    split: str = _option(
        "stratified",
        "how parts are found: stratified (of each label the same share), or hash (SHA-256 of the text alone decides); "
        "equal texts lie on one side either way",
        SPLITS,
        acts={("valid", "test"): _divides},
    )
    valid_share: float = _option(0.1, "share of the data for validation", acts={"valid": ("",)})
    test_share: float = _option(0.1, "share of the data held out for the test", acts={"test": ("",)})

    def __post_init__(self) -> None:
        for name, known in (("labels", LABELS), ("tokens", KINDS), ("split", SPLITS)):
            value = getattr(self, name)
            if value not in known:
                raise OptionError(
                    name, f"expected one of {', '.join(known)}, got {value!r}.{nearest(str(value), known)}"
                )
        if not self.separator:
            raise OptionError("separator", "expected at least one character, got nothing.")
        if self.text and self.text == self.label:
            raise OptionError("label", f"{self.label!r} is the column of the text, too. Name another one.")
        if self.longest < 0:
            raise OptionError("longest", f"expected 0 (no limit) or more, got {self.longest}.")
        if self.vocabulary < 0 or self.vocabulary == 1:
            raise OptionError("vocabulary", f"expected 0 (the default) or at least 2 tokens, got {self.vocabulary}.")
        if self.min_count < 1:
            raise OptionError("min_count", f"expected at least 1, got {self.min_count}.")
        if self.tokens == "bytes" and (self.vocabulary not in (0, 256) or self.min_count != 1):
            name = "min_count" if self.min_count != 1 else "vocabulary"
            raise OptionError(name, "bytes are always 256 tokens. Leave it out.")
        if self.tokens == "bpe" and 0 < self.vocabulary < 257:
            raise OptionError("vocabulary", f"bpe needs at least 257 (256 bytes and one merge), got {self.vocabulary}.")
        for name in ("valid_share", "test_share"):
            share = getattr(self, name)
            if not 0 < share < 1:
                raise OptionError(name, f"expected a share between 0 and 1 (0.1 is 10 %), got {share:g}.")
        if self.valid_share + self.test_share >= 1:
            raise OptionError(
                "test_share",
                f"with a valid_share of {self.valid_share:g}, {self.test_share:g} leaves nothing to train on.",
            )
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            problem = f"{self.encoding!r} is not known to Python; expected utf-8, latin-1, cp1252, utf-16, ..."
            raise OptionError("encoding", problem) from None
