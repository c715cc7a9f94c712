"""TagOptions: the [data] section of tagging: which column holds the tags, what is known of words, what is held out.

The dataclass is the single source of the TOML keys, the command-line flags, the docs and the defaults.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riverrun.errors import OptionError


def _option(default: Any, help: str, acts: Mapping[str, Any] | None = None) -> Any:
    """A field; `acts` says beside which other options it does anything (combinations.py reads it)."""
    return field(default=default, metadata={"help": help, **({"acts": acts} if acts else {})})


@dataclass(frozen=True, kw_only=True)
class TagOptions:
    """How files become sentences, vocabularies and parts.

    Raises OptionError where a value is out of range.
    """

    column: str = _option(
        "",
        "the column of the tags: upos, xpos, lemma, feats, deprel or misc of CoNLL-U, of other files its number or "
        "last; empty: upos, or last",
    )
    min_count: int = _option(1, "words seen fewer times than this in the training part are unknown")
    vectors: str = _option(
        "", "a file of pretrained word vectors: word2vec's text or binary, GloVe's, or .npz with words and vectors"
    )
    vectors_limit: int = _option(
        100_000, "only the first so many of them, the most frequent words (0: all)", acts={"vectors": bool}
    )
    encoding: str = _option("utf-8", "character encoding of the files")
    skip_bad_rows: bool = _option(
        False, "drop, count and record sentences with a line that cannot be read, instead of stopping at the first"
    )
    valid: str = _option("", "a file for validation, instead of a share of the data")
    test: str = _option("", "a file for the test, instead of a share of the data")
    valid_share: float = _option(0.1, "share of the sentences for validation", acts={"valid": ("",)})
    test_share: float = _option(0.1, "share of the sentences held out for the test", acts={"test": ("",)})

    def __post_init__(self) -> None:
        for name, least in (("min_count", 1), ("vectors_limit", 0)):
            if getattr(self, name) < least:
                raise OptionError(name, f"expected at least {least}, got {getattr(self, name)}.")
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
