"""PairOptions: the [data] section of sequence to sequence: where pairs are found, what a token is, what is held out.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults. A field's `acts`
says beside which other options it does anything (combinations.py reads it).
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riverrun.errors import OptionError, nearest

FORMATS = ("auto", "tsv", "csv", "jsonl", "paired", "cmudict", "scan", "dialogues")
KINDS = ("auto", "chars", "words", "spaces", "bpe")
KEYS = ("auto", "source", "target")
TABLES = ("auto", "tsv", "csv", "jsonl")


def _option(default: Any, help: str, choices: tuple[str, ...] = (), acts: Mapping[str, Any] | None = None) -> Any:
    known = {"help": help, "choices": choices, "acts": acts}
    return field(default=default, metadata={key: value for key, value in known.items() if value})


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """How files become pairs, tokens and parts.

    Raises OptionError where a value is out of range.
    """

    format: str = _option("auto", "how the files hold their pairs; auto: found by their first lines", FORMATS)
    source_field: str = _option(
        "", "field, column or number of the column with what is read; empty: source, or 1", acts={"format": TABLES}
    )
    target_field: str = _option(
        "", "field, column or number of the column with what is written; empty: target, or 2", acts={"format": TABLES}
    )
    reverse: bool = _option(False, "swap the sides: read what the files have as target, write their source")
    stress: bool = _option(True, "keep the digits of stress of CMUdict's vowels", acts={"format": ("auto", "cmudict")})
    source_tokens: str = _option(
        "auto", "unit of what is read: chars, words, spaces (whatever stands between them), or bpe", KINDS
    )
    target_tokens: str = _option("auto", "unit of what is written, the same", KINDS)
    source_vocabulary: int = _option(0, "most tokens of the source; 0: all chars, 20000 words or symbols, 4096 bpe")
    target_vocabulary: int = _option(
        0, "most tokens of the target; 0: the same numbers", acts={"shared_vocabulary": (False,)}
    )
    shared_vocabulary: bool = _option(False, "one vocabulary, made of both sides")
    min_count: int = _option(1, "tokens seen fewer times than this in the training part become unknown")
    encoding: str = _option("utf-8", "character encoding of the files")
    skip_bad_rows: bool = _option(False, "drop, count and record rows that are no pair, instead of stopping")
    valid: str = _option("", "a file for validation, instead of a share of the data")
    test: str = _option("", "a file for the test, instead of a share of the data")
    split_by: str = _option(
        "auto",
        "what is hashed to find a pair's part; auto: the source, English of Tatoeba, the whole dialogue",
        KEYS,
    )
    valid_share: float = _option(0.05, "share of the data for validation", acts={"valid": ("",)})
    test_share: float = _option(0.05, "share of the data held out for the test", acts={"test": ("",)})

    def __post_init__(self) -> None:
        for name, known in (
            ("format", FORMATS),
            ("source_tokens", KINDS),
            ("target_tokens", KINDS),
            ("split_by", KEYS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise OptionError(name, f"expected one of {', '.join(known)}, got {value!r}.{nearest(value, known)}")
        for side in ("source", "target"):
            size, kind = getattr(self, f"{side}_vocabulary"), getattr(self, f"{side}_tokens")
            if size < 0 or size == 1:
                raise OptionError(f"{side}_vocabulary", f"expected 0 (the default) or at least 2 tokens, got {size}.")
            if kind == "bpe" and 0 < size < 257:
                problem = f"bpe needs at least 257 (256 bytes and one merge), got {size}."
                raise OptionError(f"{side}_vocabulary", problem)
        if self.min_count < 1:
            raise OptionError("min_count", f"expected at least 1, got {self.min_count}.")
        if self.shared_vocabulary and self.source_tokens != self.target_tokens:
            raise OptionError(
                "shared_vocabulary",
                f"both sides need the same tokens, got {self.source_tokens} and {self.target_tokens}.",
            )
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
