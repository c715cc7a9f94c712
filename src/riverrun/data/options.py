"""DataOptions: the [data] section: what counts as text, as a token, and as a part of the split.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults.
"""

from __future__ import annotations

import codecs
import dataclasses

from riverrun.errors import UsageError, nearest

KINDS = ("chars", "bytes", "words", "bpe")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How files become tokens and parts.

    Raises UsageError where a value is out of range; the message names the option.
    """

    tokens: str = dataclasses.field(
        default="chars",
        metadata={
            "help": "unit of text: chars, bytes (any file, also a binary one), words, or bpe (sub-word units)",
            "choices": KINDS,
        },
    )
    vocabulary: int = dataclasses.field(
        default=0,
        metadata={"help": "most tokens in the vocabulary; 0: no limit for chars, 20000 words, 4096 bpe units"},
    )
    min_count: int = dataclasses.field(
        default=1,
        metadata={"help": "characters or words seen fewer times than this become the unknown token"},
    )
    lines: bool = dataclasses.field(
        default=False,
        metadata={"help": "every line is an item of its own: it begins with a fresh state and ends with a newline"},
    )
    field: str = dataclasses.field(
        default="text", metadata={"help": "the field of .jsonl, or column of .csv / .tsv, with the text"}
    )
    encoding: str = dataclasses.field(default="utf-8", metadata={"help": "character encoding of the files"})
    skip_bad_rows: bool = dataclasses.field(
        default=False,
        metadata={"help": "drop, count and record lines that cannot be read, instead of stopping at the first"},
    )
    valid: str = dataclasses.field(
        default="", metadata={"help": "a file for validation, instead of a share of the data"}
    )
    test: str = dataclasses.field(default="", metadata={"help": "a file for the test, instead of a share of the data"})
    valid_share: float = dataclasses.field(
        default=0.05, metadata={"help": "share of the data, before the test part, for validation where one is needed"}
    )
    test_share: float = dataclasses.field(
        default=0.10, metadata={"help": "share of the data, at its end, held out for the test"}
    )

    def __post_init__(self) -> None:
        if self.tokens not in KINDS:
            raise UsageError(
                f"tokens: expected one of {', '.join(KINDS)}, got {self.tokens!r}.{nearest(self.tokens, KINDS)}"
            )
        if self.vocabulary < 0 or self.vocabulary == 1:
            raise UsageError(f"vocabulary: expected 0 (the default) or at least 2 tokens, got {self.vocabulary}.")
        if self.min_count < 1:
            raise UsageError(f"min_count: expected at least 1, got {self.min_count}.")
        if self.tokens == "bytes" and (self.vocabulary not in (0, 256) or self.min_count > 1):
            raise UsageError("vocabulary, min_count: bytes are always 256 tokens; leave both at their defaults.")
        if self.tokens == "bpe" and 0 < self.vocabulary < 257:
            raise UsageError(f"vocabulary: bpe needs at least 257 (256 bytes and one merge), got {self.vocabulary}.")
        for name, share in (("valid_share", self.valid_share), ("test_share", self.test_share)):
            if not 0 < share < 1:
                raise UsageError(f"{name}: expected a share between 0 and 1 (0.1 is 10 %), got {share:g}.")
        if self.valid_share + self.test_share >= 1:
            raise UsageError(
                f"valid_share, test_share: {self.valid_share:g} and {self.test_share:g} leave nothing to train on."
            )
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise UsageError(
                f"encoding: {self.encoding!r} is not known to Python; expected utf-8, latin-1, cp1252, utf-16, ..."
            ) from None
