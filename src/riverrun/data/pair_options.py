"""PairOptions: the [data] section of sequence to sequence: where pairs are found, what a token is, what is held out.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults. A field's `acts`
says beside which other options it does anything (combinations.py reads it).
"""

from __future__ import annotations

from dataclasses import dataclass

from riverrun.data import held_out
from riverrun.errors import OptionError
from riverrun.fields import check, option

FORMATS = ("auto", "tsv", "csv", "jsonl", "paired", "cmudict", "scan", "dialogues")
KINDS = ("auto", "chars", "words", "spaces", "bpe")
KEYS = ("auto", "source", "target")
TABLES = ("auto", "tsv", "csv", "jsonl")


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """How files become pairs, tokens and parts.

    Raises OptionError where a value is out of range.
    """

    format: str = option("auto", "how the files hold their pairs; auto: found by their first lines", choices=FORMATS)
    source_field: str = option(
        "", "field, column or number of the column with what is read; empty: source, or 1", acts={"format": TABLES}
    )
    target_field: str = option(
        "", "field, column or number of the column with what is written; empty: target, or 2", acts={"format": TABLES}
    )
    reverse: bool = option(False, "swap the sides: read what the files have as target, write their source")
    stress: bool = option(True, "keep the digits of stress of CMUdict's vowels", acts={"format": ("auto", "cmudict")})
    source_tokens: str = option(
        "auto", "unit of what is read: chars, words, spaces (whatever stands between them), or bpe", choices=KINDS
    )
    target_tokens: str = option("auto", "unit of what is written, the same", choices=KINDS)
    source_vocabulary: int = option(0, "most tokens of the source; 0: all chars, 20000 words or symbols, 4096 bpe")
    target_vocabulary: int = option(
        0, "most tokens of the target; 0: the same numbers", acts={"shared_vocabulary": (False,)}
    )
    shared_vocabulary: bool = option(False, "one vocabulary, made of both sides")
    min_count: int = option(1, "tokens seen fewer times than this in the training part become unknown", least=1)
    encoding: str = option("utf-8", "character encoding of the files")
    skip_bad_rows: bool = option(False, "drop, count and record rows that are no pair, instead of stopping")
    valid: str = option("", "a file for validation, instead of a share of the data")
    test: str = option("", "a file for the test, instead of a share of the data")
    split_by: str = option(
        "auto",
        "what is hashed to find a pair's part; auto: the source, English of Tatoeba, the whole dialogue",
        choices=KEYS,
    )
    valid_share: float = option(0.05, "share of the data for validation", acts={"valid": ("",)})
    test_share: float = option(0.05, "share of the data held out for the test", acts={"test": ("",)})

    def __post_init__(self) -> None:
        check(self)
        for side in ("source", "target"):
            size, kind = getattr(self, f"{side}_vocabulary"), getattr(self, f"{side}_tokens")
            if size < 0 or size == 1:
                raise OptionError(f"{side}_vocabulary", f"expected 0 (the default) or at least 2 tokens, got {size}.")
            if kind == "bpe" and 0 < size < 257:
                problem = f"bpe needs at least 257 (256 bytes and one merge), got {size}."
                raise OptionError(f"{side}_vocabulary", problem)
        if self.shared_vocabulary and self.source_tokens != self.target_tokens:
            raise OptionError(
                "shared_vocabulary",
                f"both sides need the same tokens, got {self.source_tokens} and {self.target_tokens}.",
            )
        held_out.check(self)
