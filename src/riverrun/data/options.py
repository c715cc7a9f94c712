"""DataOptions: the [data] section: what counts as text, as a token, and as a part of the split.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults. A field's `acts`
says beside which other options it does anything (combinations.py reads it).
"""

from __future__ import annotations

import codecs
import dataclasses

from riverrun.errors import OptionError, nearest

KINDS = ("chars", "bytes", "words", "bpe")


def _validates(patience: int, evaluate_every: int, schedule: str, optimiser: str) -> bool:
    # Where training looks at a validation part: StreamTraining.selects.
    return patience > 0 or evaluate_every > 0 or schedule == "plateau" or optimiser == "asgd"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How files become tokens and parts.

    Raises OptionError where a value is out of range.
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
        metadata={
            "help": "most tokens in the vocabulary; 0: no limit for chars, 20000 words, 4096 bpe units",
            "acts": {"tokens": ("chars", "words", "bpe")},
        },
    )
    min_count: int = dataclasses.field(
        default=1,
        metadata={
            "help": "characters or words seen fewer times than this become the unknown token",
            "acts": {"tokens": ("chars", "words", "bpe")},
        },
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
        default=0.05,
        metadata={
            "help": "share of the data, before the test part, for validation where one is needed",
            "acts": {"valid": ("",), ("patience", "evaluate_every", "schedule", "optimiser"): _validates},
        },
    )
    test_share: float = dataclasses.field(
        default=0.10,
        metadata={"help": "share of the data, at its end, held out for the test", "acts": {"test": ("",)}},
    )

    def __post_init__(self) -> None:
        if self.tokens not in KINDS:
            hint = nearest(self.tokens, KINDS)
            raise OptionError("tokens", f"expected one of {', '.join(KINDS)}, got {self.tokens!r}.{hint}")
        if self.vocabulary < 0 or self.vocabulary == 1:
            raise OptionError("vocabulary", f"expected 0 (the default) or at least 2 tokens, got {self.vocabulary}.")
        if self.min_count < 1:
            raise OptionError("min_count", f"expected at least 1, got {self.min_count}.")
        for name, idle in (("vocabulary", self.vocabulary in (0, 256)), ("min_count", self.min_count == 1)):
            if self.tokens == "bytes" and not idle:
                raise OptionError(name, "bytes are always 256 tokens. Leave it out.")
        if self.tokens == "bpe" and 0 < self.vocabulary < 257:
            raise OptionError("vocabulary", f"bpe needs at least 257 (256 bytes and one merge), got {self.vocabulary}.")
        for name, share in (("valid_share", self.valid_share), ("test_share", self.test_share)):
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
