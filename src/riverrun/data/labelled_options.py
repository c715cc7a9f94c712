"""LabelledOptions: the [data] section of classification: where texts and labels are, what tokens are, what is held out.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults. A field's `acts`
says beside which other options it does anything (combinations.py reads it). This file imports no numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

from riverrun.data import held_out
from riverrun.errors import OptionError
from riverrun.fields import check, option

KINDS = ("auto", "chars", "bytes", "words", "bpe")
LABELS = ("one", "several", "ordered")
SPLITS = ("stratified", "hash")


def _divides(valid: str, test: str) -> bool:
    return not (valid and test)


@dataclass(frozen=True, kw_only=True)
class LabelledOptions:
    """How files become examples, labels, tokens and parts.

    Raises OptionError where a value is out of range.
    """

    text: str = option("", "column or field with the text; empty: a usual name (text, sentence, review, ...)")
    label: str = option("", "column or field with the label; empty: a usual name (label, class, stars, ...)")
    labels: str = option(
        "one",
        "labels of a text: one; several, or none; or ordered: one number on a scale, as stars are",
        choices=LABELS,
    )
    separator: str = option(",", "what stands between the labels of a column", acts={"labels": ("several",)})
    tokens: str = option(
        "auto",
        "unit of text: chars, bytes, words, or bpe (sub-words); auto: words, and chars where most texts are one word",
        choices=KINDS,
    )
    lower: bool = option(False, "read capital letters as small ones")
    longest: int = option(
        0, "read a text's first so many tokens alone (0: all of it, if it has at most 20,000)", least=0
    )
    vocabulary: int = option(
        0,
        "most tokens in the vocabulary; 0: no limit for chars, 20000 words, 4096 bpe units",
        acts={"tokens": ("auto", "chars", "words", "bpe")},
    )
    min_count: int = option(
        1,
        "tokens seen fewer times than this in the training part become unknown",
        least=1,
        acts={"tokens": ("auto", "chars", "words", "bpe")},
    )
    encoding: str = option("utf-8", "character encoding of the files")
    skip_bad_rows: bool = option(False, "drop, count and record rows that are no example, instead of stopping")
    valid: str = option("", "a file for validation, instead of a share of the data")
    test: str = option("", "a file for the test, instead of a share of the data")
    split: str = option(
        "stratified",
        "how parts are found: stratified (of each label the same share), or hash (SHA-256 of the text alone decides); "
        "equal texts lie on one side either way",
        choices=SPLITS,
        acts={("valid", "test"): _divides},
    )
    valid_share: float = option(0.1, "share of the data for validation", acts={"valid": ("",)})
    test_share: float = option(0.1, "share of the data held out for the test", acts={"test": ("",)})

    def __post_init__(self) -> None:
        check(self)
        if not self.separator:
            raise OptionError("separator", "expected at least one character, got nothing.")
        if self.text and self.text == self.label:
            raise OptionError("label", f"{self.label!r} is the column of the text, too. Name another one.")
        if self.vocabulary < 0 or self.vocabulary == 1:
            raise OptionError("vocabulary", f"expected 0 (the default) or at least 2 tokens, got {self.vocabulary}.")
        if self.tokens == "bytes" and (self.vocabulary not in (0, 256) or self.min_count != 1):
            name = "min_count" if self.min_count != 1 else "vocabulary"
            raise OptionError(name, "bytes are always 256 tokens. Leave it out.")
        if self.tokens == "bpe" and 0 < self.vocabulary < 257:
            raise OptionError("vocabulary", f"bpe needs at least 257 (256 bytes and one merge), got {self.vocabulary}.")
        held_out.check(self)
