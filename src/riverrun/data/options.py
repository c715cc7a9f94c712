"""DataOptions: the [data] section: what counts as text, as a token, and as a part of the split.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults. A field's `acts`
says beside which other options it does anything (combinations.py reads it).
"""

from __future__ import annotations

from dataclasses import dataclass

from riverrun.data import held_out
from riverrun.errors import OptionError
from riverrun.fields import check, option

KINDS = ("chars", "bytes", "words", "bpe")


def _validates(patience: int, evaluate_every: int, schedule: str, optimiser: str) -> bool:
    # Where training looks at a validation part: StreamTraining.selects.
    return patience > 0 or evaluate_every > 0 or schedule == "plateau" or optimiser == "asgd"


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How files become tokens and parts.

    Raises OptionError where a value is out of range.
    """

    tokens: str = option(
        "chars",
        "unit of text: chars, bytes (any file, also a binary one), words, or bpe (sub-word units)",
        choices=KINDS,
    )
    vocabulary: int = option(
        0,
        "most tokens in the vocabulary; 0: no limit for chars, 20000 words, 4096 bpe units",
        acts={"tokens": ("chars", "words", "bpe")},
    )
    min_count: int = option(
        1,
        "characters or words seen fewer times than this become the unknown token",
        least=1,
        acts={"tokens": ("chars", "words", "bpe")},
    )
    lines: bool = option(
        False, "every line is an item of its own: it begins with a fresh state and ends with a newline"
    )
    field: str = option("text", "the field of .jsonl, or column of .csv / .tsv, with the text")
    encoding: str = option("utf-8", "character encoding of the files")
    skip_bad_rows: bool = option(
        False, "drop, count and record lines that cannot be read, instead of stopping at the first"
    )
    valid: str = option("", "a file for validation, instead of a share of the data")
    test: str = option("", "a file for the test, instead of a share of the data")
    valid_share: float = option(
        0.05,
        "share of the data, before the test part, for validation where one is needed",
        acts={"valid": ("",), ("patience", "evaluate_every", "schedule", "optimiser"): _validates},
    )
    test_share: float = option(0.10, "share of the data, at its end, held out for the test", acts={"test": ("",)})

    def __post_init__(self) -> None:
        check(self)
        if self.vocabulary < 0 or self.vocabulary == 1:
            raise OptionError("vocabulary", f"expected 0 (the default) or at least 2 tokens, got {self.vocabulary}.")
        for name, idle in (("vocabulary", self.vocabulary in (0, 256)), ("min_count", self.min_count == 1)):
            if self.tokens == "bytes" and not idle:
                raise OptionError(name, "bytes are always 256 tokens. Leave it out.")
        if self.tokens == "bpe" and 0 < self.vocabulary < 257:
            raise OptionError("vocabulary", f"bpe needs at least 257 (256 bytes and one merge), got {self.vocabulary}.")
        held_out.check(self)
